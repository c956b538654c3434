"""What labelloop writes on a machine with other people and other processes: where, for whose eyes, one at a time."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_TOLD = "told-readable"
_APPLE = "darwin"


def config_folder() -> Path:
    """Where the user's own settings of labelloop lie, beside all workspaces."""
    return _folder("XDG_CONFIG_HOME", "Library/Application Support", ".config")


def cache_folder() -> Path:
    """Where the user keeps what can be had again."""
    return _folder("XDG_CACHE_HOME", "Library/Caches", ".cache")


def _folder(variable: str, on_apple: str, elsewhere: str) -> Path:
    chosen = os.environ.get(variable, "").strip()
    usual = Path.home() / (on_apple if sys.platform == _APPLE else elsewhere)
    return (Path(chosen) if Path(chosen).is_absolute() else usual) / "labelloop"


@contextmanager
def alone(lock: Path, timeout: float, *, poll: float = 0.05, mode: int = 0o666) -> Iterator[None]:
    """Hold a lock file, made if it is not there; the system releases it even when the holder is killed.

    Args:
        lock: The file. It stays.
        timeout: Seconds to wait for whoever holds it, another process or another thread.
        poll: Seconds between two tries.
        mode: Of a file that is made, less the umask.

    Raises:
        TimeoutError: It was held all the time.
        OSError: It cannot be made, or locked.
    """
    until = time.monotonic() + timeout
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, mode)
    try:
        while not _taken(descriptor):
            if time.monotonic() >= until:
                raise TimeoutError(f"{lock} is held by another process")
            time.sleep(poll)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
