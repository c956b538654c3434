"""What a step costs over calling its function: executed (at most 5 ms wanted), and cached (at most 2 ms wanted).

python benchmarks/bench_runs.py [REPETITIONS]
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from labelloop.artifacts import Artifacts
from labelloop.backends.local_orchestrator import LocalOrchestrator
from labelloop.backends.local_store import LocalArtifactStore
from labelloop.runs import Run, step


class SqliteMemory:
    """Steps in one SQLite table, with the ledger's settings: write-ahead log, synced at checkpoints."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("CREATE TABLE steps (key TEXT PRIMARY KEY, step TEXT, ref TEXT, seconds REAL)")

    def recall(self, key: str) -> str | None:
        """The reference of an earlier result."""
        row = self._connection.execute("SELECT ref FROM steps WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def remember(self, key: str, *, step: str, ref: str, seconds: float) -> None:
        """Keep the reference of a result."""
        row = (key, step, ref, seconds)
        self._connection.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?)", row)


@step
def identity(number: int) -> int:
    """The number itself."""
    return number


def sync(path: Path) -> None:
    """Write a byte and wait until it is on the disk: the part of a step no code can save."""
    with path.open("wb") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())


def milliseconds(call: Callable[[int], object], repetitions: int) -> float:
    """Median milliseconds of a call."""
    times = []
    for i in range(repetitions):
        began = time.perf_counter()
        call(i)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def main() -> None:
    """Measure and print."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder:
        store = LocalArtifactStore(path=f"{folder}/artifacts")
        artifacts = Artifacts(store, Path(folder, "cache"))
        run = Run(artifacts, SqliteMemory(Path(folder, "memory.db")), LocalOrchestrator())
        run(identity, -1)
        synced = milliseconds(lambda i: sync(Path(folder, str(i))), repetitions)
        bare = milliseconds(identity, repetitions)
        executed = milliseconds(lambda i: run(identity, i), repetitions) - bare
        cached = milliseconds(lambda i: run(identity, i), repetitions) - bare
        read = milliseconds(lambda i: run(identity, i).value, repetitions) - bare
    print(f"a no-op step adds           {executed:6.3f} ms  (at most 5)")
    print(f"  of which the disk's fsync {synced:6.3f} ms")
    print(f"a cached step adds          {cached:6.3f} ms  (at most 2)")
    print(f"a cached step, and its value {read:5.3f} ms")


if __name__ == "__main__":
    main()
