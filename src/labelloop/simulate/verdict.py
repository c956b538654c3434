"""What the curves say: labels needed to reach a target, against random, with intervals, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from labelloop.simulate.replay import Curve

TARGETS = (0.90, 0.95, 0.98)
BASELINE = "random"
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Needed:
    """Labels to reach a share of the full score: the median over seeds, with its 95 % bootstrap interval.

    Attributes:
        labels: None where at least half of the seeds did not reach it within the budget.
        low, high: None where the bound lies beyond the budget.
        of_random: This over what random needed, by seed, at most; None without a baseline, or where neither got there.
        of_random_low, of_random_high: Its interval.
    """

    target: float
    labels: float | None
    low: float | None
    high: float | None
    of_random: float | None = None
    of_random_low: float | None = None
    of_random_high: float | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """One selector over all seeds.

    Attributes:
        final: Median score when the budget is spent.
        area: Median of the mean score over the budget, a share of the full score.
        seconds: Median seconds of choosing one batch.
    """

    selector: str
    needed: tuple[Needed, ...]
    final: float
    area: float
    seconds: float


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """The whole simulation.

    Attributes:
        items: Labelled items, those of the test set included.
        unreadable: Items that were skipped because they cannot be read.
        full: Median score with everything answered.
        words: Whether it would pay, one sentence per selector.
    """

    items: int
    unreadable: int
    full: float
    budget: int
    seeds: int
    summaries: tuple[Summary, ...]
    words: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def judge(
    curves: Sequence[Curve], items: int, unreadable: int = 0, targets: Sequence[float] = TARGETS
) -> SimulationResult:
    """Compare the selectors of a simulation with each other and with `BASELINE`."""
    names = list(dict.fromkeys(curve.selector for curve in curves))
    by_name = {name: sorted((c for c in curves if c.selector == name), key=lambda c: c.seed) for name in names}
    random = by_name.get(BASELINE)
    summaries = tuple(_summary(name, by_name[name], random, targets) for name in names)
    full = float(np.median([curve.full for curve in curves]))
    words = tuple(_in_words(one, summaries) for one in summaries if one.selector != BASELINE)
    budget = max(curve.labels[-1] for curve in curves)
    return SimulationResult(items, unreadable, full, budget, len({curve.seed for curve in curves}), summaries, words)


def by_words(curves: Sequence[Curve]) -> list[Curve]:
    """The same curves over the words that people have read, in place of the items that they were asked about."""
    return [replace(curve, labels=curve.read) for curve in curves]


COLUMNS = (
    "selector",
    *(f"to {100 * target:.0f} %" for target in TARGETS),
    "of random, 95 %",
    "at the end",
    "to choose",
)
"""What the table says of each selector."""


def rows(verdict: SimulationResult) -> list[tuple[str, ...]]:
    """The table: labels to each target with their intervals, the share of random's, the last score, the time."""
    return [_row(one, verdict) for one in verdict.summaries]


def labels_to(curve: Curve, target: float) -> float:
    """Labels after which a curve first reaches this share of its full score; infinite where it does not."""
    reached = np.flatnonzero(np.asarray(curve.scores) >= target * curve.full)
    return float(curve.labels[reached[0]]) if len(reached) else float("inf")


def _summary(name: str, curves: Sequence[Curve], random: Sequence[Curve] | None, targets: Sequence[float]) -> Summary:
    needed = tuple(_needed(curves, random if name != BASELINE else None, target) for target in targets)
    final = float(np.median([curve.scores[-1] for curve in curves]))
    area = float(np.median([np.mean(curve.scores) / curve.full if curve.full else 0.0 for curve in curves]))
    return Summary(name, needed, final, area, float(np.median([s for curve in curves for s in curve.seconds] or [0.0])))


def _needed(curves: Sequence[Curve], random: Sequence[Curve] | None, target: float) -> Needed:
    ours = np.asarray([labels_to(curve, target) for curve in curves])
    labels, low, high = _median(ours)
    if random is None:
        return Needed(target, labels, low, high)
    theirs = np.asarray([labels_to(curve, target) for curve in random])
    # Random that did not get there needed more than the budget, so that this is the most the ratio can be.
    spent = np.asarray([curve.labels[-1] for curve in random])
    ratios = ours / np.minimum(theirs, spent)
    ratios[np.isinf(ours) & np.isinf(theirs)] = 1.0
    reached = np.isfinite(ours).any() or np.isfinite(theirs).any()
    return Needed(target, labels, low, high, *(_median(ratios) if reached else (None, None, None)))


def _median(values: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """The median and its 95 % percentile-bootstrap interval; None for what is infinite."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(values, (_RESAMPLES, len(values)))
    medians = np.quantile(drawn, 0.5, axis=1, method="inverted_cdf")
    bounds = np.quantile(medians, [0.025, 0.975], method="inverted_cdf")
    middle = np.quantile(values, 0.5, method="inverted_cdf")
    low, high = (float(one) if np.isfinite(one) else None for one in bounds)
    return (float(middle) if np.isfinite(middle) else None), low, high


def _in_words(one: Summary, all_of_them: Sequence[Summary]) -> str:
    """Whether this selector would pay, at the highest target that it or random reached."""
    random = next((other for other in all_of_them if other.selector == BASELINE), None)
    if random is None:
        return f"{one.selector}: replay random, too, to see whether it pays."
    reached = [i for i, need in enumerate(one.needed) if need.labels is not None or random.needed[i].labels is not None]
    if not reached:
        return (
            f"{one.selector}: neither it nor random came near the full score within the budget; "
            f"at its end {_share(one.final)} against {_share(random.final)}. Raise the budget."
        )
    # The hardest target that both reached says most; else the hardest that one did.
    both = [i for i in reached if one.needed[i].labels is not None and random.needed[i].labels is not None]
    at = (both or reached)[-1]
    return _compared(one.selector, one.needed[at], random.needed[at])


def _compared(name: str, ours: Needed, theirs: Needed) -> str:
    goal = f"{100 * ours.target:.0f} % of the full score"
    if theirs.labels is None:
        return f"{name} would pay: {goal} with {_counted(ours)} labels; random does not get there within the budget."
    if ours.labels is None:
        return f"{name} would not pay: random gets to {goal} with {_counted(theirs)} labels, it does not."
    said = f"{goal} with {_counted(ours)} labels, random with {_counted(theirs)}"
    low, high = ours.of_random_low, ours.of_random_high
    if high is not None and high < 1.0 and ours.of_random is not None:
        return f"{name} would pay: {said}; {100 * (1 - ours.of_random):.0f} % fewer seed by seed."
    if low is not None and low > 1.0:
        return f"{name} would cost more: {said}."
    return f"{name}: no difference that these seeds can show: {said}."


def _counted(need: Needed) -> str:
    bounds = "" if need.low == need.high else f" ({_or_more(need.low)} to {_or_more(need.high)})"
    return f"{need.labels:.0f}{bounds}"


def _or_more(labels: float | None) -> str:
    return "more than the budget" if labels is None else f"{labels:.0f}"


def _share(score: float) -> str:
    return f"{100 * score:.1f} %"


def _row(one: Summary, verdict: SimulationResult) -> tuple[str, ...]:
    needed = [_counted(need) if need.labels is not None else f"over {verdict.budget}" for need in one.needed]
    at = one.needed[TARGETS.index(0.95)]
    share = "" if at.of_random is None else f"{at.of_random:.2f} x"
    theirs = next((two.needed for two in verdict.summaries if two.selector == BASELINE), ())
    if share and any(need.target == at.target and need.labels is None for need in theirs):
        share = f"under {share}"
    if share and at.of_random_low is not None and at.of_random_high is not None:
        share += f" ({at.of_random_low:.2f} to {at.of_random_high:.2f})"
    return (one.selector, *needed, share, _share(one.final), f"{one.seconds:.2f} s")
