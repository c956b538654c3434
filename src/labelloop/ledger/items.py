"""The items of a dataset, in the order they were added, and where their embeddings are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Engine, Row, func, select

from labelloop.ledger import _sql
from labelloop.ledger.tables import address_of, embedded, items, seen
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
class Facts:
    """What an item is known by: its id, its address, and the digest of its content, where that was read."""

    id: str
    uri: str
    digest: str


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

    def unchanged(self, files: Sequence[Seen], source: str = "") -> dict[str, str]:
        """Those files that were read before and have the same stamp still: address -> id of the item.

        Args:
            source: The place that they are found in now, which is remembered.
        """
        asked = {address_of(one.uri): one for one in files if one.stamp}
        found, moved = {}, []
        with _sql.reading(self._engine) as connection:
            for row in self._seen(connection, list(asked)):
                if row.stamp == asked[row.address].stamp:
                    found[asked[row.address].uri] = row.item_id
                    moved += [row.address] if source and row.source != source else []
        if moved:
            with self._engine.begin() as connection:
                for some in _sql.chunks(moved):
                    mine = (seen.c.dataset == self._dataset, seen.c.address.in_(some))
                    connection.execute(seen.update().where(*mine).values(source=source))
        return found

    def at(self, uris: Sequence[str]) -> dict[str, str]:
        """The items that were last read from these addresses: address -> id."""
        asked = {address_of(uri): uri for uri in uris}
        with _sql.reading(self._engine) as connection:
            return {asked[row.address]: row.item_id for row in self._seen(connection, list(asked))}

    def of_source(self, source: str) -> Iterator[str]:
        """The items that were last found in a place, one at a time; an item that is there twice comes twice."""
        query = select(seen.c.item_id).where(seen.c.dataset == self._dataset, seen.c.source == source)
        with _sql.reading(self._engine) as connection:
            yield from connection.execution_options(yield_per=10_000).scalars(query)

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

    def _seen(self, connection: Connection, addresses: Sequence[str]) -> Iterator[Row[Any]]:
        for some in _sql.chunks(addresses):
            yield from connection.execute(select(seen).where(seen.c.dataset == self._dataset, seen.c.address.in_(some)))

    def _other(self, connection: Connection, files: Mapping[str, dict[str, str]]) -> list[dict[str, str]]:
        """Those rows that are not there as they are, and one for each item whose address another item has taken."""
        rows = {row["address"]: row for row in files.values()}
        there = {row.address: row._asdict() for row in self._seen(connection, list(rows))}
        here = {row["item_id"] for row in rows.values()}
        homeless = [old for address, old in there.items() if old["item_id"] not in here]
        lost = [{**old, "address": address_of(f"#{old['item_id']}"), "stamp": ""} for old in homeless]
        return [*(row for address, row in rows.items() if there.get(address) != row), *lost]

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

    def leaders(self) -> tuple[list[str], list[bytes], list[int]]:
        """Ids and fingerprints of the first item of every group, and how many members the group has."""
        ours = items.c.dataset == self._dataset
        query = select(items.c.id, items.c.fingerprint).where(ours, items.c.grp == items.c.id)
        counted = select(items.c.grp, func.count()).where(ours).group_by(items.c.grp).having(func.count() > 1)
        with _sql.reading(self._engine) as connection:
            rows = connection.execute(query).all()
            sizes = {row[0]: row[1] for row in connection.execute(counted)}
        return [row.id for row in rows], [row.fingerprint for row in rows], [sizes.get(row.id, 1) for row in rows]

    def members(self) -> list[tuple[str, bytes, str]]:
        """Pictures that follow the first item of their group: (id, fingerprint, id of that item)."""
        query = select(items.c.id, items.c.fingerprint, items.c.grp).where(
            items.c.dataset == self._dataset, items.c.grp != items.c.id, items.c.modality == "image"
        )
        with _sql.reading(self._engine) as connection:
            return [(row.id, row.fingerprint, row.grp) for row in connection.execute(query)]

    def texts(self, ids: Sequence[str], longest: int) -> dict[str, str]:
        """The texts of the items of these ids, as far as they are texts; at most so many characters of each."""
        found: dict[str, str] = {}
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(ids):
                query = select(items.c.id, func.substr(items.c.text, 1, longest).label("text")).where(
                    items.c.dataset == self._dataset, items.c.id.in_(some), items.c.modality == "text"
                )
                found.update((row.id, row.text) for row in connection.execute(query))
        return found

    def fingerprints(self, ids: Sequence[str]) -> list[bytes]:
        """The fingerprints of the items of these ids, in no order."""
        found: list[bytes] = []
        with _sql.reading(self._engine) as connection:
            for some in _sql.chunks(ids):
                query = select(items.c.fingerprint).where(items.c.dataset == self._dataset, items.c.id.in_(some))
                found += connection.scalars(query)
        return found

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

    def forget_other_chunks(self, backbone: str, start: int) -> None:
        """Forget where other backbones' embeddings are, from this position on: some are of earlier content."""
        where = (embedded.c.dataset == self._dataset, embedded.c.backbone != backbone, embedded.c.stop > start)
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

    def _file(self, file: Seen, item_id: str, source: str) -> dict[str, str]:
        return {
            "dataset": self._dataset,
            "address": address_of(file.uri),
            "stamp": file.stamp,
            "item_id": item_id,
            "source": source,
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


def _item(row: Row[Any]) -> Item:
    return Item(row.id, row.modality, row.uri, row.text, row.grp, row.digest, row.meta)
