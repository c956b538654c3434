"""The honest score: how good a model is on held-out items, how sure that is, and whether another is worse."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from labelloop.errors import ConfigError

CONFIDENCE = 0.95
BINS = 10
RESAMPLES = 2000
_SEED = 20_010_516
_SURE = 0.05
_LEAST = 1e-15
_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class PerLabel:
    """How well one label is recognised; None where nothing can be divided.

    Attributes:
        support: Items that carry the label.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of similar confidence: their mean confidence, and the share of them that is right."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """How good a model is on n held-out items; plain data under `dataclasses.asdict`.

    Attributes:
        n: Items scored.
        score_name: What `score` is: accuracy for a single choice, micro-F1 for a multiple choice.
        score: In [0, 1]; None while there is nothing to score on.
        low, high: The 95 % interval of `score`: Wilson's for accuracy, BCa bootstrap over items for micro-F1.
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
    accuracy: float | None = None
    micro_f1: float | None = None
    macro_f1: float | None = None
    log_loss: float | None = None
    ece: float | None = None
    per_label: Mapping[str, PerLabel] = field(default_factory=dict)
    reliability: Sequence[Bin] = ()
    confusion: Sequence[Sequence[int]] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a challenger is worse than the champion, and why we think so.

    Attributes:
        p: Of the paired test against "no worse"; small speaks against the challenger. 1 without a difference.
    """

    worse: bool
    reason: str
    p: float


def nothing(labels: Sequence[str], *, multiple: bool = False) -> Metrics:
    """No score yet: nobody has labelled a held-out item."""
    return Metrics(
        n=0,
        score_name=_score_name(multiple),
        per_label={label: PerLabel(None, None, None, 0) for label in labels},
    )


def evaluate(
    probabilities: np.ndarray, targets: np.ndarray, labels: Sequence[str], *, multiple: bool = False
) -> Metrics:
    """Score a model. The same arguments give the same interval: resampling is seeded.

    Args:
        probabilities: (n, k); n = 0 is `nothing`.
        targets: (n, k) bool, exactly one per row for a single choice.
        labels: The k names of the columns.
        multiple: Whether a row may have several labels; a label is given at a probability of one half or more.

    Raises:
        ConfigError: The shapes do not fit, a probability is not a number, or a single choice has not one target.
    """
    _check(probabilities, targets, len(labels), multiple)
    if len(targets) == 0:
        return nothing(labels, multiple=multiple)
    likely = np.asarray(probabilities, np.float64)
    wanted = np.asarray(targets, np.bool_)
    given = decide(likely, multiple)
    right = (given == wanted).all(axis=1)
    per_label = {label: _per_label(given[:, i], wanted[:, i]) for i, label in enumerate(labels)}
    reliability = _reliability(likely, wanted, multiple)
    micro = _f1(_counts(given, wanted).sum(axis=0))
    score = micro if multiple else float(right.mean())
    low, high = f1_interval(given, wanted) if multiple else wilson(int(right.sum()), len(right))
    return Metrics(
        n=len(right),
        score_name=_score_name(multiple),
        score=score,
        low=low,
        high=high,
        accuracy=float(right.mean()),
        micro_f1=micro,
        macro_f1=_macro(list(per_label.values())),
        log_loss=_log_loss(likely, wanted, multiple),
        ece=sum(one.count * abs(one.confidence - one.accuracy) for one in reliability)
        / max(1, sum(one.count for one in reliability)),
        per_label=per_label,
        reliability=reliability,
        confusion=() if multiple else (wanted.T.astype(int) @ given.astype(int)).tolist(),
    )


def wilson(k: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of a proportion of k in n; (0, 1) for n = 0.

    Wilson 1927, which Brown, Cai and DasGupta 2001 (Statistical Science 16) recommend for small n.

    Raises:
        ConfigError: k is not between 0 and n.
    """
    if not 0 <= k <= n:
        raise ConfigError(f"{k} of {n} is not a proportion", "count the successes among the trials")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = k / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return (0.0 if k == 0 else middle - half), (1.0 if k == n else middle + half)


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    counts: np.ndarray,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """BCa bootstrap interval of a statistic of summed counts (Efron 1987).

    Args:
        statistic: (b, c) sums of counts -> (b,) values; must give a number for every sum of n or n - 1 rows.
        counts: (n, c), a row per item; items are resampled.

    Returns:
        (low, high); both the value itself where every resample has the same.

    Raises:
        ConfigError: There are no rows.
    """
    n = len(counts)
    if n == 0:
        raise ConfigError("there is nothing to resample", "score at least one item")
    values = np.sort(np.concatenate([statistic(sums) for sums in _resampled(counts, rng, resamples)]))
    value = float(statistic(counts.sum(axis=0, keepdims=True))[0])
    if values[0] == values[-1]:
        return min(value, float(values[0])), max(value, float(values[0]))
    normal = NormalDist()
    below = (np.sum(values < value) + 0.5 * np.sum(values == value)) / resamples
    bias = normal.inv_cdf(float(np.clip(below, 1 / (resamples + 1), resamples / (resamples + 1))))
    skew = _acceleration(statistic(counts.sum(axis=0) - counts)) if n > 1 else 0.0
    edges = []
    for z in (normal.inv_cdf(0.5 - confidence / 2), normal.inv_cdf(0.5 + confidence / 2)):
        shifted = bias + (bias + z) / (1 - skew * (bias + z))
        edges.append(float(np.quantile(values, normal.cdf(shifted))))
    return edges[0], edges[1]


def f1_interval(given: np.ndarray, wanted: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of the micro-F1 of (n, k) bool answers, at least as wide as the data can tell.

    The BCa bootstrap over items, seeded. Where the answers are all right or all wrong, resampling sees no variation;
    then Wilson's interval over items, which is wider.
    """
    counts = _counts(given, wanted)
    perfect = bool((given == wanted).all())
    if perfect or not counts[:, 0].any():
        return wilson(len(counts) if perfect else 0, len(counts), confidence)
    return bootstrap(_f1_of_sums, counts, np.random.default_rng(_SEED), confidence=confidence)


def mcnemar(champion_correct: np.ndarray, challenger_correct: np.ndarray) -> float:
    """Exact two-sided p-value that two models are right equally often on the same n items (McNemar 1947).

    Args:
        champion_correct: (n,) bool.
        challenger_correct: (n,) bool, for the same items.

    Returns:
        In (0, 1]; 1 where they never differ.

    Raises:
        ConfigError: They are not about the same items.
    """
    lost, won = _differences(champion_correct, challenger_correct)
    return min(1.0, 2.0 * _tail(max(lost, won), lost + won))


def is_worse(champion: np.ndarray, challenger: np.ndarray, targets: np.ndarray, *, multiple: bool = False) -> Verdict:
    """Whether the challenger is surely worse than the champion on the same held-out items.

    A paired, exact, one-sided test at 5 %: McNemar's on the items (single choice), or the sign test on the items
    where one makes fewer wrong decisions than the other (multiple choice). No evidence is no reason to refuse.

    Args:
        champion: (n, k) probabilities of the model in use.
        challenger: (n, k) probabilities of the new one.
        targets: (n, k) bool.

    Raises:
        ConfigError: The shapes do not fit, or a probability is not a number.
    """
    wanted = np.asarray(targets, np.bool_)
    for probabilities in (champion, challenger):
        _check(probabilities, wanted, wanted.shape[1], multiple)
    if len(wanted) == 0:
        return Verdict(False, "promoted: no held-out answers to judge it by yet", 1.0)
    old, new = (_wrong(np.asarray(one), wanted, multiple) for one in (champion, challenger))
    lost, won = int((new > old).sum()), int((new < old).sum())
    p = _tail(lost, lost + won)
    seen = f"better on {won} and worse on {lost} of {len(wanted)} held-out items (p = {p:.2g})"
    if p < _SURE:
        return Verdict(True, f"kept the model in use: the new one is {seen}", p)
    return Verdict(False, f"promoted: not worse; {seen}", p)


def _score_name(multiple: bool) -> str:
    return "micro-F1" if multiple else "accuracy"


def _check(probabilities: np.ndarray, targets: np.ndarray, k: int, multiple: bool) -> None:
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


def decide(probabilities: np.ndarray, multiple: bool) -> np.ndarray:
    """(n, k) bool: the labels that (n, k) probabilities give."""
    if multiple:
        return np.asarray(probabilities >= 0.5)
    given = np.zeros(probabilities.shape, np.bool_)
    given[np.arange(len(given)), probabilities.argmax(axis=1)] = True
    return given


def _wrong(probabilities: np.ndarray, wanted: np.ndarray, multiple: bool) -> np.ndarray:
    """(n,) wrong decisions per item."""
    wrong: np.ndarray = (decide(probabilities, multiple) != wanted).sum(axis=1)
    return wrong


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


def _per_label(given: np.ndarray, wanted: np.ndarray) -> PerLabel:
    right, all_given, all_wanted = int((given & wanted).sum()), int(given.sum()), int(wanted.sum())
    return PerLabel(
        precision=right / all_given if all_given else None,
        recall=right / all_wanted if all_wanted else None,
        f1=2 * right / (all_given + all_wanted) if all_given + all_wanted else None,
        support=all_wanted,
    )


def _macro(per_label: Sequence[PerLabel]) -> float | None:
    known = [one.f1 for one in per_label if one.f1 is not None]
    return sum(known) / len(known) if known else None


def _log_loss(likely: np.ndarray, wanted: np.ndarray, multiple: bool) -> float:
    if multiple:
        chance = np.where(wanted, likely, 1.0 - likely)
        return float(-np.log(np.maximum(chance, _LEAST)).mean())
    return float(-np.log(np.maximum(likely[wanted], _LEAST)).mean())


def _reliability(likely: np.ndarray, wanted: np.ndarray, multiple: bool) -> list[Bin]:
    """Bins of the answer's confidence; for a multiple choice of every decision's."""
    if multiple:
        confidence = np.maximum(likely, 1.0 - likely).ravel()
        right = ((likely >= 0.5) == wanted).ravel()
    else:
        confidence = likely.max(axis=1)
        right = wanted[np.arange(len(wanted)), likely.argmax(axis=1)]
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        Bin(float(confidence[place == i].mean()), float(right[place == i].mean()), int((place == i).sum()))
        for i in np.unique(place)
    ]


def _resampled(counts: np.ndarray, rng: np.random.Generator, resamples: int) -> Iterator[np.ndarray]:
    """Sums of counts over resampled items, in parts that keep memory small."""
    n = len(counts)
    part = max(1, _CELLS // n)
    for start in range(0, resamples, part):
        yield rng.multinomial(n, np.full(n, 1 / n), size=min(part, resamples - start)) @ counts


def _acceleration(left_out: np.ndarray) -> float:
    """BCa's acceleration, from the (n,) values with one item left out."""
    off = left_out.mean() - left_out
    spread = float(np.square(off).sum()) ** 1.5
    return float((off**3).sum()) / (6.0 * spread) if spread else 0.0


def _differences(champion_correct: np.ndarray, challenger_correct: np.ndarray) -> tuple[int, int]:
    """(items only the champion has right, items only the challenger has right)."""
    old, new = np.asarray(champion_correct, np.bool_), np.asarray(challenger_correct, np.bool_)
    if old.shape != new.shape:
        raise ConfigError(
            f"{old.shape} and {new.shape} answers cannot be compared in pairs", "score both on the same items"
        )
    return int((old & ~new).sum()), int((new & ~old).sum())


def _tail(k: int, n: int) -> float:
    """Chance of at least k heads in n throws of a fair coin."""
    if n > 4000:
        return 1.0 - NormalDist(n / 2, math.sqrt(n) / 2).cdf(k - 0.5)
    return float(sum(math.comb(n, i) for i in range(k, n + 1)) / (1 << n))
