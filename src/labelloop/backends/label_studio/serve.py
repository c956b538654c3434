"""Runs under Label Studio's own python: the server, holding a lock for as long as it lives."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

_INDEXES = (
    "labelloop_task_changed ON task (project_id, updated_at)",
    "labelloop_task_counted ON task (project_id, total_annotations, cancelled_annotations, total_predictions)",
)
"""What Label Studio lacks to find what changed, and to count, without reading every task of a project."""

_RECOUNT = """
UPDATE task SET
    total_annotations = found.said, cancelled_annotations = found.skipped,
    is_labeled = found.people >= task.overlap, updated_at = ?
FROM (
    SELECT task_id, SUM(NOT was_cancelled) AS said, SUM(was_cancelled) AS skipped,
        COUNT(DISTINCT CASE WHEN NOT was_cancelled AND result IS NOT NULL THEN completed_by_id END) AS people
    FROM task_completion WHERE task_id IS NOT NULL GROUP BY task_id
) AS found
WHERE found.task_id = task.id AND (total_annotations, cancelled_annotations) IS NOT (found.said, found.skipped)
"""
"""Label Studio saves an answer first and counts it after: killed between the two, it shows the question as open, and as
unchanged, for ever."""

_ROOT = "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
_NO_SUPERUSER = "UPDATE htx_user SET is_superuser = 0, is_staff = 0 WHERE email = ?"
_OURS = "annotator@labelloop.example"
"""Our user needs no more rights than a member has; older ones had them."""


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
    draft.write_text(json.dumps({"pid": os.getpid(), "port": port, "root": os.environ.get(_ROOT, "/")}))
    draft.replace(home / "server.json")
    prepare(home / "data" / "label_studio.sqlite3")
    sys.argv = ["label-studio", "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    import_module("guard").install(home, port)  # it stands beside this file
    import_module("label_studio.server").main()


def prepare(database: Path) -> None:
    """Count answers that were saved and not counted, and add our indexes where they are missing.

    A Label Studio whose tables are others does without.
    """
    if not database.exists():
        return
    connection = sqlite3.connect(database)
    try:
        with connection:
            connection.execute(_RECOUNT, (datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),))
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'htx_user'").fetchone():
            with connection:
                connection.execute(_NO_SUPERUSER, (_OURS,))
        for one in _INDEXES:
            connection.execute(f"CREATE INDEX IF NOT EXISTS {one}")
    except sqlite3.Error as error:
        sys.stderr.write(f"labelloop: answers were not counted anew, and no index added: {error}\n")
    finally:
        connection.close()


if __name__ == "__main__":
    main()
