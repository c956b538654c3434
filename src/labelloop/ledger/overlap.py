"""How many people close a question: the number of now, or an earlier one where it was closed with fewer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from labelloop.ledger import _sql
from labelloop.ledger.answers import AnswerBook
from labelloop.ledger.questions import State, needed, state_of
from labelloop.ledger.remembered import PEOPLE
from labelloop.ledger.tables import facts, questions
from labelloop.types import Annotation

UNTOLD = "answers_people_untold"
"""The fact that the annotator has not been told the number of now, or to whom it applies."""

KEPT = "answers_people_kept"
"""The fact that some question may go by an earlier number: nobody has to look for one at every tick."""

_CLOSED: Sequence[State] = ("answered", "skipped")


class OverlapBook:
    """The overlap of the questions of one dataset.

    A question that has its answers when the number is raised keeps the number it was closed with, in its row; all
    others, and one that is opened again, go by the number of now.

    Args:
        answers: What people said about the questions.
    """

    def __init__(self, engine: Engine, dataset: str, answers: AnswerBook) -> None:
        self._engine = engine
        self._dataset = dataset
        self._answers = answers

    def people(self) -> int:
        """How many people must answer or skip a question that is asked from now on."""
        return self._answers.people()

    def share(self, people: int) -> int:
        """Have so many people close what is open, and what is asked from now on; how many that closed."""
        with self._engine.begin() as connection:
            before = self.people()
            known: dict[str, Any] = {PEOPLE: people, UNTOLD: True}
            if people > before and self._keep(connection, before):
                known[KEPT] = True
            self._remember(connection, known)
            return self._settle(connection, people)

    def reopen(self) -> int:
        """Have every question go by the number of now, whenever it was closed; how many are open again."""
        with self._engine.begin() as connection:
            mine = (questions.c.dataset == self._dataset, questions.c.people.is_not(None))
            connection.execute(update(questions).where(*mine).values(people=None))
            self._remember(connection, {UNTOLD: True, KEPT: False})
            return self._settle(connection, self.people())

    def lacking(self, people: int) -> dict[str, int]:
        """The closed questions that so many people would not close -> how many people are missing."""
        said = self._answers.current()
        mine = (questions.c.dataset == self._dataset, questions.c.state.in_(_CLOSED))
        with _sql.reading(self._engine) as connection:
            closed = list(connection.scalars(select(questions.c.item_id).where(*mine)))
        few = [one for one in closed if state_of(said.get(one, ()), people) == "asked"]
        return {one: people - len({by.annotator for by in said.get(one, ())}) for one in few}

    def reopened(self) -> list[str]:
        """Questions that were closed with an earlier number, and are open again, as an answer was removed."""
        if not self.keeps():
            return []
        mine = (questions.c.dataset == self._dataset, questions.c.state == "asked", questions.c.people.is_not(None))
        query = select(questions.c.item_id).where(*mine)
        with _sql.reading(self._engine) as connection:
            return list(connection.scalars(query))

    def release(self, ids: Sequence[str]) -> None:
        """Have these questions, which are open, go by the number of now."""
        with self._engine.begin() as connection:
            for some in _sql.chunks(ids):
                mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
                connection.execute(update(questions).where(*mine).values(people=None))

    def keeps(self) -> bool:
        """Whether a question may go by an earlier number."""
        return bool(self._answers.recall(KEPT))

    def is_untold(self) -> bool:
        """Whether the annotator has to be told, for the first time or as it was interrupted."""
        return self._answers.recall(UNTOLD) is not None

    def tell_again(self) -> None:
        """Have the annotator be told at the next occasion."""
        self._answers.remember(UNTOLD, True)

    def told(self) -> None:
        """The annotator goes by what is written here."""
        with self._engine.begin() as connection:
            connection.execute(facts.delete().where(facts.c.dataset == self._dataset, facts.c.name == UNTOLD))

    def _keep(self, connection: Connection, people: int) -> bool:
        """Write down that what is closed was closed with so many people; whether there is any."""
        closed = questions.c.state.in_([*_CLOSED, "gone"])
        mine = (questions.c.dataset == self._dataset, closed, questions.c.people.is_(None))
        return bool(connection.execute(update(questions).where(*mine).values(people=people)).rowcount)

    def _remember(self, connection: Connection, known: Mapping[str, Any]) -> None:
        rows = [{"dataset": self._dataset, "name": name, "value": value} for name, value in known.items()]
        _sql.upsert(connection, facts, rows, update=["value"])

    def _settle(self, connection: Connection, people: int) -> int:
        """Open and close questions by their numbers; how many have changed."""
        said = self._answers.current()
        there = questions.c.state.in_(["asked", *_CLOSED])
        query = select(questions.c.item_id, questions.c.state, questions.c.people)
        different: dict[State, list[str]] = {}
        for row in connection.execute(query.where(questions.c.dataset == self._dataset, there)):
            answers: Sequence[Annotation] = said.get(row.item_id, ())
            if (state := state_of(answers, needed(row.people, people))) != row.state:
                different.setdefault(state, []).append(row.item_id)
        for state, ids in different.items():
            for some in _sql.chunks(ids):
                mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
                connection.execute(update(questions).where(*mine).values(state=state))
        return sum(map(len, different.values()))
