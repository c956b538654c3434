"""What every book of the ledger needs: upserts that SQLite and PostgreSQL both speak, reads, and times as text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

CHUNK = 500  # below SQLite's limit on variables in one statement


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for reads, which never waits for a writer."""
    with engine.connect().execution_options(readonly=True) as connection:
        yield connection


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], update: Sequence[str] = ()) -> None:
    """Insert rows; where the primary key is there already, update the named columns, or leave the row alone."""
    if not rows:
        return
    insert = postgres_insert if connection.dialect.name == "postgresql" else sqlite_insert
    keys = [column.name for column in table.primary_key]
    statement = insert(table)
    if update:
        statement = statement.on_conflict_do_update(
            index_elements=keys, set_={name: statement.excluded[name] for name in update}
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    connection.execute(statement, [dict(row) for row in rows])


def now(connection: Connection) -> float:
    """Seconds since 1970 by the clock that all machines of a database share; SQLite's is this machine's."""
    if connection.dialect.name == "postgresql":
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return time.time()


def chunks(things: Sequence[str], size: int = CHUNK) -> Iterator[Sequence[str]]:
    """Slices small enough for one `IN (...)`."""
    for start in range(0, len(things), size):
        yield things[start : start + size]


def stamp(moment: datetime) -> str:
    """A time as text that sorts like the time: UTC, microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """The time of a stamp."""
    return datetime.fromisoformat(text)
