"""Where the learning curve is going: a posterior over curves, from the honest scores of the rounds so far.

A curve is a * (1 - exp(-k * x^b)), the form that PALM found for active learning (Machnio, Nielsen and Ghazi 2025, arXiv
2507.15381), x being the answers learned from over those of the newest round. Its parameters are drawn from a prior and
weighted by how well they explain the scores. Scores of different rounds come from the same held-out items, so their
errors go together; the likelihood says so, or a run of lucky rounds would look like certainty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelloop.errors import ConfigError

FEWEST = 3
"""Rounds with a score that a forecast needs."""

CONFIDENCE = 0.9
_DRAWS = 8000
_SEED = 20_250_721
_SHARED = 0.7
"""Correlation of two rounds' being right on the same held-out item."""

_WIGGLE = 0.012
"""Standard deviation of a model's true score around a smooth curve."""

_EXPONENT = (-0.5, 0.45)
"""Mean and deviation of log b."""

_FARTHEST = 1000.0
"""Answers are forecast up to this many times those there are."""


@dataclass(frozen=True, slots=True)
class Point:
    """A round's honest score.

    Attributes:
        labels: Answers the model was trained on.
        score: In [0, 1].
        n: Held-out items it was measured on.
    """

    labels: int
    score: float
    n: int


@dataclass(frozen=True, slots=True)
class Band:
    """A median, and the 90 % band around it."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """A posterior over learning curves, as equally probable draws.

    Attributes:
        now: Answers that the newest score comes from.
        asymptote: (s,) the score that each curve approaches.
        rate, exponent: (s,) how it does.
        off: (s,) how far the model at any one moment is off its curve.
    """

    now: int
    asymptote: np.ndarray
    rate: np.ndarray
    exponent: np.ndarray
    off: np.ndarray

    def score(self, labels: float) -> Band:
        """The true score of a model trained on so many answers."""
        return _band(np.clip(self._at(labels) + self.off, 0.0, 1.0))

    def gain(self, more: float) -> Band:
        """What so many more answers bring, in score."""
        return _band(self._at(self.now + more) - self._at(self.now))

    def chance_of_gain(self, more: float, gain: float) -> float:
        """How probable it is that so many more answers bring at least so much."""
        return float((self._at(self.now + more) - self._at(self.now) >= gain).mean())

    def needed(self, target: float) -> Band:
        """Answers, all in all, to reach a score; infinite where a curve never does, `now` where it has."""
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.log1p(-np.minimum(target / self.asymptote, 1.0))
            times = np.power(-left / self.rate, 1.0 / self.exponent)
        labels = np.where(target >= self.asymptote, np.inf, np.maximum(times, 1.0) * self.now)
        return _band(np.where(labels > _FARTHEST * self.now, np.inf, labels))

    def _at(self, labels: float) -> np.ndarray:
        made: np.ndarray = self.asymptote * -np.expm1(-self.rate * (labels / self.now) ** self.exponent)
        return made


def fit(points: Sequence[Point]) -> Forecast:
    """The curves that explain these scores; the same scores give the same curves.

    Raises:
        ConfigError: There are fewer than three rounds with a score, or they are not about growing numbers of answers.
    """
    known = [one for one in points if one.labels > 0 and one.n > 0]
    if len(known) < FEWEST:
        raise ConfigError(
            f"{len(known)} round(s) have an honest score, a forecast needs {FEWEST}", "go on: labelloop watch"
        )
    labels = np.array([one.labels for one in known], float)
    if (np.diff(labels) <= 0).any():
        raise ConfigError("the rounds do not learn from more and more answers", "give one point per number of answers")
    scores, n = (np.array([getattr(one, name) for one in known], float) for name in ("score", "n"))
    rng = np.random.default_rng(_SEED)
    errors = _covariance(scores, n)
    level = float(np.clip(scores[-3:].mean(), 0.02, 0.98))
    height = np.clip(level + 2.5 * math.sqrt(errors[-1, -1]) * rng.standard_normal(_DRAWS), 0.01, 0.995)
    asymptote = height + (1.0 - height) * rng.random(_DRAWS)
    rate = -np.log1p(-height / asymptote)
    exponent = np.exp(rng.normal(*_EXPONENT, _DRAWS))
    prior = Forecast(int(labels[-1]), asymptote, rate, exponent, rng.normal(0.0, _WIGGLE, _DRAWS))
    misses = np.stack([prior._at(one) for one in labels]) - scores[:, None]
    unlikely = np.square(np.linalg.solve(np.linalg.cholesky(errors), misses)).sum(axis=0) / 2
    weights = np.exp(unlikely.min() - unlikely)
    drawn = rng.choice(_DRAWS, _DRAWS, p=weights / weights.sum())
    return Forecast(prior.now, asymptote[drawn], rate[drawn], exponent[drawn], prior.off)


def _covariance(scores: np.ndarray, n: np.ndarray) -> np.ndarray:
    """(m, m) of the errors of m scores, measured on ever larger parts of one holdout."""
    level = float(np.clip(scores[-3:].mean(), 0.05, 0.95))
    spread = level * (1.0 - level)
    errors: np.ndarray = _SHARED * spread / np.maximum.outer(n, n)
    errors[np.diag_indices(len(n))] = spread / n + _WIGGLE**2
    return errors


def _band(values: np.ndarray) -> Band:
    edges = ((1.0 - CONFIDENCE) / 2, 0.5, (1.0 + CONFIDENCE) / 2)
    low, middle, high = np.quantile(values, edges, method="inverted_cdf")
    return Band(float(low), float(middle), float(high))
