"""Items whose address or content is another than it was: what that is now, and what people have to be shown of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Engine, bindparam, delete, func, select, update

from labelloop.ledger import _sql
from labelloop.ledger.tables import aside, auto_labels, changed, items, opinions, questions
from labelloop.types import NewItem

Kind = Literal["address", "content", "replaced"]

OTHER_CONTENT = "its content is another than it was"
REPLACED = "its file holds other content now"


@dataclass(frozen=True)
class News:
    """What is different about known items.

    Attributes:
        addresses: Items that are elsewhere, as they are now.
        contents: Items that hold other content, as they are now.
        replaced: Items whose place another content has taken, for which there is another item.
        back: Items that were replaced, and are there again.
    """

    addresses: Sequence[NewItem] = ()
    contents: Sequence[NewItem] = ()
    replaced: Collection[str] = ()
    back: Collection[str] = ()

    def __bool__(self) -> bool:
        return bool(self.addresses or self.contents or self.replaced or self.back)


class ChangedBook:
    """What is different about items of one dataset since people were asked about them."""

    def __init__(self, engine: Engine, dataset: str) -> None:
        self._engine = engine
        self._dataset = dataset

    def note(self, news: News, now: datetime) -> None:
        """Have the items be what they are now, in one transaction. Noting the same again changes nothing."""
        if not news:
            return
        with self._engine.begin() as connection:
            self._write(connection, news.addresses, ("uri", "meta"))
            self._write(connection, news.contents, ("uri", "text", "digest", "fingerprint", "meta"))
            self._forget(connection, changed, list(news.back), changed.c.kind == "replaced")
            self._problem(connection, list(news.back), None)
            elsewhere, other = ([one.item.id for one in some] for some in (news.addresses, news.contents))
            asked = self._asked(connection, [*elsewhere, *other, *news.replaced])
            self._mark(connection, "address", [one for one in elsewhere if one in asked], now)
            self._mark(connection, "content", [one for one in other if one in asked], now)
            self._mark(connection, "replaced", [one for one in news.replaced if one in asked], now)
            self._mark(connection, "replaced", [one for one in news.replaced if one not in asked], now, done=True)
            self._embed_again(connection, other)
            self._forget(connection, auto_labels, [*other, *news.replaced])
            self._forget(connection, aside, list(news.replaced))
            self._problem(connection, list(news.replaced), REPLACED)

    def show_again(self, ids: Sequence[str], now: datetime) -> None:
        """Have these items be shown from where they are now at the next occasion."""
        with self._engine.begin() as connection:
            self._mark(connection, "address", ids, now)

    def waiting(self) -> dict[str, Kind]:
        """What people have not been shown yet: item id -> what is different about it."""
        query = select(changed.c.item_id, changed.c.kind).where(
            changed.c.dataset == self._dataset, changed.c.done.is_(False)
        )
        with _sql.reading(self._engine) as connection:
            return {row.item_id: row.kind for row in connection.execute(query.order_by(changed.c.item_id))}

    def of_before(self) -> set[str]:
        """The items about which nothing that people said counts: it was about other content."""
        mine = (changed.c.dataset == self._dataset, changed.c.kind.in_(["content", "replaced"]))
        with _sql.reading(self._engine) as connection:
            return set(connection.scalars(select(changed.c.item_id).where(*mine)))

    def replaced(self) -> set[str]:
        """The items whose place another content has taken."""
        mine = (changed.c.dataset == self._dataset, changed.c.kind == "replaced")
        with _sql.reading(self._engine) as connection:
            return set(connection.scalars(select(changed.c.item_id).where(*mine)))

    def count(self) -> int:
        """How many items were replaced."""
        mine = (changed.c.dataset == self._dataset, changed.c.kind == "replaced")
        with _sql.reading(self._engine) as connection:
            return connection.scalar(select(func.count()).select_from(changed).where(*mine)) or 0

    def done(self, ids: Sequence[str]) -> None:
        """People have been shown what is different about these items."""
        with self._engine.begin() as connection:
            self._forget(connection, changed, ids, changed.c.kind != "replaced")
            for some in _sql.chunks(ids):
                mine = (changed.c.dataset == self._dataset, changed.c.item_id.in_(some))
                connection.execute(update(changed).where(*mine).values(done=True))

    def _write(self, connection: Connection, new: Sequence[NewItem], names: Sequence[str]) -> None:
        rows = [{"of": one.item.id, **{f"new_{name}": _value(one, name) for name in names}} for one in new]
        if rows:
            mine = (items.c.dataset == self._dataset, items.c.id == bindparam("of"))
            values = {name: bindparam(f"new_{name}", type_=items.c[name].type) for name in names}
            connection.execute(update(items).where(*mine).values(**values), rows)

    def _mark(
        self, connection: Connection, kind: Kind, ids: Sequence[str], now: datetime, *, done: bool = False
    ) -> None:
        """Write down what people have to be shown; another address is the least of it."""
        same = {"dataset": self._dataset, "kind": kind, "done": done, "at": _sql.stamp(now)}
        over = () if kind == "address" else ("kind", "done", "at")
        _sql.upsert(connection, changed, [{**same, "item_id": one} for one in ids], update=over)

    def _embed_again(self, connection: Connection, ids: Sequence[str]) -> None:
        """Leave them out until their embedding is that of the content of now, at once."""
        same = {"dataset": self._dataset, "reason": OTHER_CONTENT, "kind": "unreadable", "tries": 0, "due": ""}
        rows = [{**same, "item_id": one} for one in ids]
        _sql.upsert(connection, aside, rows, update=["reason", "kind", "tries", "due"])
        self._problem(connection, ids, OTHER_CONTENT)

    def _problem(self, connection: Connection, ids: Sequence[str], reason: str | None) -> None:
        for some in _sql.chunks(ids):
            mine = (items.c.dataset == self._dataset, items.c.id.in_(some))
            connection.execute(update(items).where(*mine).values(problem=reason))

    def _forget(self, connection: Connection, table: Any, ids: Sequence[str], *also: Any) -> None:
        for some in _sql.chunks(ids):
            connection.execute(delete(table).where(table.c.dataset == self._dataset, table.c.item_id.in_(some), *also))

    def _asked(self, connection: Connection, ids: Sequence[str]) -> set[str]:
        """Those of the items that people have before them, or had."""
        found: set[str] = set()
        for some in _sql.chunks(ids):
            for table in (questions, opinions):
                query = select(table.c.item_id).where(table.c.dataset == self._dataset, table.c.item_id.in_(some))
                found.update(connection.scalars(query))
        return found


def _value(one: NewItem, name: str) -> Any:
    if name == "fingerprint":
        return one.fingerprint
    value = getattr(one.item, name)
    return dict(value) if isinstance(value, Mapping) else value
