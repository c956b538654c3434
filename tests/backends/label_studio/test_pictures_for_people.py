"""People see every picture that is asked about: what no browser shows is made into what every browser does."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelloop.data.decoding import for_people, shown_as_it_is, shown_from
from labelloop.errors import BadItemError
from labelloop.learners.pixels import square

RED = (230, 20, 20)


def written(picture: Image.Image, form: str, **options: Any) -> bytes:
    body = io.BytesIO()
    picture.save(body, form, **options)
    return body.getvalue()


def seen(raw: bytes) -> Image.Image:
    """What a browser gets, which it knows by its first bytes and by its name alike."""
    content, ending = for_people(raw)
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, ending) in [("PNG", ".png"), ("JPEG", ".jpg")]
    assert shown_as_it_is(f"a{ending}", content[:16])
    return picture


@pytest.mark.parametrize("form", ["TIFF", "TGA", "JPEG2000", "AVIF", "HEIF", "PPM", "ICO"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_picture_of_any_sort_is_made_into_one_that_browsers_show(form: str, mode: str) -> None:
    picture = seen(written(Image.new("RGB", (64, 64), RED).convert(mode), form))

    told = np.asarray(picture.convert("RGB")).mean(axis=(0, 1))
    expected = np.asarray(Image.new("RGB", (1, 1), RED).convert(mode).convert("RGB"))[0, 0]
    assert picture.size == (64, 64)
    assert np.abs(told - expected).max() < 8


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_what_browsers_show_stays_as_it_is(form: str) -> None:
    raw = written(Image.new("RGB", (64, 48), RED), form)

    assert for_people(raw)[0] == raw


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
def test_every_compression_of_a_scan_is_shown(compression: str) -> None:
    assert seen(written(Image.new("RGB", (300, 200), RED), "TIFF", compression=compression)).size == (300, 200)


def test_of_several_pages_the_first_is_shown() -> None:
    pages = [Image.new("RGB", (30, 20), colour) for colour in (RED, "green", "blue")]
    raw = written(pages[0], "TIFF", save_all=True, append_images=pages[1:])

    assert seen(raw).convert("RGB").getpixel((3, 3)) == RED


@pytest.mark.parametrize(("largest", "depth"), [(4095, 12), (1023, 10), (16383, 14), (65535, 16)])
def test_a_scan_of_more_than_eight_bits_is_as_bright_for_people_as_for_the_model(largest: int, depth: int) -> None:
    grey = np.full((20, 20), largest // 2, np.uint16)
    grey[:10] = largest
    raw = written(Image.fromarray(grey), "TIFF")

    told = np.asarray(seen(raw).convert("L"))

    assert abs(int(told[15, 5]) - 127) <= 1, f"{depth} bits"
    assert told[0, 0] == 255
    assert abs(int(square(raw, 20)[15, 5, 0]) - 127) <= 1


def test_ink_is_shown_as_light() -> None:
    inked = Image.new("RGB", (40, 30), RED).convert("CMYK")

    for form in ("TIFF", "JPEG"):
        assert seen(written(inked, form)).mode in ("RGB", "L")


@pytest.mark.parametrize("form", ["TIFF", "PNG", "WEBP"])
def test_a_picture_that_lies_on_its_side_is_set_upright(form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = written(Image.new("RGB", (40, 20), RED), form, exif=exif)

    assert seen(raw).size == (20, 40)


def test_a_large_scan_becomes_a_jpeg_and_one_with_transparency_stays_without_loss() -> None:
    large = Image.effect_noise((1500, 1200), 50).convert("RGB")
    clear = Image.new("RGBA", (1500, 1200), (255, 0, 0, 0))

    assert seen(written(large, "TIFF")).format == "JPEG"
    assert seen(written(clear, "TIFF")).mode == "RGBA"
    assert max(seen(written(Image.new("1", (9000, 40)), "TIFF")).size) == 8192


@pytest.mark.parametrize("raw", [b"", b"no picture", b"II*\0" + b"\0" * 40])
def test_what_is_no_picture_is_said(raw: bytes) -> None:
    with pytest.raises(BadItemError, match="cannot be made into a picture that browsers show"):
        for_people(raw)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/a/b.png", True),
        ("/a/b.JPG", True),
        ("/thumb?id=7", True),
        ("/a/b.avif", True),
        ("/a/b.TIF", False),
        ("/x.heic", False),
        ("/x.jp2", False),
    ],
)
def test_addresses_are_linked_unless_their_ending_says_that_no_browser_shows_them(address: str, shown: bool) -> None:
    assert shown_from(address) is shown
