"""From the bytes of any picture to the square of RGB pixels that a network looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from labelloop.data.decoding import BROKEN, DECODED, decoded_size, eight_bits, need_pillow, opened_picture
from labelloop.errors import BadItemError

if TYPE_CHECKING:
    from PIL.Image import Image

Resize = Literal["squash", "crop"]
"""How a picture becomes a square: all of it, its shape lost; or its middle, its edges lost."""

VERSION = 2
"""Raise it when other pixels come out for the same bytes."""


def square(content: bytes, size: int, resize: Resize = "squash") -> np.ndarray:
    """Decode one picture: (size, size, 3) uint8 RGB.

    The first frame is taken, turned upright by its EXIF orientation, transparency laid on white; 16-bit, palette,
    CMYK and float pictures are converted. A JPEG is decoded at the smallest scale that covers seven eighths of
    `size`: half the work for a trace of sharpness.

    Raises:
        BadItemError: The bytes are no picture Pillow reads, are damaged, or would fill the memory.
        ConfigError: Pillow is not installed.
    """
    need_pillow()
    from PIL import Image

    try:
        with opened_picture(content) as picture:
            return _square(picture, size, resize)
    except Image.DecompressionBombError as error:
        raise BadItemError(f"the picture is too large to decode safely: {error}", "scale it down first") from error
    except BROKEN as error:
        raise BadItemError(
            f"{len(content)} bytes cannot be decoded as a picture: {error}",
            "open it in an image viewer: it may be cut off, or be no picture",
        ) from error


def _square(picture: Image, size: int, resize: Resize) -> np.ndarray:
    from PIL import ImageOps

    picture.draft("RGB", (size * 7 // 8, size * 7 // 8))
    with DECODED.taken(decoded_size(picture)):
        ImageOps.exif_transpose(picture, in_place=True)
        fitted = _fitted(_smooth(picture), size, resize)
        return np.asarray(_on_white(fitted), dtype=np.uint8)


def _smooth(picture: Image) -> Image:
    """The picture in a mode whose pixels can be averaged."""
    if picture.mode.startswith(("I", "F")):
        return eight_bits(picture)
    if picture.mode in ("RGB", "RGBA", "L", "LA") and "transparency" not in picture.info:
        return picture
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _fitted(picture: Image, size: int, resize: Resize) -> Image:
    from PIL import Image, ImageOps

    if resize == "crop":
        return ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    return picture.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)


def _on_white(picture: Image) -> Image:
    from PIL import Image

    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
