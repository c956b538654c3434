"""Pictures: which sorts are read here, and how much memory they may fill while they are decoded, by their pixels."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from labelloop.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

IN_FLIGHT = 512 << 20
"""Bytes of decoded pictures at the same time; a picture that is larger is decoded alone."""

ENDINGS = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tga", ".tif", ".tiff", ".webp")
"""Of the pictures that are read everywhere."""

HEAD = 16
"""Bytes at the beginning of a file that tell whether it is a picture."""

_HEIC = (".heic", ".heif", ".hif")
_JPEG_2000 = (".j2k", ".jp2", ".jpf")
_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1", b"avif", b"avis")
_BEGINNINGS = (
    b"\x89PNG\r\n",
    b"\xff\xd8\xff",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
)
_LARGE = 64 << 20
_BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "LA": 4}


class Allowance:
    """An amount that several threads take from and give back; who wants more than there is waits.

    Args:
        whole: The amount. Who wants more than all of it gets it once nobody else has any.
    """

    def __init__(self, whole: int) -> None:
        self._whole = self._left = whole
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        """Hold so much of it during the block; not to be nested."""
        some = min(max(wanted, 0), self._whole)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= some)
            self._left -= some
        try:
            yield
        finally:
            if some >= _LARGE:
                _give_back()
            with self._changed:
                self._left += some
                self._changed.notify_all()


DECODED = Allowance(IN_FLIGHT)
"""What every thread of the process decodes pictures within."""


def need_pillow() -> None:
    """Be told before a picture is read that nothing here reads any.

    Raises:
        ConfigError: Pillow is not installed.
    """
    try:
        import PIL  # noqa: F401 - whether it is there
    except ImportError as error:
        raise ConfigError(
            "pictures need the package pillow, which is not installed", "labelloop integration install image"
        ) from error


@cache
def endings() -> tuple[str, ...]:
    """The endings of the pictures that are read with what is installed: HEIC needs pillow-heif, AVIF a newer Pillow."""
    try:
        from PIL import features
    except ImportError:
        return ENDINGS
    found = (*ENDINGS, *(_HEIC if _plugged_in() else ()))
    found += (".avif",) if features.check("avif") else ()
    return tuple(sorted(found + (_JPEG_2000 if features.check("jpg_2000") else ())))


def begins_as_picture(head: bytes) -> bool:
    """Whether a file that begins so is a picture of a sort that can be told by its first `HEAD` bytes."""
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    return head.startswith(_BEGINNINGS) or (head[4:8] == b"ftyp" and head[8:12] in _BRANDS)


def opened_picture(raw: bytes) -> Image:
    """A picture of any sort that can be read here; it is decoded later.

    Raises:
        UnidentifiedImageError: It is none; and what else Pillow raises.
    """
    from PIL import Image

    _plugged_in()
    return Image.open(BytesIO(raw))


@cache
def _plugged_in() -> bool:
    """Have Pillow read HEIC, once; whether it can."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def decoded_size(picture: Image) -> int:
    """Bytes that a picture fills once it is decoded, from its header alone."""
    return picture.size[0] * picture.size[1] * _BYTES_PER_PIXEL.get(picture.mode, 4)


def _give_back() -> None:
    """Have the C library return what was freed: it keeps it by thread, so that each would hold its largest picture."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
