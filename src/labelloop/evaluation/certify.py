"""Which of a model's labels can be taken unseen: a threshold on its confidence whose error bound holds. Pure.

Fixed-sequence testing (Angelopoulos et al. 2021, arXiv 2110.01052): thresholds are tried from the strictest to the
loosest, each by an exact test at the whole of delta, until one fails. Calibration items are a random part of all items,
answered blind; the labels to be taken are on the other part. So the number of errors in a region is split between the
two parts by chance alone, which is the hypergeometric distribution; for many items it is the binomial one, and the
bound that of Clopper and Pearson (1934).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelloop.errors import ConfigError

STEPS = 40
"""Thresholds that are tried: as many quantiles of the confidence."""

HEADROOM = (1.5, 3.0)
"""The strictest threshold leaves half of the calibration answers, within so many times those needed at least.

Fewer, and a single error at the first threshold ends the search; more, and the model has to be right about nearly all.
"""


@dataclass(frozen=True)
class Column:
    """Items as the bound sees them, one of each group of near-duplicates.

    Attributes:
        calibration: (c,) confidence of the calibration items.
        right: (c,) bool, whether people say the same as the model; a skipped one is not right.
        others: (m,) confidence of every other item, the ones that people were asked about included.
        open: (m,) bool, which of them would get the model's label.
    """

    calibration: np.ndarray
    right: np.ndarray
    others: np.ndarray
    open: np.ndarray

    def part(self, calibration: np.ndarray, others: np.ndarray) -> Column:
        """Some of the items."""
        return Column(self.calibration[calibration], self.right[calibration], self.others[others], self.open[others])


@dataclass(frozen=True, slots=True)
class Bound:
    """How far a model's labels can be taken unseen.

    Attributes:
        threshold: Labels of at least this confidence are taken; infinite for none.
        taken: Open items that get the model's label.
        checked: Calibration items of this confidence or more.
        wrong: Of these, wrong ones.
        p: Of the exact test at this threshold; that of the first one tried, where none passed.
        why: In words, why no label can be taken; empty if some can.
    """

    threshold: float
    taken: int
    checked: int
    wrong: int
    p: float
    why: str = ""


def needed(error: float, delta: float) -> int:
    """Confident calibration answers without an error that certify an error rate: ln(delta) / ln(1 - error).

    Raises:
        ConfigError: One of them is not between 0 and 1.
    """
    for what, value in {"the error": error, "delta": delta}.items():
        if not 0.0 < value < 1.0:
            raise ConfigError(f"{what} is {value:g}, not between 0 and 1", "labelloop auto-label plan --error 0.02")
    return math.ceil(math.log(delta) / math.log1p(-error))


def bound(column: Column, error: float, delta: float) -> Bound:
    """The loosest threshold at which the labels taken are wrong in at most a share `error`, but for a chance `delta`.

    Raises:
        ConfigError: An argument is not between 0 and 1.
    """
    least = needed(error, delta)
    best: Bound | None = None
    for threshold in _thresholds(column, least):
        tried = _tried(column, threshold, error)
        if not tried.taken:
            continue
        if tried.p > delta:
            return best or replace(tried, threshold=math.inf, taken=0, why=_failed(tried, error))
        best = tried
    return best or Bound(math.inf, 0, len(column.right), 0, 1.0, _why_none(column, least))


def per_label(columns: Sequence[Column], error: float, delta: float) -> list[Bound]:
    """A bound for each label on its own, all of which hold together but for a chance `delta` (Bonferroni)."""
    return [bound(one, error, delta / len(columns)) for one in columns]


def p_value(checked: int, wrong: int, others: int, too_many: int) -> float:
    """Chance of at most `wrong` errors among the checked items if there are `too_many` among the others.

    Which items are checked is chance: of `checked + others` items with `wrong + too_many` errors, any `checked`.
    """
    from scipy.stats import hypergeom

    if too_many > others:
        return 0.0
    return float(hypergeom.cdf(wrong, checked + others, wrong + too_many, checked))


def _thresholds(column: Column, least: int) -> list[float]:
    """From the strictest that leaves enough answers to the loosest, chosen without a look at what is right."""
    confidence = np.sort(np.concatenate([column.calibration, column.others]))[::-1]
    if len(column.calibration) < least:
        return []
    answers = len(column.calibration)
    strictest = min(max(answers / 2, HEADROOM[0] * least), HEADROOM[1] * least)
    first = min(len(confidence), math.ceil(strictest * len(confidence) / answers))
    counts = np.linspace(first, len(confidence), STEPS).astype(int)
    return sorted({float(confidence[count - 1]) for count in counts}, reverse=True)


def _tried(column: Column, threshold: float, error: float) -> Bound:
    inside, others = column.calibration >= threshold, column.others >= threshold
    checked, wrong = int(inside.sum()), int((inside & ~column.right).sum())
    taken = int((others & column.open).sum())
    too_many = math.floor(error * taken) + 1
    return Bound(threshold, taken, checked, wrong, p_value(checked, wrong, int(others.sum()), too_many))


def _failed(tried: Bound, error: float) -> str:
    if not tried.checked:
        return f"no calibration answer is among the labels that the model is surest of, from {tried.threshold:.3f} on"
    return (
        f"{tried.wrong} of the {tried.checked} most confident calibration answers are not what the model says: "
        f"that does not show an error of {100 * error:g} % or less (p = {tried.p:.2g})"
    )


def _why_none(column: Column, least: int) -> str:
    if not column.open.any():
        return "no item is left whose label could be taken: every one has been asked or is held out"
    if len(column.calibration) >= least:
        return f"the model is surest of items that have been asked already, among its {len(column.calibration)} answers"
    return (
        f"{len(column.calibration)} calibration answer(s) are too few: at least {least} are needed, confident and right"
    )
