"""An earlier model back in use: which there are, and a round that puts one of them in the place of the newest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labelloop.errors import ConfigError, NotFoundError
from labelloop.ledger.rounds import Round
from labelloop.loop.loop import Loop
from labelloop.loop.withdrawn import blocked, is_rollback, noted


@dataclass(frozen=True, slots=True)
class Rollback:
    """One model in another's place.

    Attributes:
        before: The newest round, whose model is in use.
        to: The round that put the model to use which comes back.
        blocked: References of the models that do not come back by themselves.
        already: The rollback that was done before, where one that names no model has nothing more to do.
    """

    before: Round
    to: Round
    blocked: tuple[str, ...]
    already: Round | None = None

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.to.model != self.before.model

    def unchanged(self) -> str:
        """Why there is nothing to do, in words."""
        words = f"model {self.to.version} is in use already"
        if self.already is None:
            return words
        return f"{words}: round {self.already.number} {self.already.gate}; labelloop rollback --to ROUND goes further"


@dataclass(frozen=True, slots=True)
class Done:
    """What a rollback did.

    Attributes:
        version, round: The model now in use, and the round that recorded it.
        of_round: The round that had trained it; 0 where a rollback that was interrupted was completed.
        refreshed: Open questions that got its guess.
    """

    version: str
    round: int
    of_round: int
    refreshed: int
    words: str

    def as_dict(self) -> Mapping[str, Any]:
        """For scripts."""
        return asdict(self)


def models(history: Sequence[Round]) -> dict[str, Round]:
    """Reference of every model that was ever in use -> the round that put it to use first, oldest first."""
    found: dict[str, Round] = {}
    for one in history:
        if one.model:
            found.setdefault(one.model, one)
    return found


def plan(history: Sequence[Round], to: str = "") -> Rollback:
    """Which model comes back. Pure.

    Args:
        to: The number of a round, or the beginning of a version; empty is the model that was in use before, or the one
            of now where a rollback brought that: repeated, it does not go further back.

    Raises:
        NotFoundError: No model was ever in use, there is none before, or none of that name.
        ConfigError: Several versions begin so.
    """
    there = models(history)
    if not there:
        raise NotFoundError("no model was ever in use", "labelloop watch")
    now = history[-1]
    already = None if to else _rolled_back(history)
    if already:
        return Rollback(now, there[now.model], blocked(now), already)
    target = _named(history, there, to) if to else _before(history, there)
    late = (model for model, one in there.items() if one.number > target.number)
    return Rollback(now, target, tuple(late))


def roll_back(loop: Loop, to: str = "") -> Done:
    """Put an earlier model to use as a round of its own, with its guesses on the open questions.

    A rollback that was killed is completed by the next tick, or by another `rollback`.

    Raises:
        NotFoundError: There is no such model, or it is gone from the store.
        ConfigError: It speaks other labels than people are asked for.
        BusyError: Another process is at it.
    """
    with loop.ledger.lease.held():
        last = loop.ledger.rounds.last()
        loop.planner.settle()
        if last is not None and last.state == "planned" and is_rollback(last):
            words = f"completed: model {last.version} is in use again"
            return Done(last.version, last.number, 0, 0, words)
        planned = plan(loop.ledger.rounds.all(), to)
        if not planned.changes:
            return Done(planned.to.version, planned.before.number, planned.to.number, 0, planned.unchanged())
        _refuse(loop, planned.to)
        return _record(loop, planned)


def _record(loop: Loop, planned: Rollback) -> Done:
    to, before = planned.to, planned.before
    last = loop.ledger.rounds.last()
    refreshed = loop.choosing.refreshed(to.model, last.number + 1 if last else 1)
    shown = sum(one.prediction is not None for one in refreshed)
    known: dict[str, Any] = {
        "model": to.model,
        "version": to.version,
        "promoted": True,
        "gate": f"rolled back from {before.version} to {to.version} of round {to.number}",
        "metrics": asdict(loop.learning.gate.score_now(to.model)),
        "room": before.room,
        "stopped": before.stopped,
    }
    notes = noted(planned.blocked, now=True)
    made = loop.planner.record(f"rolled back to round {to.number}", [], refreshed, notes=notes, **known)
    words = (
        f"model {to.version} of round {to.number} is in use again, in place of {before.version}; "
        f"{shown} open question(s) show its guess"
    )
    return Done(to.version, made.number, to.number, shown, words)


def in_words(history: Sequence[Round], planned: Rollback) -> str:
    """What would be done, and what else could."""
    score = planned.to.metrics.get("score")
    scored = f" ({planned.to.metrics['score_name']} {score:.3f} then)" if score is not None else ""
    lines = [
        f"model {planned.to.version} of round {planned.to.number}{scored} would take the place of "
        f"{planned.before.version}"
        if planned.changes
        else planned.unchanged()
    ]
    lines += [
        f"  --to {one.number}   model {one.version}, from {one.learned_from} answers"
        for one in models(history).values()
        if one.model != planned.before.model
    ]
    return "\n".join(lines)


def _rolled_back(history: Sequence[Round]) -> Round | None:
    """The rollback that brought the model in use; None where it was promoted."""
    for one in reversed(history):
        if is_rollback(one) or one.promoted or one.model != history[-1].model:
            return one if is_rollback(one) and one.model == history[-1].model else None
    return None


def _before(history: Sequence[Round], there: Mapping[str, Round]) -> Round:
    """The model that was in use before the one of now, and was not itself rolled back."""
    now = history[-1]
    used = [one.model for one in history if one.model and one.model != now.model and one.model not in blocked(now)]
    if not used:
        raise NotFoundError(f"no model was in use before {now.version or 'this one'}", "labelloop report shows all")
    return there[used[-1]]


def _named(history: Sequence[Round], there: Mapping[str, Round], to: str) -> Round:
    if to.isdecimal() and 0 < int(to) <= history[-1].number:
        model = history[int(to) - 1].model
        if model in there:
            return there[model]
    found = [one for one in there.values() if one.version.startswith(to)]
    if len(found) > 1:
        raise ConfigError(f"several models begin with {to!r}", f"name one: {', '.join(one.version for one in found)}")
    if not found:
        known = ", ".join(f"{one.number} ({one.version})" for one in there.values())
        raise NotFoundError(f"no model of round or version {to!r} was ever in use", f"rounds that brought one: {known}")
    return found[0]


def _refuse(loop: Loop, to: Round) -> None:
    if not to.matches(loop.schema.labels):
        raise ConfigError(
            f"model {to.version} speaks other labels: {', '.join(to.labels)}", "labelloop labels undo, or another model"
        )
    if not loop.learning.models.is_stored(to.model):
        raise NotFoundError(f"model {to.version} is gone from the artifact store", "name another: --dry-run lists them")
