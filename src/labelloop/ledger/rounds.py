"""The rounds of a loop: planned and confirmed in transactions, and what was fixed before the first one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, delete, func, select, update

from labelloop.errors import BusyError
from labelloop.ledger import _sql
from labelloop.ledger.opinions import Opinion
from labelloop.ledger.opinions import write as write_opinions
from labelloop.ledger.questions import Asking
from labelloop.ledger.tables import facts, guesses, opinions, questions, rounds
from labelloop.types import Prediction, Region


@dataclass(frozen=True, slots=True)
class Round:
    """Learn from the answers so far, then ask for more; as it is remembered.

    Attributes:
        reason: Why the round was started.
        again: Of the questions asked, those about items that had an answer.
        answered: Answers heard when the round began, the holdout's included.
        learned_from: Answers that the newest model was trained on, in use or not.
        room: How many it was allowed to ask; None is as many as a round asks.
        items: Items there were when the round learned.
        aside: Of these, those that were left out as they could not be read.
        changes: `AnswerBook.changes()` when the round learned: nothing new means nothing to learn.
        model: Reference of the model in use after this round; empty before the first one.
        promoted: Whether this round's own model is the one in use.
        gate: Why it is, or is not.
        metrics: The honest score on the holdout (`labelloop.evaluation.metrics.Metrics` as plain data).
        seconds: Seconds by stage.
        stopped: Why there is nothing more to ask, if so.
        labels: The labels that the model in use was made for; empty where that was not written down.
        notes: What features note about the round, each under names of its own, which it alone reads: the advice to
            stop, the trust in `auto`, models that were rolled back, what made the round.
    """

    number: int
    reason: str
    state: Literal["planned", "asked"] = "planned"
    asked: int = 0
    held_out: int = 0
    at_random: int = 0
    again: int = 0
    answered: int = 0
    learned_from: int = 0
    room: int | None = None
    items: int = 0
    aside: int = 0
    changes: int = 0
    model: str = ""
    version: str = ""
    promoted: bool = False
    gate: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    started_at: str = ""
    stopped: str = ""
    labels: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    def matches(self, labels: Sequence[str]) -> bool:
        """Whether there is a model in use, and it was made for these labels."""
        return bool(self.model) and tuple(self.labels) in ((), tuple(labels))

    def noting(self, **notes: Any) -> Round:
        """The same round with more notes.

        Raises:
            ValueError: A note has the name of something that every round has.
        """
        if taken := _OWN & notes.keys():
            raise ValueError(f"a round cannot note {sorted(taken)}: these are its own")
        return replace(self, notes={**self.notes, **notes})

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as the ledger has it: what is noted stands beside what every round has."""
        own = asdict(self)
        return {**own.pop("notes"), **own}


_OWN = {one.name for one in fields(Round)}


@dataclass(frozen=True, slots=True)
class Guessed:
    """What a model said about a question from one round on.

    Attributes:
        shown: Whether people saw it.
        planned_at: Before it was sent.
        sent_at: After it was sent; None while that is not certain.
    """

    round: int
    shown: bool
    regions: tuple[Region, ...]
    version: str
    planned_at: datetime
    sent_at: datetime | None


class RoundBook:
    """Rounds of one dataset, and the facts that no round may change."""

    def __init__(self, engine: Engine, dataset: str) -> None:
        self._engine = engine
        self._dataset = dataset

    def last(self) -> Round | None:
        """The newest round."""
        newest = select(func.max(rounds.c.number)).where(rounds.c.dataset == self._dataset).scalar_subquery()
        query = select(rounds).where(rounds.c.dataset == self._dataset, rounds.c.number == newest)
        with _sql.reading(self._engine) as connection:
            row = connection.execute(query).first()
        return _round(row) if row else None

    def began(self) -> str:
        """When the first round began; empty before."""
        query = select(rounds).where(rounds.c.dataset == self._dataset).order_by(rounds.c.number).limit(1)
        with _sql.reading(self._engine) as connection:
            row = connection.execute(query).first()
        return _round(row).started_at if row else ""

    def all(self) -> list[Round]:
        """Every round, oldest first."""
        query = select(rounds).where(rounds.c.dataset == self._dataset).order_by(rounds.c.number)
        with _sql.reading(self._engine) as connection:
            return [_round(row) for row in connection.execute(query)]

    def plan(
        self,
        one: Round,
        batch: Sequence[Asking],
        now: datetime,
        refreshed: Sequence[Asking] = (),
        opinions: Sequence[Opinion] = (),
    ) -> None:
        """Write a round with all its questions, and new guesses and turns of open ones, before anything is sent.

        A guess about a blind question is noted, and not shown.

        Args:
            now: When that is, which the history of what people saw needs.
            refreshed: Open questions with the guesses and turns that they get.
            opinions: Its questions about items that have an answer.

        Raises:
            BusyError: Another process has planned it, while this one had lost its lease.
        """
        rows = [self._question(one.number, rank, asking) for rank, asking in enumerate(batch)]
        with self._engine.begin() as connection:
            self._refuse_again(connection, one.number)
            _sql.upsert(connection, rounds, [self._row(one)])
            _sql.upsert(connection, questions, rows)
            for asking in refreshed:
                where = (questions.c.dataset == self._dataset, questions.c.item_id == asking.item_id)
                connection.execute(update(questions).where(*where).values(prediction=_shown(asking)))
            write_opinions(connection, self._dataset, opinions, now, round=one.number, after=len(batch))
            self._note_guesses(connection, one.number, [*refreshed, *batch], now)

    def guesses(self) -> dict[str, list[Guessed]]:
        """What a model said about each question while it was open, oldest first."""
        query = select(guesses).where(guesses.c.dataset == self._dataset).order_by(guesses.c.round)
        found: dict[str, list[Guessed]] = {}
        with _sql.reading(self._engine) as connection:
            for row in connection.execute(query):
                sent = _sql.moment(row.sent_at) if row.sent_at else None
                regions, version = tuple(row.guess["regions"]), row.guess["model"]
                made = Guessed(row.round, row.shown, regions, version, _sql.moment(row.planned_at), sent)
                found.setdefault(row.item_id, []).append(made)
        return found

    def confirm(self, one: Round, tasks: Mapping[str, str], now: datetime | None = None) -> None:
        """The questions of a planned round are with the annotator now: item id -> its id there."""
        confirmed = replace(one, state="asked")
        with self._engine.begin() as connection:
            for item_id, task_id in tasks.items():
                connection.execute(
                    update(questions)
                    .where(
                        questions.c.dataset == self._dataset,
                        questions.c.item_id == item_id,
                        questions.c.state == "planned",
                    )
                    .values(state="asked", task_id=task_id)
                )
            _sql.upsert(connection, rounds, [self._row(confirmed)], update=["state", "record"])
            if now is not None:
                unsent = (
                    guesses.c.dataset == self._dataset,
                    guesses.c.round == one.number,
                    guesses.c.sent_at.is_(None),
                )
                connection.execute(update(guesses).where(*unsent).values(sent_at=_sql.stamp(now)))

    def drop(self, ids: Sequence[str]) -> None:
        """Planned questions that cannot be asked, with the guesses about them, as if they had not been chosen."""
        with self._engine.begin() as connection:
            for some in _sql.chunks(ids):
                for table in (questions, guesses, opinions):
                    name = table.c.question if table is opinions else table.c.item_id
                    state = [questions.c.state == "planned"] if table is questions else []
                    unsent = [guesses.c.sent_at.is_(None)] if table is guesses else []
                    where = (table.c.dataset == self._dataset, name.in_(some), *state, *unsent)
                    connection.execute(delete(table).where(*where))

    def note_labels(self, labels: Sequence[str]) -> None:
        """Write down which labels the model in use speaks, where an older labelloop did not."""
        last = self.last()
        if last is not None and not last.labels:
            with self._engine.begin() as connection:
                _sql.upsert(connection, rounds, [self._row(replace(last, labels=tuple(labels)))], update=["record"])

    def fact(self, name: str) -> Any:
        """A fact that was fixed earlier, or None."""
        query = select(facts.c.value).where(facts.c.dataset == self._dataset, facts.c.name == name)
        with _sql.reading(self._engine) as connection:
            return connection.scalar(query)

    def fix(self, name: str, value: Any) -> Any:
        """Fix a fact for good; returns the value that holds, which is an earlier one if there is."""
        with self._engine.begin() as connection:
            _sql.upsert(connection, facts, [{"dataset": self._dataset, "name": name, "value": value}])
        return self.fact(name)

    def _note_guesses(self, connection: Connection, number: int, asked: Sequence[Asking], now: datetime) -> None:
        said = [(guess, guess is one.prediction) for one in asked if (guess := one.prediction or one.hidden)]
        rows = [
            {
                "dataset": self._dataset,
                "item_id": guess.item_id,
                "round": number,
                "shown": shown,
                "guess": _guess(guess),
                "planned_at": _sql.stamp(now),
                "sent_at": None,
            }
            for guess, shown in said
        ]
        _sql.upsert(connection, guesses, rows)

    def _refuse_again(self, connection: Connection, number: int) -> None:
        query = select(rounds.c.number).where(rounds.c.dataset == self._dataset, rounds.c.number == number)
        if connection.scalar(query) is not None:
            raise BusyError(
                f"round {number} of dataset {self._dataset!r} was planned by another process meanwhile",
                "run it again; nothing was changed",
            )

    def _row(self, one: Round) -> dict[str, Any]:
        return {"dataset": self._dataset, "number": one.number, "state": one.state, "record": one.as_dict()}

    def _question(self, number: int, rank: int, asking: Asking) -> dict[str, Any]:
        return {
            "dataset": self._dataset,
            "item_id": asking.item_id,
            "round": number,
            "rank": rank,
            "purpose": asking.purpose,
            "why": asking.why,
            "state": "planned",
            "task_id": None,
            "prediction": _shown(asking),
        }


def _shown(asking: Asking) -> dict[str, Any] | None:
    """A question's guess and turn; None where there is neither."""
    shown = _guess(asking.prediction) if asking.prediction else {}
    if asking.turn is not None:
        shown |= {"model": asking.turn.version, "turn": asking.turn.at}
    return shown or None


def _guess(guess: Prediction) -> dict[str, Any]:
    return {"regions": [dict(r) for r in guess.regions], "score": guess.score, "model": guess.model_version}


def _round(row: Row[Any]) -> Round:
    own = {name: value for name, value in row.record.items() if name in _OWN}
    notes = {name: value for name, value in row.record.items() if name not in _OWN}
    return Round(**{**own, "labels": tuple(own.get("labels", ())), "notes": notes})
