"""The learner of the stored workspaces: a user's code, whose source counts in keys. Not to be edited."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np


class Words:
    """A direction for the first word, and a little of another one for the whole text."""

    fingerprint = "old-words-1"
    modality = "text"
    dimension = 8
    batch_size = 8

    def prepare(self, content: bytes | str) -> Any:
        return content.decode() if isinstance(content, bytes) else content

    def embed(self, batch: Sequence[Any]) -> np.ndarray:
        rows = np.stack([self._direction(text.split()[0]) + 0.4 * self._direction(text) for text in batch])
        normed: np.ndarray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return normed

    def _direction(self, word: str) -> np.ndarray:
        seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest())
        return np.random.default_rng(seed).normal(size=self.dimension)


@dataclass(frozen=True)
class Means:
    labels: tuple[str, ...]
    means: np.ndarray

    def predict(self, inputs: Any) -> np.ndarray:
        nearness = 8.0 * (inputs.features @ self.means.T)
        likely = np.exp(nearness - nearness.max(axis=1, keepdims=True))
        shares: np.ndarray = (likely / likely.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares


@dataclass(frozen=True)
class OldLearner:
    """Mean embedding per class."""

    @property
    def backbone(self) -> Any:
        return Words()

    def train(self, examples: Any, out: Path) -> None:
        sums = examples.targets.T.astype(np.float32) @ examples.inputs.features
        means = sums / np.maximum(examples.targets.sum(axis=0), 1)[:, np.newaxis]
        np.save(out / "means.npy", means.astype(np.float32))
        (out / "labels.json").write_text(json.dumps(examples.labels))

    def load(self, model: Path) -> Any:
        return Means(tuple(json.loads((model / "labels.json").read_text())), np.load(model / "means.npy"))
