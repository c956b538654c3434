"""The gate: whether a new model may take the place of the one in use, by a paired test on the holdout."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from labelloop.evaluation.intervals import bootstrap, effective
from labelloop.evaluation.metrics import SEED, Statistic, check, decide, score_name, summed
from labelloop.types import Gate, Metric

LEVEL = 0.05
"""How often a model that is worse by more than the margin may pass."""

TELLING = 50
"""From so many held-out answers on a new model has to score higher; before, as high is enough, or none would follow."""

_Z2 = NormalDist().inv_cdf(1 - LEVEL) ** 2
_STEPS = 40
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Judging:
    """How two models are compared.

    Attributes:
        groups: (n,) near duplicates have the same one, and count for less; None where every item stands for itself.
    """

    multiple: bool = False
    metric: Metric = "auto"
    rule: Gate = "not-worse"
    groups: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a challenger is promoted, and why.

    Attributes:
        gain: How much higher it scores on the holdout than the model in use.
        loss: How much lower it may truly score, at most, with 95 % certainty; below 0 it is surely better.
    """

    promoted: bool
    reason: str
    gain: float = 0.0
    loss: float = 1.0


def margin(n: float) -> float:
    """The loss of score that n held-out answers can rule out, in [0, 1].

    0.3 / sqrt(n), found by simulation (docs/decisions/0021-the-gate.md), and never less than what two models that
    never differ leave open, which is `loss_bound(0, 0, n)`.
    """
    return max(0.3 / math.sqrt(n), _Z2 / (n + _Z2))


def judge(champion: np.ndarray, challenger: np.ndarray, targets: np.ndarray, how: Judging) -> Verdict:
    """Whether the challenger may take the champion's place.

    It may if it scores higher on the same held-out items (as high, if these are fewer than `TELLING`), and a one-sided
    bound at 5 % rules out that it is worse by more than `margin`; by the rule `better`, that it is worse at all. The
    bound is Tango's (1998, Statistics in Medicine 17) for accuracy, with McNemar's exact test where nothing is allowed;
    for F1 it is the BCa bootstrap's.

    Args:
        champion: (n, k) probabilities of the model in use.
        challenger: (n, k) probabilities of the new one.
        targets: (n, k) bool.

    Raises:
        ConfigError: The shapes do not fit, or a probability is not a number.
    """
    wanted = np.asarray(targets, np.bool_)
    for probabilities in (champion, challenger):
        check(probabilities, wanted, wanted.shape[1], how.multiple)
    if len(wanted) == 0:
        return Verdict(True, "promoted: no held-out answers to judge it by yet")
    old, new = (decide(np.asarray(one), how.multiple) for one in (champion, challenger))
    change = (new == wanted).sum(axis=1) - (old == wanted).sum(axis=1)
    if score_name(how.metric, how.multiple) == "accuracy":
        return _verdict(change, how, lambda worth: _by_items(old, new, wanted, worth))
    before, statistic = summed(old, wanted, how.metric, how.multiple)
    after, _ = summed(new, wanted, how.metric, how.multiple)
    return _verdict(change, how, lambda _: _by_resampling(before, after, statistic, how))


def judge_counts(champion: np.ndarray, challenger: np.ndarray, statistic: Statistic, how: Judging) -> Verdict:
    """`judge`, by what a kind of question counts of the answers of both to the same held-out items.

    The bound is the BCa bootstrap's. An item counts as won where the challenger would score higher on it alone.

    Args:
        champion: (n, c) counts of the model in use.
        challenger: (n, c) counts of the new one.
        statistic: (b, c) sums of counts -> (b,) scores.
    """
    if len(champion) == 0:
        return Verdict(True, "promoted: no held-out answers to judge it by yet")
    change = np.sign(statistic(challenger) - statistic(champion))
    return _verdict(change, how, lambda _: _by_resampling(champion, challenger, statistic, how))


def _verdict(change: np.ndarray, how: Judging, proof: Callable[[float], tuple[float, float, bool]]) -> Verdict:
    """The verdict where each item has become better by `change`.

    Args:
        proof: How much the items are worth -> (gain, most loss, surely better).
    """
    won, lost = int((change > 0).sum()), int((change < 0).sum())
    seen = f"better on {won} and worse on {lost} of {len(change)} held-out items"
    if how.rule == "always":
        return Verdict(True, f"promoted, as loop.gate says: {seen}")
    worth = effective(change.astype(np.float64), how.groups)
    gain, loss, proved = proof(worth)
    if how.rule == "better":
        return _if_better(proved, seen, gain, loss)
    return _if_not_worse(worth, seen, gain, loss)


def loss_bound(won: float, lost: float, n: float) -> float:
    """How much lower the share of right items may truly be, at most, with 95 % certainty.

    The upper end of Tango's one-sided score interval for paired proportions.

    Args:
        won, lost: Items of n that only the challenger, only the champion has right; may be effective counts.
    """
    low, high = -1.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _tango(won, lost, n, middle) > LEVEL else (low, middle)
    return high


def sign_test(won: int, lost: int) -> float:
    """Chance of so many wins among won + lost if both are equally good: McNemar's exact test, one-sided."""
    n = won + lost
    if n > 4000:
        return 1.0 - NormalDist(n / 2, math.sqrt(n) / 2).cdf(won - 0.5)
    return float(sum(math.comb(n, i) for i in range(won, n + 1)) / (1 << n))


def _if_better(proved: bool, seen: str, gain: float, loss: float) -> Verdict:
    if proved:
        return Verdict(True, f"promoted: surely better; {seen}", gain, loss)
    return Verdict(False, f"kept the model in use: the new one is not surely better; {seen}", gain, loss)


def _if_not_worse(worth: float, seen: str, gain: float, loss: float) -> Verdict:
    allowed = margin(worth)
    if gain < -_CLOSE:
        return Verdict(False, f"kept the model in use: the new one scores lower; {seen}", gain, loss)
    if gain < _CLOSE and worth >= TELLING:
        return Verdict(False, f"kept the model in use: the new one does not score higher; {seen}", gain, loss)
    if loss > allowed + _CLOSE:
        return Verdict(
            False,
            f"kept the model in use: the new one may be up to {_points(loss)} worse, {_points(allowed)} are allowed; "
            f"{seen}",
            gain,
            loss,
        )
    bound = f"at most {_points(loss)} worse" if loss > 0 else "surely better"
    return Verdict(True, f"promoted: {bound}, with 95 % certainty; {seen}", gain, loss)


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def _by_items(old: np.ndarray, new: np.ndarray, wanted: np.ndarray, worth: float) -> tuple[float, float, bool]:
    """(gain, most loss, surely better) of accuracy."""
    before, after = ((one == wanted).all(axis=1) for one in (old, new))
    share = worth / len(wanted)
    won, lost = share * float((after & ~before).sum()), share * float((before & ~after).sum())
    loss = loss_bound(won, lost, worth)
    return (won - lost) / worth, loss, won > lost and sign_test(round(won), round(lost)) <= LEVEL


def _by_resampling(
    before: np.ndarray, after: np.ndarray, statistic: Statistic, how: Judging
) -> tuple[float, float, bool]:
    """(gain, most loss, surely better) of a score that is a statistic of summed counts, such as an F1."""
    width, counts = before.shape[1], np.concatenate([before, after], axis=1)

    def gained(sums: np.ndarray) -> np.ndarray:
        difference: np.ndarray = statistic(sums[:, width:]) - statistic(sums[:, :width])
        return difference

    low, _ = bootstrap(gained, counts, np.random.default_rng(SEED), confidence=1 - 2 * LEVEL, groups=how.groups)
    return float(gained(counts.sum(axis=0, keepdims=True))[0]), -low, low > 0


def _tango(won: float, lost: float, n: float, loss: float) -> float:
    """The p-value of: the challenger is worse by `loss` or more (Tango 1998, equations 3 and 4)."""
    b = -won - lost - loss * (2 * n - won + lost)
    c = lost * loss * (1 + loss)
    q = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    spread = n * (2 * q - loss * (1 + loss))
    excess = won - lost + n * loss
    if spread <= 1e-12:
        return 0.0 if excess > 0 else 1.0
    return 1.0 - NormalDist().cdf(excess / math.sqrt(spread))
