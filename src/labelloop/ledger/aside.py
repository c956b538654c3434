"""Items that are set aside for now, as they could not be read: why, how often that was tried, and when it is next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, func, or_, select, update

from labelloop.ledger import _sql
from labelloop.ledger.tables import aside, items
from labelloop.types import Missing

SOON, LATER = timedelta(minutes=1), timedelta(minutes=10)
"""When what did not answer is tried again, and what is gone or broken; twice as long after each further try."""

LONGEST = {True: timedelta(hours=1), False: timedelta(days=1)}
"""The longest pause between two tries: of what did not answer, and of what is gone or broken."""

_AWAY, _UNREADABLE, _BACK = "away", "unreadable", "back"


@dataclass(frozen=True, slots=True)
class Aside:
    """An item that is set aside.

    Attributes:
        tries: How often it could not be read.
        due: When it is tried again; None is at once.
    """

    item_id: str
    missing: Missing
    tries: int
    due: datetime | None


class AsideBook:
    """Items of one dataset that are set aside."""

    def __init__(self, engine: Engine, dataset: str) -> None:
        self._engine = engine
        self._dataset = dataset

    def put(self, missing: Mapping[str, Missing], now: datetime) -> None:
        """Set these items aside, or leave them there for longer: neither asked nor learned from."""
        with self._engine.begin() as connection:
            tries = self._tries(connection, list(missing), now)
            rows = [self._row(item_id, why, tries.get(item_id, 0) + 1, now) for item_id, why in missing.items()]
            _sql.upsert(connection, aside, rows, update=["reason", "kind", "tries", "due"])
            for item_id, why in missing.items():
                self._mark(connection, item_id, why.reason)

    def release(self, ids: Sequence[str]) -> None:
        """These items can be used again. How often they could not is kept for a while, should they fail elsewhere."""
        with self._engine.begin() as connection:
            for some in _sql.chunks(ids):
                mine = (aside.c.dataset == self._dataset, aside.c.item_id.in_(some))
                connection.execute(update(aside).where(*mine).values(kind=_BACK))
                there = (items.c.dataset == self._dataset, items.c.id.in_(some))
                connection.execute(update(items).where(*there).values(problem=None))

    def hurry(self, ids: Sequence[str] | None = None) -> int:
        """Have these items, or all of them, tried again at the next occasion; how many there are."""
        found = 0
        with self._engine.begin() as connection:
            for some in [None] if ids is None else list(_sql.chunks(ids)):
                mine = [*self._there(), *([] if some is None else [aside.c.item_id.in_(some)])]
                found += connection.execute(update(aside).where(*mine).values(due="", tries=0)).rowcount
        return found

    def due(self, now: datetime) -> list[str]:
        """Those that may be tried again, also where the clock was set back since."""
        latest = _sql.stamp(now + max(LONGEST.values()) + LATER)
        time = or_(aside.c.due <= _sql.stamp(now), aside.c.due > latest)
        query = select(aside.c.item_id).where(*self._there(), time).order_by(aside.c.item_id)
        with _sql.reading(self._engine) as connection:
            return list(connection.scalars(query))

    def all(self) -> list[Aside]:
        """Every item that is set aside, the next one first."""
        query = select(aside).where(*self._there()).order_by(aside.c.due, aside.c.item_id)
        with _sql.reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [
            Aside(
                row.item_id,
                Missing(row.reason, row.kind == _AWAY),
                row.tries,
                _sql.moment(row.due) if row.due else None,
            )
            for row in rows
        ]

    def count(self) -> int:
        """How many there are."""
        query = select(func.count()).select_from(aside).where(*self._there())
        with _sql.reading(self._engine) as connection:
            return connection.scalar(query) or 0

    def _there(self) -> tuple[ColumnElement[bool], ...]:
        """Those that are set aside now."""
        return aside.c.dataset == self._dataset, aside.c.kind != _BACK

    def _tries(self, connection: Connection, ids: Sequence[str], now: datetime) -> dict[str, int]:
        """How often these could not be used, but for what was over long ago."""
        found: dict[str, int] = {}
        long_ago = _sql.stamp(now - 2 * LONGEST[False])
        for some in _sql.chunks(ids):
            query = select(aside.c.item_id, aside.c.tries).where(
                aside.c.dataset == self._dataset,
                aside.c.item_id.in_(some),
                or_(aside.c.kind != _BACK, aside.c.due > long_ago),
            )
            found.update((row.item_id, row.tries) for row in connection.execute(query))
        return found

    def _row(self, item_id: str, why: Missing, tries: int, now: datetime) -> dict[str, object]:
        pause = (SOON if why.away else LATER) * 2 ** min(tries - 1, 20)
        return {
            "dataset": self._dataset,
            "item_id": item_id,
            "reason": why.reason,
            "kind": _AWAY if why.away else _UNREADABLE,
            "tries": tries,
            "due": _sql.stamp(now + min(pause, LONGEST[why.away])),
        }

    def _mark(self, connection: Connection, item_id: str, reason: str | None) -> None:
        mine = (items.c.dataset == self._dataset, items.c.id == item_id)
        connection.execute(update(items).where(*mine).values(problem=reason))


def in_words(found: Sequence[Aside], now: datetime) -> str:
    """How many items are set aside, one of them with its reason, and when they are tried again; empty for none."""
    if not found:
        return ""
    away = sum(one.missing.away for one in found)
    counted = [f"{away} did not answer"] if away else []
    counted += [f"{len(found) - away} cannot be read"] if away < len(found) else []
    due = min((one.due for one in found if one.due), default=None)
    waiting = (due - now).total_seconds() if due and all(one.due for one in found) else 0.0
    when = "at the next tick" if waiting <= 0 else f"in {_pause(waiting)}"
    return f"{len(found)} item(s) left out: {', '.join(counted)}, such as {found[0].missing.reason}; tried again {when}"


def _pause(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
