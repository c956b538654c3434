"""All replays of a plan, on all cores: the same curves whatever the number of workers."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.kinds.kind import Kind
from labelloop.machine.modules import Carried
from labelloop.protocols import Learner, Progress, silent
from labelloop.simulate.replay import Curve, Labelled, Player, ReplayPlan, full_score, replay, world
from labelloop.types import Item


def simulate(
    labelled: Labelled, plan: ReplayPlan, learner: Learner, *, workers: int = 0, progress: Progress = silent
) -> list[Curve]:
    """Replay every selector with every seed.

    Args:
        learner: What learns from the answers; picklable where there is more than one worker.
        workers: Processes; 0 is one per core, 1 works in this one.
        progress: Told (what, replays done, replays in all).

    Raises:
        ConfigError: The data cannot be parted, or a selector refuses it.
    """
    total = len(plan.selectors) * plan.seeds
    workers = min(workers or os.cpu_count() or 1, total)
    progress("replaying", 0, total)
    made = _inside(labelled, plan, learner) if workers == 1 else _outside(labelled, plan, learner, workers)
    curves = []
    for curve in made:
        curves.append(curve)
        progress("replaying", len(curves), total)
    order = {name: place for place, name in enumerate(plan.selectors)}
    return sorted(curves, key=lambda one: (order[one.selector], one.seed))


def _inside(labelled: Labelled, plan: ReplayPlan, learner: Learner) -> Iterator[Curve]:
    for seed in range(plan.seeds):
        full = _played(labelled, plan, learner, Player("", seed))
        for name in plan.selectors:
            yield _played(labelled, plan, learner, Player(name, seed, full))


def _outside(labelled: Labelled, plan: ReplayPlan, learner: Learner, workers: int) -> Iterator[Curve]:
    """In processes that read the embeddings from one file."""
    with tempfile.TemporaryDirectory(prefix="labelloop-") as folder:
        files = [Path(folder) / "embeddings.npy"]
        np.save(files[0], labelled.embeddings)
        if labelled.apart is not None:
            files.append(Path(folder) / "apart.npy")
            np.save(files[1], labelled.apart)
        columns = (labelled.targets, labelled.labels, labelled.groups, labelled.items, labelled.answers, labelled.kind)
        given = (files, columns, plan, Carried.of(learner))
        context = multiprocessing.get_context("spawn")
        with _safe_path(), ProcessPoolExecutor(workers, context, _prepare, given) as pool:
            try:
                yield from _gathered(pool, plan)
            finally:
                pool.shutdown(cancel_futures=True)


@contextmanager
def _safe_path() -> Iterator[None]:
    """Processes that begin meanwhile import nothing from the folder that somebody stands in, which may be data."""
    name, before = "PYTHONSAFEPATH", os.environ.get("PYTHONSAFEPATH")
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _gathered(pool: ProcessPoolExecutor, plan: ReplayPlan) -> Iterator[Curve]:
    """Each seed's full score first, then its replays, as they get done."""
    fulls: dict[Future[Any], int] = {pool.submit(_work, Player("", seed)): seed for seed in range(plan.seeds)}
    waiting: set[Future[Any]] = set(fulls)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for one in done:
            if one in fulls:
                players = [Player(name, fulls[one], one.result()) for name in plan.selectors]
                waiting |= {pool.submit(_work, player) for player in players}
            else:
                yield one.result()


Columns = tuple[np.ndarray, tuple[str, ...], np.ndarray, Sequence[Item], Sequence[Any], Kind | None]
"""What `Labelled` has beside the embeddings."""

_GIVEN: list[tuple[Labelled, ReplayPlan, Learner]] = []


def _prepare(files: Sequence[Path], columns: Columns, plan: ReplayPlan, learner: Carried) -> None:
    """What a process does first: read the data, and keep to one core."""
    import sklearn.linear_model  # noqa: F401 - only libraries that are loaded can be limited
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    embeddings, *apart = (np.load(file, mmap_mode="r", allow_pickle=False) for file in files)
    _GIVEN.append((Labelled(embeddings, *columns, *apart), plan, learner.unpacked()))


def _work(player: Player) -> Any:
    return _played(*_GIVEN[0], player)


def _played(labelled: Labelled, plan: ReplayPlan, learner: Learner, player: Player) -> Any:
    made = world(labelled, plan, player.seed)
    if not player.selector:
        return full_score(made, learner, plan.measure)
    return replay(made, plan, player, learner)
