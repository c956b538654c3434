"""The learner of ratings and numbers: ridge regression on the embeddings of a frozen backbone, and how sure it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

from labelloop.errors import BadItemError, ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.kind import Kind
from labelloop.kinds.numbers import Number
from labelloop.kinds.predicted import Predicted
from labelloop.kinds.ratings import Rating
from labelloop.learners.model_folder import DESCRIPTION, damage_named, described, digest
from labelloop.learners.on_backbone import OnBackbone, embeddings_in, embeddings_of
from labelloop.types import Examples, Inputs
from labelloop.types.names import named

FLAVOR, FORMAT, VERSION = "regression", "labelloop.regression", 1
"""Raise the version when another model comes out for the same examples."""

ARRAYS = ("mean", "directions", "weights", "widths")
NUMBERS = ("intercept", "penalty", "spread", "gap", "reach")
PENALTIES = tuple(float(one) for one in np.geomspace(1e-4, 1e2, 25))
"""Of ridge regression, as shares of the mean square of the embeddings' singular values."""


@named("labelloop.Regression")
class Regression(OnBackbone):
    """Predicts a number from an embedding: for ratings the nearest number of stars, for numbers one in their bounds.

    The penalty is the one that predicts each example best from all others (leave-one-out, in closed form). How far a
    prediction may be off follows from that, and grows with the distance to what was learned.

    Args:
        schema: What people are asked; the main control asks for a rating or a number.
        backbone: See `labelloop.learners.backbones.backbone`.

    Raises:
        ConfigError: The schema asks for something else.
        NotFoundError: There is no backbone of this name.
    """

    flavor, version = FLAVOR, VERSION

    def __init__(self, *, schema: LabelSchema, backbone: str = "auto") -> None:
        super().__init__(schema.modality, backbone)
        if not isinstance(schema.asked, Rating | Number):
            raise ConfigError(
                f"the learner of numbers learns ratings and numbers, and {schema.control!r} asks for something else",
                "leave flavor out under [learner], or name one that learns it",
            )
        self._kind: Rating | Number = schema.asked

    def __repr__(self) -> str:
        return f"Regression(kind={self._kind!r}, modality={self._modality!r}, backbone={self._name!r})"

    def train(self, examples: Examples, out: Path) -> None:
        """Write a model folder: `model.json` and plain `.npy` files. The order of the examples does not matter.

        Raises:
            LabelLoopError: No example, or one that is held out or has no embedding.
            BadItemError: One without an answer.
        """
        features, answers = _checked(examples)
        order = np.argsort(examples.inputs.ids, kind="stable")
        _write(fit(features[order], answers[order]), self._kind, self.backbone.fingerprint, out)

    def load(self, model: Path) -> NumberPredictor:
        """A predictor of a model folder.

        Raises:
            ConfigError: The folder is no model of this learner, is damaged, or reads another backbone's embeddings.
        """
        said, made = _read(model)
        self.refuse_model_of_other(said["backbone"], model)
        return NumberPredictor(self._kind, made)


@dataclass(frozen=True)
class RidgeModel:
    """A ridge regression, and what its predictions may be off by.

    Attributes:
        mean: (d,) of the embeddings.
        directions: (r, d) principal directions of the examples.
        weights: (r,) of these directions.
        widths: (r,) squared singular values.
        intercept: The mean answer.
        penalty: Of the weights.
        spread: Standard deviation of an answer from its prediction, where much is known.
        gap: The distance of two answers that differ, as people give them.
        reach: From the least answer to the most.
        examples: How many it was trained on.
    """

    mean: np.ndarray
    directions: np.ndarray
    weights: np.ndarray
    widths: np.ndarray
    intercept: float
    penalty: float
    spread: float
    gap: float
    reach: float
    examples: int

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) means and (n,) standard deviations of what people would answer."""
        centred = np.asarray(features, np.float64) - self.mean
        along = centred @ self.directions.T
        outside = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0.0)
        leverage = 1.0 / self.examples + (along**2 / (self.widths + self.penalty)).sum(axis=1) + outside / self.penalty
        return self.intercept + along @ self.weights, self.spread * np.sqrt(1.0 + leverage)


def fit(features: np.ndarray, answers: np.ndarray) -> RidgeModel:
    """Ridge regression with the penalty that is best leave-one-out. Pure.

    Args:
        features: (n, d).
        answers: (n,) float64.
    """
    n, mean = len(answers), features.mean(axis=0)
    left, singular, directions = np.linalg.svd(features - mean, full_matrices=False)
    kept = singular > 1e-8 * max(float(singular.max(initial=0.0)), 1e-12)
    left, widths, directions = left[:, kept], singular[kept] ** 2, directions[kept]
    wanted = answers - answers.mean()
    projected, unit = left.T @ wanted, float(widths.mean()) if len(widths) else 1.0
    tried = [_left_out(left, widths, wanted, share * unit) for share in PENALTIES]
    best = int(np.argmin([float((error**2).mean()) for error, _ in tried]))
    error, leverage = tried[best]
    penalty = PENALTIES[best] * unit
    distinct = np.unique(answers)
    return RidgeModel(
        mean,
        directions,
        projected * np.sqrt(widths) / (widths + penalty),
        widths,
        float(answers.mean()),
        penalty,
        float(np.sqrt(np.mean(error**2 / (1.0 + leverage)))) if n > 1 else 1.0,
        float(np.diff(distinct).min()) if len(distinct) > 1 else 1.0,
        float(np.ptp(answers)) or 1.0,
        n,
    )


def _left_out(
    left: np.ndarray, widths: np.ndarray, wanted: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) errors about each example of what the others predict, and (n,) how far it is from them."""
    shrunk = widths / (widths + penalty)
    own = np.minimum(1.0 / len(wanted) + (left**2 * shrunk).sum(axis=1), 1.0 - 1e-6)
    errors = (wanted - left @ (shrunk * (left.T @ wanted))) / (1.0 - own)
    return errors, own / (1.0 - own)


@dataclass(frozen=True)
class NumberPredictor:
    """A loaded model, which answers in its kind."""

    kind: Rating | Number
    model: RidgeModel
    labels: tuple[str, ...] = ()

    def predict(self, inputs: Inputs) -> Predicted:
        """What it says about each item; nothing about one whose embedding is NaN.

        Raises:
            ConfigError: There are no embeddings, or they have another length than the model's.
        """
        features = embeddings_in(inputs, len(self.model.mean))
        mean, spread = self.model.predict(features)
        answers, half, (least, most) = self._answers(mean)
        # beyond the ends people say the end
        above = np.where(answers < most, (answers + half - mean) / spread, np.inf)
        below = np.where(answers > least, (answers - half - mean) / spread, -np.inf)
        sure = np.where(np.isnan(mean), np.nan, ndtr(above) - ndtr(below))
        uncertain = np.clip(spread / self._reach(), 0.0, 1.0)
        said = [None if np.isnan(one) else self._written(one) for one in answers]
        return Predicted(said, sure.astype(np.float32), uncertain.astype(np.float32))

    def _answers(self, mean: np.ndarray) -> tuple[np.ndarray, float, tuple[float, float]]:
        """(n,) the answers nearest to the means, half the distance to the next ones, and the least and the most."""
        if isinstance(self.kind, Rating):
            return np.clip(np.rint(mean), 1, self.kind.stars), 0.5, (1.0, self.kind.stars)
        step = self.kind.step or self.model.gap
        if self.kind.least is None or self.kind.most is None:
            return np.rint(mean / step) * step, step / 2, (-np.inf, np.inf)
        start = self.kind.least if self.kind.step else 0.0
        most = start + np.floor((self.kind.most - start) / step + 1e-9) * step if self.kind.step else self.kind.most
        nearest = start + np.rint((mean - start) / step) * step
        return np.clip(nearest, self.kind.least, most), step / 2, (self.kind.least, most)

    def _reach(self) -> float:
        if isinstance(self.kind, Rating):
            return self.kind.stars - 1.0
        if self.kind.least is not None and self.kind.most is not None:
            return self.kind.most - self.kind.least
        return self.model.reach

    def _written(self, answer: float) -> Any:
        return int(answer) if isinstance(self.kind, Rating) else float(np.round(answer, 10)) + 0.0


def _checked(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings and answers of examples that may be learned from."""
    features = embeddings_of(examples)
    for item, answer in zip(examples.inputs.ids, examples.answers, strict=True):
        if isinstance(answer, bool) or not isinstance(answer, int | float):
            raise BadItemError(f"item {item} has no number to learn from", "leave it out of the examples")
    return features.astype(np.float64), np.asarray(examples.answers, np.float64)


def _write(made: RidgeModel, kind: Kind, backbone: str, folder: Path) -> None:
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", np.ascontiguousarray(getattr(made, name), "<f4"), allow_pickle=False)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "kind": repr(kind),
        "backbone": backbone,
        "examples": made.examples,
        **{name: getattr(made, name) for name in NUMBERS},
        "digests": {name: digest(folder / f"{name}.npy") for name in ARRAYS},
    }
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8", newline="\n")


def _read(folder: Path) -> tuple[Any, RidgeModel]:
    said = described(folder, FLAVOR, FORMAT, VERSION)
    with damage_named(folder):
        for name in ARRAYS:
            if digest(folder / f"{name}.npy") != said["digests"][name]:
                raise ValueError(f"{name}.npy is not what model.json describes")
        own: dict[str, Any] = {name: float(said[name]) for name in NUMBERS} | {"examples": int(said["examples"])}
        for name in ARRAYS:
            own[name] = np.load(folder / f"{name}.npy", allow_pickle=False).astype(np.float64)
        made = RidgeModel(**own)
        if made.directions.shape != (len(made.weights), len(made.mean)) or len(made.widths) != len(made.weights):
            raise ValueError(f"directions {made.directions.shape}, weights {made.weights.shape}")
    return said, made
