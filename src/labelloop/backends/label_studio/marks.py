"""The mark of the ledger that asks a project's questions, in a field of the project that people do not see.

It is the login for task data, which Label Studio uses together with a password only, and keeps whatever people edit. A
settings page that was open while the loop asked would bring an older mark back with the description. Where somebody has
set that login, the mark is at the end of the description.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from labelloop.backends.label_studio.client import Client

FIELD = "task_data_login"

PAUSE = 0.3
"""Seconds after writing, before the mark is read again: the usual time between a look and a write, and not the longest.

There is no compare-and-swap; of several writers that wait and read again, the last alone finds its own mark, unless one
of them slept for longer than this between its look and its write (Fischer's algorithm).
"""

_MARK = re.compile(r"\s*\[(labelloop:[0-9a-f:]+)\]")


def mark_of(client: Client, project: int) -> str:
    """The mark; empty where there is none, or people have removed it."""
    kept = _kept(client, project)
    if _is_free(kept) and kept[FIELD]:
        return str(kept[FIELD])
    found = _MARK.search(str(kept["description"] or ""))
    return found[1] if found else ""


def set_mark(client: Client, project: int, mark: str) -> None:
    """Put this mark in place of the one before; what people wrote stays."""
    kept = _kept(client, project)
    before = str(kept["description"] or "")
    said = _MARK.sub("", before)
    body = {FIELD: mark} if _is_free(kept) else {}
    wanted = said if body else f"{said}\n\n[{mark}]" if said.strip() else f"[{mark}]"
    if wanted != before:
        body["description"] = wanted
    client.call("PATCH", f"/api/projects/{project}", query={"include": "id"}, body=body)
    time.sleep(PAUSE)


def _is_free(kept: Mapping[str, Any]) -> bool:
    """Whether the login is not somebody's."""
    return not kept[FIELD] or str(kept[FIELD]).startswith("labelloop:")


def _kept(client: Client, project: int) -> Mapping[str, Any]:
    found: Mapping[str, Any] = client.call(
        "GET", f"/api/projects/{project}", query={"include": f"id,description,{FIELD}"}
    )
    return found
