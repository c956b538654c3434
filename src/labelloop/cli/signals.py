"""SIGTERM ends a command as Ctrl-C does: in order, with its own exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

CODE = 143
"""The exit code of a command that SIGTERM ended."""

_MOMENT = 0.05
_told_to_end, _swallowed = threading.Event(), threading.Event()


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into an orderly exit with code 143 inside the block; neither it nor Ctrl-C is ever lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _told_to_end.clear()
    _swallowed.clear()
    before, hook = signal.signal(signal.SIGTERM, _end), sys.unraisablehook
    sys.unraisablehook = partial(_send_again, hook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, before)


def end_if_told() -> None:
    """End now if SIGTERM has come: libraries in C drop what a handler raises below them, without a word."""
    if _told_to_end.is_set():
        _swallowed.clear()
        raise SystemExit(CODE)


def _end(_number: int, _frame: FrameType | None) -> None:
    _told_to_end.set()
    raise SystemExit(CODE)


def _send_again(otherwise: Callable[[Any], Any], ignored: Any) -> None:
    """A signal that comes while a finaliser runs is swallowed with what it raises there: send it once more."""
    ends = isinstance(ignored.exc_value, SystemExit) and ignored.exc_value.code == CODE
    if not ends and not isinstance(ignored.exc_value, KeyboardInterrupt):
        otherwise(ignored)
        return
    _swallowed.set()
    timer = threading.Timer(_MOMENT, _send, [signal.SIGTERM if ends else signal.SIGINT])
    timer.daemon = True
    timer.start()


def _send(number: int) -> None:
    if _swallowed.is_set() and signal.getsignal(signal.SIGTERM) is _end:  # else the command is ending, or has ended
        _swallowed.clear()
        os.kill(os.getpid(), number)
