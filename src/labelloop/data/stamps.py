"""Stamps of files: what listing says for free, and says otherwise once a file has changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

SETTLED = 2.0
"""Seconds after which a time of change is believed: the coarsest clock of a filesystem (FAT) ticks as slowly."""

_TAGS = ("etag", "ETag")
_TIMES = ("mtime", "modified", "last_modified", "LastModified")


def stamp_of(entry: Mapping[str, Any], now: float) -> str:
    """The stamp of a file as a filesystem lists it: its tag, or size and time of change; empty if it tells neither.

    A time of change that is younger than `SETTLED` is no stamp: the file may change again within the same tick.

    Args:
        entry: What `fsspec`'s `ls` says about it.
        now: Seconds since the epoch, taken before the file is read.
    """
    tag = next((str(entry[name]) for name in _TAGS if entry.get(name)), "")
    if tag and not tag.startswith("W/"):
        return f"{entry.get('size')} {tag}"
    changed = next((_seconds(entry[name]) for name in _TIMES if entry.get(name)), None)
    if changed is None or now - changed < SETTLED:
        return ""
    return f"{entry.get('size')} {changed!r}"


def stamp_of_file(path: str, now: float) -> str:
    """The stamp of a file here, or of what a link leads to: size, and when content and attributes last changed.

    Tools that copy keep the time of change of the content; the other time is the filesystem's own.
    """
    try:
        found = Path(path).stat()
    except OSError:
        return ""
    if now - found.st_mtime < SETTLED:
        return ""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _seconds(when: object) -> float | None:
    if isinstance(when, datetime):
        return when.timestamp()
    return float(when) if isinstance(when, int | float) else None
