"""Why each item was chosen, in a short sentence that people see beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from labelloop.protocols import Selector
from labelloop.selection.names import SELECTORS
from labelloop.selection.uncertainty import closeness_of_two
from labelloop.types import Pool

RANDOM = "asked at random"
EXPLORING = "covers an unexplored region"

_WITHOUT_MODEL: Mapping[str, str] = {
    "centroids": EXPLORING,
    "typiclust": "typical of a group nobody was asked about",
    "probcover": "stands for many items near it that nobody was asked about",
    "coreset": "far from everything that was asked",
    "random": RANDOM,
}
"""Selectors that do not look at the model, and what they look at."""

_OF_DOUBT: Mapping[str, str] = {
    "badge": "would teach the model much: {doubt}",
    "dropquery": "the model contradicts itself on parts of it: {doubt}",
}
_UNSURE = "uncertain: {doubt}"
_NEIGHBOURS = "stands for less certain items near it: {doubt}"


def reasons(pool: Pool, positions: np.ndarray, who: Iterable[Selector], labels: Sequence[str]) -> tuple[str, ...]:
    """The reason of each position, by the selector that chose it.

    Args:
        who: For each position its selector, as `labelloop.selection.compose.traced` says.
        labels: Names of the columns of the probabilities.
    """
    names = {id(choose): name for name, choose in SELECTORS.items()}
    return tuple(
        _reason(pool, int(position), names.get(id(choose), ""), choose, labels)
        for position, choose in zip(positions, who, strict=True)
    )


def _reason(pool: Pool, position: int, name: str, choose: Selector, labels: Sequence[str]) -> str:
    if not name:
        return f"chosen by {_own_name(choose)}"
    if name in _WITHOUT_MODEL:
        return _WITHOUT_MODEL[name]
    if pool.uncertainty is not None:
        unsure = float(pool.uncertainty[position])
        words = _NEIGHBOURS if name in ("uherding", "auto") and unsure < 0.5 else _UNSURE
        return words.format(doubt=f"the model is unsure by {unsure:.2f}")
    if pool.probabilities is None:
        return EXPLORING
    row = np.asarray(pool.probabilities[position], np.float64)
    words = _OF_DOUBT.get(name, _UNSURE)
    if name in ("uherding", "auto") and closeness_of_two(row[np.newaxis], pool.multiple)[0] < 0.5:
        words = _NEIGHBOURS
    return words.format(doubt=_doubt(row, pool.multiple, labels))


def _own_name(choose: Selector) -> str:
    return f"{getattr(choose, '__module__', '?')}:{getattr(choose, '__qualname__', type(choose).__qualname__)}"


def _doubt(row: np.ndarray, multiple: bool, labels: Sequence[str]) -> str:
    """What the model hesitates between: `cat 0.41 vs dog 0.39`; for a multiple choice `cat 0.52, dog 0.44`."""
    order = np.argsort(np.abs(row - 0.5) if multiple else -row, kind="stable")[:2]
    said = [f"{labels[i]} {row[i]:.2f}" if len(labels) == len(row) else f"{row[i]:.2f}" for i in order]
    return (", " if multiple else " vs ").join(said)
