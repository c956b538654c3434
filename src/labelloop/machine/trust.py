"""The folders whose code a person has allowed to run: kept with the user, never in the folder itself."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from labelloop.errors import BackendError
from labelloop.machine.privacy import config_folder

VARIABLE = "LABELLOOP_TRUST"
"""Folders that are trusted, with all below them, without a record: for CI and containers."""

MARK = Path(".labelloop", "trusted")
"""Lies in a trusted folder, so that another folder that is put in its place later is not trusted."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """One folder that is trusted.

    Attributes:
        folder: Its path.
        since: When it was.
        by: The command that did it.
        stands: Whether it is still the same folder.
    """

    folder: Path
    since: str
    by: str
    stands: bool

    def as_dict(self) -> Mapping[str, Any]:
        """The folder for scripts."""
        return {"folder": str(self.folder), "since": self.since, "by": self.by, "stands": self.stands}


def is_trusted(folder: Path) -> bool:
    """Whether a person allowed the code of this folder to run.

    That is: she said `labelloop trust`, or made the workspace; the environment names it or a folder above it; or she
    runs a script that lies in it.
    """
    folder = folder.resolve()
    if any(folder.is_relative_to(one) for one in _from_environment()) or _is_where_the_script_lies(folder):
        return True
    said = _recorded().get(str(folder))
    return isinstance(said, dict) and _is_same(folder, said)


def trust(folder: Path, by: str) -> None:
    """Remember that the code of a folder may run. Safe to repeat.

    Args:
        folder: The folder of a workspace.
        by: The command that says so.

    Raises:
        BackendError: What is remembered cannot be written.
    """
    folder = folder.resolve()
    with _changing() as recorded:
        recorded[str(folder)] = {"mark": _digest(_marked(folder)), "since": _now(), "by": by}


def revoke(folder: Path) -> bool:
    """Forget it; whether it was trusted.

    Raises:
        BackendError: What is remembered cannot be written.
    """
    with _changing() as recorded:
        return recorded.pop(str(folder.resolve()), None) is not None


def trusted() -> list[Trusted]:
    """Every folder that is remembered, by path."""
    return [
        Trusted(Path(name), str(said.get("since", "")), str(said.get("by", "")), _is_same(Path(name), said))
        for name, said in sorted(_recorded().items())
        if isinstance(said, dict)
    ]


def _from_environment() -> list[Path]:
    return [Path(one).resolve() for one in os.environ.get(VARIABLE, "").split(os.pathsep) if one]


def _is_where_the_script_lies(folder: Path) -> bool:
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return bool(script) and Path(str(script)).resolve().parent == folder


def _is_same(folder: Path, said: Mapping[str, Any]) -> bool:
    return said.get("mark") == _digest(_mark_of(folder))


def _marked(folder: Path) -> str:
    """The mark of a folder, made if there is none; empty where nothing may be written, and the path alone counts."""
    if mark := _mark_of(folder):
        return mark
    path = folder / MARK
    try:
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.write_text(secrets.token_hex(16), "ascii")
        path.chmod(0o600)
    except OSError:
        return ""
    return _mark_of(folder)


def _mark_of(folder: Path) -> str:
    try:
        return (folder / MARK).read_bytes()[:64].decode("ascii", "replace")
    except OSError:
        return ""


def _digest(mark: str) -> str:
    return blake2b(mark.encode(), digest_size=16).hexdigest() if mark else ""


def _path() -> Path:
    return config_folder() / "trusted.json"


def _recorded() -> dict[str, Any]:
    try:
        said = json.loads(_path().read_bytes())
    except (OSError, ValueError):
        return {}
    folders = said.get("folders") if isinstance(said, dict) else None
    return dict(folders) if isinstance(folders, dict) else {}


@contextlib.contextmanager
def _changing() -> Iterator[dict[str, Any]]:
    """What is remembered, written when the block ends: other writers wait, readers see old or new."""
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            recorded = {name: said for name, said in _recorded().items() if Path(name).is_dir()}
            yield recorded
            beside = path.with_name(f".{path.name}.{os.getpid()}")
            beside.touch(mode=0o600)
            beside.write_text(json.dumps({"version": 1, "folders": recorded}, indent=1), "utf-8")
            beside.replace(path)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BackendError(
            f"cannot write {path}: {error.strerror or error}", f"check its folder, or set {VARIABLE}=FOLDER"
        ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
