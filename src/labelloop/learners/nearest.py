"""The learner of any kind: the answer to the most similar item that was answered, and how often that was right."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.errors import BadItemError, ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.kind import Kind, Parted, Placed, answer_in
from labelloop.kinds.predicted import Predicted
from labelloop.learners.model_folder import DESCRIPTION, damage_named, described, digest
from labelloop.learners.on_backbone import OnBackbone, embeddings_in, embeddings_of
from labelloop.types import Examples, Inputs
from labelloop.types.names import named

FLAVOR, FORMAT, VERSION = "nearest", "labelloop.nearest", 1
"""Raise the version when another model comes out for the same examples."""

_FEATURES = "features.npy"
_AT_ONCE = 2048
_MOST_NEIGHBOURS = 25
_MOST_BINS, _IN_A_BIN = 10, 20
"""Of examples about as near to their neighbours, by which it is found how often these are right."""


@named("labelloop.Nearest")
class Nearest(OnBackbone):
    """Guesses what was said of the nearest item: for texts that people write, days, rankings, and kinds of your own.

    How sure it is comes from the examples: each is answered by the others, and the nearer its neighbour, the more often
    that was right (isotonic regression).

    Args:
        schema: What people are asked; the main control asks for something else than choices, and not for parts of an
            item, such as places in a text, which are about that one alone.
        backbone: See `labelloop.learners.backbones.backbone`.
        neighbours: How many of the nearest are asked for their consensus.

    Raises:
        ConfigError: The schema asks for choices or parts of an item, or the neighbours are none or too many.
        NotFoundError: There is no backbone of this name.
    """

    flavor, version = FLAVOR, VERSION

    def __init__(self, *, schema: LabelSchema, backbone: str = "auto", neighbours: int = 1) -> None:
        super().__init__(schema.modality, backbone)
        if schema.asked is None or isinstance(schema.asked, Placed | Parted):
            raise ConfigError(
                f"the learner nearest carries whole answers over, and {schema.control!r} asks for "
                f"{'choices' if schema.asked is None else 'parts of one item'}",
                "leave flavor out under [learner], or name one that learns it",
            )
        if not 1 <= neighbours <= _MOST_NEIGHBOURS:
            raise ConfigError(f"neighbours is {neighbours}, not between 1 and {_MOST_NEIGHBOURS}", "set neighbours = 1")
        self._kind: Kind = schema.asked
        self._labels = schema.labels
        self._neighbours = neighbours

    def __repr__(self) -> str:
        return (
            f"Nearest(kind={self._kind!r}, modality={self._modality!r}, backbone={self._name!r}, "
            f"neighbours={self._neighbours})"
        )

    def train(self, examples: Examples, out: Path) -> None:
        """Write a model folder: `model.json` and `features.npy`. The order of the examples does not matter.

        Raises:
            LabelLoopError: No example, or one that is held out or has no embedding.
            BadItemError: One without an answer of the kind.
        """
        features = _unit(embeddings_of(examples))
        order = np.argsort(examples.inputs.ids, kind="stable")
        answers = [examples.answers[row] for row in order]
        said = []
        for row, answer in zip(order, answers, strict=True):
            try:
                said.append([dict(region) for region in self._kind.write(answer)])
            except (ConfigError, TypeError, AttributeError) as error:
                raise BadItemError(
                    f"item {examples.inputs.ids[row]} has no answer to learn from", "leave it out of the examples"
                ) from error
        features = features[order]
        np.save(out / _FEATURES, np.ascontiguousarray(features, "<f4"), allow_pickle=False)
        description = {
            "format": FORMAT,
            "version": VERSION,
            "kind": repr(self._kind),
            "backbone": self.backbone.fingerprint,
            "examples": len(answers),
            "answers": said,
            **_trust(self._kind, features, answers, self._neighbours),
            "digests": {_FEATURES: digest(out / _FEATURES)},
        }
        text = json.dumps(description) + "\n"  # lone surrogates, too
        (out / DESCRIPTION).write_text(text, encoding="utf-8", newline="\n")

    def load(self, model: Path) -> NearestPredictor:
        """A predictor of a model folder.

        Raises:
            ConfigError: The folder is no model of this learner, is damaged, or reads another backbone's embeddings.
        """
        said = described(model, FLAVOR, FORMAT, VERSION)
        self.refuse_model_of_other(said["backbone"], model)
        with damage_named(model):
            if digest(model / _FEATURES) != said["digests"][_FEATURES]:
                raise ValueError(f"{_FEATURES} is not what model.json describes")
            features = np.load(model / _FEATURES, allow_pickle=False).astype(np.float32)
            answers = tuple(answer_in(self._kind, one) for one in said["answers"])
            near, right, alike = (np.asarray(said[name], np.float64) for name in ("near", "right", "alike"))
            if len(answers) != len(features) or not len(near) == len(right) == len(alike) > 0:
                raise ValueError(f"{len(answers)} answers, features {features.shape}, {len(near)} steps of trust")
        return NearestPredictor(self._kind, self._labels, features, answers, self._neighbours, near, right, alike)


@dataclass(frozen=True)
class NearestPredictor:
    """A loaded model.

    Attributes:
        features: (m, d) unit vectors of the examples.
        answers: m answers.
        near: (s,) growing similarities to the nearest example, with at each:
        right: (s,) how often its answer was right.
        alike: (s,) how much it was alike.
    """

    kind: Kind
    labels: tuple[str, ...]
    features: np.ndarray
    answers: tuple[Any, ...]
    neighbours: int
    near: np.ndarray
    right: np.ndarray
    alike: np.ndarray

    def predict(self, inputs: Inputs) -> Predicted:
        """What it says about each item; nothing about one whose embedding is NaN.

        Raises:
            ConfigError: There are no embeddings, or they have another length than the model's.
        """
        rows = embeddings_in(inputs, self.features.shape[1])
        said: list[Any] = []
        similarity = np.full(len(rows), np.nan)
        for start in range(0, len(rows), _AT_ONCE):
            found, nearest = _neighbours(_unit(rows[start : start + _AT_ONCE]), self.features, self.neighbours)
            similarity[start : start + len(found)] = nearest
            said += [self._answer(one) for one in found]
        lost = np.isnan(similarity)
        said = [None if gone else answer for gone, answer in zip(lost, said, strict=True)]
        right, alike = (np.interp(similarity, self.near, one) for one in (self.right, self.alike))
        right[lost] = alike[lost] = np.nan
        return Predicted(said, right.astype(np.float32), (1.0 - alike).astype(np.float32))

    def _answer(self, rows: np.ndarray) -> Any:
        return _said_by(self.kind, self.answers, rows)


def _said_by(kind: Kind, answers: tuple[Any, ...] | list[Any], rows: np.ndarray) -> Any:
    """What the nearest says, or, of several, their consensus; the nearest has the last word."""
    return answers[rows[0]] if len(rows) == 1 else kind.consensus([answers[row] for row in rows[::-1]])


def _trust(kind: Kind, features: np.ndarray, answers: list[Any], neighbours: int) -> dict[str, list[float]]:
    """How often an answer that was carried over was right, and how alike, by the similarity of the nearest example."""
    from sklearn.isotonic import IsotonicRegression

    n = len(answers)
    if n == 1:
        return {"near": [0.0], "right": [0.5], "alike": [0.5]}
    nearest, right, alike = np.empty(n), np.empty(n), np.empty(n)
    for start in range(0, n, _AT_ONCE):
        own = np.arange(start, min(start + _AT_ONCE, n))
        found, nearest[own] = _neighbours(features[own], features, min(neighbours, n - 1), but=own)
        for row, others in zip(own, found, strict=True):
            said = _said_by(kind, answers, others)
            right[row], alike[row] = said == answers[row], kind.similarity(said, answers[row])
    bins = np.array_split(np.argsort(nearest, kind="stable"), max(1, min(_MOST_BINS, n // _IN_A_BIN)))
    sizes = [len(rows) for rows in bins]
    told = {"near": [float(nearest[rows].mean()) for rows in bins]}
    for name, seen in (("right", right), ("alike", alike)):
        shares = [(seen[rows].sum() + 0.5) / (len(rows) + 1) for rows in bins]  # so that few are never certain
        growing = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(range(len(bins)), shares, sample_weight=sizes)
        told[name] = [float(one) for one in growing]
    return told


def _neighbours(
    rows: np.ndarray, examples: np.ndarray, wanted: int, *, but: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(n, wanted) the nearest examples of each row, nearest first, and (n,) how similar the first is.

    Args:
        but: (n,) for each row an example that is passed over: itself.
    """
    similar = rows @ examples.T
    if but is not None:
        similar[np.arange(len(rows)), but] = -np.inf
    lost = np.isnan(similar).any(axis=1)
    similar[lost] = 0.0
    some = min(wanted, len(examples))
    found = np.argsort(-similar, axis=1, kind="stable")[:, :some] if some > 1 else similar.argmax(axis=1)[:, None]
    first = similar[np.arange(len(rows)), found[:, 0]].astype(np.float64)
    first[lost] = np.nan
    return found, first


def _unit(features: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit: np.ndarray = (features / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return unit
