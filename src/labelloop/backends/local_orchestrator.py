"""Steps executed in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from labelloop.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")


class LocalOrchestrator:
    """One worker executes in the caller's thread; more execute in threads, started when first needed.

    Ctrl-C reaches the caller at once either way. The threads are daemons: a step still at work does not hold up
    the end of the process, and whatever it was writing is written by rename or not at all.

    Args:
        workers: Steps executed at the same time.

    Raises:
        ConfigError: Fewer than one worker.
    """

    def __init__(self, *, workers: int = 1) -> None:
        if workers < 1:
            raise ConfigError(f"workers = {workers} executes nothing", "set workers to 1 or more")
        self.workers = workers
        self._threads: list[threading.Thread] = []
        self._waiting: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._starting = threading.Lock()

    def __repr__(self) -> str:
        return f"LocalOrchestrator(workers={self.workers})"

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Execute `fn`; with one worker it is done on return, otherwise it has only begun."""
        future: Future[T] = Future()
        if self.workers == 1:
            future.set_running_or_notify_cancel()
            _fulfil(future, fn, args, kwargs)
            return future
        self._waiting.put(lambda: _execute(future, fn, args, kwargs))
        self._start_thread()
        return future

    def _start_thread(self) -> None:
        with self._starting:
            if len(self._threads) == self.workers:
                return
            thread = threading.Thread(target=self._work, name=f"labelloop-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while True:
            self._waiting.get()()


def _fulfil(future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """Set the future to what `fn` returns or raises; KeyboardInterrupt and SystemExit go to whoever executes."""
    try:
        result = fn(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - a future carries whatever was raised
        future.set_exception(error)
    else:
        future.set_result(result)


def _execute(future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        _fulfil(future, fn, args, kwargs)
    except BaseException as error:  # noqa: BLE001 - in a thread it would vanish, and the caller would wait for ever
        future.set_exception(error)
