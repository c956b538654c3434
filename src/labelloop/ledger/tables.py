"""The tables of the ledger, and the list of functions that brings an older database up to date."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
    inspect,
    select,
)

from labelloop.errors import ConfigError
from labelloop.ledger.health import damaged

LOCK = 0x6C6F6F70
"""What processes that open one PostgreSQL database wait for each other by."""

metadata = MetaData()

_serial = BigInteger().with_variant(Integer, "sqlite")

version = Table("labelloop_version", metadata, Column("number", Integer, nullable=False))

items = Table(
    "items",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("modality", String, nullable=False),
    Column("uri", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("grp", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("meta", JSON, nullable=False),
    Column("problem", Text),
    Index("items_position", "dataset", "position", unique=True),
    Index("items_digest", "dataset", "digest"),
)

changed = Table(
    "changed",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("at", String, nullable=False),
)

aside = Table(
    "aside",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("kind", String, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due", String, nullable=False),
)

seen = Table(
    "seen",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("address", String, primary_key=True),  # a digest of the URI, which may be longer than an index takes
    Column("stamp", String, nullable=False),
    Column("item_id", String, nullable=False),
    Column("source", String, nullable=False, server_default=""),  # a digest of the place that it was last found in
    Index("seen_source", "dataset", "source"),
)

questions = Table(
    "questions",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("round", Integer, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("purpose", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("task_id", String),
    Column("prediction", JSON),
    Column("people", Integer),  # how many closed it, where it was closed before that number was raised
    Index("questions_round", "dataset", "round", "state"),
    Index("questions_counts", "dataset", "round", "purpose", "state"),  # counted at every tick, without their guesses
)

annotated = Table(
    "annotations",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("item_id", String, nullable=False),
    Column("annotator", String, nullable=False),
    Column("regions", JSON, nullable=False),
    Column("skipped", Boolean, nullable=False),
    Column("ground_truth", Boolean, nullable=False),
    Column("lead_time", Float),
    Column("created_at", String, nullable=False),
    Column("updated_at", String, nullable=False),
    Column("removed_at", String),
    Index("annotations_item", "dataset", "item_id"),
)

history = Table(
    "annotation_history",
    metadata,
    Column("number", _serial, primary_key=True, autoincrement=True),
    Column("dataset", String, nullable=False),
    Column("annotation_id", String, nullable=False),
    Column("item_id", String, nullable=False),
    Column("change", String, nullable=False),
    Column("said", JSON, nullable=False),
    Column("heard_at", String, nullable=False),
    Index("history_annotation", "dataset", "annotation_id"),
)

opinions = Table(
    "opinions",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("question", String, primary_key=True),  # the item_id of its row in questions
    Column("item_id", String, nullable=False),
    Column("asked_at", String, nullable=False),
    Column("record", JSON, nullable=False),
    Index("opinions_item", "dataset", "item_id"),
)

guesses = Table(
    "guesses",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("shown", Boolean, nullable=False),
    Column("guess", JSON, nullable=False),
    Column("planned_at", String, nullable=False),
    Column("sent_at", String),
)

rounds = Table(
    "rounds",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", String, nullable=False),
    Column("record", JSON, nullable=False),
)

embedded = Table(
    "embedded",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("backbone", String, primary_key=True),
    Column("start", Integer, primary_key=True),
    Column("stop", Integer, nullable=False),
    Column("ref", String, nullable=False),
)

steps = Table(
    "steps",
    metadata,
    Column("key", String, primary_key=True),
    Column("step", String, nullable=False),
    Column("ref", String, nullable=False),
    Column("seconds", Float, nullable=False),
)

facts = Table(
    "facts",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", JSON, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("since", Float, nullable=False),
    Column("expires", Float, nullable=False),
)


certificates = Table(
    "certificates",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", String, nullable=False),
    Column("record", JSON, nullable=False),
)

auto_labels = Table(
    "auto_labels",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("label", String, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("draw", Float, nullable=False),
    Column("certificate", Integer, nullable=False),
    Index("auto_labels_draw", "dataset", "certificate", "draw"),
)

audits = Table(
    "audits",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("label", String, nullable=False),
    Column("certificate", Integer, nullable=False),
)


def _first(connection: Connection) -> None:
    metadata.create_all(connection)


def _seen(connection: Connection) -> None:
    seen.create(connection, checkfirst=True)


def _counted(connection: Connection) -> None:
    """Count questions from an index alone; it is there where the tables were made by now."""
    index = next(index for index in questions.indexes if index.name == "questions_counts")
    index.create(connection, checkfirst=True)


def _opinions(connection: Connection) -> None:
    opinions.create(connection, checkfirst=True)


def _guesses(connection: Connection) -> None:
    guesses.create(connection, checkfirst=True)


def _auto(connection: Connection) -> None:
    for table in (certificates, auto_labels, audits):
        table.create(connection, checkfirst=True)


def _turns(_: Connection) -> None:
    """A question may have a turn without a guess from now on, which an older labelloop cannot read."""


def _aside(connection: Connection) -> None:
    """What an older labelloop marked as unreadable for ever is tried again."""
    aside.create(connection, checkfirst=True)
    lost = select(items.c.dataset, items.c.id, items.c.problem).where(items.c.problem.is_not(None))
    same = {"kind": "unreadable", "tries": 0, "due": ""}
    rows = [
        {"dataset": row.dataset, "item_id": row.id, "reason": row.problem, **same} for row in connection.execute(lost)
    ]
    if rows:
        connection.execute(aside.insert(), rows)


def _authors(connection: Connection) -> None:
    """Give answers that an older labelloop gave to "0", when the account of their author was deleted, back to her."""
    nobody = select(annotated.c.dataset, annotated.c.id).where(annotated.c.annotator == "0")
    for row in connection.execute(nobody).all():
        mine = (history.c.dataset == row.dataset, history.c.annotation_id == row.id)
        query = select(history.c.said).where(*mine).order_by(history.c.number)
        names = [said.get("annotator", "") for said in connection.scalars(query)]
        name = next((one for one in names if one not in ("", "0")), f"unknown ({row.id})")
        mine = (annotated.c.dataset == row.dataset, annotated.c.id == row.id)
        connection.execute(annotated.update().where(*mine).values(annotator=name))


def _three_facts(connection: Connection) -> None:
    """An item's id, address and content are found by each other; what is there by now was made with the tables."""
    changed.create(connection, checkfirst=True)
    if "source" not in {column["name"] for column in inspect(connection).get_columns("seen")}:
        connection.exec_driver_sql("ALTER TABLE seen ADD COLUMN source VARCHAR NOT NULL DEFAULT ''")
    for table, name in ((items, "items_digest"), (seen, "seen_source")):
        next(index for index in table.indexes if index.name == name).create(connection, checkfirst=True)
    _note_addresses(connection)


def _people(connection: Connection) -> None:
    """A question may have been closed with fewer people than close one now; none was, before."""
    if "people" not in {column["name"] for column in inspect(connection).get_columns("questions")}:
        connection.exec_driver_sql("ALTER TABLE questions ADD COLUMN people INTEGER")


def _note_addresses(connection: Connection) -> None:
    """Which item every address holds, also where no stamp was kept."""
    from labelloop.ledger import _sql

    found = connection.execute(select(items.c.dataset, items.c.id, items.c.uri).where(items.c.uri != ""))
    while some := found.fetchmany(1000):
        same = {"stamp": "", "source": ""}
        rows = [{"dataset": one.dataset, "address": address_of(one.uri), "item_id": one.id, **same} for one in some]
        _sql.upsert(connection, seen, rows)


def address_of(uri: str) -> str:
    """What an address is known by, which may be longer than an index takes."""
    return blake2b(uri.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


MIGRATIONS: list[Callable[[Connection], None]] = [
    _first,
    _seen,
    _counted,
    _opinions,
    _guesses,
    _auto,
    _turns,
    _aside,
    _authors,
    _three_facts,
    _people,
]
"""What brings a database from version i to i + 1; appended to, never edited."""


def migrate(connection: Connection) -> None:
    """Bring the database to the newest version, inside the caller's transaction; of several processes, one does.

    Raises:
        ConfigError: A newer labelloop wrote this ledger.
    """
    _wait_for_others(connection)
    version.create(connection, checkfirst=True)
    now = connection.scalar(select(version.c.number)) or 0
    if not isinstance(now, int) or now < 0:
        raise damaged(connection.engine.url, f"its version is {now!r}")
    if now > len(MIGRATIONS):
        raise ConfigError(
            f"the ledger is of version {now}, this labelloop knows up to {len(MIGRATIONS)}",
            "pip install --upgrade labelloop",
        )
    for step in MIGRATIONS[now:]:
        step(connection)
    if now < len(MIGRATIONS):
        connection.execute(version.delete())
        connection.execute(version.insert().values(number=len(MIGRATIONS)))


def _wait_for_others(connection: Connection) -> None:
    """Hold a lock until the transaction ends; on SQLite it holds one from its start."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
