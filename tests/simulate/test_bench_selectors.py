"""The benchmark of selectors still plays, and plays the same again: on a small task in place of the real ones."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    tasks, found = import_module("tasks"), import_module("bench_selectors")
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 3, 240)
    embeddings = (np.eye(8)[kinds] + rng.normal(0, 0.4, (240, 8))).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    answers = np.array([f"kind {kind}" for kind in kinds])
    made = tasks.Task("blobs", "three of them", embeddings, answers, np.arange(240).astype(str), batch=15)
    monkeypatch.setattr(found, "tasks", lambda: iter([made]))
    return found


@pytest.mark.parametrize("strategy", ["random", "auto", "uherding"])
def test_a_strategy_is_replayed_until_it_reaches_the_mark(bench: ModuleType, strategy: str) -> None:
    task, curve, _ = bench.replayed("blobs", strategy, 0)
    _, again, _ = bench.replayed("blobs", strategy, 0)

    assert (task, curve.selector, curve.seed) == ("blobs", strategy, 0)
    assert len(curve.labels) == len(curve.scores) == len(curve.seconds) > 0
    assert round(curve.scores[-1], 4) >= bench.TARGET * round(curve.full, 4)
    assert curve == again
