"""Whether labels that were taken unseen have become too wrong: a bet against them, to be looked at at any time. Pure.

A martingale of likelihood ratios: the bank bets, answer by answer, that the error is larger than promised, spreading
its money over several larger errors and over several moments at which it may have become so. If the promise holds, the
money reaches 1 / alpha with a chance of at most alpha, however long and however often one looks (Ville 1939; Shafer
2021; Waudby-Smith and Ramdas 2024). CUSUM finds a change sooner, but its false alarms are only rare, and certain to
come in the end; an audit that is permanent must not do that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALPHA = 0.05
TIMES = (1.5, 2.0, 3.0, 5.0, 10.0)
"""The errors that are bet on, over the one that was promised."""

_RICH = 1e300
_MOST = 0.9
_FROM_THE_START = 0.5
"""The share of the money that is bet from the first answer; the rest waits for later starts."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Where an audit stands.

    Attributes:
        checked: Answers of people so far.
        wrong: Of these, answers that say something else than the label that was taken.
        evidence: The money of the bet, which began with 1; the labels are revoked from 1 / alpha on.
        revoked_at: Answers after which it got there; None if it did not.
    """

    checked: int
    wrong: int
    evidence: float
    revoked_at: int | None


def audit(wrong: Sequence[bool] | np.ndarray, error: float, alpha: float = ALPHA) -> Audit:
    """Judge the answers, in the order in which they were asked.

    Args:
        wrong: (n,) whether people say something else.
        error: The share that was promised.
        alpha: Chance of revoking although the promise holds, for good.
    """
    path = evidence(wrong, error)
    crossed = np.flatnonzero(path >= 1.0 / alpha)
    return Audit(
        checked=len(path),
        wrong=int(np.sum(wrong)),
        evidence=float(path[-1]) if len(path) else 1.0,
        revoked_at=int(crossed[0]) + 1 if len(crossed) else None,
    )


def evidence(wrong: Sequence[bool] | np.ndarray, error: float) -> np.ndarray:
    """(n,) the money of the bet after each answer."""
    answers = np.asarray(wrong, np.bool_)
    suspected = np.unique(np.minimum(np.array(TIMES) * error, max(_MOST, (1.0 + error) / 2)))
    won, lost = suspected / error, (1.0 - suspected) / (1.0 - error)
    betting, waiting = np.zeros(len(suspected)), 1.0
    path = np.empty(len(answers))
    for i, is_wrong in enumerate(answers):
        started = _FROM_THE_START if i == 0 else (1.0 - _FROM_THE_START) / (i * (i + 1))
        waiting -= started
        betting = np.minimum((betting + started) * (won if is_wrong else lost), _RICH)
        path[i] = betting.mean() + waiting
    return path
