"""What our own Label Studio may call on this machine and its network: a file that its guard reads at each call."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from labelloop.backends.label_studio.locks import locked
from labelloop.protocols import silent
from labelloop.types import Bucket

BACKEND_PATHS = ("", "/", "/health", "/setup", "/predict", "/webhook", "/versions")
"""What Label Studio asks of an ML backend."""

METADATA = "169.254.169.254:80"
"""Where the machines of the clouds get their credentials."""


def allow(home: Path, urls: Iterable[str]) -> None:
    """Let the server of this home call these exact addresses from now on; it needs no restart."""
    _change(home, lambda kept: kept["urls"].update(urls))


def forbid(home: Path, urls: Iterable[str]) -> None:
    """Let it call them no more."""
    _change(home, lambda kept: kept["urls"].difference_update(urls))


def forbid_path(home: Path, path: str) -> None:
    """Let it call no address of this path any more."""
    _change(home, lambda kept: kept["urls"].difference_update({u for u in kept["urls"] if urlsplit(u).path == path}))


def allow_bucket(home: Path, bucket: Bucket) -> None:
    """Let it read pictures where the stack's store has them."""
    endpoints = {url.rstrip("/") for url in (bucket.endpoint, _token_server(bucket)) if url}
    metadata = set() if bucket.credentials else {METADATA}

    def change(kept: dict[str, set[str]]) -> None:
        kept["endpoints"], kept["metadata"] = endpoints, metadata

    _change(home, change)


def backend(url: str) -> list[str]:
    """Every address of an ML backend."""
    return [url.rstrip("/") + path for path in BACKEND_PATHS]


def _change(home: Path, change: Any) -> None:
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / "calls.lock", "says what Label Studio may call", silent):
        before = _read(home)
        kept = {key: set(values) for key, values in before.items()}
        change(kept)
        kept["hosts"] = kept["metadata"] | {
            host for url in sorted(kept["urls"] | kept["endpoints"]) for host in _sockets(url)
        }
        if kept != before:
            _write(home, kept)


def _read(home: Path) -> dict[str, set[str]]:
    try:
        found = json.loads((home / "calls.json").read_text())
    except (OSError, ValueError):
        found = {}
    if not isinstance(found, dict):
        found = {}
    return {key: set(found.get(key, ())) for key in ("urls", "endpoints", "metadata", "hosts")}


def _write(home: Path, kept: Mapping[str, Iterable[str]]) -> None:
    handle, draft = tempfile.mkstemp(prefix="calls-", dir=home)
    with os.fdopen(handle, "w") as file:
        json.dump({key: sorted(values) for key, values in kept.items()}, file, indent=1)
    Path(draft).replace(home / "calls.json")


def _token_server(bucket: Bucket) -> str:
    """Where a key of Google's is signed in, by the key's own word; empty without one."""
    try:
        return str(json.loads(bucket.credentials.get("token", ""))["token_uri"])
    except (ValueError, TypeError, KeyError):
        return ""


def _sockets(url: str) -> set[str]:
    """The sockets behind an address, as its name is resolved now."""
    where = urlsplit(url)
    port = where.port or (443 if where.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(where.hostname, port, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {f"{address[4][0]}:{port}" for address in found}
