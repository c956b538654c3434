"""Models that were rolled back, as rounds note them: which do not come back by themselves, and which round did it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from labelloop.ledger.rounds import Round

BARRED, ROLLED_BACK = "barred", "rolled_back"


def noted(models: Sequence[str], *, now: bool = False) -> Mapping[str, Any]:
    """What a round notes.

    Args:
        models: References of the models that do not come back by themselves.
        now: Whether the round does nothing but bring an earlier model back.
    """
    return {BARRED: tuple(models), ROLLED_BACK: now}


def blocked(one: Round) -> tuple[str, ...]:
    """References of the models that do not come back by themselves, as of a round."""
    return tuple(one.notes.get(BARRED, ()))


def is_rollback(one: Round) -> bool:
    """Whether a round did nothing but bring an earlier model back."""
    return bool(one.notes.get(ROLLED_BACK, False))


def carried_on(one: Round) -> Round:
    """The notes of a round for the next one: what is blocked stays so, and the rollback is over."""
    return replace(one, notes={**one.notes, **noted(blocked(one))})
