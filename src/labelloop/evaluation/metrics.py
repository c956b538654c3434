"""The honest score: how good a model is on held-out items, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from labelloop.errors import ConfigError
from labelloop.evaluation.intervals import bootstrap_each, effective, exact, hierarchical, wilson
from labelloop.types import Metric
from labelloop.types.names import named

Interval = tuple[float, float]

BINS = 10
SEED = 20_010_516
"""Of every resampling: the same answers have the same interval."""

FEWEST_OF_A_LABEL = 3
"""Held-out items of a label below which nothing is said about how well it is found."""

_LEAST = 1e-15


@named("labelloop.PerLabel")
@dataclass(frozen=True, slots=True)
class PerLabel:
    """How well one label is recognised; None where nothing can be divided.

    Attributes:
        support: Items that carry the label.
        precision_interval, recall_interval: Wilson's, 95 %.
        f1_interval: BCa bootstrap over items, 95 %; Wilson's for a label that is always, or never, right.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    precision_interval: Interval | None = None
    recall_interval: Interval | None = None
    f1_interval: Interval | None = None


@named("labelloop.Bin")
@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of similar confidence: their mean confidence, and the share of them that is right."""

    confidence: float
    accuracy: float
    count: int


@named("labelloop.Metrics")
@dataclass(frozen=True, slots=True)
class Metrics:
    """How good a model is on n held-out items; plain data under `dataclasses.asdict`.

    Attributes:
        n: Items scored.
        score_name: What `score` is: accuracy, micro-F1 or macro-F1.
        score: In [0, 1]; None while there is nothing to score on.
        low, high: The 95 % interval of `score`: Wilson's for accuracy, the hierarchical one for macro-F1, the
            bootstrap's for micro-F1.
        intervals: Every 95 % interval of `score` there is: `wilson` and `exact` (Clopper and Pearson) for accuracy,
            `hierarchical` (of the F1 of all labels, see `intervals.hierarchical`) for macro-F1, `bootstrap` (BCa over
            items) for each.
        independent: How many items that are no near duplicates of each other the n are worth; intervals count these.
        accuracy: Share of items with exactly the right labels (subset accuracy for a multiple choice).
        micro_f1: Over all decisions; the accuracy, for a single choice.
        macro_f1: Mean F1 of the labels that occur in the targets or the answers.
        log_loss: Mean negative log-likelihood in nats; per label for a multiple choice.
        ece: Expected calibration error: mean gap between confidence and accuracy over `reliability`
            (Naeini, Cooper and Hauskrecht 2015; Guo 2017, arXiv 1706.04599).
        per_label: Label -> how well it is recognised.
        reliability: Ten bins of equal width, empty ones left out.
        confusion: (k, k) counts, rows what people said, columns what the model says; empty for a multiple choice.
    """

    n: int
    score_name: str
    score: float | None = None
    low: float | None = None
    high: float | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    independent: float = 0.0
    accuracy: float | None = None
    micro_f1: float | None = None
    macro_f1: float | None = None
    log_loss: float | None = None
    ece: float | None = None
    per_label: Mapping[str, PerLabel] = field(default_factory=dict)
    reliability: Sequence[Bin] = ()
    confusion: Sequence[Sequence[int]] = ()


def hardly_found(per_label: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The labels that a model hardly finds, the least found first: label -> recall.

    Those of which no held-out item was found, of three or more, or the whole recall interval lies below a half.

    Args:
        per_label: Of each label `recall`, `support` and `recall_interval`, as a round records them.
    """
    seldom = {
        label: float(one["recall"])
        for label, one in per_label.items()
        if one["support"] >= FEWEST_OF_A_LABEL and one["recall"] is not None and _is_hardly_found(one)
    }
    return dict(sorted(seldom.items(), key=lambda pair: pair[1]))


def _is_hardly_found(one: Mapping[str, Any]) -> bool:
    interval = one.get("recall_interval")
    return one["recall"] == 0.0 or bool(interval and interval[1] < 0.5)


def nothing(labels: Sequence[str], *, multiple: bool = False, metric: Metric = "auto") -> Metrics:
    """No score yet: nobody has labelled a held-out item."""
    return Metrics(
        n=0,
        score_name=score_name(metric, multiple),
        per_label={label: PerLabel(None, None, None, 0) for label in labels},
    )


def evaluate(
    probabilities: np.ndarray,
    targets: np.ndarray,
    labels: Sequence[str],
    *,
    multiple: bool = False,
    metric: Metric = "auto",
    groups: np.ndarray | None = None,
) -> Metrics:
    """Score a model. The same arguments give the same interval: resampling is seeded.

    Args:
        probabilities: (n, k); n = 0 is `nothing`.
        targets: (n, k) bool, exactly one per row for a single choice.
        labels: The k names of the columns.
        multiple: Whether a row may have several labels; a label is given at a probability of one half or more.
        groups: (n,) near duplicates have the same one, and count for less; None where every item stands for itself.

    Raises:
        ConfigError: The shapes do not fit, a probability is not a number, or a single choice has not one target.
    """
    check(probabilities, targets, len(labels), multiple)
    if len(targets) == 0:
        return nothing(labels, multiple=multiple, metric=metric)
    likely = np.asarray(probabilities, np.float64)
    wanted = np.asarray(targets, np.bool_)
    given = decide(likely, multiple)
    right = (given == wanted).all(axis=1)
    worth = effective(right.astype(np.float64), groups)
    resampled = _resampled(given, wanted, _measured(metric, multiple), groups)
    per_label = _per_labels(given, wanted, labels, resampled[1:], worth / len(right))
    reliability = _reliability(likely, wanted, multiple)
    intervals = _intervals(given, wanted, _measured(metric, multiple), worth, resampled[0])
    scores = {
        "accuracy": float(right.mean()),
        "micro-F1": _f1(_counts(given, wanted).sum(axis=0)),
        "macro-F1": _macro(list(per_label.values())),
    }
    name = score_name(metric, multiple)
    low, high = next(iter(intervals.values()))
    return Metrics(
        n=len(right),
        score_name=name,
        score=scores[name],
        low=low,
        high=high,
        intervals=intervals,
        independent=worth,
        accuracy=scores["accuracy"],
        micro_f1=scores["micro-F1"],
        macro_f1=scores["macro-F1"],
        log_loss=float(losses(likely, wanted, multiple).mean()),
        ece=sum(one.count * abs(one.confidence - one.accuracy) for one in reliability)
        / max(1, sum(one.count for one in reliability)),
        per_label=per_label,
        reliability=reliability,
        confusion=() if multiple else (wanted.T.astype(int) @ given.astype(int)).tolist(),
    )


def score_name(metric: Metric, multiple: bool) -> str:
    """What people call the score."""
    return {"accuracy": "accuracy", "micro": "micro-F1", "macro": "macro-F1"}[_measured(metric, multiple)]


Statistic = Callable[[np.ndarray], np.ndarray]


def summed(given: np.ndarray, wanted: np.ndarray, metric: Metric, multiple: bool) -> tuple[np.ndarray, Statistic]:
    """The score as a statistic of sums over items: (n, c) counts, and (b, c) sums -> (b,) scores."""
    return _summed(given, wanted, _measured(metric, multiple))


def decide(probabilities: np.ndarray, multiple: bool) -> np.ndarray:
    """(n, k) bool: the labels that (n, k) probabilities give."""
    if multiple:
        return np.asarray(probabilities >= 0.5)
    given = np.zeros(probabilities.shape, np.bool_)
    given[np.arange(len(given)), probabilities.argmax(axis=1)] = True
    return given


def check(probabilities: np.ndarray, targets: np.ndarray, k: int, multiple: bool) -> None:
    """Refuse what cannot be scored.

    Raises:
        ConfigError: The shapes do not fit, a probability is not a number, or a single choice has not one target.
    """
    if np.shape(probabilities) != np.shape(targets) or np.ndim(targets) != 2 or np.shape(targets)[1] != k:
        raise ConfigError(
            f"probabilities of the shape {np.shape(probabilities)} do not fit targets of the shape "
            f"{np.shape(targets)} and {k} labels",
            "give one row per item and one column per label",
        )
    if not np.isfinite(probabilities).all():
        row = int(np.flatnonzero(~np.isfinite(probabilities).all(axis=1))[0])
        raise ConfigError(f"the probabilities of row {row} are not numbers", "leave items out that could not be scored")
    if not multiple and (np.sum(targets, axis=1) != 1).any():
        row = int(np.flatnonzero(np.sum(targets, axis=1) != 1)[0])
        raise ConfigError(
            f"row {row} has {int(np.sum(targets[row]))} labels, a single choice has exactly 1",
            'leave it out, or set task = "multiple-choice" under [dataset]',
        )


Measured = Literal["accuracy", "micro", "macro"]


def _measured(metric: Metric, multiple: bool) -> Measured:
    if metric == "auto":
        return "micro" if multiple else "accuracy"
    return "macro" if metric == "macro-f1" else "accuracy"


def _summed(given: np.ndarray, wanted: np.ndarray, what: Measured) -> tuple[np.ndarray, Statistic]:
    if what == "accuracy":
        right = (given == wanted).all(axis=1).astype(np.float64)
        return np.stack([right, np.ones_like(right)], axis=1), lambda sums: sums[:, 0] / sums[:, 1]
    if what == "micro":
        return _counts(given, wanted), _f1_of_sums
    return _counts_by_label(given, wanted), lambda sums: np.nanmean(_f1s_of_sums(sums), axis=1)


def _resampled(given: np.ndarray, wanted: np.ndarray, what: Measured, groups: np.ndarray | None) -> list[Interval]:
    """The bootstrap interval of the score, and of each label's F1; NaN for a label that does not occur."""
    counts, statistic = _summed(given, wanted, what)
    width, by_label = counts.shape[1], _counts_by_label(given, wanted)

    def everything(sums: np.ndarray) -> np.ndarray:
        return np.column_stack([statistic(sums[:, :width]), _f1s_of_sums(sums[:, width:])])

    rng = np.random.default_rng(SEED)
    return bootstrap_each(everything, np.concatenate([counts, by_label], axis=1), rng, groups=groups)


def _intervals(
    given: np.ndarray, wanted: np.ndarray, what: Measured, worth: float, resampled: Interval
) -> dict[str, Interval]:
    """Every interval of the score, the best first; where resampling sees no variation, its interval is Wilson's."""
    k = float((given == wanted).all(axis=1).mean()) * worth
    if resampled[0] == resampled[1]:
        resampled = wilson(k, worth)
    if what == "accuracy":
        return {"wilson": wilson(k, worth), "exact": exact(k, worth), "bootstrap": resampled}
    if what == "macro":
        return {"hierarchical": _of_labels(given, wanted, worth / len(given)), "bootstrap": resampled}
    return {"bootstrap": resampled}


def _of_labels(given: np.ndarray, wanted: np.ndarray, worth: float) -> Interval:
    """The interval of macro-F1: an F1 is the share of hits in the mean of what was given and what was wanted.

    A mistake of a single choice belongs to two labels, and counts half for each. Labels that do not occur are unknown.
    """
    hits, trials = (given & wanted).sum(axis=0) * worth, (given.sum(axis=0) + wanted.sum(axis=0)) / 2 * worth
    low, high = hierarchical(hits, trials, np.random.default_rng(SEED))
    now = (hits[trials > 0] / trials[trials > 0]).mean()
    return min(low, float(now)), max(high, float(now))


def _counts(given: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(n, 3) labels rightly given, wrongly given, and missed, per item."""
    return np.stack([(given & wanted).sum(1), (given & ~wanted).sum(1), (~given & wanted).sum(1)], axis=1)


def _f1_of_sums(sums: np.ndarray) -> np.ndarray:
    """(b,) F1 of (b, 3) summed counts; 1 where there was nothing to find and nothing was given."""
    right, all_ = 2.0 * sums[:, 0], 2.0 * sums[:, 0] + sums[:, 1] + sums[:, 2]
    f1: np.ndarray = np.divide(right, all_, out=np.ones_like(right), where=all_ > 0)
    return f1


def _f1(sums: np.ndarray) -> float:
    return float(_f1_of_sums(sums[np.newaxis])[0])


def _counts_by_label(given: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(n, 3 k) labels rightly given, wrongly given, and missed, per item and label."""
    return np.concatenate([given & wanted, given & ~wanted, ~given & wanted], axis=1).astype(np.float64)


def _f1s_of_sums(sums: np.ndarray) -> np.ndarray:
    """(b, k) F1 of (b, 3 k) summed counts; NaN where a label occurs neither in the targets nor in the answers."""
    right, wrong, missed = np.split(sums, 3, axis=1)
    all_ = 2 * right + wrong + missed
    f1: np.ndarray = np.divide(2 * right, all_, out=np.full(all_.shape, np.nan), where=all_ > 0)
    return f1


def _per_labels(
    given: np.ndarray, wanted: np.ndarray, labels: Sequence[str], resampled: Sequence[Interval], worth: float
) -> dict[str, PerLabel]:
    """How well each label is recognised.

    Args:
        worth: The share of its count that an item is worth, where near duplicates are among them.
    """
    return {label: _per_label(given[:, i], wanted[:, i], resampled[i], worth) for i, label in enumerate(labels)}


def _per_label(given: np.ndarray, wanted: np.ndarray, resampled: Interval, worth: float) -> PerLabel:
    right, all_given, all_wanted = int((given & wanted).sum()), int(given.sum()), int(wanted.sum())
    f1 = 2 * right / (all_given + all_wanted) if all_given + all_wanted else None
    if f1 in (0.0, 1.0):
        seen = max(all_given, all_wanted) * worth
        resampled = wilson(seen * (f1 or 0.0), seen)
    return PerLabel(
        precision=right / all_given if all_given else None,
        recall=right / all_wanted if all_wanted else None,
        f1=f1,
        support=all_wanted,
        precision_interval=wilson(right * worth, all_given * worth) if all_given else None,
        recall_interval=wilson(right * worth, all_wanted * worth) if all_wanted else None,
        f1_interval=None if f1 is None else resampled,
    )


def _macro(per_label: Sequence[PerLabel]) -> float | None:
    known = [one.f1 for one in per_label if one.f1 is not None]
    return sum(known) / len(known) if known else None


def losses(likely: np.ndarray, wanted: np.ndarray, multiple: bool) -> np.ndarray:
    """(n,) the log loss of each item in nats; per label for a multiple choice."""
    chance = np.where(wanted, likely, 1.0 - likely) if multiple else likely[wanted][:, np.newaxis]
    each: np.ndarray = -np.log(np.maximum(chance, _LEAST)).mean(axis=1)
    return each


def _reliability(likely: np.ndarray, wanted: np.ndarray, multiple: bool) -> list[Bin]:
    """Bins of the answer's confidence; for a multiple choice of every decision's."""
    if multiple:
        confidence = np.maximum(likely, 1.0 - likely).ravel()
        right = ((likely >= 0.5) == wanted).ravel()
    else:
        confidence = likely.max(axis=1)
        right = wanted[np.arange(len(wanted)), likely.argmax(axis=1)]
    return binned(confidence, right)


def binned(confidence: np.ndarray, right: np.ndarray) -> list[Bin]:
    """Bins of answers with a confidence (n,) in [0, 1], which are right or not (n,) bool; empty ones left out."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        Bin(float(confidence[place == i].mean()), float(right[place == i].mean()), int((place == i).sum()))
        for i in np.unique(place)
    ]
