"""Pictures: which sorts are read, how they are shown to people, and how much memory they may fill while decoded."""

from __future__ import annotations

import ctypes
import posixpath
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from labelloop.errors import BadItemError, ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

IN_FLIGHT = 512 << 20
"""Bytes of decoded pictures at the same time; a picture that is larger is decoded alone."""

ENDINGS = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tga", ".tif", ".tiff", ".webp")
"""Of the pictures that are read everywhere."""

HEAD = 16
"""Bytes at the beginning of a file that tell whether it is a picture."""

BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, AttributeError, ArithmeticError,
    NotImplementedError, MemoryError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow's decoders raise on files that are cut off, damaged, or not pictures."""

_SHOWN_BY_BROWSERS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
}
_ALSO_SHOWN = (".avif", ".svg")
_SMALL = 1 << 20  # pixels: a picture of no more is kept without a loss
_LONGEST_EDGE = 8192
_QUALITY = 92
_ORIENTATION = 0x0112
_DEPTHS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
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
    """The endings of the pictures that are read with what is installed: HEIC needs pi-heif, AVIF a newer Pillow."""
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


def shown_from(address: str) -> bool:
    """Whether a browser that is given this address of a picture shows what is there, by its ending."""
    ending = posixpath.splitext(address)[1].lower()
    shown = {*_ALSO_SHOWN, *(one for known in _SHOWN_BY_BROWSERS.values() for one in known)}
    return ending in shown or ending not in {*ENDINGS, *_HEIC, *_JPEG_2000}


def shown_as_it_is(name: str, head: bytes) -> bool:
    """Whether a browser shows a file that begins so and is served by its name: as what its ending says."""
    format = _format(head)
    return posixpath.splitext(name)[1].lower() in _SHOWN_BY_BROWSERS.get(format, ())


def is_shown(head: bytes) -> bool:
    """Whether browsers show a file that begins so."""
    return (
        bool(_format(head)) or head[4:12] in (b"ftypavif", b"ftypavis") or head.lstrip().startswith((b"<svg", b"<?xml"))
    )


def _format(head: bytes) -> str:
    """The format of a file that begins so, of those that browsers show; empty for others."""
    found = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"BM": "BMP", b"RIFF": "WEBP"}
    return next((format for begins, format in found.items() if head.startswith(begins)), "")


def for_people(raw: bytes) -> tuple[bytes, str]:
    """A picture as every browser shows it, and the ending of what it is now; what browsers show stays as it is.

    Others (TIFF, HEIC, AVIF, JPEG 2000, TGA, CMYK) become a PNG, or a JPEG where they are large: the first frame,
    upright, at most 8192 pixels long, and of more than 8 bits those that say something.

    Raises:
        BadItemError: It cannot be decoded, or would fill the memory.
        ConfigError: Pillow is not installed.
    """
    need_pillow()
    from PIL import Image

    try:
        with opened_picture(raw) as picture:
            plain = picture.format in _SHOWN_BY_BROWSERS and picture.mode != "CMYK"
            if plain and (picture.format == "JPEG" or _is_upright(picture)):
                return raw, _SHOWN_BY_BROWSERS[str(picture.format)][0]
            with DECODED.taken(decoded_size(picture)):
                return _encoded(picture)
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise BadItemError(
            f"{len(raw)} bytes cannot be made into a picture that browsers show: {error}", "save it as PNG or JPEG"
        ) from error


def _is_upright(picture: Image) -> bool:
    return bool(picture.getexif().get(_ORIENTATION, 1) == 1)


def _encoded(picture: Image) -> tuple[bytes, str]:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith(("I", "F")):
        upright = eight_bits(upright)
    if upright.mode not in ("1", "L", "RGB"):
        upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    upright.thumbnail((_LONGEST_EDGE, _LONGEST_EDGE))
    body = BytesIO()
    if upright.mode in ("1", "RGBA") or upright.size[0] * upright.size[1] <= _SMALL:
        upright.save(body, "PNG")
        return body.getvalue(), ".png"
    upright.save(body, "JPEG", quality=_QUALITY)
    return body.getvalue(), ".jpg"


def eight_bits(picture: Image) -> Image:
    """A grey picture of more than 8 bits, or of floats, as one of 8: people and models see the same.

    A scanner with 12 bits writes them into 16, so the depth is the least that holds its largest value.
    """
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(picture, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= _DEPTHS[-1]:
        fraction = high <= 1 and not picture.mode.startswith("I;16")
        whole = 1.0 if fraction else next(depth for depth in _DEPTHS if high <= depth)
        low, high = 0.0, whole
    scaled = (values - low) * (255.0 / max(high - low, 1e-9))
    return Image.fromarray(scaled.clip(0, 255).astype(np.uint8))


@cache
def _plugged_in() -> bool:
    """Have Pillow read HEIC, once; whether it can."""
    try:
        from pi_heif import register_heif_opener
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
