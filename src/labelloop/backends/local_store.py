"""Artifacts in a folder of this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from labelloop.backends.bucket_connection import ALIASES
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.protocols import check_key

UNFINISHED = "~unfinished"
"""Folder of the bodies being written; `~` is in no key, so none of them can be asked for."""

STALE = 24 * 3600
"""Seconds after which a body nobody finished is removed: its writer was killed."""


@dataclass(frozen=True, kw_only=True)
class LocalArtifactStore:
    """Bodies as files `path/key`. A body appears as a whole, by rename, after it is on the disk.

    Args:
        path: The folder; a relative one is relative to the workspace. Empty is `.labelloop/artifacts` of the workspace.
        home: The workspace's own folder `.labelloop`.

    Raises:
        ConfigError: Neither a path nor a workspace, or the path is the URL of a bucket.
    """

    path: str = ""
    home: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.path and self.home is None:
            raise ConfigError("the local artifact store has no folder", "set path = ...")
        scheme, separator, _ = self.path.partition("://")
        if separator:
            flavor = ALIASES.get(scheme)
            hint = f"--flavor={flavor} --path={self.path}, or " if flavor else ""
            raise ConfigError(
                f"{self.path!r} is no path of artifact store flavor 'local'", f"{hint}--path=FOLDER, of this machine"
            )

    @property
    def root(self) -> Path:
        """The folder of all bodies."""
        if self.home is None:
            return Path(self.path).expanduser()
        if not self.path:
            return self.home / "artifacts"
        return self.home.parent / Path(self.path).expanduser()

    def read(self, key: str) -> BinaryIO:
        """Open a body for reading; the caller closes it.

        Raises:
            NotFoundError: There is none.
            BackendError: The disk failed.
        """
        path = self._path(key)
        try:
            return path.open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFoundError(f"no artifact {key!r} in {self.root}", "run again; it is made anew") from None
        except OSError as error:
            raise BackendError(f"cannot read {path}: {error.strerror}", "check the disk and its permissions") from error

    def write(self, key: str, body: BinaryIO) -> None:
        """Store everything left in `body` under `key`, replacing what was there.

        Raises:
            BackendError: The disk is full or refuses; nothing of the body is left.
        """
        path = self._path(key)
        with self._failing_as(key), self._temporary() as temporary:
            with temporary.open("xb") as file:
                shutil.copyfileobj(body, file, 2**20)
                file.flush()
                # Without this, a power cut could leave an empty file under the final name. The rename itself may
                # be lost: a missing artifact is made again, so the folder needs no sync of its own.
                os.fsync(file.fileno())
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)

    def exists(self, key: str) -> bool:
        """Whether `key` has a body."""
        return self._path(key).is_file()

    def local_path(self, key: str) -> Path | None:
        """The file of a body, for memory-mapping; None where there is none."""
        path = self._path(key)
        return path if path.is_file() else None

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @contextmanager
    def _failing_as(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BackendError(
                f"cannot write artifact {key!r} to {self.root}: {error.strerror or error}",
                "free space on that disk or correct its permissions, then run again: finished steps are kept",
            ) from error

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        folder = self.root / UNFINISHED
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
            _sweep(folder)


def _sweep(folder: Path) -> None:
    """Remove what killed writers left, long after; the folder is near empty, so this is cheap."""
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            if time.time() - entry.stat().st_mtime > STALE and not _is_alive(entry.name.partition("-")[0]):
                Path(entry.path).unlink()


def _is_alive(pid: str) -> bool:
    """Whether a process of this machine may still be writing: a clock that was set forward makes its file look old."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
