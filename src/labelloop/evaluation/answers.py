"""The honest score, and who is right, where what is asked are no labels of the whole item: by what the kind counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labelloop.evaluation.intervals import bootstrap, effective, wilson
from labelloop.evaluation.metrics import SEED, Interval, Metrics, PerLabel, binned, decide
from labelloop.kinds.kind import Answer, Kind, Labelling, Statistic
from labelloop.kinds.predicted import Predicted
from labelloop.types import Examples


def right(said: Predicted, examples: Examples) -> np.ndarray:
    """(n,) bool: whether a model gives to each example just the answer that people gave."""
    if said.probabilities is not None:
        exactly: np.ndarray = (decide(said.probabilities, examples.multiple) == examples.targets).all(axis=1)
        return exactly
    return np.array([one == other for one, other in zip(said.answers, examples.answers, strict=True)], np.bool_)


def score_name(kind: Kind) -> str:
    """What people call the score: the first one of the kind."""
    return next(iter(kind.scores))


def counted(kind: Kind, given: Sequence[Answer], wanted: Sequence[Answer]) -> tuple[np.ndarray, Statistic]:
    """The score as a statistic of sums over items: (n, c) counts, and (b, c) sums -> (b,) scores."""
    counts = np.array([kind.counts(one, other) for one, other in zip(given, wanted, strict=True)], np.float64)
    return counts, kind.scores[score_name(kind)]


def nothing(kind: Kind) -> Metrics:
    """No score yet: nobody has answered a held-out item."""
    labels = kind.labels if isinstance(kind, Labelling) else ()
    return Metrics(
        n=0, score_name=score_name(kind), per_label={label: PerLabel(None, None, None, 0) for label in labels}
    )


def evaluate(said: Predicted, wanted: Sequence[Answer], kind: Kind, groups: np.ndarray | None = None) -> Metrics:
    """Score a model. The same arguments give the same interval: resampling is seeded.

    Args:
        said: About n items, something about each.
        wanted: What people said about them.
        groups: (n,) near duplicates have the same one, and count for less; None where every item stands for itself.
    """
    if not len(wanted):
        return nothing(kind)
    given = list(said.answers)
    exactly = np.array([one == other for one, other in zip(given, wanted, strict=True)], np.bool_)
    worth = effective(exactly.astype(np.float64), groups)
    counts, statistic = counted(kind, given, wanted)
    score = float(statistic(counts.sum(axis=0, keepdims=True))[0])
    low, high = bootstrap(statistic, counts, np.random.default_rng(SEED), groups=groups)
    if low == high:  # resampling sees no variation
        low, high = wilson(score * worth, worth)
    per_label = _per_labels(kind, given, wanted, worth / len(wanted)) if isinstance(kind, Labelling) else {}
    bins = binned(np.asarray(said.confidence, np.float64), exactly)
    f1s = [one.f1 for one in per_label.values() if one.f1 is not None]
    return Metrics(
        n=len(wanted),
        score_name=score_name(kind),
        score=score,
        low=low,
        high=high,
        intervals={"bootstrap": (low, high)},
        independent=worth,
        accuracy=float(exactly.mean()),
        macro_f1=sum(f1s) / len(f1s) if f1s else None,
        ece=sum(one.count * abs(one.confidence - one.accuracy) for one in bins) / len(wanted),
        per_label=per_label,
        reliability=bins,
    )


def beside(
    said: Predicted, wanted: Sequence[Answer], kind: Kind, groups: np.ndarray | None = None
) -> dict[str, tuple[float, float, float]]:
    """The kind's other scores: name -> (value, low, high), by the bootstrap over items. Arguments as of `evaluate`."""
    counts, _ = counted(kind, list(said.answers), wanted)
    found = {}
    for name, statistic in kind.scores.items():
        if name != score_name(kind):
            value = float(statistic(counts.sum(axis=0, keepdims=True))[0])
            found[name] = (value, *bootstrap(statistic, counts, np.random.default_rng(SEED), groups=groups))
    return found


def _per_labels(
    kind: Labelling, given: Sequence[Answer], wanted: Sequence[Answer], worth: float
) -> dict[str, PerLabel]:
    """How well each label is recognised, of how often it was given.

    Args:
        worth: The share of its count that an item is worth, where near duplicates are among them.
    """
    sums = {label: np.zeros(3) for label in kind.labels}
    for one, other in zip(given, wanted, strict=True):
        for label, tally in kind.by_label(one, other).items():
            sums[label] += tally
    return {label: _per_label(*map(int, tally), worth=worth) for label, tally in sums.items()}


def _per_label(hits: int, wrong: int, missed: int, *, worth: float) -> PerLabel:
    given, wanted = hits + wrong, hits + missed

    def interval(n: int) -> Interval | None:
        return wilson(hits * worth, n * worth) if n else None

    return PerLabel(
        precision=hits / given if given else None,
        recall=hits / wanted if wanted else None,
        f1=2 * hits / (given + wanted) if given + wanted else None,
        support=wanted,
        precision_interval=interval(given),
        recall_interval=interval(wanted),
    )
