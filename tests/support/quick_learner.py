"""A learner for tests of the loop: nearest class mean over words or pixels, no library to load."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.data.sources import read_content
from labelloop.errors import BadItemError
from labelloop.protocols import Backbone, Predictor
from labelloop.types import Examples, Inputs, Modality

embedded: list[str] = []
"""Every text that was embedded, in order: a memory for tests to look at."""


@dataclass(frozen=True)
class WordBackbone:
    """A direction for the first word, and a little of another one for the whole text."""

    fingerprint: str = "words-1"
    modality: Modality = "text"
    dimension: int = 16
    batch_size: int = 8

    def prepare(self, content: bytes | str) -> Any:
        """The text itself.

        Raises:
            BadItemError: It says that it is broken.
        """
        text = content.decode() if isinstance(content, bytes) else content
        if text.startswith("broken"):
            raise BadItemError(f"{text!r} cannot be decoded")
        return text

    def embed(self, batch: Sequence[Any]) -> np.ndarray:
        """(n, 16) float32, L2-normalised."""
        embedded.extend(batch)
        rows = np.stack([self._direction(text.split()[0]) + 0.4 * self._direction(text) for text in batch])
        normed: np.ndarray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return normed

    def _direction(self, word: str) -> np.ndarray:
        seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest())
        return np.random.default_rng(seed).normal(size=self.dimension)


@dataclass(frozen=True)
class PixelBackbone:
    """Twelve by twelve grey levels."""

    fingerprint: str = "pixels-1"
    modality: Modality = "image"
    dimension: int = 144
    batch_size: int = 8

    def prepare(self, content: bytes | str) -> Any:
        """Decode a picture."""
        from PIL import Image, UnidentifiedImageError

        assert isinstance(content, bytes)
        try:
            small = Image.open(BytesIO(content)).convert("L").resize((12, 12))
        except UnidentifiedImageError as error:
            raise BadItemError(str(error)) from error
        return np.asarray(small, np.float32).ravel() / 255 - 0.5

    def embed(self, batch: Sequence[Any]) -> np.ndarray:
        """(n, 144) float32, L2-normalised."""
        rows = np.stack(batch)
        normed: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return normed


def pixels_of(inputs: Inputs) -> np.ndarray:
    """(n, 144) float32 of length 1, for a learner that reads the pictures itself."""
    prepared = [PixelBackbone().prepare(read_content(item)) for item in inputs.items]
    return PixelBackbone().embed(prepared) if prepared else np.empty((0, 144), np.float32)


@dataclass(frozen=True)
class Means:
    """The predictor: closer to the mean of a class is more probable."""

    labels: tuple[str, ...]
    means: np.ndarray

    def predict(self, inputs: Inputs) -> np.ndarray:
        """(n, k) float32."""
        assert inputs.features is not None
        nearness = 8.0 * (inputs.features @ self.means.T)
        likely = np.exp(nearness - nearness.max(axis=1, keepdims=True))
        shares: np.ndarray = (likely / likely.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares


@dataclass(frozen=True)
class QuickLearner:
    """Mean embedding per class.

    Args:
        wrong: Learn the opposite of what people said: a learner that is surely worse.
        words: Fingerprint of the backbone.
        pixels: Learn from pictures.
    """

    wrong: bool = False
    words: str = "words-1"
    pixels: bool = False

    @property
    def backbone(self) -> Backbone | None:
        """The frozen part."""
        return PixelBackbone() if self.pixels else WordBackbone(self.words)

    def train(self, examples: Examples, out: Path) -> None:
        """Write the means and the labels."""
        assert examples.inputs.features is not None
        targets = np.roll(examples.targets, 1, axis=1) if self.wrong else examples.targets
        sums = targets.T.astype(np.float32) @ examples.inputs.features
        means = sums / np.maximum(targets.sum(axis=0), 1)[:, np.newaxis]
        np.save(out / "means.npy", means.astype(np.float32))
        (out / "labels.json").write_text(json.dumps(examples.labels))

    def load(self, model: Path) -> Predictor:
        """Read them back."""
        return Means(tuple(json.loads((model / "labels.json").read_text())), np.load(model / "means.npy"))
