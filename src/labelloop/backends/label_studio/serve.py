"""Runs under Label Studio's own python: the server, holding a lock for as long as it lives."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import sys
from importlib import import_module
from pathlib import Path

_INDEXES = (
    "labelloop_task_changed ON task (project_id, updated_at)",
    "labelloop_task_counted ON task (project_id, total_annotations, cancelled_annotations, total_predictions)",
)
"""What Label Studio lacks to find what changed, and to count, without reading every task of a project."""


def main() -> None:
    """Serve at port `argv[2]`; the folder `argv[1]` gets `server.lock`, held, and `server.json`, who and where."""
    home, port = Path(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have left it ignored
    lock = os.open(home / "server.lock", os.O_RDWR | os.O_CREAT)  # never closed: held until the process is gone
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another Label Studio runs on {home}")
    draft = home / "server.json.new"
    draft.write_text(json.dumps({"pid": os.getpid(), "port": port}))
    draft.replace(home / "server.json")
    index(home / "data" / "label_studio.sqlite3")
    sys.argv = ["label-studio", "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    import_module("label_studio.server").main()


def index(database: Path) -> None:
    """Add our indexes where they are missing; a Label Studio whose tables are others does without them."""
    if not database.exists():
        return
    connection = sqlite3.connect(database)
    try:
        for one in _INDEXES:
            connection.execute(f"CREATE INDEX IF NOT EXISTS {one}")
    except sqlite3.Error as error:
        sys.stderr.write(f"labelloop: no index, so that hearing takes longer in large projects: {error}\n")
    finally:
        connection.close()


if __name__ == "__main__":
    main()
