"""The questions of a dataset: which items people are asked about, why, and how far they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, select, update

from labelloop.ledger import _sql
from labelloop.ledger.book import Book
from labelloop.ledger.tables import guesses, opinions, questions
from labelloop.types import Annotation, Prediction, Turn, version_behind

Purpose = Literal["train", "blind", "holdout", "opinion", "audit"]
State = Literal["planned", "asked", "answered", "skipped", "gone"]


@dataclass(frozen=True, slots=True)
class Asking:
    """One question of a round.

    Attributes:
        item_id: The item; of a second opinion, a name of its own, and `about` is the item.
        purpose: Whether its answer is learned from (`blind`: with the model's guess kept from people), kept for the
            honest score, a second opinion about an item that has an answer, or (and then learned from) a check of a
            label that was taken from the model.
        why: Why this item was chosen, in words.
        prediction: The model's guess that is filled in; None asks blind.
        hidden: The guess that is kept from people.
        turn: When people get it; None before there is a model, and where people get questions as they are asked.
    """

    item_id: str
    purpose: Purpose
    why: str
    state: State = "planned"
    task_id: str = ""
    prediction: Prediction | None = None
    round: int = 0
    about: str = ""
    hidden: Prediction | None = None
    turn: Turn | None = None

    @property
    def item(self) -> str:
        """The id of the item that people see."""
        return self.about or self.item_id

    @property
    def version(self) -> str:
        """The model version behind the guess or the turn; empty where there is neither."""
        return version_behind(self.prediction, self.turn)


class QuestionBook(Book):
    """Questions by item and by round."""

    def questions(self, state: Sequence[State] = (), round: int | None = None) -> list[Asking]:
        """The questions, in the order they were asked; of some states, of one round (0: of none)."""
        same = (opinions.c.dataset == questions.c.dataset) & (opinions.c.question == questions.c.item_id)
        query = (
            select(questions, opinions.c.item_id.label("about"))
            .select_from(questions.outerjoin(opinions, same))
            .where(questions.c.dataset == self._dataset)
        )
        if state:
            query = query.where(questions.c.state.in_(state))
        if round is not None:
            query = query.where(questions.c.round == round)
        with _sql.reading(self._engine) as connection:
            rows = connection.execute(query.order_by(questions.c.round, questions.c.rank)).all()
        return [_asking(row) for row in rows]

    def there(self) -> set[str]:
        """The questions that the annotator should have."""
        query = select(questions.c.item_id).where(
            questions.c.dataset == self._dataset, questions.c.state.in_(["asked", "answered", "skipped"])
        )
        with _sql.reading(self._engine) as connection:
            return set(connection.scalars(query))

    def blind(self, ids: Sequence[str]) -> set[str]:
        """Those of these questions on which nobody may see a guess, whatever model there is."""
        found: set[str] = set()
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(ids):
                mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
                query = select(questions.c.item_id).where(*mine, questions.c.purpose != "train")
                found.update(connection.scalars(query))
        return found

    def turns(self, ids: Sequence[str]) -> dict[str, Turn]:
        """The turns of those of the items that have one."""
        found: dict[str, Turn | None] = {}
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(ids):
                mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
                query = select(questions.c.item_id, questions.c.prediction).where(*mine)
                found.update((row.item_id, turn_in(row.prediction or {})) for row in connection.execute(query))
        return {item: turn for item, turn in found.items() if turn}

    def counts(self) -> Mapping[tuple[int, Purpose, State], int]:
        """How many questions there are by (round, purpose, state)."""
        query = (
            select(questions.c.round, questions.c.purpose, questions.c.state, func.count())
            .where(questions.c.dataset == self._dataset)
            .group_by(questions.c.round, questions.c.purpose, questions.c.state)
        )
        with _sql.reading(self._engine) as connection:
            return {(row[0], row[1], row[2]): row[3] for row in connection.execute(query)}

    def unguess(self, ids: Sequence[str]) -> None:
        """Have these questions be asked without the guess that was to be filled in."""
        with self._engine.begin() as connection:
            for some in _sql.chunks(ids):
                mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
                connection.execute(update(questions).where(*mine).values(prediction=None))
                mine = (guesses.c.dataset == self._dataset, guesses.c.item_id.in_(some))
                connection.execute(guesses.delete().where(*mine))

    def _set_state(self, connection: Connection, item_id: str, state: State, task_id: str | None) -> None:
        values = {"state": state} if task_id is None else {"state": state, "task_id": task_id}
        where = (questions.c.dataset == self._dataset, questions.c.item_id == item_id)
        connection.execute(update(questions).where(*where).values(**values))

    def _ours(self, connection: Connection, ids: Sequence[str]) -> dict[str, int | None]:
        """Those that are questions of ours -> how many people closed it, where that is fewer than now."""
        found: dict[str, int | None] = {}
        for some in _sql.chunks(ids):
            mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
            rows = connection.execute(select(questions.c.item_id, questions.c.people).where(*mine))
            found.update((row.item_id, row.people) for row in rows)
        return found


def needed(own: int | None, people: int) -> int:
    """How many people close a question: as many as now, or fewer where it was closed with fewer."""
    return people if own is None else min(own, people)


def state_of(said: Sequence[Annotation], people: int) -> State:
    """Open until so many people have answered or skipped, or one answer is ground truth; skipped where all did."""
    answers = [one for one in said if not one.skipped]
    settled = any(one.ground_truth for one in answers)
    if not settled and len({one.annotator for one in said}) < people:
        return "asked"
    return "answered" if answers else "skipped"


def _asking(row: Row[Any]) -> Asking:
    shown, task_id, about = row.prediction or {}, row.task_id or "", row.about or ""
    guess = None
    if "regions" in shown:
        guess = Prediction(row.item_id, tuple(shown["regions"]), shown["score"], shown["model"])
    return Asking(row.item_id, row.purpose, row.why, row.state, task_id, guess, row.round, about, turn=turn_in(shown))


def turn_in(shown: Mapping[str, Any]) -> Turn | None:
    """The turn that is written down with a question."""
    return Turn(shown["turn"], shown["model"]) if "turn" in shown else None
