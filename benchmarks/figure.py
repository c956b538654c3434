"""One measured figure, beside the limit it must keep, and pairs of timings taken turn about."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Figure:
    """What was measured, several times.

    Attributes:
        what: The figure in words, a ratio as `this / that`.
        samples: One value per repeat; empty when it could not be measured.
        at_most: The limit from above, if there is one.
        at_least: The limit from below, if there is one.
        unit: `x` for a ratio, `ms`, `s`, or empty for a count.
        detail: What stands behind the ratio, or why there is none.
    """

    what: str
    samples: Sequence[float]
    at_most: float | None = None
    at_least: float | None = None
    unit: str = "x"
    detail: str = ""

    @property
    def median(self) -> float:
        """The middle of the samples."""
        return statistics.median(self.samples)

    @property
    def limit(self) -> str:
        """The limit in words."""
        bounds = [("<=", self.at_most), (">=", self.at_least)]
        return " ".join(f"{sign} {bound:g} {self.unit}".strip() for sign, bound in bounds if bound is not None)

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the limit; None without a limit or a measurement."""
        if not self.samples or not self.limit:
            return None
        above = self.at_most is not None and self.median > self.at_most
        below = self.at_least is not None and self.median < self.at_least
        return not above and not below


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def pairs(ours: Callable[[int], T], theirs: Callable[[int], T], repeats: int, warm_up: int = 1) -> list[tuple[T, T]]:
    """(what ours took, what theirs took) per repeat, each first in turn, after repeats that only warm up.

    Both are given the number of the repeat, from 0, and say how long they took.
    """
    taken = []
    for turn in range(warm_up + repeats):
        if turn % 2:
            that, this = theirs(turn), ours(turn)
        else:
            this, that = ours(turn), theirs(turn)
        taken.append((this, that))
    return taken[warm_up:]


def ratio(
    what: str,
    taken: Sequence[tuple[float, float]],
    at_most: float | None = None,
    at_least: float | None = None,
    unit: str = "ms",
) -> Figure:
    """The figure of paired timings: median of the pairs' own ratios, so that a slow minute hits both sides."""
    scale = 1e3 if unit == "ms" else 1.0
    this, that = (statistics.median(side) * scale for side in zip(*taken, strict=True))
    detail = f"{this:.4g} {unit} / {that:.4g} {unit}"
    return Figure(what, [ours / theirs for ours, theirs in taken], at_most, at_least, detail=detail)
