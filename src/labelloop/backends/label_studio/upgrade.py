"""What a Label Studio of our own that served more than it does today needs to go on, once, before it starts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from labelloop.backends.label_studio import calls
from labelloop.backends.label_studio.ml import TITLE
from labelloop.backends.label_studio.served import in_served, link
from labelloop.backends.label_studio.tasks import UID

_STORAGES = "io_storages_localfilesmixin"
_LINK = "/data/local-files/?d="


def upgrade(home: Path, database: Path, served: Path | None) -> None:
    """Have its storages lie in the folder of links, with a link for each picture of its tasks; keep its own calls.

    Where somebody else has an account, tasks and addresses may be hers: then a file is linked only if its content is
    what the task's id says, so that nobody gets what she has not had; and addresses are registered by their commands.

    Args:
        home: The server's folder.
        database: Its tables.
        served: The folder of links; None where its owner chose another root.
    """
    if not database.exists():
        return
    try:
        with closing(sqlite3.connect(database)) as connection:
            alone = connection.execute("SELECT count(*) FROM htx_user").fetchone()[0] <= 1
            if served is not None:
                _move(connection, served, trusting=alone)
            if alone and not (home / "calls.json").exists():
                calls.allow(home, _registered(connection))
    except sqlite3.Error:
        return  # tables of another release


def _move(connection: sqlite3.Connection, served: Path, *, trusting: bool) -> None:
    storages = connection.execute(f"SELECT id, path FROM {_STORAGES}").fetchall()  # noqa: S608 - a constant
    moved = [(str(in_served(served, path)), number) for number, path in storages if path]
    moved = [(path, number) for path, number in moved if (number, path) not in set(storages)]
    if not moved:
        return
    link(served, _pictures(connection, trusting=trusting))
    with connection:
        connection.executemany(f"UPDATE {_STORAGES} SET path = ? WHERE id = ?", moved)  # noqa: S608


def _pictures(connection: sqlite3.Connection, *, trusting: bool) -> Iterator[Path]:
    """The files that tasks show."""
    for (text,) in connection.execute("SELECT data FROM task WHERE data LIKE '%/data/local-files/%'"):
        task = json.loads(text)
        for value in task.values():
            place = _place(value)
            if place and (trusting or _is_content(place, task.get(UID))):
                yield place


def _place(value: Any) -> Path | None:
    if not isinstance(value, str) or not value.startswith(_LINK):
        return None
    (relative,) = parse_qs(urlsplit(value).query).get("d", [""])[-1:]
    place = Path("/", relative)
    return place if len(place.parts) > 2 and ".." not in place.parts and place.is_file() else None


def _is_content(place: Path, wanted: object) -> bool:
    try:
        return blake2b(place.read_bytes(), digest_size=16).hexdigest() == str(wanted)  # as `found.content_id`
    except OSError:
        return False


def _registered(connection: sqlite3.Connection) -> list[str]:
    """What was registered for hints, and as ML backend."""
    hooks = connection.execute("SELECT url FROM webhook WHERE is_active AND url LIKE '%/hooks/%'").fetchall()
    backends = connection.execute("SELECT url FROM ml_mlbackend WHERE title = ?", (TITLE,)).fetchall()
    return [url for (url,) in hooks] + [url for (one,) in backends for url in calls.backend(one)]
