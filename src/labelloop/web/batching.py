"""Many small requests, few large computations, one thread: nobody waits for long, and nobody waits for nothing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from labelloop.errors import BusyError

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Computes what several requests want at once.

    Args:
        compute: One result per thing, in their order.
        most: Things per computation, unless one request alone wants more.
        waiting: Requests that may wait; those on top are refused at once.
    """

    def __init__(self, compute: Callable[[Sequence[T]], Sequence[R]], *, most: int = 256, waiting: int = 32) -> None:
        self._compute = compute
        self._most = most
        self._waiting: queue.Queue[tuple[Sequence[T], Future[Sequence[R]]] | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._work, name="labelloop-batches", daemon=True)
        self._thread.start()

    def submit(self, things: Sequence[T]) -> Future[Sequence[R]]:
        """The results to come. Cancelled before its turn, a request costs nothing.

        Raises:
            BusyError: Too many requests wait already.
        """
        future: Future[Sequence[R]] = Future()
        try:
            self._waiting.put_nowait((things, future))
        except queue.Full:
            raise BusyError(f"{self._waiting.maxsize} requests wait already", "try again in a moment") from None
        return future

    def close(self) -> None:
        """Finish what waits, and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        more = True
        while more:
            batch, more = self._next()
            alive = [(things, future) for things, future in batch if future.set_running_or_notify_cancel()]
            if alive:
                self._answer(alive)

    def _next(self) -> tuple[list[tuple[Sequence[T], Future[Sequence[R]]]], bool]:
        """The requests of the next computation, and whether there will be another one."""
        batch: list[tuple[Sequence[T], Future[Sequence[R]]]] = []
        while sum(len(things) for things, _ in batch) < self._most:
            try:
                one = self._waiting.get(block=not batch)
            except queue.Empty:
                break
            if one is None:
                return batch, False
            batch.append(one)
        return batch, True

    def _answer(self, batch: Sequence[tuple[Sequence[T], Future[Sequence[R]]]]) -> None:
        try:
            results = self._compute([thing for things, _ in batch for thing in things])
        except Exception as error:  # noqa: BLE001 - a future carries whatever was raised
            if len(batch) == 1:
                batch[0][1].set_exception(error)
            else:  # one of them fails: not because of the others
                for one in batch:
                    self._answer([one])
            return
        start = 0
        for things, future in batch:
            future.set_result(results[start : start + len(things)])
            start += len(things)
