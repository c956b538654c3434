"""The files that items were read from: where each was found, and with which stamp."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from labelloop.ledger import _sql
from labelloop.ledger.book import Book
from labelloop.ledger.tables import address_of, seen
from labelloop.types import Seen


class FileBook(Book):
    """Addresses, and the item that was read from each last."""

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

    def _file(self, file: Seen, item_id: str, source: str) -> dict[str, str]:
        return {
            "dataset": self._dataset,
            "address": address_of(file.uri),
            "stamp": file.stamp,
            "item_id": item_id,
            "source": source,
        }
