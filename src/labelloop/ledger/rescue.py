"""The repair of a damaged ledger on SQLite: set aside, never deleted; whatever can be read goes into a new one."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import JSON, Boolean, Float, Integer, Numeric, Table

from labelloop.errors import BackendError, ConfigError
from labelloop.ledger import open_ledger
from labelloop.ledger.health import file_of, flaw, refuse_damage, wanted_size
from labelloop.ledger.tables import leases, metadata, version

_PARTS = ("", "-wal", "-shm")
_ABOUT_HEARING = ("answers_cursor", "answers_reconciled", "answers_scanned")
"""Facts that would keep what is missing from being heard again."""

LARGEST = 2**40
"""Bytes that a header may speak of."""

WIDEST = 100_000
"""Rows of a gap that are tried one by one."""


@dataclass(frozen=True, slots=True)
class Rescued:
    """What a repair came to: where the damaged file is, and the rows that went into the new one."""

    aside: Path
    rows: Mapping[str, int]

    def in_words(self) -> str:
        """What was saved, and what to do next."""
        saved = ", ".join(f"{count:,} {table}" for table, count in self.rows.items() if count) or "nothing"
        return (
            f"the damaged ledger is {self.aside} now; saved: {saved}\n"
            "next: labelloop add PLACES again, labelloop tick --take-over, labelloop doctor --repair"
        )


def damage(url: str) -> str:
    """What is wrong with the file of a ledger, after a look at every page; empty if nothing, or it is no file."""
    path = file_of(url)
    if path is None or not path.exists():
        return ""
    with suppress(ConfigError):
        try:
            refuse_damage(path)
        except BackendError as error:
            return error.message
    found = flaw(path)
    return f"the ledger {path} is damaged: {found}" if found else ""


def rescue(url: str, dataset: str) -> Rescued:
    """Set the damaged file aside and make a new one of what can be read.

    Raises:
        ConfigError: The ledger is no file.
        BackendError: The disk refuses; the damaged file is where it was, or beside it.
    """
    path = file_of(url)
    if path is None:
        raise ConfigError("only a ledger in a file can be repaired here", "restore a backup of the database")
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
    try:
        for part in _PARTS:
            with suppress(FileNotFoundError):
                path.with_name(path.name + part).rename(f"{aside}{part}")
        open_ledger(url, dataset).close()
        rows = _carried(aside, path) if aside.is_file() else {}
    except OSError as error:
        raise BackendError(
            f"cannot set {path} aside: {error.strerror}", "free space, or correct permissions"
        ) from error
    return Rescued(aside, rows)


def _carried(aside: Path, path: Path) -> dict[str, int]:
    """Copy row by row, from a copy: SQLite would write the log of the one that is set aside into it."""
    with tempfile.TemporaryDirectory(prefix="labelloop-rescue-", dir=path.parent) as folder:
        for part in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{aside}{part}", Path(folder) / f"old{part}")
        _fill_up(Path(folder) / "old")
        with closing(sqlite3.connect(Path(folder) / "old")) as old, closing(sqlite3.connect(path)) as new:
            old.row_factory = sqlite3.Row
            tables = [one for one in metadata.sorted_tables if one not in (leases, version)]
            return {table.name: _carry(old, new, table) for table in tables}


def _fill_up(path: Path) -> None:
    """Pages of nothing in place of those that were cut off: SQLite reads no page at all while some are missing."""
    wanted = wanted_size(path)
    if path.stat().st_size < wanted < LARGEST:
        os.truncate(path, wanted)


def _carry(old: sqlite3.Connection, new: sqlite3.Connection, table: Table) -> int:
    count = 0
    with new:
        for row in _rows(old, table.name):
            values = {name: row[name] for name in row.keys() if name in table.columns}  # noqa: SIM118 - a sqlite3.Row
            if table.name == "facts" and values.get("name") in _ABOUT_HEARING:
                continue
            if _is_sound(table, values):
                names, marks = ", ".join(f'"{name}"' for name in values), ", ".join("?" for _ in values)
                statement = f'INSERT OR IGNORE INTO "{table.name}" ({names}) VALUES ({marks})'  # noqa: S608 - our names
                count += new.execute(statement, list(values.values())).rowcount
    return count


def _is_sound(table: Table, values: Mapping[str, object]) -> bool:
    """Whether a row can be read again: pages of another table may stand where its own were."""
    for name, value in values.items():
        kind = table.columns[name].type
        if value is None:
            continue
        if isinstance(kind, JSON):
            try:
                json.loads(str(value))
            except ValueError:
                return False
            continue
        is_number = isinstance(kind, Integer | Numeric | Float | Boolean)
        if is_number != isinstance(value, int | float) and not isinstance(value, bytes):
            return False
    return True


def _rows(old: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """Every row that can be read: from the front, from the back, and one by one in the gap between."""
    first, last = 0, None
    for row in _until_damage(old, f'SELECT rowid AS "~", * FROM "{table}" ORDER BY rowid', ()):  # noqa: S608
        first = max(first, int(row["~"]))
        yield row
    backwards = f'SELECT rowid AS "~", * FROM "{table}" WHERE rowid > ? ORDER BY rowid DESC'  # noqa: S608
    for row in _until_damage(old, backwards, (first,)):
        last = int(row["~"])
        yield row
    if last is None:
        return
    one = f'SELECT rowid AS "~", * FROM "{table}" WHERE rowid = ?'  # noqa: S608
    for number in range(first + 1, min(last, first + WIDEST)):
        yield from _until_damage(old, one, (number,))


def _until_damage(old: sqlite3.Connection, query: str, values: tuple[int, ...]) -> Iterator[sqlite3.Row]:
    try:
        yield from old.execute(query, values)
    except (sqlite3.DatabaseError, UnicodeDecodeError, OverflowError):
        return
