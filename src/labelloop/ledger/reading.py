"""A ledger that may only be read: an auditor's copy, a backup, a folder on a medium that takes no writes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.pool import NullPool

from labelloop.errors import ConfigError
from labelloop.ledger.tables import MIGRATIONS, version


def may_only_read(path: Path) -> bool:
    """Whether the file is there, and it or its folder takes no writes."""
    return path.is_file() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def reading_engine(path: Path) -> Engine:
    """An engine that leaves no trace beside the file."""
    address, copied = _address(path)
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool)
    event.listen(engine, "connect", _leave_transactions)
    event.listen(engine, "begin", _begin)
    if copied is not None:
        event.listen(engine, "engine_disposed", lambda _: shutil.rmtree(copied, ignore_errors=True))
    return engine


def refuse_older(connection: Connection) -> None:
    """Go on only with tables of today, as none can be made here.

    Raises:
        ConfigError: Another labelloop wrote it.
    """
    now = connection.scalar(select(version.c.number)) or 0
    if now != len(MIGRATIONS):
        raise ConfigError(
            f"the ledger is of version {now} and may not be changed; this labelloop reads version {len(MIGRATIONS)}",
            "copy the folder to where you may write: the copy is brought up to date",
        )


def _address(path: Path) -> tuple[str, Path | None]:
    """How SQLite opens it, and the folder of the copy where it has to be one."""
    uri = path.resolve().as_uri()
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or log.stat().st_size == 0:
        return f"{uri}?mode=ro&immutable=1", None  # nothing is outside the file, and nobody can write to it from here
    try:
        with closing(sqlite3.connect(f"{uri}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:  # the log has to be read, and its index cannot be made beside it
        folder = Path(tempfile.mkdtemp(prefix="labelloop-read-"))
        for one in (path, log):
            shutil.copyfile(one, folder / one.name)
        return (folder / path.name).as_uri(), folder
    return f"{uri}?mode=ro", None


def _leave_transactions(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
