"""How reliable each annotator is, and what that makes probable: Dawid and Skene's model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RIGHT = 2.0
"""Every annotator begins with this many votes in which she was right, per class, and one in which she was wrong: so few
votes of a person say little about her, and nobody is ever believed to be wrong always."""

ROUNDS = 100
CLOSE = 1e-6


@dataclass(frozen=True)
class Vote:
    """One annotator says that one item is of one class; all counted from 0."""

    item: int
    annotator: int
    said: int


def probable(votes: Sequence[Vote], items: int, classes: int, known: dict[int, int] | None = None) -> np.ndarray:
    """(items, classes) float64: how probable each class is of each item; rows sum to 1, uniform without votes.

    A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm", 1979,
    with a prior on the error rates (`RIGHT`), so that it is the maximum a posteriori.

    The only answer to an item is believed, and teaches nothing about its annotator: nothing contradicts or confirms it.
    With many classes and few answers the search would otherwise explain most of them away as errors.

    Args:
        known: Item -> its true class, where that is known; it also teaches how reliable its annotators are.
    """
    item = np.array([vote.item for vote in votes], np.intp)
    annotator = np.array([vote.annotator for vote in votes], np.intp)
    said = np.array([vote.said for vote in votes], np.intp)
    believed = _shares(item, said, items, classes, known or {})
    alone = np.bincount(item, minlength=items) == 1
    alone[list(known or {})] = False
    only, told = believed[alone], ~alone[item]
    item, annotator, said = item[told], annotator[told], said[told]
    prior = np.full((classes, classes), 1.0 / max(1, classes - 1))
    np.fill_diagonal(prior, RIGHT)
    people = int(annotator.max()) + 1 if len(annotator) else 0
    for _ in range(ROUNDS):
        counts = np.tile(prior, (people, 1, 1))  # of each annotator: true class x class said
        np.add.at(counts.transpose(0, 2, 1), (annotator, said), believed[item])
        errors = np.log(counts / counts.sum(axis=2, keepdims=True))
        shares = (believed[~alone].sum(axis=0) + 1.0) / (np.count_nonzero(~alone) + classes)
        logs = np.tile(np.log(shares), (items, 1))
        np.add.at(logs, item, errors[annotator, :, said])
        before, believed = believed, _fixed(_normed(logs), known or {})
        believed[alone] = only
        if np.abs(before - believed).max(initial=0.0) < CLOSE:
            break
    return believed


def _shares(item: np.ndarray, said: np.ndarray, items: int, classes: int, known: dict[int, int]) -> np.ndarray:
    """Where the search begins: the shares of the votes."""
    counts = np.zeros((items, classes))
    np.add.at(counts, (item, said), 1.0)
    total = counts.sum(axis=1, keepdims=True)
    return _fixed(np.divide(counts, total, out=np.full_like(counts, 1.0 / classes), where=total > 0), known)


def _fixed(believed: np.ndarray, known: dict[int, int]) -> np.ndarray:
    for row, true in known.items():
        believed[row] = 0.0
        believed[row, true] = 1.0
    return believed


def _normed(logs: np.ndarray) -> np.ndarray:
    likely = np.exp(logs - logs.max(axis=1, keepdims=True))
    normed: np.ndarray = likely / likely.sum(axis=1, keepdims=True)
    return normed
