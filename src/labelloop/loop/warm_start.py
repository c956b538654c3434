"""Whether a new model begins from an earlier one: decided on answers that neither of the two ways has learned from."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelloop.evaluation import holdout, metrics
from labelloop.ledger.rounds import Round
from labelloop.loop.withdrawn import blocked, is_rollback

SHARE = 0.5
"""The part of the new answers that is kept back, to compare with."""

FEWEST = 20
"""Groups of kept-back answers below which nothing is compared."""

_SURE = 1.645
"""Standard errors of the mean gain: about 5 % of the comparisons of two equal ways choose the warm start."""


@dataclass(frozen=True)
class Compared:
    """Which way is taken, and why in words."""

    warm: bool
    reason: str


def beginning(history: Sequence[Round], order: Sequence[str], ours: Collection[str]) -> Round | None:
    """The round of the newest model that was put to use before the newest answers to learn from. Pure.

    The same answers have the same beginning, so that learning twice gives the same model. A model that was rolled back
    is none.

    Args:
        history: The rounds, oldest first.
        order: The item of every change of an answer, as they were heard.
        ours: The items that may be learned from.
    """
    for one in reversed(history):
        own = one.promoted and not is_rollback(one) and one.model not in blocked(history[-1])
        if own and any(item in ours for item in order[one.changes :]):
            return one
    return None


def recipe_in(notes: Mapping[str, Any]) -> str:
    """The recipe of the learner that a round notes; empty where that cannot begin from an earlier model."""
    return str(notes.get("learner", ""))


def noted(recipe: str) -> Mapping[str, Any]:
    """What a round notes of its learner."""
    return {"learner": recipe}


def kept_back(groups: np.ndarray, learned: Collection[str], salt: str) -> np.ndarray:
    """(n,) bool: the examples that are kept back, by a hash of their group; none that was learned from. Pure.

    Args:
        groups: (n,) the group of near duplicates of each example.
        learned: The groups that the earlier model may have learned from.
    """
    fresh = ~np.isin(groups, list(learned))
    chosen: np.ndarray = fresh & (holdout.draw_order(groups, salt) < SHARE)
    return chosen


def too_few(groups: np.ndarray) -> Compared | None:
    """Why these groups of kept-back examples say too little; None if they are enough."""
    there = len(np.unique(groups))
    if there >= FEWEST:
        return None
    return Compared(False, f"from nothing, as {there} kept-back answers are too few to compare by ({FEWEST} needed)")


def compare(cold: np.ndarray, warm: np.ndarray, targets: np.ndarray, groups: np.ndarray, *, multiple: bool) -> Compared:
    """The warm start if its log loss is surely lower, by a one-sided paired test at 5 %; else the cold one. Pure.

    Args:
        cold, warm: (n, k) probabilities of the kept-back examples.
        targets: (n, k) bool.
        groups: (n,) near duplicates have the same one, and count once.
    """
    losses = [metrics.losses(one, targets, multiple) for one in (cold, warm)]
    return compare_losses(losses[0], losses[1], groups, "log loss")


def compare_losses(cold: np.ndarray, warm: np.ndarray, groups: np.ndarray, name: str) -> Compared:
    """`compare`, by the loss (n,) of each kept-back example, whatever it is. Pure."""
    place = np.unique(groups, return_inverse=True)[1]
    gains = np.bincount(place, cold - warm) / np.bincount(place)
    error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
    seen = f"{name} {warm.mean():.3f} warm, {cold.mean():.3f} cold, on {len(cold)} kept-back answers"
    if gains.mean() > _SURE * error:
        return Compared(True, f"from it, as that is surely better: {seen}")
    return Compared(False, f"from nothing, as a warm start is not surely better: {seen}")
