"""How much memory pictures may fill while they are decoded: by their pixels, whatever the size of their files."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from labelloop.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

IN_FLIGHT = 512 << 20
"""Bytes of decoded pictures at the same time; a picture that is larger is decoded alone."""

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


def decoded_size(picture: Image) -> int:
    """Bytes that a picture fills once it is decoded, from its header alone."""
    return picture.size[0] * picture.size[1] * _BYTES_PER_PIXEL.get(picture.mode, 4)


def _give_back() -> None:
    """Have the C library return what was freed: it keeps it by thread, so that each would hold its largest picture."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
