"""The mark of the ledger that asks a project's questions, in a field of the project that people do not see.

It is the login for task data, which Label Studio uses together with a password only, and keeps whatever people edit. A
settings page that was open while the loop asked would bring an older mark back with the description. Where somebody has
set that login, the mark is at the end of the description.

Label Studio exchanges no field of a project in one step. But of an organization's shared labels no two have the same
title, and whoever makes one that is there is given that. So which mark follows on which is such a label, and no control
shows it: of all that would follow on one mark, the first succeeds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from labelloop.backends.label_studio.bounds import understood
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.repeats import FailedError
from labelloop.errors import BackendError, ConfigError

FIELD = "task_data_login"

PAUSE = 0.3
"""Seconds after writing, before the mark is read again, where the server has no shared labels: an older one, or another
edition. Of several writers that wait and read again, the last alone finds its own mark, unless one of them slept for
longer than this between its look and its write (Fischer's algorithm).
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


def swap_mark(client: Client, project: int, before: str, after: str) -> str:
    """Put a mark in place of the one before, unless another has followed on that; the one that did."""
    followed = _followed(client, project, before, after)
    if followed in (after, ""):
        set_mark(client, project, after)
    if followed:
        return followed
    time.sleep(PAUSE)
    return mark_of(client, project)


def _followed(client: Client, project: int, before: str, after: str) -> str:
    """The mark that follows on `before`: `after`, if none has yet; empty where the server cannot tell."""
    label = {
        "title": f"labelloop: what follows in project {project} on {before or 'nothing'}",
        "value": [after],
        "project": project,
        "from_name": "labelloop",
    }
    try:  # of two that make it at once, one fails, and is told the other's the second time
        made = client.call("POST", "/api/labels", body=[label], harmless=True)
    except FailedError:
        return ""
    except (BackendError, ConfigError) as error:
        if getattr(error, "retryable", False):
            raise
        return ""
    with understood(client.url):
        return str(made[0]["value"][0])


def _is_free(kept: Mapping[str, Any]) -> bool:
    """Whether the login is not somebody's."""
    return not kept[FIELD] or str(kept[FIELD]).startswith("labelloop:")


def _kept(client: Client, project: int) -> Mapping[str, Any]:
    found: Mapping[str, Any] = client.call(
        "GET", f"/api/projects/{project}", query={"include": f"id,description,{FIELD}"}
    )
    return found
