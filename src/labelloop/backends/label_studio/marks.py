"""The mark of the ledger that asks a project's questions, at the end of the project's description."""

from __future__ import annotations

import re

from labelloop.backends.label_studio.client import Client

_MARK = re.compile(r"\s*\[(labelloop:[0-9a-f:]+)\]")


def mark_of(client: Client, project: int) -> str:
    """The mark; empty where there is none, or people have removed it."""
    found = _MARK.search(_description(client, project))
    return found[1] if found else ""


def set_mark(client: Client, project: int, mark: str) -> None:
    """Put this mark in place of the one before; what else the description says stays."""
    said = _MARK.sub("", _description(client, project))
    body = {"description": f"{said}\n\n[{mark}]" if said.strip() else f"[{mark}]"}
    client.call("PATCH", f"/api/projects/{project}", query={"include": "id"}, body=body)


def _description(client: Client, project: int) -> str:
    found = client.call("GET", f"/api/projects/{project}", query={"include": "id,description"})
    return str(found.get("description") or "")
