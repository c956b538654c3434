"""One lap of a loop made of a step, a learner and a selector of one's own: python mine.py

The same learner and selector serve `labelloop tick` and `labelloop watch`, which name them in labelloop.toml.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

import labelloop
from labelloop.errors import BadItemError, LabelLoopError
from labelloop.kinds import LabelSchema
from labelloop.steps import (
    Loop,
    convert_annotations,
    deploy,
    deployed_model,
    embed,
    evaluate,
    get_labeled_data,
    get_or_create_dataset,
    judge,
    load_new_data,
    predict,
    select,
    step,
    sync_new_data_to_label_studio,
    train,
)
from labelloop.types import Examples, Inputs, Modality, Pool

HERE = Path(__file__).resolve().parent
SIDE = 10


@step
def how_alike(embeddings: np.ndarray) -> float:
    """A step: the mean cosine of all pairs of images. Cached until there are other images."""
    readable = embeddings[np.isfinite(embeddings[:, 0])]
    return float((readable @ readable.T).mean())


def least_alike(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """A selector: positions in the pool, each the farthest from everything asked or chosen so far."""
    n = min(n, len(pool))
    nearest = np.full(len(pool), -1.0)
    for one in pool.labeled:
        nearest = np.maximum(nearest, pool.embeddings @ one)
    chosen = np.empty(n, np.intp)
    for turn in range(n):
        chosen[turn] = nearest.argmin()
        nearest = np.maximum(nearest, pool.embeddings @ pool.embeddings[chosen[turn]])
        nearest[chosen[: turn + 1]] = np.inf
    return chosen


@dataclass(frozen=True)
class Pixels:
    """A backbone: the gray levels of the shrunken image."""

    modality: Modality = "image"
    dimension: int = SIDE * SIDE
    batch_size: int = 64
    fingerprint: str = "pixels-10"

    def prepare(self, content: bytes | str) -> np.ndarray:
        """Decode one image; one that cannot be decoded is reported and left out."""
        try:
            image = Image.open(BytesIO(content if isinstance(content, bytes) else content.encode()))
            return np.asarray(image.convert("L").resize((SIDE, SIDE)), np.float32).ravel() / 255 - 0.5
        except (UnidentifiedImageError, OSError) as error:
            raise BadItemError(f"not an image: {error}") from error

    def embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """(n, 100) float32, of length one."""
        rows = np.reshape(np.asarray(batch, np.float32), (len(batch), self.dimension))
        unit: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
        return unit


@dataclass(frozen=True)
class NearestMean:
    """A learner: is the mean image with a label nearer, or that of the others? Its fields are the options of [learner].

    Args:
        schema: What people are asked; given by labelloop.
        sharpness: How fast probability changes with distance.
    """

    schema: LabelSchema
    sharpness: float = 12.0

    @property
    def backbone(self) -> Pixels:
        """What makes `examples.inputs.features`."""
        return Pixels()

    def train(self, examples: Examples, out: Path) -> None:
        """Write a model into the empty folder `out`; same examples, same bytes."""
        if not len(examples):
            raise LabelLoopError("there is no example to learn from", "annotate some images first")
        if examples.held_out.any():
            leaked = examples.inputs.ids[examples.held_out][0]
            raise LabelLoopError(f"example {leaked} is held out", "leave it out: it is only for the score")
        features = np.asarray(examples.inputs.features)
        having, without = (_means(chosen, features) for chosen in (examples.targets, ~examples.targets))
        np.save(out / "weights.npy", having - without)
        np.save(out / "bias.npy", ((without**2).sum(axis=1) - (having**2).sum(axis=1)) / 2)
        (out / "model.json").write_text(json.dumps({"labels": examples.labels, "multiple": examples.multiple}))

    def load(self, model: Path) -> Means:
        """Read a model back."""
        said = json.loads((model / "model.json").read_text())
        weights, bias = (
            np.load(model / "weights.npy", allow_pickle=False),
            np.load(model / "bias.npy", allow_pickle=False),
        )
        return Means(tuple(said["labels"]), said["multiple"], weights, bias, self.sharpness)


@dataclass(frozen=True)
class Means:
    """A loaded model."""

    labels: tuple[str, ...]
    multiple: bool
    weights: np.ndarray
    bias: np.ndarray
    sharpness: float

    def predict(self, inputs: Inputs) -> np.ndarray:
        """(n, k) float32 probabilities; they sum to 1 where one label is the answer."""
        nearness = self.sharpness * (np.asarray(inputs.features) @ self.weights.T + self.bias)
        if self.multiple:
            likely = 1 / (1 + np.exp(-nearness))
        else:
            likely = np.exp(nearness - nearness.max(axis=1, keepdims=True))
            likely /= likely.sum(axis=1, keepdims=True)
        probabilities: np.ndarray = likely.astype(np.float32)
        return probabilities


def _means(chosen: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The mean embedding of the rows that each column of `chosen` names."""
    weights = chosen.T.astype(np.float32)
    means: np.ndarray = weights @ features / np.maximum(weights.sum(axis=1, keepdims=True), 1)
    return means


def lap(loop: Loop) -> None:
    """Learn from what people have said, then ask for more; run it again whenever you have annotated."""
    get_or_create_dataset(loop)
    load_new_data(loop, str(HERE / "images"))
    labeled, features = get_labeled_data(loop), embed(loop)
    print(f"images are alike to {loop.run(how_alike, features.matrix).value:.2f}")
    converted = convert_annotations(loop, labeled, features)
    if len(converted.training):
        model = train(loop, converted.training)
        evaluate(loop, model, converted.held_out)
        deploy(loop, judge(loop, model, converted), converted)
    current = deployed_model(loop)
    scores = predict(loop, current, features) if current else None
    sync_new_data_to_label_studio(loop, select(loop, features, scores))


if __name__ == "__main__":
    with labelloop.open(HERE, tell=print) as loop:
        lap(loop)
        print(f"annotate at {loop.dataset.url()} (labelloop annotator open signs you in), then run this again")
