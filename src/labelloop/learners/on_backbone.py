"""What learners on the embeddings of a frozen backbone share: the backbone, what tells them apart, what they refuse."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from labelloop.errors import ConfigError, LabelLoopError
from labelloop.learners.backbones import backbone, refuse_unknown
from labelloop.learners.options import fingerprint_of
from labelloop.protocols import Backbone
from labelloop.types import Examples, Inputs, Modality


class OnBackbone:
    """A learner of embeddings. Those of equal `repr`, which tells every option, are equal.

    Args:
        modality: Chooses the backbone.
        name: See `labelloop.learners.backbones.backbone`.

    Raises:
        NotFoundError: There is no backbone of this name.
    """

    flavor: ClassVar[str]
    version: ClassVar[int]
    """Raised when another model comes out for the same examples."""

    def __init__(self, modality: Modality, name: str) -> None:
        refuse_unknown(name)
        self._modality = modality
        self._name = name

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same examples would give another model."""
        return fingerprint_of(self.flavor, self.version, repr(self), self.backbone.fingerprint)

    @cached_property
    def backbone(self) -> Backbone:
        """What makes the embeddings."""
        return backbone(self._name, self._modality)

    def refuse_model_of_other(self, fingerprint: str, model: Path) -> None:
        """Load only what reads the embeddings of this learner's backbone.

        Raises:
            ConfigError: The model reads those of the backbone with another fingerprint.
        """
        if fingerprint != self.backbone.fingerprint:
            raise ConfigError(
                f"the model at {model} reads the embeddings of another backbone than {self._name!r}",
                "choose the backbone it was trained with, or train again: labelloop train",
            )


def embeddings_of(examples: Examples) -> np.ndarray:
    """(n, d) float32, the embeddings of examples that may be learned from.

    Raises:
        LabelLoopError: There is no example, or one that is held out or has no embedding.
    """
    features = examples.inputs.features
    if len(examples) == 0:
        raise LabelLoopError("there is no example to learn from", "answer some questions first")
    refuse_examples(examples, np.asarray(examples.held_out), "held out, and held-out items are never trained on")
    if features is None:
        raise LabelLoopError(
            f"{len(examples)} examples have no embeddings", "embed them first, or choose a learner that reads items"
        )
    refuse_examples(examples, ~np.isfinite(features).all(axis=1), "without a finite embedding")
    return np.asarray(features, np.float32)


def embeddings_in(inputs: Inputs, expected: int) -> np.ndarray:
    """(n, expected) the embeddings of items that something is to be said about, as they lie.

    Raises:
        ConfigError: There are no embeddings, or they have another length than the model's.
    """
    if inputs.features is None:
        raise ConfigError("these items have no embeddings", "embed them with the backbone of the model first")
    if inputs.features.ndim != 2 or inputs.features.shape[1] != expected:
        raise ConfigError(
            f"the embeddings have the shape {inputs.features.shape}, the model reads (n, {expected})",
            "embed with the backbone the model was trained with, or train again",
        )
    return inputs.features


def refuse_examples(examples: Examples, bad: np.ndarray, why: str) -> None:
    """Go on only without such examples.

    Raises:
        LabelLoopError: Some are (n,) `bad`; they are named.
    """
    if not bad.any():
        return
    ids = [str(one) for one in examples.inputs.ids[bad]]
    named = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
    raise LabelLoopError(f"{len(ids)} example(s) are {why}: {named}", "leave them out of the examples")
