"""What showing the model's guess does to people: whether they follow it, and what time it saves, against blind ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np

from labelloop.evaluation.intervals import wilson
from labelloop.ledger.rounds import Guessed
from labelloop.loop.loop import Loop

RESAMPLES = 2000
SEED = 20_230_127

Side = Literal["assisted", "blind"]


@dataclass(frozen=True, slots=True)
class Reply:
    """The first answer to a question about which a model had said something.

    Attributes:
        round: That asked the question.
        said: The labels of the answer; None for a skip.
        guess: Those of the guess that was there when the question was opened.
        seconds: The person took; None where that is not known.
    """

    side: Side
    round: int
    said: tuple[str, ...] | None
    guess: tuple[str, ...]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Arm:
    """Answers of one side. Shares are of the answers without the skips.

    Attributes:
        answers: Answers, skips included.
        accepted: Those that say exactly what the model says.
        edited: Those that share some label with it, of a multiple choice.
        rejected: Those that share none.
        agreement: Share accepted, with its 95 % interval `low` to `high` (Wilson); None without an answer.
        seconds: Median, with its 95 % interval by bootstrap; None where no time is known.
    """

    answers: int
    skipped: int
    accepted: int
    edited: int
    rejected: int
    agreement: float | None
    low: float
    high: float
    seconds: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class Bias:
    """Both sides, over the rounds that asked some questions blind; without such a round, all that was assisted.

    Attributes:
        anchoring: Agreement of the assisted less that of the blind, with its 95 % interval; None without both.
        speed: Median seconds of the assisted over those of the blind, with its 95 % interval; None without both.
        unknown: Answers left out, because a new guess was on its way when the question was opened, because guesses were
            hidden or may have been, or because nobody knows what it showed.
    """

    assisted: Arm
    blind: Arm
    anchoring: tuple[float, float, float] | None
    speed: tuple[float, float, float] | None
    unknown: int = 0

    def as_dict(self) -> Mapping[str, Any]:
        """The comparison for scripts."""
        return {
            "assisted": asdict(self.assisted),
            "blind": asdict(self.blind),
            "anchoring": self.anchoring,
            "speed": self.speed,
            "unknown": self.unknown,
        }

    def anchoring_in_words(self) -> str:
        """The difference in agreement, and what it means."""
        if self.anchoring is None:
            return "unknown: no answers to blind questions yet; set blind_share = 0.1 under [loop]"
        share, low, high = (100 * one for one in self.anchoring)
        return f"{share:+.1f} points ({low:+.1f} to {high:+.1f}): {_verdict(low, high)}"

    def in_words(self) -> str:
        """The comparison for people."""
        lines = [_arm_in_words("assisted", self.assisted), _arm_in_words("blind", self.blind)]
        lines.append(f"anchoring  {self.anchoring_in_words()}")
        if self.speed is not None:
            ratio, low, high = self.speed
            lines.append(f"speed      assisted takes {ratio:.2f} x ({low:.2f} to {high:.2f}) the seconds of blind")
        if self.unknown:
            lines.append(
                f"left out   {self.unknown} answer(s): nobody knows which guess they saw, or guesses were hidden"
            )
        return "\n".join(lines)


def bias(loop: Loop) -> Bias:
    """What showing the guess did so far. Reads the ledger only."""
    found = list(_replies(loop))
    known = [one for one in found if one is not None]
    return compared(known, unknown=len(found) - len(known))


def compared(replies: Sequence[Reply], *, unknown: int = 0) -> Bias:
    """Compare both sides. Chance decides which questions are blind, so that nothing else differs within a round. Pure.

    The intervals of the difference are Newcombe's (1998, Statistics in Medicine 17, method 10), those of the seconds by
    bootstrap (percentiles).
    """
    mixed = {one.round for one in replies if one.side == "blind"}
    sides = {
        side: [one for one in replies if one.side == side and (one.round in mixed or not mixed)]
        for side in ("assisted", "blind")
    }
    assisted, blind = (_arm(sides[side]) for side in ("assisted", "blind"))
    times = [np.array([one.seconds for one in some if one.seconds is not None]) for some in sides.values()]
    return Bias(assisted, blind, _difference(assisted, blind), _ratio(*times), unknown)


def shown_at(guesses: Sequence[Guessed], opened: datetime) -> Guessed | None:
    """The guess that was there at a time; None where there was none, or where that is not certain. Pure.

    Args:
        guesses: Of one question, oldest first.
    """
    found: Guessed | None = None
    for one in guesses:
        if one.planned_at > opened:
            return found
        if one.sent_at is None or one.sent_at > opened:
            return None
        found = one
    return found


def _replies(loop: Loop) -> Iterator[Reply | None]:
    """The first answer to every question to learn from; None where nobody knows which guess was there."""
    said, guesses, seen = loop.ledger.answers.current(), loop.ledger.rounds.guesses(), loop.ledger.answers.seen_at()
    for one in loop.ledger.answers.questions(["answered", "skipped"]):
        if one.purpose not in ("train", "blind") or one.item_id not in guesses or one.item_id not in said:
            continue
        first = min(said[one.item_id], key=lambda answer: (answer.created_at, answer.id))
        opened = first.created_at - timedelta(seconds=first.lead_time or 0.0)
        guess = shown_at(guesses[one.item_id], opened)
        guessed = loop.names_in(guess.regions) if guess else None
        answer = None if first.skipped else loop.names_in(first.regions)
        hidden = guess is not None and guess.shown and not seen(opened)
        if guess is None or guessed is None or hidden or (answer is None and not first.skipped):
            yield None
        else:
            yield Reply("assisted" if guess.shown else "blind", one.round, answer, guessed, first.lead_time)


def _arm(replies: Sequence[Reply]) -> Arm:
    answered = [one for one in replies if one.said is not None]
    accepted = sum(one.said == one.guess for one in answered)
    edited = sum(one.said != one.guess and bool(set(one.said or ()) & set(one.guess)) for one in answered)
    times = np.array([one.seconds for one in replies if one.seconds is not None])
    low, high = wilson(accepted, len(answered))
    return Arm(
        answers=len(replies),
        skipped=len(replies) - len(answered),
        accepted=accepted,
        edited=edited,
        rejected=len(answered) - accepted - edited,
        agreement=accepted / len(answered) if answered else None,
        low=low,
        high=high,
        seconds=_interval(np.median(times), _medians(times)) if len(times) else None,
    )


def _difference(one: Arm, other: Arm) -> tuple[float, float, float] | None:
    if one.agreement is None or other.agreement is None:
        return None
    p, q = one.agreement, other.agreement
    down = math.hypot(p - one.low, other.high - q)
    up = math.hypot(one.high - p, q - other.low)
    return p - q, p - q - down, p - q + up


def _ratio(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float] | None:
    if not len(one) or not len(other) or min(one.min(), other.min()) <= 0:
        return None
    drawn = _medians(one) / _medians(other, SEED + 1)
    return _interval(np.median(one) / np.median(other), drawn)


def _medians(values: np.ndarray, seed: int = SEED) -> np.ndarray:
    """(`RESAMPLES`,) medians of draws with replacement."""
    rng = np.random.default_rng(seed)
    return np.array([np.median(rng.choice(values, len(values))) for _ in range(RESAMPLES)])


def _interval(value: Any, drawn: np.ndarray) -> tuple[float, float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(value), float(low), float(high)


def _verdict(low: float, high: float) -> str:
    if low > 0:
        return "people follow the guess more than they agree with it blind"
    if high < 0:
        return "people contradict the guess more than they disagree with it blind"
    return "no difference that these answers could show"


def _arm_in_words(name: str, arm: Arm) -> str:
    line = f"{name:<10} {arm.answers} answer(s)"
    if arm.agreement is None:
        return line
    counts = f"{arm.accepted} accepted, {arm.edited} edited, {arm.rejected} rejected, {arm.skipped} skipped"
    if name == "blind":
        counts = f"{arm.accepted} as the model says, {arm.edited} in part, {arm.rejected} not, {arm.skipped} skipped"
    line += f": {counts}; agreement {arm.agreement:.2f} ({arm.low:.2f} to {arm.high:.2f})"
    if arm.seconds:
        line += f"; {arm.seconds[0]:.1f} s ({arm.seconds[1]:.1f} to {arm.seconds[2]:.1f}) in the median"
    return line
