"""Where a workspace is, and which stacks its labelloop.toml names: read as written, without the other settings."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labelloop.errors import NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "labelloop.toml"

_NO_SETTINGS = tuple(
    f"LABELLOOP_{name}"
    for name in ("TRUST", "SECRET_", "SECRETS_KEY", "CACHE_DIR", "LABEL_STUDIO_ENV", "TEST_", "CHAOS")
)
STATE = ".labelloop"
PARTS = ("artifact_store", "secrets_manager", "annotator", "orchestrator")
"""The keys of a stack."""


def find_root(start: Path) -> Path:
    """The nearest folder upwards with a labelloop.toml.

    Raises:
        NotFoundError: There is none.
    """
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    raise NotFoundError(f"no {FILE} in {start} or above", "labelloop init")


def root_at(folder: Path) -> Path:
    """A folder that somebody named as a workspace, if it is one.

    Raises:
        NotFoundError: It has no labelloop.toml.
    """
    if not (folder / FILE).is_file():
        import shlex

        raise NotFoundError(
            f"no {FILE} in {folder}", f"check the folder, or labelloop -C {shlex.quote(str(folder))} init"
        )
    return folder


def plain_stacks(root: Path, settings: Sequence[str]) -> tuple[str, Mapping[str, Mapping[str, str]]] | None:
    """The active stack, and every stack with its components, where nothing is out of the ordinary.

    None means that the whole configuration has to be read, which says what is wrong: the file is no TOML, a name leads
    nowhere, or a variable or flag has a say.
    """
    if settings or any(name.startswith("LABELLOOP_") and not name.startswith(_NO_SETTINGS) for name in os.environ):
        return None
    try:
        written = tomllib.loads((root / FILE).read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    active, tables = written.get("active_stack", "default"), written.get("stacks", {})
    if not isinstance(tables, dict) or not all(_is_plain(one, written) for one in tables.values()):
        return None
    stacks = {name: dict.fromkeys(PARTS, "default") | tables.get(name, {}) for name in sorted({"default", *tables})}
    return (active, stacks) if active in stacks else None


def _is_plain(stack: object, written: Mapping[str, Any]) -> bool:
    """Whether each of a stack's keys is a part, and names a component that there is."""
    return isinstance(stack, dict) and all(
        part in PARTS and isinstance(name, str) and _is_there(written.get(f"{part}s", {}), name)
        for part, name in stack.items()
    )


def _is_there(components: object, name: str) -> bool:
    return name == "default" or (isinstance(components, dict) and isinstance(components.get(name), dict))
