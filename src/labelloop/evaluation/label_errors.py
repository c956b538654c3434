"""Which labels are likely wrong: confident learning on what models say that have not seen the item."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.errors import ConfigError
from labelloop.evaluation.halving import answered, predicted
from labelloop.kinds.predicted import Predicted, joined
from labelloop.protocols import Learner
from labelloop.types import Examples, Inputs, only, rows_of

FOLDS = 5
FEWEST = 4 * FOLDS
"""Examples below which a model that has not seen one says too little about it."""

INSTALL = "pip install 'labelloop[quality]'"


@dataclass(frozen=True)
class Suspects:
    """Labels that are likely wrong, the likeliest first.

    Attributes:
        rows: (m,) positions of the examples.
        scores: (m,) float64 in [0, 1], low where the label is likely wrong: the probability of the given label; of a
            multiple choice, that of the decision about the least likely label.
    """

    rows: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def out_of_sample(learner: Learner, examples: Examples, groups: np.ndarray) -> np.ndarray:
    """(n, k) float32: what a model says about each example that learned from none of its group.

    The groups are dealt into `FOLDS` parts, the labels spread evenly over them. A row of NaN, where its own label was
    in no other part, or the model fails on it: nothing can be said about it.

    Args:
        groups: (n,) numbers; near-duplicates share one.

    Raises:
        ConfigError: There are fewer than `FEWEST` examples, or fewer than `FOLDS` groups.
    """
    _refuse_few(examples, groups)
    made = np.full(examples.targets.shape, np.nan, np.float32)
    for inside, outside in _dealt(examples, groups):
        said = _predicted(learner, only(examples, outside), rows_of(examples.inputs, inside))
        known = examples.targets[outside].any(axis=0)
        judged = examples.multiple | (examples.targets[inside] & known).any(axis=1)
        made[inside[judged]] = said[judged]
    return made


def answered_out_of_sample(learner: Learner, examples: Examples, groups: np.ndarray) -> Predicted:
    """`out_of_sample`, where what is asked are no labels of the whole item; about every example.

    Raises:
        ConfigError: There are fewer than `FEWEST` examples, or fewer than `FOLDS` groups.
    """
    _refuse_few(examples, groups)
    parts, rows = [], []
    for inside, outside in _dealt(examples, groups):
        with tempfile.TemporaryDirectory(prefix="labelloop-") as folder:
            learner.train(only(examples, outside), Path(folder))
            parts.append(answered(learner.load(Path(folder)), rows_of(examples.inputs, inside), examples.kind))
        rows.append(inside)
    return joined(parts).at(np.argsort(np.concatenate(rows), kind="stable"))


def unlike(said: Predicted, examples: Examples) -> Suspects:
    """The examples whose answer is likely wrong: unlike what a model says that has not seen it, and is sure of.

    The score is 1 - confidence * (1 - similarity). Named are those below a half: a model that is sure by more than a
    half of an answer without anything in common with people's, or surer of one that is more alike. It is a heuristic;
    `labelloop label-errors report` says how good it is on the answers at hand.
    """
    pairs = zip(said.answers, examples.answers, strict=True)
    alike = np.array([math.nan if one is None else examples.kind.similarity(one, other) for one, other in pairs])
    scores = 1.0 - np.asarray(said.confidence, np.float64) * (1.0 - alike)
    rows = np.flatnonzero(scores < 0.5)
    order = rows[np.argsort(scores[rows], kind="stable")]
    return Suspects(order, scores[order])


def _refuse_few(examples: Examples, groups: np.ndarray) -> None:
    if len(examples) < FEWEST or len(np.unique(groups)) < FOLDS:
        raise ConfigError(
            f"{len(examples)} answer(s) to {len(np.unique(groups))} different item(s) are too few to judge one by the"
            " others",
            f"answer {FEWEST} or more first: labelloop watch",
        )


def _dealt(examples: Examples, groups: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The positions of each part that has any, and those of all others."""
    part = _parts(examples, groups)
    for number in np.unique(part):
        yield np.flatnonzero(part == number), np.flatnonzero(part != number)


def suspects(targets: np.ndarray, probabilities: np.ndarray, *, multiple: bool = False) -> Suspects:
    """The examples whose label is likely wrong.

    Northcutt, Jiang and Chuang 2021 (arXiv 1911.00068), through cleanlab: the confident joint of given and true labels
    says how many labels are wrong, and those with the smallest probability are named ("low self-confidence").

    Args:
        targets: (n, k) bool, the given labels.
        probabilities: (n, k) out of sample; rows of NaN are passed over.

    Raises:
        ConfigError: cleanlab is not installed.
    """
    judged = np.flatnonzero(~np.isnan(probabilities).any(axis=1))
    given, likely = targets[judged], np.asarray(probabilities[judged], np.float64)
    if not len(judged) or (not multiple and len(np.unique(given.argmax(axis=1))) < 2):
        return Suspects(np.empty(0, np.intp), np.empty(0))
    scores = self_confidence(given, likely, multiple=multiple)
    wrong = _several(given, likely) if multiple else _one_of(given, likely)
    count = int(np.count_nonzero(wrong))
    rows = np.argsort(scores, kind="stable")[:count]
    return Suspects(judged[rows], scores[rows])


def self_confidence(targets: np.ndarray, probabilities: np.ndarray, *, multiple: bool = False) -> np.ndarray:
    """(n,) the probability of the given label; of a multiple choice, of the least likely of its decisions."""
    if multiple:
        least: np.ndarray = np.where(targets, probabilities, 1.0 - probabilities).min(axis=1)
        return least
    own: np.ndarray = probabilities[np.arange(len(targets)), targets.argmax(axis=1)]
    return own


def _one_of(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(n,) bool: the labels that the confident joint counts as wrong."""
    found: np.ndarray = _find_label_issues()(
        targets.argmax(axis=1), probabilities, filter_by="confident_learning", n_jobs=1
    )
    return found


def _several(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(n,) bool, of a multiple choice: some label is wrongly there, or wrongly absent."""
    wrong = np.zeros(len(targets), np.bool_)
    for column, likely in zip(targets.T, probabilities.T, strict=True):
        if column.any() and not column.all():
            wrong |= _one_of(np.stack([~column, column], axis=1), np.stack([1.0 - likely, likely], axis=1))
    return wrong


def _find_label_issues() -> Callable[..., Any]:
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise ConfigError("finding label errors needs cleanlab 2.8 or newer, which is not installed", INSTALL) from None
    found: Callable[..., Any] = find_label_issues
    return found


def _parts(examples: Examples, groups: np.ndarray) -> np.ndarray:
    """(n,) the part of each example."""
    from sklearn.model_selection import StratifiedGroupKFold

    kinds = np.unique(examples.targets, axis=0, return_inverse=True)[1].reshape(-1)
    if np.bincount(kinds).max() < FOLDS:  # then there is nothing to spread evenly
        kinds = np.zeros(len(examples), np.intp)
    dealt = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    part = np.empty(len(examples), np.intp)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # labels with fewer items than parts are spread as far as they go
        for number, (_, inside) in enumerate(dealt.split(kinds, kinds, groups)):
            part[inside] = number
    return part


def _predicted(learner: Learner, examples: Examples, inputs: Inputs) -> np.ndarray:
    with tempfile.TemporaryDirectory(prefix="labelloop-") as folder:
        learner.train(examples, Path(folder))
        return predicted(learner.load(Path(folder)), inputs)
