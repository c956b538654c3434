"""What to do next: a pure function of the situation and the policy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labelloop.evaluation.stopping import advice_in
from labelloop.ledger.rounds import Round
from labelloop.workspace.config import LoopConfig

PATIENCE = 10.0
"""Answers that never pause hold a round back for at most this many times the pause that is waited for."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Where the loop stands.

    Attributes:
        items: Items there are.
        last: The newest round.
        waiting: Questions that are with people, of the newest round that asked any.
        closed: Of those, answered or skipped.
        asking: The number of that round.
        asked: Questions of all rounds that exist.
        there: Of those, the ones that the annotator has: all but those that were planned and not sent.
        asking_rounds: Rounds that asked something.
        changes: Changes of annotations ever heard.
        open: Questions of any round that nobody has answered or skipped.
        since_round: Seconds since the newest round began.
        since_first: Seconds since the first change that no round has learned from was heard.
        since_newest: Seconds since the newest change was heard.
        affordable: Questions that hours or money still pay for, beside the open ones; None is no limit.
        relabelled: Whether the model in use speaks other labels than people are asked for.
        aside: Items that are left out as they cannot be read.
    """

    items: int
    last: Round | None = None
    waiting: int = 0
    closed: int = 0
    asking: int = 1
    asked: int = 0
    there: int = 0
    asking_rounds: int = 0
    changes: int = 0
    open: int = 0
    since_round: float = math.inf
    since_first: float = math.inf
    since_newest: float = math.inf
    affordable: int | None = None
    relabelled: bool = False
    aside: int = 0

    @property
    def news(self) -> int:
        """Changes of annotations that no round has learned from."""
        return self.changes - self.last.changes if self.last else self.changes


_DEFAULT = LoopConfig()


@dataclass(frozen=True, slots=True)
class Policy:
    """When to go on, and how far: a view of the section [loop].

    What each field means, and its default, says `labelloop.workspace.config.LoopConfig`.
    """

    batch: int = _DEFAULT.batch
    rounds: int = _DEFAULT.rounds
    budget: int = _DEFAULT.budget
    enough: float = _DEFAULT.enough
    retrain_after: int = _DEFAULT.retrain_after
    retrain_every: float = _DEFAULT.retrain_every
    debounce: float = _DEFAULT.debounce
    cool_down: float = _DEFAULT.cool_down
    stop_on_advice: bool = _DEFAULT.stop_on_advice

    @property
    def retrains(self) -> bool:
        """Whether to learn while questions are still open."""
        return bool(self.retrain_after or self.retrain_every)


@dataclass(frozen=True, slots=True)
class Wait:
    """People are at work, or it is too early; after `due` seconds that may have changed by itself."""

    reason: str
    due: float = math.inf


@dataclass(frozen=True, slots=True)
class Start:
    """Learn from the answers and ask up to `room` more (None: as many as a round asks).

    Attributes:
        crowded: It asks nothing because enough questions are open, not because there is nothing to ask.
    """

    number: int
    room: int | None
    reason: str
    crowded: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """Complete a round that was planned and not confirmed."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing is left to do until something changes."""

    reason: str


Action = Wait | Start | Finish | Stop


def decide(now: Situation, policy: Policy) -> Action:
    """Choose the next action. Pure: same situation, same answer."""
    last = now.last
    if now.items == 0:
        return Wait("there are no items yet: labelloop add FOLDER_OR_FILE")
    if last is None:
        return Start(1, _room(now, policy), "nothing has been asked yet")
    if last.state == "planned":
        return Finish(last.number, f"round {last.number} was interrupted before its questions were confirmed")
    action = _next(now, last, policy)
    return _held_back(now, last, policy, action) if isinstance(action, Start) else action


def _next(now: Situation, last: Round, policy: Policy) -> Action:
    """What to do once the newest round is confirmed, without regard to the pauses."""
    room, early = _room(now, policy), _why_early(now, last, policy)
    crowded = room == 0 and left(now, policy) != 0
    wanted = math.ceil(policy.enough * now.waiting)
    if early and (now.closed < wanted or crowded):
        return Start(last.number + 1, room, early, crowded)
    if now.closed < wanted:
        return _wait(now, policy, f"{now.closed} of {wanted} answers to round {now.asking}")
    if crowded:
        return _wait(now, policy, f"{now.open} questions are open")
    has_more = now.items != last.items or now.aside < last.aside or (last.room == 0 and room != 0)
    if last.stopped and not has_more and not now.news and not now.relabelled:
        return Stop(last.stopped)
    if last.stopped and not has_more and policy.retrains and now.open and not early:
        return _wait(now, policy, last.stopped)
    return Start(last.number + 1, room, _why_start(now, last, room))


def _held_back(now: Situation, last: Round, policy: Policy, start: Start) -> Start | Wait:
    """The start, unless people are in the middle of something or the round before has only begun."""
    cooling = policy.cool_down - now.since_round
    if cooling > 0:
        return Wait(f"{start.reason}; cooling down for {_seconds(cooling)} after round {last.number}", cooling)
    settling = policy.debounce - now.since_newest
    if now.news and settling > 0 and now.since_first < PATIENCE * policy.debounce:
        return Wait(f"{start.reason}; waiting for {_seconds(settling)} without another answer", settling)
    return start


def _wait(now: Situation, policy: Policy, reason: str) -> Wait:
    """Wait, saying what else would end it."""
    due = policy.retrain_every - now.since_round if policy.retrain_every and now.news else math.inf
    also = []
    if policy.retrain_after:
        also.append(f"{now.news} of {policy.retrain_after} new answers to learn from")
    if due < math.inf:
        also.append(f"learning from {now.news} new answer(s) in {_seconds(due)}")
    return Wait("; ".join([reason, *also]), due)


def _why_early(now: Situation, last: Round, policy: Policy) -> str:
    """Why to learn although questions are open; empty if not."""
    if now.relabelled:
        return "the labels have changed"
    if policy.retrain_after and now.news >= policy.retrain_after:
        return f"{now.news} new answers since round {last.number}"
    if policy.retrain_every and now.news and now.since_round >= policy.retrain_every:
        return f"{now.news} new answer(s), and round {last.number} began {_seconds(now.since_round)} ago"
    return ""


def _room(now: Situation, policy: Policy) -> int | None:
    """How many questions to ask: a loop that learns while questions are open fills up to a batch of them."""
    most = left(now, policy)
    if not (policy.retrains or now.relabelled) or not now.open:
        return most
    missing = max(0, policy.batch - now.open)
    return missing if most is None else min(most, missing)


def left(now: Situation, policy: Policy) -> int | None:
    """Questions that may still be asked; None is no limit."""
    if policy.rounds and now.asking_rounds >= policy.rounds:
        return 0
    if policy.stop_on_advice and now.last is not None and advice_in(now.last.notes).get("stop"):
        return 0
    limits = [max(0, policy.budget - now.asked)] if policy.budget else []
    limits += [] if now.affordable is None else [now.affordable]
    return min(limits, default=None)


def _why_start(now: Situation, last: Round, room: int | None) -> str:
    if now.relabelled:
        return "the labels have changed"
    if last.asked and not now.waiting:
        return f"the questions of round {last.number} were deleted"
    if last.asked:
        return f"round {last.number} is answered"
    return "there is room for more questions" if room != last.room else "answers or items have changed"


def why_nothing(policy: Policy, room: int | None, aside: int = 0) -> str:
    """Why a round asked nothing, in words.

    Args:
        aside: Items that nobody was asked about, as they cannot be read.
    """
    if aside and (room is None or room > 0):
        return f"every item that can be read has been asked, and {aside} cannot: labelloop doctor names them"
    if room is None or room > 0:
        return "every item has been asked"
    if policy.rounds:
        return f"all {policy.rounds} rounds have been asked"
    return f"the budget of {policy.budget} questions is spent"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
