"""The items of a dataset, in the order they were added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Engine, Row, func, select

from labelloop.ledger import _sql
from labelloop.ledger.chunks import Chunk, ChunkBook
from labelloop.ledger.files import FileBook
from labelloop.ledger.groups import GroupBook
from labelloop.ledger.tables import items, seen
from labelloop.types import Item, NewItem

__all__ = ["Chunk", "Facts", "ItemBook", "ItemColumns", "texts_of"]


@dataclass(frozen=True)
class ItemColumns:
    """Every item as columns, in the order of their positions 0, 1, 2, ...

    Attributes:
        ids: (n,) item ids.
        groups: (n,) group of each item.
        readable: (n,) bool, False for items with a known problem.
    """

    ids: np.ndarray
    groups: np.ndarray
    readable: np.ndarray


@dataclass(frozen=True, slots=True)
class Facts:
    """What an item is known by: its id, its address, and the digest of its content, where that was read."""

    id: str
    uri: str
    digest: str


class ItemBook(FileBook, GroupBook, ChunkBook):
    """Items by id and by position."""

    def add(self, new: Sequence[NewItem], source: str = "") -> int:
        """Add items that are not there yet; returns how many were new. Known ids are left alone.

        The addresses they were read from are remembered for `unchanged` and `at`.

        Args:
            source: The place that they were found in, for `of_source`.
        """
        with self._engine.begin() as connection:
            position = self._count(connection)
            unknown = self._unknown(connection, [one.item.id for one in new])
            fresh = {one.item.id: one for one in new if one.item.id in unknown}
            rows = [self._row(one, position + offset) for offset, one in enumerate(fresh.values())]
            _sql.upsert(connection, items, rows)
            files = {one.seen.uri: self._file(one.seen, one.item.id, source) for one in new if one.seen}
            _sql.upsert(connection, seen, self._other(connection, files), update=["stamp", "item_id", "source"])
        return len(rows)

    def facts(self, ids: Sequence[str]) -> dict[str, Facts]:
        """Where these items are and what they hold, of those that there are."""
        return {one.id: one for one in self._facts(items.c.id, ids)}

    def holding(self, digests: Sequence[str]) -> dict[str, Facts]:
        """The first item that holds each of these contents: digest -> the item."""
        found: dict[str, Facts] = {}
        for one in self._facts(items.c.digest, digests):
            found.setdefault(one.digest, one)
        return found

    def _facts(self, column: ColumnElement[str], values: Sequence[str]) -> list[Facts]:
        found = []
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(values):
                query = select(items.c.id, items.c.uri, items.c.digest).where(
                    items.c.dataset == self._dataset, column.in_(some)
                )
                found += [Facts(*row) for row in connection.execute(query.order_by(items.c.position))]
        return found

    def unknown(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that no item has."""
        with _sql.reading(self._engine) as connection:
            return self._unknown(connection, ids)

    def count(self) -> int:
        """How many items there are."""
        with _sql.reading(self._engine) as connection:
            return self._count(connection)

    def problems(self) -> Mapping[str, str]:
        """Items that turned out unreadable: id -> reason."""
        query = select(items.c.id, items.c.problem).where(
            items.c.dataset == self._dataset, items.c.problem.is_not(None)
        )
        with _sql.reading(self._engine) as connection:
            return {row.id: row.problem for row in connection.execute(query)}

    def columns(self) -> ItemColumns:
        """Every item as columns."""
        query = (
            select(items.c.id, items.c.grp, items.c.problem.is_(None))
            .where(items.c.dataset == self._dataset)
            .order_by(items.c.position)
        )
        with _sql.reading(self._engine) as connection:
            rows = connection.execute(query).all()
        ids, groups, readable = zip(*rows, strict=True) if rows else ((), (), ())
        return ItemColumns(
            np.array(ids, dtype=np.str_), np.array(groups, dtype=np.str_), np.array(readable, dtype=np.bool_)
        )

    def lengths(self) -> np.ndarray:
        """(n,) characters of each item's inline text, in the order of `columns`; 0 of any other item."""
        query = select(func.length(items.c.text)).where(items.c.dataset == self._dataset).order_by(items.c.position)
        with _sql.reading(self._engine) as connection:
            return np.array([length or 0 for length in connection.scalars(query)], np.int64)

    def get(self, ids: Sequence[str]) -> dict[str, Item]:
        """The items of these ids."""
        found: dict[str, Item] = {}
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(ids):
                query = select(items).where(items.c.dataset == self._dataset, items.c.id.in_(some))
                found.update((row.id, _item(row)) for row in connection.execute(query))
        return found

    def positions(self, ids: Sequence[str]) -> dict[str, int]:
        """The positions of the items of these ids."""
        found: dict[str, int] = {}
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(ids):
                query = select(items.c.id, items.c.position).where(
                    items.c.dataset == self._dataset, items.c.id.in_(some)
                )
                found.update((row.id, row.position) for row in connection.execute(query))
        return found

    def between(self, start: int, stop: int) -> list[Item]:
        """The items at positions [start, stop)."""
        query = (
            select(items)
            .where(items.c.dataset == self._dataset, items.c.position >= start, items.c.position < stop)
            .order_by(items.c.position)
        )
        with _sql.reading(self._engine) as connection:
            return [_item(row) for row in connection.execute(query)]

    def _count(self, connection: Connection) -> int:
        """As many as the last position says: they are 0, 1, 2, ..., and no item ever goes."""
        last = connection.scalar(select(func.max(items.c.position)).where(items.c.dataset == self._dataset))
        return 0 if last is None else last + 1

    def _unknown(self, connection: Connection, ids: Sequence[str]) -> set[str]:
        unknown = set(ids)
        for some in _sql.chunks(ids):
            query = select(items.c.id).where(items.c.dataset == self._dataset, items.c.id.in_(some))
            unknown.difference_update(connection.scalars(query))
        return unknown

    def _row(self, new: NewItem, position: int) -> dict[str, Any]:
        item = new.item
        return {
            "dataset": self._dataset,
            "id": item.id,
            "position": position,
            "modality": item.modality,
            "uri": item.uri,
            "text": item.text,
            "grp": item.group or item.id,
            "digest": item.digest,
            "fingerprint": new.fingerprint,
            "meta": dict(item.meta),
            "problem": None,
        }


def texts_of(engine: Engine, dataset: str, ids: Sequence[str]) -> dict[str, str]:
    """The texts of these items; one that is no text is absent."""
    found: dict[str, str] = {}
    with _sql.reading(engine) as connection:
        for some in _sql.chunks(ids):
            there = select(items.c.id, items.c.text).where(items.c.modality == "text")
            query = there.where(items.c.dataset == dataset, items.c.id.in_(some))
            found.update((row.id, row.text) for row in connection.execute(query))
    return found


def _item(row: Row[Any]) -> Item:
    return Item(row.id, row.modality, row.uri, row.text, row.grp, row.digest, row.meta)
