"""What choosing has saved: how many answers drawn at random would have made a model as good as today's."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.evaluation.answers import right
from labelloop.protocols import Learner, Sketching
from labelloop.types import Examples, only

FEWEST = 60
"""Random answers below which nothing is said."""

SIZES = 5
REPEATS = 8
LARGEST = 0.8
"""Share of the random answers that the largest sample learns from; the others judge it."""

BEYOND = 4.0
"""How far beyond the largest sample the curve is trusted."""

_RESAMPLES = 500
_SEED = 5


@dataclass(frozen=True, slots=True)
class Savings:
    """Answers drawn at random that a model like today's would have needed.

    Attributes:
        learned_from: Answers today's model learned from.
        random_answers: How many random ones the estimate rests on.
        needed: The estimate; None where it is not known, or more than `most`.
        low, high: The 95 % interval; None is more than `most`.
        most: Beyond this nothing is said.
        known: Whether there are enough random answers to say anything.
    """

    learned_from: int
    random_answers: int
    needed: int | None = None
    low: int | None = None
    high: int | None = None
    most: int = 0
    known: bool = False

    @property
    def is_gain(self) -> bool:
        """Whether random would surely have taken more answers."""
        return self.known and (self.low is None or self.low > self.learned_from)

    @property
    def is_loss(self) -> bool:
        """Whether random would surely have taken fewer."""
        return self.known and self.high is not None and self.high < self.learned_from

    def as_dict(self) -> Mapping[str, Any]:
        """For scripts."""
        return {**asdict(self), "words": self.in_words()}

    def in_words(self) -> str:
        """What it says, for people."""
        if not self.known:
            return f"not yet known: {self.random_answers} answers to random items, {FEWEST} are needed"
        said = f"at random it would have taken {self._counted(self.needed)} answers "
        said += f"({self._counted(self.low)} to {self._counted(self.high)}), it took {self.learned_from}"
        if self.is_gain:
            return f"{said}: at least {(self.low or self.most) - self.learned_from} saved"
        if self.is_loss:
            return f"{said}: random would have been cheaper"
        return f"{said}: no saving is shown yet"

    def _counted(self, labels: int | None) -> str:
        return f"more than {self.most}" if labels is None else f"{labels}"


@dataclass(frozen=True, slots=True)
class Trust:
    """How far `auto` is left to choose: it watches what choosing saved, and gives way to random where that is less.

    Attributes:
        share: Of what it is asked for; the others are drawn at random.
        looked: The round in which it was last looked at; the next time is when there are twice as many rounds.
        saved: What was found then (`Savings` as plain data); empty before.
    """

    share: float = 1.0
    looked: int = 4
    saved: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, notes: Mapping[str, Any]) -> Trust:
        """As a round notes it."""
        blank = cls()
        looked, saved = notes.get("trust_looked", blank.looked), notes.get("saved", blank.saved)
        return cls(notes.get("trust", blank.share), looked, saved)

    def noted(self) -> Mapping[str, Any]:
        """What a round notes of it."""
        return {"trust": self.share, "trust_looked": self.looked, "saved": self.saved}

    def is_due(self, number: int) -> bool:
        """Whether to look in this round."""
        return number >= 2 * self.looked

    def after(self, number: int, found: Savings) -> Trust:
        """Half of it where random would surely have been cheaper; all of it where a saving is shown."""
        if found.is_loss:
            return Trust(self.share / 2, number, found.as_dict())
        return Trust(1.0 if found.is_gain else self.share, number, found.as_dict())


def is_enough(judged: np.ndarray) -> bool:
    """Whether n random answers, of which (n,) some may judge, say anything."""
    return len(judged) >= FEWEST and int(judged.sum()) >= FEWEST // 2


def sizes(n: int) -> list[int]:
    """The sizes of the samples that n random answers allow, smallest first."""
    return [round(size) for size in np.geomspace(max(15, n / 10), LARGEST * n, SIZES)]


def random_curve(learner: Learner, examples: Examples, judged: np.ndarray) -> np.ndarray:
    """(SIZES x REPEATS, n) int8: whether models of random samples are right about each answer; -1 is not judged.

    The models are thrown away: this is the only place that learns from the holdout, and nothing but this estimate
    sees what it learned.

    Args:
        examples: n answers to items drawn at random, the held-out ones among them, no two near duplicates: one that is
            learned from would judge the other.
        judged: (n,) bool, those that may judge.
    """
    rng = np.random.default_rng(_SEED)
    learner = learner.sketch() if isinstance(learner, Sketching) else learner
    rows = []
    for size in sizes(len(examples)):
        for _ in range(REPEATS):
            chosen = np.sort(rng.permutation(len(examples))[:size])
            right = _right(learner, examples, chosen)
            right[chosen] = -1
            right[~judged] = -1
            rows.append(right)
    return np.asarray(rows, np.int8)


def savings(curve: np.ndarray, today: np.ndarray, learned_from: int) -> Savings:
    """How many random answers reach the share of right answers of today's model. Pure; resampling is seeded.

    A power law without a floor (Hestness et al. 2017, arXiv 1712.00409) through the curve, read where it meets
    today's model. It flatters random, which is said to improve for ever, so that savings are rather too small. The
    interval is a bootstrap over items and samples; both models are judged by the same items.

    Args:
        curve: What `random_curve` gives.
        today: (n,) bool, whether today's model is right about each of the same answers.
        learned_from: Answers it learned from.
    """
    n = curve.shape[1]
    largest = sizes(n)[-1]
    most = int(BEYOND * largest)
    rng = np.random.default_rng(_SEED)
    there = (curve >= 0).any(axis=0)
    items = np.flatnonzero(there)
    point = _needed(curve[:, items], today[items], np.ones(len(items)), np.arange(len(curve)), n)
    drawn = []
    for _ in range(_RESAMPLES):
        weights = np.bincount(rng.integers(len(items), size=len(items)), minlength=len(items)).astype(float)
        rows = np.concatenate([part + rng.integers(REPEATS, size=REPEATS) for part in range(0, len(curve), REPEATS)])
        drawn.append(_needed(curve[:, items], today[items], weights, rows, n))
    low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")

    def counted(value: float) -> int | None:
        return None if value > most else max(1, round(value))

    return Savings(learned_from, n, counted(point), counted(float(low)), counted(float(high)), most, True)


def _needed(curve: np.ndarray, today: np.ndarray, weights: np.ndarray, rows: np.ndarray, n: int) -> float:
    """Where the fitted curve meets today's share of right answers; infinite where it does not."""
    kept = curve[rows]
    seen = ((kept >= 0) * weights).reshape(SIZES, REPEATS, -1).sum(axis=(1, 2))
    right = ((kept == 1) * weights).reshape(SIZES, REPEATS, -1).sum(axis=(1, 2))
    least = 0.5 / n
    errors = np.maximum(1 - right / np.maximum(seen, 1e-9), least)
    error = max(1 - float(today @ weights) / float(weights.sum()), least)
    slope, start = np.polyfit(np.log(sizes(n)), np.log(errors), 1)
    if slope >= -1e-3:
        return inf if error < errors.min() else float(sizes(n)[0])
    exponent = (np.log(error) - start) / slope
    return float(np.exp(exponent)) if exponent < 30 else inf


def _right(learner: Learner, examples: Examples, rows: np.ndarray) -> np.ndarray:
    """(n,) int8: whether a model of these rows is right about every row."""
    free = replace(only(examples, rows), held_out=np.zeros(len(rows), np.bool_))
    with tempfile.TemporaryDirectory(prefix="labelloop-") as folder:
        learner.train(free, Path(folder))
        likely: Any = learner.load(Path(folder)).predict(examples.inputs)
    if examples.kind is not None:
        is_right = right(likely, examples)
    elif examples.multiple:
        is_right = ((likely >= 0.5) == examples.targets).all(axis=1)
    else:
        is_right = likely.argmax(axis=1) == examples.targets.argmax(axis=1)
    told: np.ndarray = is_right.astype(np.int8)
    return told
