"""The changes of the labels, each planned before it is carried out; what people said stays as they said it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine, null, or_, select, update

from labelloop.errors import BusyError
from labelloop.kinds.label_changes import LabelChange
from labelloop.ledger import _sql
from labelloop.ledger.tables import facts, questions

PREFIX = "label_change_"


class LabelBook:
    """The changes of the labels of one dataset."""

    def __init__(self, engine: Engine, dataset: str) -> None:
        self._engine = engine
        self._dataset = dataset

    def changes(self) -> list[LabelChange]:
        """Every change, oldest first; at most the newest is still planned."""
        query = select(facts.c.value).where(facts.c.dataset == self._dataset, facts.c.name.startswith(PREFIX))
        with _sql.reading(self._engine) as connection:
            return [LabelChange.of(value) for value in connection.scalars(query.order_by(facts.c.name))]

    def interrupted(self) -> LabelChange | None:
        """The change that was planned and not confirmed, if there is one."""
        planned = [one for one in self.changes() if one.state == "planned"]
        return planned[-1] if planned else None

    def plan(self, change: LabelChange) -> LabelChange:
        """Write a change down before anything is changed; returns it with its number.

        Raises:
            BusyError: Another process has planned one meanwhile.
        """
        numbered = replace(change, number=len(self.changes()) + 1, state="planned")
        with self._engine.begin() as connection:
            taken = select(facts.c.name).where(
                facts.c.dataset == self._dataset, facts.c.name == self._name(numbered.number)
            )
            if connection.scalar(taken) is not None:
                raise BusyError("another process is changing the labels", "run it again; nothing was changed")
            _sql.upsert(connection, facts, [self._row(numbered)])
        return numbered

    def confirm(self, change: LabelChange) -> None:
        """A change was carried out in every place; open questions show no guess in other labels any more."""
        with self._engine.begin() as connection:
            _sql.upsert(connection, facts, [self._row(replace(change, state="done"))], update=["value"])
            self._forget_guesses(connection, sorted(set(change.again.values())))

    def _forget_guesses(self, connection: Connection, again: Sequence[str]) -> None:
        mine = questions.c.dataset == self._dataset
        open_ones = questions.c.state.in_(["planned", "asked"])
        connection.execute(update(questions).where(mine, open_ones).values(prediction=null()))
        for some in _sql.chunks(again):
            where = or_(open_ones, questions.c.item_id.in_(some))
            connection.execute(update(questions).where(mine, where).values(prediction=null()))

    def _row(self, change: LabelChange) -> dict[str, Any]:
        return {"dataset": self._dataset, "name": self._name(change.number), "value": change.as_dict()}

    def _name(self, number: int) -> str:
        return f"{PREFIX}{number:06}"
