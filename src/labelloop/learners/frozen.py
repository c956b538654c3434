"""The default learner: a frozen backbone with a linear head. Embed once, learn for ever."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.learners import model_folder
from labelloop.learners.head import Fitting, Head, fit
from labelloop.learners.on_backbone import OnBackbone, embeddings_in, embeddings_of, refuse_examples
from labelloop.types import Examples, Inputs
from labelloop.types.names import named

VERSION = 1
"""Raise it when another model comes out for the same examples."""

STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0)


@named("labelloop.Frozen")
class Frozen(OnBackbone):
    """A linear head (logistic regression) on the embeddings of a frozen backbone, with calibrated probabilities.

    Args:
        schema: What people are asked; the modality chooses the backbone.
        backbone: See `labelloop.learners.backbones.backbone`.
        strengths: Inverse regularisation strengths to choose from, out of fold.
        folds: Parts the examples are cut into to choose.
        calibrate: Whether the confidence is corrected out of fold by a temperature.
        class_weight: `balanced` has the examples of a rare label weigh as much as those of a frequent one: more of
            its items are found, and more of the others are taken for it.

    Raises:
        ConfigError: What is asked are no choices; no strength, one that is not positive, or fewer than two folds.
        NotFoundError: There is no backbone of this name.
    """

    flavor, version = "frozen", VERSION

    def __init__(
        self,
        *,
        schema: LabelSchema,
        backbone: str = "auto",
        strengths: tuple[float, ...] = STRENGTHS,
        folds: int = 5,
        calibrate: bool = True,
        class_weight: Literal["none", "balanced"] = "none",
    ) -> None:
        if not strengths or min(strengths) <= 0:
            raise ConfigError(f"strengths is {list(strengths)}", "give one or more positive numbers, such as [1, 10]")
        if folds < 2:
            raise ConfigError(f"folds is {folds}, out-of-fold needs at least 2", "set folds = 5")
        super().__init__(schema.modality, backbone)
        if schema.asked is not None:
            raise ConfigError(
                f"the learner frozen learns choices, and {schema.control!r} asks for {type(schema.asked).__name__}",
                'leave flavor out under [learner], or name one that learns it: flavor = "module:attribute"',
            )
        self._how = Fitting(tuple(strengths), folds, calibrate, class_weight == "balanced")

    def __repr__(self) -> str:
        how = self._how
        return (
            f"Frozen(modality={self._modality!r}, backbone={self._name!r}, strengths={how.strengths}, "
            f"folds={how.folds}, calibrate={how.calibrate}{', class_weight=balanced' if how.balanced else ''})"
        )

    def train(self, examples: Examples, out: Path) -> None:
        """Write a model folder: `model.json`, `weights.npy`, `bias.npy`. The order of the examples does not matter.

        Raises:
            LabelLoopError: No example; one that is held out; one without an embedding; or, for a single choice,
                one with no label or several.
        """
        features = embeddings_of(examples)
        if not examples.multiple:
            refuse_examples(examples, examples.targets.sum(axis=1) != 1, "with no label or several, in a single choice")
        order = np.argsort(examples.inputs.ids, kind="stable")
        head = fit(features[order], examples.targets[order], examples.multiple, self._how)
        model = model_folder.StoredHead(head, tuple(examples.labels), self.backbone.fingerprint, len(examples))
        model_folder.write(model, out)

    def load(self, model: Path) -> FrozenPredictor:
        """A predictor of a model folder.

        Raises:
            ConfigError: The folder is not a model of this learner, is damaged, or reads another backbone's embeddings.
        """
        found = model_folder.read(model)
        self.refuse_model_of_other(found.backbone, model)
        return FrozenPredictor(found.labels, found.head)


@dataclass(frozen=True)
class FrozenPredictor:
    """A loaded head."""

    labels: tuple[str, ...]
    head: Head

    def predict(self, inputs: Inputs) -> np.ndarray:
        """(n, k) float32 probabilities; a row of NaN for an embedding of NaN. Memory-mapped embeddings stay on disk.

        Raises:
            ConfigError: There are no embeddings, or they have another length than the model's.
        """
        features = embeddings_in(inputs, self.head.weights.shape[0])
        return self.head.probabilities(features)
