"""The groups of near duplicates, as `labelloop.data.duplicates` wants them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from labelloop.ledger import _sql
from labelloop.ledger.book import Book
from labelloop.ledger.tables import items


class GroupBook(Book):
    """Who leads a group, who follows, and what they are compared by."""

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
