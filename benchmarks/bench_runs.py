"""What a step costs over calling its function, with the ledger and the store that a workspace has."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labelloop.backends.local_orchestrator import LocalOrchestrator
from labelloop.backends.local_store import LocalArtifactStore
from labelloop.ledger import open_ledger
from labelloop.storage.artifacts import Artifacts
from labelloop.storage.runs import Run, step

from figure import Figure, seconds


@step
def identity(number: int) -> int:
    """The number itself."""
    return number


def figures(quick: bool) -> Iterator[Figure]:
    """Milliseconds that a step adds to its function: executed, cached, and cached with its value read."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = open_ledger(f"sqlite:///{folder}/ledger.db", "bench")
        artifacts = Artifacts(LocalArtifactStore(path=f"{folder}/artifacts"), Path(folder, "cache"))
        run = Run(artifacts, ledger.steps, LocalOrchestrator())
        turns = [_turn(run, number) for number in range(100 if quick else 300)]
        ledger.close()
        fsync = statistics.median(seconds(lambda: _sync(Path(folder, "synced"))) * 1e3 for _ in range(50))
    executed, cached, read = zip(*turns[5:], strict=True)
    detail = f"of which the disk's fsync {fsync:.2f} ms; zenml 0.98 quoted at about 80 ms"
    yield Figure("a no-op step - its bare function", executed, at_most=5, unit="ms", detail=detail)
    yield Figure("a cached step - its bare function", cached, 2, unit="ms", detail="zenml 0.98 quoted at about 45 ms")
    yield Figure("a cached step and its value - its bare function", read, unit="ms")


def _turn(run: Run, number: int) -> tuple[float, float, float]:
    """Milliseconds of one step, run for the first time, again, and again with its value."""
    bare = seconds(lambda: identity(number))
    executed = seconds(lambda: run(identity, number))
    cached = seconds(lambda: run(identity, number))
    read = seconds(lambda: run(identity, number).value)
    return (executed - bare) * 1e3, (cached - bare) * 1e3, (read - bare) * 1e3


def _sync(path: Path) -> None:
    """Write a byte and wait until it is on the disk: the part of a step no code can save."""
    with path.open("wb") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
