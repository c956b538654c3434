"""A learner of spans for tests of the loop: each word has the label it mostly had; no library to load."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from labelloop.kinds.predicted import Predicted
from labelloop.protocols import Backbone, Predictor
from labelloop.types import Examples, Inputs, Item

WORD = re.compile(r"\w+")
UNKNOWN = 0.6
"""The chance that a word nobody has seen bears no label."""


@dataclass(frozen=True)
class WordLabels:
    """The predictor: each word on its own."""

    labels: tuple[str, ...]
    known: Mapping[str, tuple[str, float]]

    def predict(self, inputs: Inputs) -> Any:
        """Spans with the product of the words' chances; nothing about a text that says so."""
        said = [self._said(item) for item in inputs.items]
        sure = np.array([one[1] for one in said], np.float32)
        return Predicted(tuple(one[0] for one in said), sure, 1 - sure)

    def _said(self, item: Item) -> tuple[Any, float]:
        if item.text.startswith("mute"):
            return None, np.nan
        if item.text.startswith("broken"):
            raise ValueError("this text breaks the tagger")
        found, sure = [], 1.0
        for word in WORD.finditer(item.text):
            label, share = self.known.get(word[0], ("", UNKNOWN))
            sure *= share
            if label:
                found.append((word.start(), word.end(), label))
        return tuple(found), sure


@dataclass(frozen=True)
class QuickTagger:
    """The label that a word mostly had, "" for none.

    Args:
        odd: Predict what cannot be: `length`, `type`, `nan`, `span` or `outside`.
    """

    odd: str = ""

    @property
    def backbone(self) -> Backbone | None:
        """None: it reads the texts."""
        return None

    def train(self, examples: Examples, out: Path) -> None:
        """Count."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for item, spans in zip(examples.inputs.items, examples.answers, strict=True):
            bears = {(start, end): label for start, end, label in spans}
            for word in WORD.finditer(item.text):
                counts[word[0]][bears.get(word.span(), "")] += 1
        made = {
            word: (*seen.most_common(1)[0][:1], seen.most_common(1)[0][1] / (seen.total() + 0.2))
            for word, seen in sorted(counts.items())
        }
        (out / "model.json").write_text(json.dumps({"labels": examples.labels, "known": made, "odd": self.odd}))

    def load(self, model: Path) -> Predictor:
        """Read them back."""
        kept = json.loads((model / "model.json").read_text())
        known = {word: tuple(one) for word, one in kept["known"].items()}
        plain = WordLabels(tuple(kept["labels"]), known)
        return cast(Predictor, Odd(plain, kept["odd"])) if kept["odd"] else plain


@dataclass(frozen=True)
class Odd:
    """A predictor that says what cannot be."""

    inside: WordLabels
    how: str

    @property
    def labels(self) -> tuple[str, ...]:
        """As they are."""
        return self.inside.labels

    def predict(self, inputs: Inputs) -> Any:
        """One of five mistakes."""
        said = self.inside.predict(inputs)
        if self.how == "type":
            return np.zeros((len(inputs), 2), np.float32)
        if self.how == "length":
            return Predicted(said.answers[1:], said.confidence, said.uncertainty)
        if self.how == "nan":
            return Predicted(said.answers, said.confidence * np.nan, said.uncertainty)
        span = (0, 500, "PER") if self.how == "outside" else (3, 3, "PER")
        return Predicted(tuple((span,) for _ in inputs.ids), said.confidence, said.uncertainty)
