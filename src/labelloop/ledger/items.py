"""The items of a dataset, in the order they were added, and where their embeddings are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, func, select

from labelloop.ledger import _sql
from labelloop.ledger.tables import embedded, items, seen
from labelloop.types import Item, NewItem, Seen


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
class Chunk:
    """The embeddings of the items at positions [start, stop)."""

    start: int
    stop: int
    ref: str


class ItemBook:
    """Items by id and by position."""

    def __init__(self, engine: Engine, dataset: str) -> None:
        self._engine = engine
        self._dataset = dataset

    def add(self, new: Sequence[NewItem]) -> int:
        """Add items that are not there yet; returns how many were new. Known ids are left alone.

        The files they were read from are remembered for `unchanged`.
        """
        with self._engine.begin() as connection:
            position = self._count(connection)
            unknown = self._unknown(connection, [one.item.id for one in new])
            fresh = {one.item.id: one for one in new if one.item.id in unknown}
            rows = [self._row(one, position + offset) for offset, one in enumerate(fresh.values())]
            _sql.upsert(connection, items, rows)
            files = [self._file(one.seen, one.item.id) for one in new if one.seen and one.seen.stamp]
            _sql.upsert(connection, seen, files, update=["stamp", "item_id"])
        return len(rows)

    def unchanged(self, files: Sequence[Seen]) -> dict[str, str]:
        """Those files that were read before and have the same stamp still: address -> id of the item."""
        asked = {_address(one.uri): one for one in files}
        found: dict[str, str] = {}
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(list(asked)):
                query = select(seen.c.address, seen.c.stamp, seen.c.item_id).where(
                    seen.c.dataset == self._dataset, seen.c.address.in_(some)
                )
                for address, stamp, item_id in connection.execute(query):
                    if stamp == asked[address].stamp:
                        found[asked[address].uri] = item_id
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

    def fingerprints(self) -> tuple[list[str], list[bytes]]:
        """Ids and fingerprints of the first item of every group."""
        query = select(items.c.id, items.c.fingerprint).where(
            items.c.dataset == self._dataset, items.c.grp == items.c.id
        )
        with _sql.reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [row.id for row in rows], [row.fingerprint for row in rows]

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

    def chunks(self, backbone: str) -> list[Chunk]:
        """Where the embeddings by this backbone are, in order, without gaps from position 0."""
        query = (
            select(embedded.c.start, embedded.c.stop, embedded.c.ref)
            .where(embedded.c.dataset == self._dataset, embedded.c.backbone == backbone)
            .order_by(embedded.c.start)
        )
        with _sql.reading(self._engine) as connection:
            return [Chunk(*row) for row in connection.execute(query)]

    def add_chunk(self, backbone: str, chunk: Chunk) -> None:
        """Remember where the embeddings of these positions are."""
        row = {
            "dataset": self._dataset,
            "backbone": backbone,
            "start": chunk.start,
            "stop": chunk.stop,
            "ref": chunk.ref,
        }
        with self._engine.begin() as connection:
            _sql.upsert(connection, embedded, [row], update=["stop", "ref"])

    def forget_chunks(self, backbone: str) -> None:
        """Forget where the embeddings by this backbone are; they are gone."""
        where = (embedded.c.dataset == self._dataset, embedded.c.backbone == backbone)
        with self._engine.begin() as connection:
            connection.execute(embedded.delete().where(*where))

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

    def _file(self, file: Seen, item_id: str) -> dict[str, str]:
        return {
            "dataset": self._dataset,
            "address": _address(file.uri),
            "stamp": file.stamp,
            "item_id": item_id,
        }

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


def _address(uri: str) -> str:
    return blake2b(uri.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _item(row: Row[Any]) -> Item:
    return Item(row.id, row.modality, row.uri, row.text, row.grp, row.digest, row.meta)
