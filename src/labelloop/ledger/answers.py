"""Hearing: what people say about the questions, page by page, in the names of those who said it first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, select, update

from labelloop.ledger import _sql
from labelloop.ledger.annotations import AnnotationBook, Changes, annotation_in
from labelloop.ledger.questions import Asking, Purpose, QuestionBook, State, needed, state_of
from labelloop.ledger.remembered import (
    AUTHORS,
    CLAIMS,
    CURSOR,
    FOREIGN_SEEN,
    GROUND_TRUTH_BY,
    LEFT,
    UNHEARD,
    FactBook,
)
from labelloop.ledger.tables import annotated, facts, guesses, opinions, questions
from labelloop.types import Annotation, Answers, Heard

__all__ = ["AnswerBook", "Asking", "Changes", "Purpose", "State"]


class _Authors:
    """Who said what, as it was first heard: nothing that becomes of an account changes it.

    Args:
        names: Account -> the name under which its first answer was heard.
        left: Who has left already.
    """

    def __init__(self, names: Mapping[str, str], left: Collection[str]) -> None:
        self.names = dict(names)
        self.left = list(left)
        self.leaving: list[str] = []

    def of(self, said: Annotation, old: Annotation | None) -> Annotation:
        """The annotation in the name of its author.

        Args:
            said: As the annotator shows it now.
            old: The same annotation as it was heard before.
        """
        if old is None:
            name = self.names.setdefault(said.account, said.annotator) if said.account else said.annotator
        else:
            name = old.annotator
            if said.account and name == said.annotator:
                self.names.setdefault(said.account, name)
            if said.account == "" and name != said.annotator and name not in self.left:
                self.left.append(name)
                self.leaving.append(name)
        return replace(said, annotator=name)


class AnswerBook(QuestionBook, AnnotationBook, FactBook):
    """Hearing: what people say becomes annotations, and moves questions on."""

    def __init__(self, engine: Engine, dataset: str) -> None:
        super().__init__(engine, dataset)
        self._trusted: Callable[[], Collection[str] | None] = lambda: None

    def trust(self, setting: Sequence[str] | None, trusted: Callable[[], Collection[str] | None]) -> None:
        """Have ground truth count only where one of these people declared it.

        Where the setting is not the one of before, everything is heard again.

        Args:
            setting: What is written down, to notice a change of it.
            trusted: Who they are; None for everybody. Called when somebody has declared some.
        """
        self._trusted = trusted
        wanted = {"by": list(setting) if setting is not None else None}
        before = self.recall(GROUND_TRUTH_BY)
        if before == wanted or (before is None and setting is None and not self._has_ground_truth()):
            return
        self.rewind()
        self.remember(GROUND_TRUTH_BY, wanted)

    def as_kept(self, annotations: Sequence[Annotation], said: Sequence[Annotation]) -> list[Annotation]:
        """What the annotator shows about an item, in the words of the ledger.

        Args:
            annotations: As the annotator shows them.
            said: What the ledger has about the item.
        """
        authors, old = _Authors(self.recall(AUTHORS) or {}, ()), {one.id: one for one in said}
        return [self._weighed(authors.of(one, old.get(one.id)), {}) for one in annotations]

    def hear(self, page: Answers, now: datetime) -> Changes:
        """Take in one page and move the cursor, in one transaction. Hearing a page again changes nothing."""
        changes = Changes()
        people = self.people()
        authors = _Authors(self.recall(AUTHORS) or {}, self.recall(LEFT) or ())
        claims, said_before = dict(self.recall(CLAIMS) or {}), list(self.recall(FOREIGN_SEEN) or ())
        known = {AUTHORS: dict(authors.names), LEFT: list(authors.left), CLAIMS: dict(claims)}
        with self._engine.begin() as connection:
            ours = self._ours(connection, [heard.item_id for heard in page.heard])
            before = self._rows(connection, list(ours))
            foreign = [heard.item_id for heard in page.heard if heard.item_id not in ours]
            new = [one for one in dict.fromkeys(foreign) if one not in set(said_before)]
            changes += Changes(foreign=len(new))
            for heard in page.heard:
                if heard.item_id not in ours:
                    continue
                there = before.get(heard.item_id, {})
                said = self._resolved(heard, there, authors, claims)
                changes += self._take(connection, said, there, now)
                state = state_of(said.annotations, needed(ours[said.item_id], people))
                self._set_state(connection, said.item_id, state, said.task_id)
            noted: dict[str, Any] = {AUTHORS: authors.names, LEFT: authors.left, CLAIMS: claims}
            noted = {name: value for name, value in noted.items() if value != known[name]}
            if new:
                noted[FOREIGN_SEEN] = [*said_before, *new]
            unheard = [asdict(one) for one in page.unheard or ()]
            if page.unheard is not None and unheard != (self.recall(UNHEARD) or []):
                noted[UNHEARD] = unheard
            rows = [
                {"dataset": self._dataset, "name": n, "value": v} for n, v in {**noted, CURSOR: page.cursor}.items()
            ]
            _sql.upsert(connection, facts, rows, update=["value"])
        return changes + Changes(left=tuple(authors.leaving))

    def _resolved(
        self, heard: Heard, before: Mapping[str, Row[Any]], authors: _Authors, claims: dict[str, str]
    ) -> Heard:
        """What was heard in the names of those who said it first, and with the ground truth that counts."""
        made = []
        for one in heard.annotations:
            old = before.get(one.id)
            again = old is not None and (old.removed_at is None or not one.account)
            earlier = annotation_in(old) if old is not None and again else None
            made.append(self._weighed(authors.of(one, earlier), claims))
        return replace(heard, annotations=tuple(made))

    def _weighed(self, one: Annotation, claims: dict[str, str]) -> Annotation:
        """The annotation, without ground truth that somebody declared who has no say in it."""
        claims.pop(one.id, None)
        if not one.ground_truth:
            return one
        trusted = self._trusted()
        declared = one.annotator if one.declared_by is None else one.declared_by
        if trusted is None or declared in trusted:
            return one
        claims[one.id] = declared
        return replace(one, ground_truth=False)

    def _has_ground_truth(self) -> bool:
        mine = (annotated.c.dataset == self._dataset, annotated.c.ground_truth.is_(True))
        with _sql.reading(self._engine) as connection:
            return connection.scalar(select(annotated.c.id).where(*mine).limit(1)) is not None

    def lose(self, present: Iterable[str], now: datetime) -> list[str]:
        """Mark the questions that are not among `present` item ids as gone, their annotations as removed."""
        there = set(present)
        with self._engine.begin() as connection:
            query = select(questions.c.item_id).where(
                questions.c.dataset == self._dataset, questions.c.state.in_(["asked", "answered", "skipped"])
            )
            lost = sorted(set(connection.scalars(query)) - there)
            before = self._rows(connection, lost)
            for item_id in lost:
                self._take(connection, Heard(item_id, "", ()), before.get(item_id, {}), now)
                self._set_state(connection, item_id, "gone", None)
        return lost

    def reopen(self, ids: Sequence[str], now: datetime) -> int:
        """Have these questions be open as if nobody had answered or guessed; how many annotations that sets aside."""
        return self._without(ids, now, {"state": "asked", "prediction": None})

    def close(self, ids: Sequence[str], now: datetime) -> int:
        """Forget these questions, as if they had not been chosen; how many annotations that sets aside."""
        found = self._without(ids, now, {})
        with self._engine.begin() as connection:
            for some in _sql.chunks(ids):
                for table, name in ((questions, questions.c.item_id), (opinions, opinions.c.question)):
                    connection.execute(table.delete().where(table.c.dataset == self._dataset, name.in_(some)))
        return found

    def _without(self, ids: Sequence[str], now: datetime, values: Mapping[str, Any]) -> int:
        """Note what was said about these questions as removed, and forget what was guessed."""
        removed = 0
        with self._engine.begin() as connection:
            before = self._rows(connection, ids)
            for item_id in ids:
                removed += self._take(connection, Heard(item_id, "", ()), before.get(item_id, {}), now).removed
            for some in _sql.chunks(ids):
                mine = (guesses.c.dataset == self._dataset, guesses.c.item_id.in_(some))
                connection.execute(guesses.delete().where(*mine))
                if values:
                    mine = (questions.c.dataset == self._dataset, questions.c.item_id.in_(some))
                    connection.execute(update(questions).where(*mine).values(**values))
        return removed
