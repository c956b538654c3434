"""Whether more labels still pay: three signals, of which two must agree, and the advice in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from labelloop.evaluation import holdout
from labelloop.evaluation.forecast import Forecast
from labelloop.evaluation.gate import sign_test

ROUNDS = 3
"""Rounds that must agree, or bring nothing."""

KAPPA = 0.99
LEAST_GAIN = 0.01
SURE = 0.8
STOP_SET = 1000
FEWEST_HELD_OUT = 100
FEWEST_OF_ALL = 30
"""Where the whole holdout is smaller than that, all of it will do, down to this many."""
SALT = "stop set"
_SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Signal:
    """One reason to stop, or not to.

    Attributes:
        says_stop: None while it cannot say.
    """

    says_stop: bool | None
    words: str


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether to stop asking.

    Attributes:
        stop: At least two of three signals say so.
        words: The advice with its reason.
        signals: `stable`, `flat`, `spent`.
    """

    stop: bool
    words: str
    signals: Mapping[str, Signal]

    def noted(self) -> Mapping[str, Any]:
        """What a round notes of it."""
        return {"advice": asdict(self)}


def advice_in(notes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The advice that a round notes, as plain data: `stop`, `words`, `signals`; empty before there is a model."""
    found: Mapping[str, Any] = notes.get("advice", {})
    return found


def stop_set(ids: Sequence[str] | np.ndarray, salt: str, size: int = STOP_SET) -> np.ndarray:
    """Positions of the items on which successive models are compared: fixed by a hash of their ids, in order."""
    order = np.argsort(holdout.draw_order(ids, f"{SALT} {salt}"), kind="stable")
    return np.sort(order[:size])


def kappa(before: np.ndarray, after: np.ndarray) -> float:
    """Cohen's kappa of two models' decisions on the same items (Cohen 1960); 1 where both always say one thing.

    Args:
        before, after: (n, k) bool; for a multiple choice every decision counts on its own.
    """
    if before.shape[1] == 0 or len(before) == 0:
        return 1.0
    if (before.sum(axis=1) == 1).all() and (after.sum(axis=1) == 1).all():
        same = float((before & after).any(axis=1).mean())
        chance = float(before.mean(axis=0) @ after.mean(axis=0))
    else:
        same = float((before == after).mean())
        yes, again = float(before.mean()), float(after.mean())
        chance = yes * again + (1 - yes) * (1 - again)
    return 1.0 if chance >= 1.0 else (same - chance) / (1.0 - chance)


def stable(kappas: Sequence[float]) -> Signal:
    """Whether the last models say the same about the stop set (Bloodgood and Vijay-Shanker 2009).

    Args:
        kappas: Of each model with the one before it, oldest first.
    """
    if len(kappas) < ROUNDS:
        return Signal(None, f"only {len(kappas)} of {ROUNDS} changes of the model to compare")
    lowest = min(kappas[-ROUNDS:])
    holds = lowest >= KAPPA
    return Signal(holds, f"the last {ROUNDS + 1} models agree with kappa {lowest:.3f} or more (stable from {KAPPA})")


def flat(before: np.ndarray, after: np.ndarray, there: int = FEWEST_HELD_OUT) -> Signal:
    """Whether the holdout shows no gain over the last rounds: less than a point, and not significant.

    Args:
        before, after: (n,) wrong decisions per held-out item, of the model some rounds ago and of this one.
        there: Items that are held out: more answers than that never come.
    """
    n, wanted = len(before), max(FEWEST_OF_ALL, min(FEWEST_HELD_OUT, there))
    if n < wanted:
        return Signal(None, f"only {n} of {wanted} held-out answers to see a gain on")
    won, lost = int((after < before).sum()), int((after > before).sum())
    gain, p = (won - lost) / n, sign_test(won, lost)
    holds = gain < LEAST_GAIN and p > _SIGNIFICANT
    return Signal(holds, f"{100 * gain:+.1f} points on the holdout over the last {ROUNDS} rounds (p = {p:.2g})")


def spent(curve: Forecast | None, more: int) -> Signal:
    """Whether the forecast says that so many more answers bring less than a point."""
    if curve is None:
        return Signal(None, "too few scores for a forecast")
    unlikely = 1.0 - curve.chance_of_gain(more, LEAST_GAIN)
    gain = curve.gain(more)
    band = f"{100 * gain.middle:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    return Signal(unlikely >= SURE, f"{more} more answers would bring {band}")


def advise(signals: Mapping[str, Signal], left: int | None = None, there: int = FEWEST_HELD_OUT) -> Advice:
    """Stop when at least two signals say so, or nothing is left to ask.

    Args:
        left: Items that have not been asked; None is some.
        there: Items that are held out. Where none is, two signals can never say anything, and the third is enough.
    """
    if left == 0:
        return Advice(True, "nothing is left to ask: every item has been asked, add more for a better model", signals)
    votes = [one.words for one in signals.values() if one.says_stop]
    against = [one.words for one in signals.values() if not one.says_stop]
    if votes and not there:
        known = "as far as this can be known without a score"
        return Advice(True, f"more labels would hardly help, {known}: {votes[0]}", signals)
    if len(votes) >= 2:
        return Advice(True, "more labels would hardly help: " + "; ".join(votes), signals)
    return Advice(False, "go on: " + "; ".join(against), signals)
