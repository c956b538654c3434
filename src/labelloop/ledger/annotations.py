"""Annotations as they are now, and all that they were before, change by change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, case, func, or_, select, update

from labelloop.evaluation.budget import LONGEST, Spent
from labelloop.ledger import _sql
from labelloop.ledger.book import Book
from labelloop.ledger.tables import annotated, history, opinions
from labelloop.types import Annotation, Answers, Heard, Region


@dataclass(frozen=True, slots=True)
class Changes:
    """What one hearing changed.

    Attributes:
        foreign: Questions of our kind that this loop never asked, each said once.
        left: Who has no account in the annotator any more, each said once.
    """

    created: int = 0
    edited: int = 0
    removed: int = 0
    foreign: int = 0
    left: tuple[str, ...] = ()

    def __add__(self, other: Changes) -> Changes:
        return Changes(
            self.created + other.created,
            self.edited + other.edited,
            self.removed + other.removed,
            self.foreign + other.foreign,
            tuple(dict.fromkeys((*self.left, *other.left))),
        )

    def as_dict(self) -> dict[str, Any]:
        """For scripts, under the names that they have always read."""
        own = asdict(self)
        own["strangers"] = own.pop("foreign")
        return own

    @property
    def total(self) -> int:
        """How many annotations are not as they were."""
        return self.created + self.edited + self.removed


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of an item's history.

    Attributes:
        annotation_id: Whose history it is part of.
        change: What happened to it.
        annotator: Who had said it; empty in lines that an older labelloop wrote about a removal.
        regions: What the annotation says from then on; what it said last, where it was removed.
    """

    annotation_id: str
    change: Literal["created", "edited", "removed", "restored"]
    heard_at: datetime
    annotator: str
    regions: tuple[Region, ...]
    skipped: bool = False
    ground_truth: bool = False


class AnnotationBook(Book):
    """What is said now, and its history."""

    def current(self) -> dict[str, list[Annotation]]:
        """Every annotation there is now, by question, oldest first; a second opinion is a question of its own."""
        with _sql.reading(self._engine) as connection:
            return self._current(connection)

    def taken_back(self, ids: Sequence[str]) -> list[Annotation]:
        """What annotations of these ids said before they were removed."""
        found = []
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(ids):
                mine = (annotated.c.dataset == self._dataset, annotated.c.id.in_(some))
                query = select(annotated).where(*mine, annotated.c.removed_at.is_not(None))
                found += [annotation_in(row) for row in connection.execute(query)]
        return found

    def past(self, item_id: str) -> list[HistoryEntry]:
        """Everything people ever said about an item, second opinions included, as it was heard, oldest first."""
        again = select(opinions.c.question).where(opinions.c.dataset == self._dataset, opinions.c.item_id == item_id)
        about = or_(history.c.item_id == item_id, history.c.item_id.in_(again))
        query = select(history).where(history.c.dataset == self._dataset, about).order_by(history.c.number)
        with _sql.reading(self._engine) as connection:
            return [_past(row) for row in connection.execute(query)]

    def withdrawn(self, page: Answers) -> list[str]:
        """The ids of annotations there are now that hearing this page would remove."""
        said = {heard.item_id: {one.id for one in heard.annotations} for heard in page.heard}
        with _sql.reading(self._engine) as connection:
            before = self._rows(connection, list(said))
        rows = ((row, said[item_id]) for item_id, rows in before.items() for row in rows.values())
        return [str(row.id) for row, kept in rows if row.removed_at is None and row.id not in kept]

    def changes(self) -> int:
        """A number that grows with every change of any annotation."""
        query = select(func.count()).select_from(history).where(history.c.dataset == self._dataset)
        with _sql.reading(self._engine) as connection:
            return connection.scalar(query) or 0

    def order(self) -> list[str]:
        """The question of every change of any annotation, as they were heard; as many as `changes()`."""
        query = select(history.c.item_id).where(history.c.dataset == self._dataset).order_by(history.c.number)
        with _sql.reading(self._engine) as connection:
            return list(connection.scalars(query))

    def spent(self) -> Spent:
        """What people have done so far, what was removed included."""
        capped = case((annotated.c.lead_time > LONGEST, LONGEST), else_=annotated.c.lead_time)
        query = select(func.count(), func.count(annotated.c.lead_time), func.sum(capped))
        with _sql.reading(self._engine) as connection:
            row = connection.execute(query.where(annotated.c.dataset == self._dataset)).one()
        return Spent(row[0], row[1], float(row[2] or 0.0))

    def times(self, learned: int) -> tuple[datetime, datetime] | None:
        """When the first change after the `learned` first ones was heard, and the newest; None if there is none.

        Args:
            learned: An earlier value of `changes()`.
        """
        query = select(history.c.heard_at).where(history.c.dataset == self._dataset)
        with _sql.reading(self._engine) as connection:
            first = connection.scalar(query.order_by(history.c.number).offset(learned).limit(1))
            newest = connection.scalar(query.order_by(history.c.number.desc()).limit(1))
        return (_sql.moment(first), _sql.moment(newest)) if first and newest else None

    def _current(self, connection: Connection) -> dict[str, list[Annotation]]:
        query = (
            select(annotated)
            .where(annotated.c.dataset == self._dataset, annotated.c.removed_at.is_(None))
            .order_by(annotated.c.updated_at, annotated.c.id)
        )
        found: dict[str, list[Annotation]] = defaultdict(list)
        for row in connection.execute(query):
            found[row.item_id].append(annotation_in(row))
        return dict(found)

    def _rows(self, connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Row[Any]]]:
        found: dict[str, dict[str, Row[Any]]] = defaultdict(dict)
        for some in _sql.chunks(ids):
            query = select(annotated).where(annotated.c.dataset == self._dataset, annotated.c.item_id.in_(some))
            for row in connection.execute(query):
                found[row.item_id][row.id] = row
        return found

    def _take(self, connection: Connection, heard: Heard, before: Mapping[str, Row[Any]], now: datetime) -> Changes:
        created = edited = 0
        for annotation in heard.annotations:
            old = before.get(annotation.id)
            if old is not None and old.removed_at is None and annotation_in(old) == annotation:
                continue
            change = "created" if old is None else "restored" if old.removed_at else "edited"
            row = self._row(annotation)
            _sql.upsert(connection, annotated, [row], update=[n for n in row if n not in ("dataset", "id")])
            self._note(connection, (annotation.id, heard.item_id), change, row, now)
            created, edited = created + (change != "edited"), edited + (change == "edited")
        still = {annotation.id for annotation in heard.annotations}
        gone = [old for old in before.values() if old.removed_at is None and old.id not in still]
        for old in gone:
            mine = annotated.c.item_id == heard.item_id  # Label Studio on SQLite may give an id again, to another item
            where = (annotated.c.dataset == self._dataset, annotated.c.id == old.id, mine)
            connection.execute(update(annotated).where(*where).values(removed_at=_sql.stamp(now)))
            last = {name: old._mapping[name] for name in ("annotator", "regions", "skipped", "ground_truth")}
            self._note(connection, (old.id, heard.item_id), "removed", last, now)
        return Changes(created, edited, len(gone))

    def _note(
        self, connection: Connection, whose: tuple[str, str], change: str, said: Mapping[str, Any], now: datetime
    ) -> None:
        annotation_id, item_id = whose
        connection.execute(
            history.insert().values(
                dataset=self._dataset,
                annotation_id=annotation_id,
                item_id=item_id,
                change=change,
                said=dict(said),
                heard_at=_sql.stamp(now),
            )
        )

    def _row(self, annotation: Annotation) -> dict[str, Any]:
        return {
            "dataset": self._dataset,
            "id": annotation.id,
            "item_id": annotation.item_id,
            "annotator": annotation.annotator,
            "regions": [dict(region) for region in annotation.regions],
            "skipped": annotation.skipped,
            "ground_truth": annotation.ground_truth,
            "lead_time": annotation.lead_time,
            "created_at": _sql.stamp(annotation.created_at),
            "updated_at": _sql.stamp(annotation.updated_at),
            "removed_at": None,
        }


def annotation_in(row: Row[Any]) -> Annotation:
    """The annotation of a row."""
    return Annotation(
        id=row.id,
        item_id=row.item_id,
        regions=tuple(row.regions),
        annotator=row.annotator,
        created_at=_sql.moment(row.created_at),
        updated_at=_sql.moment(row.updated_at),
        skipped=row.skipped,
        ground_truth=row.ground_truth,
        lead_time=row.lead_time,
    )


def _past(row: Row[Any]) -> HistoryEntry:
    said = row.said
    return HistoryEntry(
        row.annotation_id,
        row.change,
        _sql.moment(row.heard_at),
        said.get("annotator", ""),
        tuple(said["regions"]),
        said.get("skipped", False),
        said.get("ground_truth", False),
    )
