"""Near duplicates join the first item seen; what merely resembles it does not."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from labelloop.data import duplicates
from labelloop.data.duplicates import Banded, Leaders, image_fingerprint, text_fingerprint

LETTER = (
    "We took the early train along the coast and had breakfast by the window while the sea went by. At noon we were in "
    "the old town, found the museum closed for the day, and spent the afternoon on the harbour wall instead, watching "
    "the ferries come in and counting the passengers with red umbrellas."
)


def picture(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def as_jpeg(image: Image.Image) -> Image.Image:
    body = io.BytesIO()
    image.save(body, "JPEG", quality=60)
    return Image.open(body)


@pytest.mark.parametrize(
    "change",
    [
        as_jpeg,
        lambda image: image.resize((80, 60)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.05),
        lambda image: image.convert("RGBA"),
    ],
    ids=["re-encoded", "half the size", "brighter", "with an alpha channel"],
)
def test_a_changed_copy_of_an_image_joins_the_original(change: Callable[[Image.Image], Image.Image]) -> None:
    original = picture(1)
    leaders = Leaders.from_rows(["original"], [image_fingerprint(original)])

    groups = leaders.group([("copy", image_fingerprint(change(original)))])

    assert groups == {"copy": "original"}


def test_different_images_stay_apart() -> None:
    new = [(str(seed), image_fingerprint(picture(seed))) for seed in range(200)]

    groups = Leaders().group(new)

    assert all(item == group for item, group in groups.items())


def test_flat_images_of_different_colours_stay_apart() -> None:
    new = [
        (colour, image_fingerprint(Image.new("RGB", (50, 50), colour))) for colour in ("red", "lime", "blue", "grey")
    ]

    groups = Leaders().group(new)

    assert all(item == group for item, group in groups.items())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F", "HSV", "LAB"])
def test_every_kind_of_image_has_a_fingerprint(mode: str) -> None:
    image = Image.new(mode, (30, 20))

    fingerprint = image_fingerprint(image)

    assert len(fingerprint) == duplicates.CODE + duplicates.THUMBNAIL


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_an_image_of_any_shape_has_a_fingerprint(size: tuple[int, int]) -> None:
    assert image_fingerprint(Image.new("RGB", size))


@pytest.mark.parametrize(
    "copy",
    [
        LETTER.upper(),
        LETTER.replace(",", " ;").replace(".", " ... "),
        "  " + LETTER.replace(" ", "\n\t"),
        LETTER.replace("umbrellas", "hats"),
    ],
    ids=["case", "punctuation", "spaces", "one word in fifty"],
)
def test_a_changed_copy_of_a_text_joins_the_original(copy: str) -> None:
    leaders = Leaders.from_rows(["original"], [text_fingerprint(LETTER)])

    groups = leaders.group([("copy", text_fingerprint(copy))])

    assert groups == {"copy": "original"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the movie was good", "the movie was bad"),
        ("turn the light on", "turn the light off"),
        ("book a flight to Paris for tomorrow morning please", "book a flight to Rome for tomorrow morning please"),
        ("not good", "good, not"),
    ],
)
def test_short_texts_that_differ_in_a_word_stay_apart(one: str, other: str) -> None:
    groups = Leaders().group([("one", text_fingerprint(one)), ("other", text_fingerprint(other))])

    assert groups == {"one": "one", "other": "other"}


def test_items_without_a_fingerprint_are_alone() -> None:
    groups = Leaders().group([("one", b""), ("other", text_fingerprint("?!"))])

    assert groups == {"one": "one", "other": "other"}


def test_a_chain_of_small_steps_does_not_tie_its_ends_together() -> None:
    step = duplicates.TEXT_BITS - 4
    chain = [bytes(np.packbits(np.arange(256) < n * step)) for n in range(4)]

    groups = Leaders().group((str(n), code) for n, code in enumerate(chain))

    assert groups == {"0": "0", "1": "0", "2": "2", "3": "2"}


def test_the_nearest_of_several_leaders_wins() -> None:
    near, far = (bytes(np.packbits(np.arange(256) < n)) for n in (5, 32))
    leaders = Leaders.from_rows(["far", "near"], [far, near])

    groups = leaders.group([("new", bytes(32))])

    assert groups == {"new": "near"}


def test_grouping_again_changes_nothing() -> None:
    new = [("a", text_fingerprint(LETTER)), ("b", text_fingerprint(LETTER.upper())), ("c", text_fingerprint("another"))]
    leaders = Leaders()
    first = leaders.group(new)

    again = leaders.group(new)

    assert again == first == {"a": "a", "b": "a", "c": "c"}
    assert len(leaders) == 2


def test_leaders_loaded_and_leaders_heard_of_give_the_same_groups() -> None:
    generator = np.random.default_rng(0)
    codes = [bytes(code) for code in generator.integers(0, 256, (3000, 32), dtype=np.uint8)]
    copies = [(f"copy {n}", bytes([code[0] ^ 3, *code[1:]])) for n, code in enumerate(codes)]
    heard = Leaders()
    heard.group((f"{n}", code) for n, code in enumerate(codes))
    loaded = Leaders.from_rows([f"{n}" for n in range(3000)], codes)

    assert heard.group(copies) == loaded.group(copies) == {f"copy {n}": f"{n}" for n in range(3000)}


def test_leaders_are_sorted_in_when_many_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "RECENT", 64)
    codes = [bytes(code) for code in np.random.default_rng(1).integers(0, 256, (300, 32), dtype=np.uint8)]
    leaders = Leaders()
    leaders.group((f"{n}", code) for n, code in enumerate(codes))

    groups = leaders.group((f"copy {n}", code) for n, code in enumerate(codes))

    assert groups == {f"copy {n}": f"{n}" for n in range(300)}


def test_a_crowd_of_look_alikes_costs_a_bounded_number_of_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 10)
    crowd = np.random.default_rng(2).integers(0, 256, (100, 32), dtype=np.uint8)
    crowd[:, :2] = 0
    codes = [bytes(code) for code in crowd]
    leaders = Leaders.from_rows([f"{n}" for n in range(100)], codes)
    banded = Banded()
    banded.load([(f"{n}", code) for n, code in enumerate(codes)])

    assert leaders.group([("new", codes[99])]) == {"new": "99"}
    assert len(banded.candidates([0, *[1] * 15])) <= 10 * 16
