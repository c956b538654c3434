"""The learner of taxonomies: a linear head over the places of the tree, which answers what is near to most of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from labelloop.errors import BadItemError, ConfigError, LabelLoopError
from labelloop.kinds import LabelSchema
from labelloop.kinds.predicted import Predicted
from labelloop.kinds.taxonomies import Taxonomy
from labelloop.learners import model_folder
from labelloop.learners.frozen import STRENGTHS, FrozenPredictor
from labelloop.learners.head import Fitting, fit
from labelloop.learners.on_backbone import OnBackbone, embeddings_of
from labelloop.types import Examples, Inputs
from labelloop.types.names import named

FLAVOR, VERSION = "taxonomy", 1
"""Raise the version when another model comes out for the same examples."""


@named("labelloop.PlaceLearner")
class PlaceLearner(OnBackbone):
    """Predicts a place in a tree: the one whose way from the root is likely to share most with that of the true one.

    Where several places may be given, each is a question of its own.

    Args:
        schema: What people are asked; the main control asks for places in a tree.
        backbone: See `labelloop.learners.backbones.backbone`.
        folds: Parts the examples are cut into to choose the strength, and to correct the confidence.

    Raises:
        ConfigError: The schema asks for something else, or there are fewer than two folds.
        NotFoundError: There is no backbone of this name.
    """

    flavor, version = FLAVOR, VERSION

    def __init__(self, *, schema: LabelSchema, backbone: str = "auto", folds: int = 5) -> None:
        super().__init__(schema.modality, backbone)
        if folds < 2:
            raise ConfigError(f"folds is {folds}, out-of-fold needs at least 2", "set folds = 5")
        if not isinstance(schema.asked, Taxonomy):
            raise ConfigError(
                f"the learner of taxonomies learns places in a tree, and {schema.control!r} asks for something else",
                "leave flavor out under [learner], or name one that learns it",
            )
        self._kind = schema.asked
        self._folds = folds

    def __repr__(self) -> str:
        return (
            f"PlaceLearner(kind={self._kind!r}, modality={self._modality!r}, backbone={self._name!r}, "
            f"folds={self._folds})"
        )

    def train(self, examples: Examples, out: Path) -> None:
        """Write a model folder: `model.json`, `weights.npy`, `bias.npy`. The order of the examples does not matter.

        Raises:
            LabelLoopError: No example, or one that is held out or has no embedding.
            BadItemError: One without an answer of the kind.
        """
        features, labels = embeddings_of(examples), self._kind.labels
        for item, answer in zip(examples.inputs.ids, examples.answers, strict=True):
            if not isinstance(answer, tuple) or not set(answer) <= set(labels):
                raise BadItemError(f"item {item} has no place to learn from", "leave it out of the examples")
        targets = np.array([[label in answer for label in labels] for answer in examples.answers], np.bool_)
        if not self._kind.multiple and (targets.sum(axis=1) != 1).any():
            raise LabelLoopError("an example has no place, or several", "leave it out of the examples")
        order = np.argsort(examples.inputs.ids, kind="stable")
        head = fit(features[order], targets[order], self._kind.multiple, Fitting(STRENGTHS, self._folds, True))
        model_folder.write(model_folder.StoredHead(head, labels, self.backbone.fingerprint, len(examples)), out)

    def load(self, model: Path) -> PlacePredictor:
        """A predictor of a model folder.

        Raises:
            ConfigError: The folder is no model of this learner, is damaged, or reads another backbone's embeddings.
        """
        found = model_folder.read(model)
        self.refuse_model_of_other(found.backbone, model)
        return PlacePredictor(self._kind, FrozenPredictor(found.labels, found.head))


@dataclass(frozen=True)
class PlacePredictor:
    """A loaded model of places."""

    kind: Taxonomy
    head: FrozenPredictor

    @property
    def labels(self) -> tuple[str, ...]:
        """The places of its examples' schema."""
        return self.head.labels

    @cached_property
    def _nearness(self) -> np.ndarray:
        """(k, k) float32: how much alike each two places are."""
        near = [[self.kind.similarity((one,), (other,)) for other in self.labels] for one in self.labels]
        return np.array(near, np.float32)

    def predict(self, inputs: Inputs) -> Predicted:
        """What it says about each item; nothing about one whose embedding is NaN.

        Raises:
            ConfigError: There are no embeddings, or they have another length than the model's.
        """
        likely = self.head.predict(inputs)
        if self.kind.multiple:
            return _several(self.labels, likely)
        lost = np.isnan(likely).any(axis=1)
        chosen = (np.nan_to_num(likely) @ self._nearness).argmax(axis=1)
        sure = likely[np.arange(len(likely)), chosen]
        answers = [None if gone else (self.labels[place],) for place, gone in zip(chosen, lost, strict=True)]
        best = np.sort(likely, axis=1)[:, ::-1]
        return Predicted(answers, sure, (1.0 - (best[:, 0] - best[:, 1])).astype(np.float32))


def _several(labels: tuple[str, ...], likely: np.ndarray) -> Predicted:
    """Every place that is more likely than not; as sure as all of that together, and as its least sure part."""
    lost, given = np.isnan(likely).any(axis=1), likely > 0.5
    sides = np.where(given, likely, 1.0 - likely)
    answers = [
        None if gone else tuple(label for label, is_given in zip(labels, row, strict=True) if is_given)
        for row, gone in zip(given, lost, strict=True)
    ]
    least = sides.min(axis=1)
    return Predicted(
        answers, sides.prod(axis=1).astype(np.float32), (2.0 * (1.0 - least)).clip(0, 1).astype(np.float32)
    )
