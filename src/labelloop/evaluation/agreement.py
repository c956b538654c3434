"""How much people agree beyond chance: Krippendorff's alpha of answers of any kind, with its interval. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from labelloop.evaluation.intervals import bootstrap

Level = Literal["ordinal", "interval"]
"""How far apart numbers are: by how many answers lie between them, or by their difference; both are squared."""

DISTINCT = 1000
"""Different answers that are compared at most, unless told; of more, the items are a random sample with so many."""


@dataclass(frozen=True, slots=True)
class Alpha:
    """Krippendorff's alpha (2004): 1 is perfect agreement, 0 is that of chance, below is less.

    Attributes:
        value: None where nobody shares an item, or everybody always says the same, so that chance would agree, too.
        low, high: The 95 % interval: BCa bootstrap over items.
        items: That two people or more have answered.
        answers: To these.
    """

    value: float | None
    low: float | None
    high: float | None
    items: int
    answers: int


Distance = Callable[[Sequence[Any], np.ndarray], np.ndarray]
"""(v different answers, (v,) how often each is given) -> (v, v) distances."""


def alpha(units: Sequence[Sequence[Any]], distance: Distance, distinct: int = DISTINCT) -> Alpha:
    """The agreement of people about items.

    Args:
        units: The answers to each item, one of each person; items with fewer than two are passed over.
        distance: `nominal`, or one of `of_numbers` and `unlike`.
        distinct: Different answers that are compared at most.
    """
    shared = _few([unit for unit in units if len(unit) > 1], distinct)
    known: dict[Any, int] = {}
    for unit in shared:
        for answer in unit:
            known.setdefault(answer, len(known))
    answers = sum(map(len, shared))
    if len(known) < 2:
        return Alpha(None, None, None, len(shared), answers)
    given = np.zeros((len(shared), len(known)))
    for row, unit in enumerate(shared):
        np.add.at(given[row], [known[answer] for answer in unit], 1.0)
    apart = distance(list(known), given.sum(axis=0))
    observed = np.einsum("uv,vw,uw->u", given, apart, given) / (given.sum(axis=1) - 1.0)
    counts = np.column_stack([observed, given])

    def statistic(sums: np.ndarray) -> np.ndarray:
        said = sums[:, 1:]
        expected = np.einsum("bv,vw,bw->b", said, apart, said, optimize=True) / (said.sum(axis=1) - 1.0)
        chance: np.ndarray = np.divide(sums[:, 0], expected, out=np.zeros(len(sums)), where=expected > 0)
        return 1.0 - chance

    value = float(statistic(counts.sum(axis=0, keepdims=True))[0])
    low, high = bootstrap(statistic, counts, np.random.default_rng(0)) if len(counts) > 1 else (value, value)
    return Alpha(value, low, high, len(shared), answers)


def nominal(answers: Sequence[Any], _: np.ndarray) -> np.ndarray:
    """1 for any two that differ."""
    return 1.0 - np.eye(len(answers))


def of_numbers(level: Level, number: Callable[[Any], float]) -> Distance:
    """The squared distances of answers that are numbers, or stand for some."""

    def distance(answers: Sequence[Any], counts: np.ndarray) -> np.ndarray:
        values = np.array([number(answer) for answer in answers], np.float64)
        if level == "interval":
            return np.square(values[:, np.newaxis] - values)
        order = np.argsort(values, kind="stable")
        middle = np.empty(len(values))
        middle[order] = np.cumsum(counts[order]) - counts[order] / 2.0
        return np.square(middle[:, np.newaxis] - middle)

    return distance


def unlike(similarity: Callable[[Any, Any], float]) -> Distance:
    """How little two answers are alike."""

    def distance(answers: Sequence[Any], _: np.ndarray) -> np.ndarray:
        apart = np.zeros((len(answers), len(answers)))
        for row, one in enumerate(answers):
            for column in range(row):
                apart[row, column] = apart[column, row] = 1.0 - similarity(one, answers[column])
        return apart

    return distance


def _few(units: Sequence[Sequence[Any]], distinct: int) -> Sequence[Sequence[Any]]:
    """A random sample of the items, where they have more different answers than can be compared."""
    if len({answer for unit in units for answer in unit}) <= distinct:
        return units
    kept, seen = [], set[Any]()
    for row in np.random.default_rng(0).permutation(len(units)):
        seen |= set(units[row])
        if len(seen) > distinct:
            break
        kept.append(units[row])
    return kept
