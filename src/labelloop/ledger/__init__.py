"""The ledger: items, questions, answers with their history, rounds and step results, by SQL."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, ExceptionContext, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from labelloop.errors import BackendError, ConfigError
from labelloop.errors.masking import masked
from labelloop.kinds import LabelSchema
from labelloop.kinds.label_changes import retold
from labelloop.kinds.misplaced import with_misplaced_refused
from labelloop.ledger.answers import AnswerBook
from labelloop.ledger.aside import AsideBook
from labelloop.ledger.auto import AutoBook
from labelloop.ledger.changed import ChangedBook
from labelloop.ledger.descriptors import keep_open
from labelloop.ledger.health import as_damage, damaged, file_of, refuse_damage
from labelloop.ledger.items import ItemBook, texts_of
from labelloop.ledger.labels import LabelBook
from labelloop.ledger.lease import Lease
from labelloop.ledger.opinions import OpinionBook, joined
from labelloop.ledger.overlap import OverlapBook
from labelloop.ledger.reading import may_only_read, reading_engine, refuse_older
from labelloop.ledger.rounds import RoundBook
from labelloop.ledger.steps import StepBook
from labelloop.ledger.tables import migrate
from labelloop.types import Annotation

BUSY_SECONDS = 30.0
BUSY_PAUSE = 0.01


@dataclass(frozen=True)
class Ledger:
    """One dataset's part of a ledger database. Every write is an upsert in one transaction."""

    dataset: str
    engine: Engine
    items: ItemBook
    answers: AnswerBook
    rounds: RoundBook
    steps: StepBook
    lease: Lease
    labels: LabelBook
    opinions: OpinionBook
    auto: AutoBook
    aside: AsideBook
    changed: ChangedBook
    overlap: OverlapBook

    def said(self, schema: LabelSchema) -> dict[str, list[Annotation]]:
        """Every annotation there is now, by item, second opinions included, oldest first, in the labels of now.

        What was said about an item that holds other content since is not among them. An answer that points at places
        which the text of its item does not have is refused by a region more (`kinds.consensus.refusing`).
        """
        found = joined(retold(schema, self.labels.changes(), self.answers.current()), self.opinions.about())
        for item_id in self.changed.of_before():
            found.pop(item_id, None)
        return with_misplaced_refused(schema, found, partial(texts_of, self.engine, self.dataset))

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def open_ledger(url: str, dataset: str) -> Ledger:
    """Open (and create or migrate) the ledger at `url` for one dataset; a file that takes no writes is only read.

    Raises:
        ConfigError: The URL names no database SQLAlchemy knows, or a newer labelloop wrote it.
        BackendError: The database cannot be reached or opened, or is damaged.
    """
    path = file_of(url)
    if path is not None:
        _look_at(path)
    only_read = path is not None and may_only_read(path)
    engine = reading_engine(path) if path is not None and only_read else connect(url)
    try:
        with engine.begin() as connection:
            (refuse_older if only_read else migrate)(connection)
    except DatabaseError as error:
        shown = masked(make_url(url).render_as_string(hide_password=True))
        if why := as_damage(error.orig):
            raise damaged(shown, why) from None
        raise BackendError(
            f"the ledger {shown} cannot be opened: {_first_line(error)}",
            "check that the folder or server exists and may be written, and has space left",
            retryable=True,
        ) from None
    event.listen(engine, "handle_error", _explain)
    if path is not None:
        keep_open(path, engine)
    answers = AnswerBook(engine, dataset)
    return Ledger(
        dataset,
        engine,
        ItemBook(engine, dataset),
        answers,
        RoundBook(engine, dataset),
        StepBook(engine),
        Lease(engine, dataset),
        LabelBook(engine, dataset),
        OpinionBook(engine, dataset),
        AutoBook(engine, dataset),
        AsideBook(engine, dataset),
        ChangedBook(engine, dataset),
        OverlapBook(engine, dataset, answers),
    )


def _look_at(path: Path) -> None:
    """What a file that is no whole ledger is, in words, before SQLite makes it a new one; a new one is ours alone."""
    try:
        refuse_damage(path)
        if path.parent.is_dir() and not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise BackendError(
            f"the ledger {path} cannot be opened: {error.strerror or error}",
            "check that its folder exists, may be read and written, and has space left",
            retryable=True,
        ) from None


def connect(url: str) -> Engine:
    """An engine; SQLite in WAL mode, where a writer takes its lock at the start of a transaction and others wait."""
    try:
        parsed = make_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
        engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS} if sqlite else {})
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"ledger.url is not a database that can be used: {_first_line(error)}",
            "use sqlite:///path/ledger.db or postgresql+psycopg://user@host/name (pip install 'labelloop[postgres]')",
        ) from None
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # labelloop says BEGIN itself, so that a writer locks before it reads
    _use_wal(connection)
    connection.execute("PRAGMA synchronous=NORMAL")


def _use_wal(connection: Any) -> None:
    """Let readers and a writer pass each other; SQLite does not wait by itself while another process begins to, too."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(BUSY_PAUSE)


def _begin_immediate(connection: Any) -> None:
    readonly = connection.get_execution_options().get("readonly", False)
    connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")


def _explain(context: ExceptionContext) -> None:
    """Say of a full disk or a lost server whose fault it is; the transaction was rolled back."""
    error = context.sqlalchemy_exception
    where = str(context.engine.url) if context.engine is not None else ""
    if isinstance(error, DatabaseError) and (why := as_damage(error.orig)):
        raise damaged(where, why) from error
    if isinstance(error, OperationalError) and "readonly" in str(error.orig):
        raise ConfigError(
            "this command writes to the ledger, which may only be read here",
            "copy the workspace to where you may write, or run it as its owner; status, report and export only read",
        ) from error
    if isinstance(error, OperationalError):
        raise BackendError(
            f"the ledger failed: {_first_line(error)}",
            "free space on its disk, or check its server, then run again: nothing is lost",
            retryable=context.is_disconnect,
        ) from error


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__
