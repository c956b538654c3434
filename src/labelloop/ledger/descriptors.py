"""Looks into the file of a ledger that take no lock away from SQLite.

A process that closes any descriptor of a file gives back every lock that it holds on it (POSIX, fcntl), those of SQLite
included: the next process then merges and removes the log that is still in use here, and the ledger reads as damaged
(https://www.sqlite.org/howtocorrupt.html, 2.2). So each file has one descriptor here, which stays open as long as
an engine of ours may hold locks on it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, event


@dataclass
class _Held:
    descriptor: int
    users: int = 0


_held: dict[tuple[int, int], _Held] = {}
_left: deque[tuple[int, int]] = deque()  # by engines that are gone: Python collects them at any line, this module's too
_lock = threading.Lock()


@contextmanager
def looking(path: Path) -> Iterator[int]:
    """A descriptor to read with; whoever reads must not close it.

    Raises:
        OSError: The file is not there, or may not be read.
    """
    file, descriptor = _take(path)
    try:
        yield descriptor
    finally:
        with _lock:
            _give(file)


def keep_open(path: Path, engine: Engine) -> None:
    """Close no descriptor of this file until the engine is disposed of, or collected."""
    file, _ = _take(path)
    leave = weakref.finalize(engine, _leave, file)
    event.listen(engine, "engine_disposed", lambda _: leave())


def _leave(file: tuple[int, int]) -> None:
    _left.append(file)
    if _lock.acquire(blocking=False):  # else whoever has it is at it, be it this very thread
        try:
            _give_what_was_left()
        finally:
            _lock.release()


def _give_what_was_left() -> None:
    while _left:
        _give(_left.popleft())


def files_held() -> set[tuple[int, int]]:
    """The files that are held open: (device, number)."""
    return set(_held)


def _take(path: Path) -> tuple[tuple[int, int], int]:
    with _lock:
        _give_what_was_left()
        file = _identity(path.stat())
        if file not in _held:
            descriptor = os.open(path, os.O_RDONLY)
            file = _identity(os.fstat(descriptor))  # another one may bear the name by now
            _held.setdefault(file, _Held(descriptor))
        _held[file].users += 1
        return file, _held[file].descriptor


def _give(file: tuple[int, int]) -> None:
    held = _held[file]
    held.users -= 1
    if not held.users:
        del _held[file]
        os.close(held.descriptor)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
