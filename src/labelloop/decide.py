"""What to do next: a pure function of the situation and the policy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labelloop.ledger.rounds import Round


@dataclass(frozen=True, slots=True)
class Situation:
    """Where the loop stands.

    Attributes:
        items: Items there are.
        last: The newest round.
        waiting: Questions of the newest round that are with people.
        closed: Of those, answered or skipped.
        asked: Questions of all rounds that exist.
        asking_rounds: Rounds that asked something.
        changes: Changes of annotations ever heard.
    """

    items: int
    last: Round | None = None
    waiting: int = 0
    closed: int = 0
    asked: int = 0
    asking_rounds: int = 0
    changes: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """When to go on, and how far.

    Attributes:
        batch: Items to learn from asked per round.
        rounds: Rounds that ask; 0 is no limit.
        budget: Questions in total, the holdout's included; 0 is no limit.
        enough: Share of a round's questions that must be answered or skipped before the next one.
    """

    batch: int = 50
    rounds: int = 0
    budget: int = 0
    enough: float = 1.0


@dataclass(frozen=True, slots=True)
class Wait:
    """People are at work."""

    reason: str


@dataclass(frozen=True, slots=True)
class Start:
    """Learn from the answers and ask up to `room` more (None: as many as a round asks)."""

    number: int
    room: int | None
    reason: str


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
    wanted = math.ceil(policy.enough * now.waiting)
    if now.closed < wanted:
        return Wait(f"{now.closed} of {wanted} answers to round {last.number}")
    room = _room(now, policy)
    if last.asked == 0 and (now.changes, now.items, room) == (last.changes, last.items, last.room):
        return Stop(last.stopped)
    return Start(last.number + 1, room, _why_start(now, last, room))


def _room(now: Situation, policy: Policy) -> int | None:
    if policy.rounds and now.asking_rounds >= policy.rounds:
        return 0
    return max(0, policy.budget - now.asked) if policy.budget else None


def _why_start(now: Situation, last: Round, room: int | None) -> str:
    if last.asked and not now.waiting:
        return f"the questions of round {last.number} were deleted"
    if last.asked:
        return f"round {last.number} is answered"
    return "there is room for more questions" if room != last.room else "answers or items have changed"


def why_nothing(policy: Policy, room: int | None) -> str:
    """Why a round asked nothing, in words."""
    if room is None or room > 0:
        return "every item has been asked"
    if policy.rounds:
        return f"all {policy.rounds} rounds have been asked"
    return f"the budget of {policy.budget} questions is spent"
