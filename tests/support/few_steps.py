"""A learner for tests of the warm start: softmax regression that takes a few steps only, so where it begins matters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelloop.protocols import Backbone, Predictor
from labelloop.types import Examples, Inputs

from support.quick_learner import WordBackbone


@dataclass(frozen=True)
class Linear:
    """The predictor."""

    labels: tuple[str, ...]
    weights: np.ndarray

    def predict(self, inputs: Inputs) -> np.ndarray:
        """(n, k) float32."""
        assert inputs.features is not None
        said: np.ndarray = _softmax(inputs.features @ self.weights).astype(np.float32)
        return said


@dataclass(frozen=True)
class FewSteps:
    """Gradient descent, from zero or from an earlier model.

    Args:
        steps: How many.
        rate: How long each is.
    """

    steps: int = 5
    rate: float = 2.0

    @property
    def backbone(self) -> Backbone:
        """The frozen part."""
        return WordBackbone()

    def train(self, examples: Examples, out: Path) -> None:
        """From zero."""
        assert examples.inputs.features is not None
        self._descend(np.zeros((examples.inputs.features.shape[1], len(examples.labels))), examples, out)

    def train_from(self, examples: Examples, model: Path, out: Path) -> None:
        """From an earlier model."""
        self._descend(np.load(model / "weights.npy"), examples, out)

    def load(self, model: Path) -> Predictor:
        """Read it back."""
        return Linear(tuple(json.loads((model / "labels.json").read_text())), np.load(model / "weights.npy"))

    def _descend(self, weights: np.ndarray, examples: Examples, out: Path) -> None:
        features = examples.inputs.features
        assert features is not None
        for _ in range(self.steps):
            error = _softmax(features @ weights) - examples.targets
            weights = weights - self.rate * features.T @ error / len(features)
        np.save(out / "weights.npy", weights)
        (out / "labels.json").write_text(json.dumps(examples.labels))


def _softmax(scores: np.ndarray) -> np.ndarray:
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: np.ndarray = likely / likely.sum(axis=1, keepdims=True)
    return shares
