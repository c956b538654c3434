"""Exactly one process acts on a dataset at a time; the others are told who does."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, select, update

from labelloop.errors import BusyError
from labelloop.ledger import _sql
from labelloop.ledger.tables import leases
from labelloop.machine.clocks import SKEW

TTL_SECONDS = 60.0
BEAT_SECONDS = 15.0


class Lease:
    """The right to act on one dataset; renewed while held, taken over from a process that is gone.

    Args:
        engine: The ledger's database.
        dataset: The dataset.
        clock: The time in seconds, for tests; by default the database's, which all machines of a ledger share.
    """

    def __init__(self, engine: Engine, dataset: str, clock: Callable[[], float] | None = None) -> None:
        self._engine = engine
        self._dataset = dataset
        self._clock = clock

    @contextmanager
    def held(self) -> Iterator[int]:
        """Hold the lease inside the block; yields its fence, which only grows.

        Raises:
            BusyError: Another living process holds it.
        """
        fence = self._acquire()
        stop = threading.Event()
        beat = threading.Thread(target=self._renew, args=(fence, stop), daemon=True)
        beat.start()
        try:
            yield fence
        finally:
            stop.set()
            beat.join()
            self._release(fence)

    def abandoned(self) -> str:
        """Who holds it and is gone; empty if nobody. Whoever needs it takes it over all the same."""
        query = select(leases).where(leases.c.dataset == self._dataset)
        with _sql.reading(self._engine) as connection:
            row = connection.execute(query).first()
            is_held = row is not None and row.expires > self._now(connection)
        return _readable(row.holder) if row is not None and is_held and _is_dead(row.holder) else ""

    def _acquire(self) -> int:
        with self._engine.begin() as connection:
            now = self._now(connection)
            row = connection.execute(select(leases).where(leases.c.dataset == self._dataset).with_for_update()).first()
            if row is None or row.expires <= now or _is_dead(row.holder):
                return self._take(connection, row.fence + 1 if row is not None else 1, now)
            if row.expires > now + TTL_SECONDS + SKEW:
                # the clock was set back since: who lives renews it in time, for anybody else it ends as ever
                self._set_expiry(connection, row.fence, now + TTL_SECONDS)
        raise BusyError(
            f"round work on dataset {self._dataset!r} is held by {_readable(row.holder)} "
            f"since {datetime.fromtimestamp(row.since, UTC):%Y-%m-%d %H:%M:%S} UTC",
            "wait for it to finish, or stop that process; nothing was changed",
        )

    def _take(self, connection: Connection, fence: int, now: float) -> int:
        values = {
            "dataset": self._dataset,
            "holder": this_process(),
            "fence": fence,
            "since": now,
            "expires": now + TTL_SECONDS,
        }
        _sql.upsert(connection, leases, [values], update=["holder", "fence", "since", "expires"])
        return fence

    def _renew(self, fence: int, stop: threading.Event) -> None:
        while not stop.wait(BEAT_SECONDS):
            with self._engine.begin() as connection:
                self._set_expiry(connection, fence, self._now(connection) + TTL_SECONDS)

    def _now(self, connection: Connection) -> float:
        return self._clock() if self._clock else _sql.now(connection)

    def _release(self, fence: int) -> None:
        with self._engine.begin() as connection:
            self._set_expiry(connection, fence, 0.0)

    def _set_expiry(self, connection: Connection, fence: int, expires: float) -> None:
        where = (leases.c.dataset == self._dataset, leases.c.fence == fence)
        connection.execute(update(leases).where(*where).values(expires=expires))


def this_process() -> str:
    """How this process is known to all others: its machine, its number, and when it started."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}"


def _readable(holder: str) -> str:
    host, pid, _ = holder.split("/")
    return f"process {pid} on {host}"


def _is_dead(holder: str) -> bool:
    host, pid, started = holder.split("/")
    if host != socket.gethostname():
        return False  # only its expiry can tell
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process started, as the kernel counts it: tells a reused pid. Empty where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return ""
