"""Who else of this machine can read what labelloop writes: its own folder nobody, the rest as the umask says."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_TOLD = "told-readable"


def make_private(folder: Path) -> None:
    """Make a folder that only its owner enters; one that others enter is closed to them, with a word.

    A folder whose group is handed down (`chmod g+s`) is shared on purpose, and stays open to that group.
    """
    if os.name != "posix":
        folder.mkdir(parents=True, exist_ok=True)
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        return
    except FileExistsError:
        found = folder.stat()
    refused = stat.S_IRWXO if found.st_mode & stat.S_ISGID else _OTHERS
    if found.st_mode & refused and found.st_uid == os.geteuid():
        try:
            folder.chmod(stat.S_IMODE(found.st_mode) & ~refused)
        except OSError:
            return  # a filesystem without modes
        _say(f"{folder} was open to other users of this machine; it is closed now (chmod g+s keeps it open to a group)")


def note_readers(written: Path, home: Path) -> None:
    """Say once for a workspace that what was exported can be read by other users of this machine, if they can.

    Args:
        written: The file.
        home: The folder `.labelloop` of the workspace.
    """
    told = home / _TOLD
    if os.name != "posix" or not _others_read(written) or told.exists():
        return
    try:
        told.touch(mode=0o600)
    except OSError:
        return  # a workspace that can only be read would say it every time
    _say(f"{written} can be read by other users of this machine: chmod 600, or umask 077 before the command")


def _others_read(path: Path) -> bool:
    """Whether mode and folders above let others in; the mode of a folder of another owner is hers to know."""
    try:
        path = path.resolve(strict=True)
        if not path.is_file() or not path.stat().st_mode & stat.S_IROTH:
            return False
        return all(one.stat().st_mode & stat.S_IXOTH for one in path.parents)
    except OSError:
        return False


def _say(words: str) -> None:
    print(f"note: {words}", file=sys.stderr)  # noqa: T201
