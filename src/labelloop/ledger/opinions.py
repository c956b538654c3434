"""Second opinions: questions about items that have an answer already, and what that answer was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, select, update

from labelloop.ledger import _sql
from labelloop.ledger.questions import turn_in
from labelloop.ledger.tables import opinions, questions
from labelloop.types import Annotation, Region, Turn

MARK = "~"
"""Between the id of an item and the number of a further question about it."""

Why = Literal["label error", "noisy people"]


@dataclass(frozen=True, slots=True)
class Opinion:
    """A question about an item that has an answer, asked blind.

    Attributes:
        question: The id of the question, which the annotator takes for an item of its own.
        why: What it is for: somebody suspects an error, or one answer is too few where people err.
        reason: In words.
        given: What was believed when it was asked, as it was said then.
        suggested: What the model said then.
        score: The probability of what was believed.
        givers: The people whose answers there were.
        turn: When people get it; None where they get questions as they are asked.
    """

    question: str
    item_id: str
    why: Why
    reason: str
    given: tuple[Region, ...]
    suggested: tuple[Region, ...]
    score: float
    givers: tuple[str, ...]
    state: str = "planned"
    turn: Turn | None = None


class OpinionBook:
    """The second opinions of one dataset. Their answers are in the `AnswerBook`, under `Opinion.question`."""

    def __init__(self, engine: Engine, dataset: str) -> None:
        self._engine = engine
        self._dataset = dataset

    def all(self) -> list[Opinion]:
        """Every one, in the order they were asked."""
        same = (opinions.c.dataset == questions.c.dataset) & (opinions.c.question == questions.c.item_id)
        query = (
            select(opinions, questions.c.state, questions.c.why, questions.c.prediction)
            .select_from(opinions.join(questions, same))
            .where(opinions.c.dataset == self._dataset)
            .order_by(opinions.c.asked_at, questions.c.rank)
        )
        with _sql.reading(self._engine) as connection:
            return [_opinion(row) for row in connection.execute(query)]

    def about(self) -> dict[str, str]:
        """Question -> the item it is about."""
        query = select(opinions.c.question, opinions.c.item_id).where(opinions.c.dataset == self._dataset)
        with _sql.reading(self._engine) as connection:
            return {row.question: row.item_id for row in connection.execute(query)}

    def plan(self, new: Sequence[Opinion], now: datetime) -> None:
        """Write questions of no round down before anything is sent; known ones are left alone."""
        with self._engine.begin() as connection:
            write(connection, self._dataset, new, now)

    def confirm(self, tasks: Mapping[str, str]) -> None:
        """These questions are with the annotator now: question -> its id there."""
        with self._engine.begin() as connection:
            for question, task_id in tasks.items():
                where = (questions.c.dataset == self._dataset, questions.c.item_id == question)
                planned = questions.c.state == "planned"
                connection.execute(update(questions).where(*where, planned).values(state="asked", task_id=task_id))


def write(
    connection: Connection, dataset: str, new: Sequence[Opinion], now: datetime, *, round: int = 0, after: int = 0
) -> None:
    """Write questions down as part of a round or of none, inside the caller's transaction.

    Args:
        after: How many questions of the round come before them.
    """
    _sql.upsert(connection, opinions, [_record(dataset, one, now) for one in new])
    asked = [_question(dataset, one, round, rank) for rank, one in enumerate(new, after)]
    _sql.upsert(connection, questions, asked)


def named(item_id: str, about: Mapping[str, str]) -> str:
    """The id of one more question about an item.

    Args:
        about: Question -> item, of the second opinions there are.
    """
    return f"{item_id}{MARK}{sum(one == item_id for one in about.values()) + 2}"


def joined(said: Mapping[str, Iterable[Annotation]], about: Mapping[str, str]) -> dict[str, list[Annotation]]:
    """What people say about each item, second opinions included, oldest first.

    Args:
        said: By question.
        about: Question -> item, of second opinions.
    """
    found: dict[str, list[Annotation]] = {}
    for question, answers in said.items():
        found.setdefault(about.get(question, question), []).extend(answers)
    again = {about[question] for question in said.keys() & about.keys()}
    for item_id in again:
        found[item_id].sort(key=lambda one: (one.updated_at, one.id))
    return found


def _record(dataset: str, one: Opinion, now: datetime) -> dict[str, Any]:
    record = {
        "why": one.why,
        "given": [dict(region) for region in one.given],
        "suggested": [dict(region) for region in one.suggested],
        "score": one.score,
        "givers": list(one.givers),
    }
    return {
        "dataset": dataset,
        "question": one.question,
        "item_id": one.item_id,
        "asked_at": _sql.stamp(now),
        "record": record,
    }


def _question(dataset: str, one: Opinion, round: int, rank: int) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "item_id": one.question,
        "round": round,
        "rank": rank,
        "purpose": "opinion",
        "why": one.reason,
        "state": "planned",
        "task_id": None,
        "prediction": {"model": one.turn.version, "turn": one.turn.at} if one.turn else None,
    }


def _opinion(row: Row[Any]) -> Opinion:
    record = row.record
    return Opinion(
        question=row.question,
        item_id=row.item_id,
        why=record["why"],
        reason=row.why,
        given=tuple(record["given"]),
        suggested=tuple(record["suggested"]),
        score=record["score"],
        givers=tuple(record["givers"]),
        state=row.state,
        turn=turn_in(row.prediction or {}),
    )
