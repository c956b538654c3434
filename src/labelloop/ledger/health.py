"""Whether the file of a ledger is whole: what every opening sees for free, and what a look at every page finds."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from labelloop.errors import ConfigError, DamagedLedgerError
from labelloop.ledger.descriptors import looking

SETTLED = 1.0
"""Seconds that another process may take to make a ledger of a file that is still empty."""

_MOMENT = 0.1
_MAGIC = b"SQLite format 3\0"
_DAMAGE = frozenset([sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT])
_REPAIR = "restore a backup of it, or labelloop doctor --repair: sets it aside, saves what can be read, hears the rest"


def file_of(url: str) -> Path | None:
    """The file of a ledger on SQLite; None for any other."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:")
    return Path(str(parsed.database)) if is_file else None


def damaged(where: object, why: str) -> DamagedLedgerError:
    """The error of a ledger that is not whole, with its repair."""
    return DamagedLedgerError(f"the ledger {where} is damaged: {why}", _REPAIR)


def as_damage(error: BaseException | None) -> str:
    """What a database says of a file that is not whole; empty where it says something else."""
    code = getattr(error, "sqlite_errorcode", None)
    words = str(error)
    if code is not None and code & 0xFF in _DAMAGE:
        return words
    is_missing = words.startswith(("no such table", "no such column")) or getattr(error, "sqlstate", "") == "42P01"
    return words.splitlines()[0] if is_missing else ""


def refuse_damage(path: Path) -> None:
    """Look at the size and the first hundred bytes: what is cut, emptied, overwritten or no file is seen at once.

    Raises:
        DamagedLedgerError: It is not whole.
        ConfigError: It is the database of something else.
    """
    if path.is_dir():
        raise damaged(path, "it is a folder")
    if not path.exists():
        return
    head = _head(path)
    if not head:
        if _was_used(path) and _stays_empty(path):
            raise damaged(path, "it is empty, and there are results of its rounds")
        return
    if not head.startswith(_MAGIC):
        raise damaged(path, "it is no SQLite database: overwritten, or encrypted")
    if _is_short(path) and (why := _cut(path)):
        raise damaged(path, why)
    _refuse_foreign(path)


def flaw(path: Path) -> str:
    """The first flaw that a look at every page finds; empty for a ledger that is whole. Linear in its size."""
    if path.is_dir():
        return "it is a folder"
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return as_damage(error)
    return "" if found is None or found[0] == "ok" else " ".join(str(found[0]).split())


def wanted_size(path: Path) -> int:
    """The bytes that a file should have by its header."""
    head = _head(path)
    return _pages(head) * _page_size(head)


def _head(path: Path) -> bytes:
    with looking(path) as descriptor:
        return os.pread(descriptor, 100, 0)


def _refuse_foreign(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        if why := as_damage(error):
            raise damaged(path, why) from None
        return
    if tables and "labelloop_version" not in tables:
        raise ConfigError(f"{path} is a database, and no ledger of labelloop", "name another file in ledger.url")


def _is_short(path: Path) -> bool:
    """Whether a file has less than its header says, or a part of a page."""
    head = _head(path)
    size = path.stat().st_size
    return len(head) < 100 or _pages(head) * _page_size(head) > size or size % _page_size(head) != 0


def _cut(path: Path) -> str:
    """What is missing; empty where a log that is not merged yet holds it, or another process has written it by now."""
    if _has_content(_log_of(path)):
        return flaw(path)
    time.sleep(_MOMENT)
    is_cut = _is_short(path) and not _has_content(_log_of(path))
    return f"it is cut at {path.stat().st_size:,} bytes" if is_cut else ""


def _page_size(head: bytes) -> int:
    size = int.from_bytes(head[16:18], "big")
    return 65536 if size == 1 else max(size, 512)


def _pages(head: bytes) -> int:
    """As the header counts them; none where an older SQLite wrote last, which does not count."""
    return int.from_bytes(head[28:32], "big") if head[24:28] == head[92:96] else 0


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _stays_empty(path: Path) -> bool:
    """Whether nobody is about to make a ledger of it."""
    until = time.monotonic() + SETTLED
    while not _has_content(path) and not _has_content(_log_of(path)):
        if time.monotonic() > until:
            return True
        time.sleep(0.02)
    return False


def _was_used(path: Path) -> bool:
    artifacts = path.parent / "artifacts"
    return artifacts.is_dir() and any(artifacts.iterdir())
