"""A learner for tests that one text spoils: nothing can be learned from it, or said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.protocols import Backbone, Predictor
from labelloop.types import Examples, Inputs

from support.quick_learner import Means, QuickLearner, WordBackbone

trained: list[int] = []
"""How many examples each training was given, in order."""


@dataclass(frozen=True)
class MarkedBackbone(WordBackbone):
    """The words, but for texts that are marked, which all look alike."""

    fingerprint: str = "marked-1"

    def embed(self, batch: Sequence[Any]) -> np.ndarray:
        """(n, 16) float32, L2-normalised."""
        rows = super().embed(batch)
        for row, text in enumerate(batch):
            if "poison" in text:
                rows[row] = 0.25
        return rows


@dataclass(frozen=True)
class FragileMeans(Means):
    """Says nothing about what is marked."""

    def predict(self, inputs: Inputs) -> np.ndarray:
        """(n, k) float32."""
        refuse(inputs)
        return super().predict(inputs)


@dataclass(frozen=True)
class FragileLearner(QuickLearner):
    """Mean embedding per class, of what is not marked.

    Args:
        learns: It can learn from what is marked.
        judges: It can say something about what is marked.
        broken: It can do nothing.
    """

    learns: bool = False
    judges: bool = False
    broken: bool = False

    @property
    def backbone(self) -> Backbone | None:
        """The frozen part."""
        return MarkedBackbone()

    def train(self, examples: Examples, out: Path) -> None:
        """Write the means."""
        trained.append(len(examples))
        if self.broken:
            raise RuntimeError("nothing works")
        if not self.learns:
            refuse(examples.inputs)
        super().train(examples, out)

    def load(self, model: Path) -> Predictor:
        """Read them back."""
        made = super().load(model)
        assert isinstance(made, Means)
        return made if self.judges else FragileMeans(made.labels, made.means)


def refuse(inputs: Inputs) -> None:
    """Fail as libraries do."""
    assert inputs.features is not None
    if np.isclose(inputs.features, 0.25).all(axis=1).any():
        raise ValueError("singular matrix")
