"""A tagger of tokens: a linear-chain conditional random field, told about words, their neighbours and their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import numpy as np

from labelloop.errors import ConfigError
from labelloop.learners.tokens import Place

Span = tuple[int, int, str]
Features = Any
"""What a tagger is told about the tokens of a text, as `packed` gives it; its length is their number."""

OUTSIDE, BEGIN, INSIDE = "O", "B-", "I-"
AROUND = (-1, 1)
"""Neighbours that a token is told about."""

SETTINGS: dict[str, float] = {"c1": 0.05, "c2": 0.03, "max_iterations": 80, "feature.possible_transitions": True}
"""Of L-BFGS; `c1` and `c2` weigh the sizes of the weights, and of their squares."""


def hand(text: str, places: Sequence[Place]) -> list[dict[str, float]]:
    """What a token looks like, and its neighbours."""
    text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no UTF-8, which crfsuite wants
    own = [_own(text[start:end]) for start, end in places]
    found = []
    for i, (start, end) in enumerate(places):
        names = [f"0:{one}" for one in own[i]]
        for step in AROUND:
            if 0 <= i + step < len(own):
                names += [f"{step}:{one}" for one in own[i + step][:2]]
            else:
                names.append(f"{step}:edge")
        if i and places[i - 1][1] == start:
            names.append("joined")
        if i + 1 < len(places) and places[i + 1][0] == end:
            names.append("joins")
        found.append(dict.fromkeys(names, 1.0))
    return found


def _own(word: str) -> list[str]:
    """The word, its shape, its ends."""
    lower = word.lower()
    return [
        f"w={lower}",
        f"s={_shape(word)}",
        *(f"a{n}={lower[:n]}" for n in (2, 3)),
        *(f"z{n}={lower[-n:]}" for n in (2, 3)),
    ]


def _shape(word: str) -> str:
    """X for a capital, x for another letter, 9 for a digit, runs as one of it twice; a sign is itself."""
    shape = ""
    for one in word[:12]:
        kind = "X" if one.isupper() else "x" if one.isalpha() else "9" if one.isdigit() else one
        if not shape.endswith(kind * 2):
            shape += kind
    return shape


def tags_of(spans: Sequence[Span], places: Sequence[Place]) -> list[str]:
    """A tag for each token: B- and a label where a span begins, I- where it goes on, else O.

    A span is as wide as the tokens it touches; a token that two spans touch is the first one's.
    """
    tags = [OUTSIDE] * len(places)
    starts, ends = [start for start, _ in places], [end for _, end in places]
    for start, end, label in sorted(spans):
        touched = range(int(np.searchsorted(ends, start, "right")), int(np.searchsorted(starts, end, "left")))
        free = [row for row in touched if tags[row] == OUTSIDE]
        for row in free:
            tags[row] = (BEGIN if row == free[0] else INSIDE) + label
    return tags


def spans_of(tags: Sequence[str], places: Sequence[Place]) -> tuple[Span, ...]:
    """The spans that tags say; an I- that nothing of its label stands before begins one."""
    spans: list[Span] = []
    open_ = ""
    for tag, (start, end) in zip(tags, places, strict=True):
        label = tag[2:]
        if tag == OUTSIDE:
            open_ = ""
        elif tag.startswith(INSIDE) and open_ == label:
            spans[-1] = (spans[-1][0], end, label)
        else:
            spans.append((start, end, label))
            open_ = label
    return tuple(spans)


def packed(features: Sequence[Mapping[str, float]]) -> Features:
    """What is known about each token, name -> strength, as crfsuite takes it; done once, however often it is read."""
    return _crfsuite().ItemSequence(features)


def fit(texts: Sequence[Features], tags: Sequence[Sequence[str]]) -> bytes:
    """A tagger, as crfsuite writes it; the same bytes for the same texts in the same order."""
    trainer = _crfsuite().Trainer(algorithm="lbfgs", params=SETTINGS, verbose=False)
    for features, wanted in zip(texts, tags, strict=True):
        if len(features):
            trainer.append(features, wanted)
    with TemporaryDirectory(prefix="labelloop-") as folder:
        out = Path(folder) / "tagger"
        trainer.train(str(out))
        return out.read_bytes()


@dataclass(frozen=True, slots=True)
class Tagged:
    """The tags of a text, and what the tagger thinks of them.

    Attributes:
        tags: The most probable ones together.
        probability: That all of them are right.
        doubts: (n,) of each token, the chance that its tag is wrong.
    """

    tags: tuple[str, ...]
    probability: float
    doubts: np.ndarray


class Tagger:
    """A loaded tagger. Thread-safe: one text at a time."""

    def __init__(self, model: bytes) -> None:
        self._model = model  # crfsuite reads where these bytes lie
        self._lock = Lock()
        self._tagger = _crfsuite().Tagger()
        self._tagger.open_inmemory(model)

    def __reduce__(self) -> tuple[type[Tagger], tuple[bytes]]:
        return Tagger, (self._model,)

    def tag(self, features: Features) -> Tagged:
        """The tags of one text."""
        if not len(features):
            return Tagged((), 1.0, np.zeros(0))
        with self._lock:
            tags = self._tagger.tag(features)
            right = [self._tagger.marginal(tag, at) for at, tag in enumerate(tags)]
            probability = self._tagger.probability(tags)
        return Tagged(tuple(tags), _bounded(probability), 1.0 - np.clip(right, 0.0, 1.0))


def _bounded(probability: float) -> float:
    return min(max(float(probability), 0.0), 1.0)


def need_crfsuite() -> None:
    """Go on where the package is installed.

    Raises:
        ConfigError: It is not.
    """
    _crfsuite()


def _crfsuite() -> Any:
    try:
        import pycrfsuite
    except ImportError as error:
        raise ConfigError(
            "learning spans needs the package python-crfsuite, which is not installed", "pip install 'labelloop[spans]'"
        ) from error
    return pycrfsuite
