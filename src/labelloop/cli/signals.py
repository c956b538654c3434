"""SIGTERM ends a command as Ctrl-C does: in order, with its own exit code."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_told_to_end = threading.Event()


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into an orderly exit with code 143 inside the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _told_to_end.clear()
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_if_told() -> None:
    """End now if SIGTERM has come: where Python runs no handler's exception (a finaliser), it would be lost."""
    if _told_to_end.is_set():
        raise SystemExit(143)


def _end(_number: int, _frame: FrameType | None) -> None:
    _told_to_end.set()
    raise SystemExit(143)
