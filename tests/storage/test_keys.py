"""What a step is known by outlives every move and rewriting of ours: nothing that was computed is computed again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from labelloop.backends.local_orchestrator import LocalOrchestrator
from labelloop.backends.local_store import LocalArtifactStore
from labelloop.errors import LabelLoopError
from labelloop.learners.frozen import Frozen
from labelloop.loop import round_steps
from labelloop.loop.features import Features
from labelloop.loop.loop import Loop
from labelloop.storage.artifacts import Artifacts, Ref
from labelloop.storage.runs import MARK, Run, fingerprint, step
from labelloop.testing.annotator import FakeAnnotator
from labelloop.testing.stores import MemoryStore
from labelloop.types.names import named
from labelloop.workspace.config import load
from labelloop.workspace.stack import Stack
from workspaces.calls import calls

from support.counting import Counting
from support.small_world import NOW, Parts

HERE = Path(__file__).parents[1] / "workspaces"
KEYS: Mapping[str, Mapping[str, str]] = json.loads((HERE / "keys.json").read_text())
VERSIONS = sorted(int(path.stem.removeprefix("version-")) for path in HERE.glob("version-*.zip"))
KEPT = 7
"""The version of the ledger from which on nothing is computed again."""

STEPS = [(name, fn) for name, fn in vars(round_steps).items() if hasattr(fn, MARK)]


class Asked:
    """A memory in which there is nothing: it keeps the keys that it is asked for."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def recall(self, key: str) -> str | None:
        self.keys.append(key)
        return None

    def remember(self, key: str, *, step: str, ref: str, seconds: float) -> None:
        raise AssertionError


class NotExecutedError(LabelLoopError):
    """A step would have been executed."""


class Refusing(LocalOrchestrator):
    """Executes nothing."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        raise NotExecutedError("a step is not known by its key")


def looked_for(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Mapping[str, list[str]]:
    """Name of a call -> the keys under which its result is looked for."""
    monkeypatch.setattr(Frozen, "fingerprint", "frozen-1")
    found = {}
    for name, fn, arguments in calls():
        memory = Asked()
        with pytest.raises(NotExecutedError):
            Run(Artifacts(MemoryStore(), folder), memory, Refusing())(fn, *arguments)
        found[name] = memory.keys
    return found


def test_the_keys_of_our_steps_are_the_committed_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = {name: keys[0] for name, keys in looked_for(monkeypatch, tmp_path).items()}

    assert now == KEYS["named"], "raise the version of a step, or the name of a class, whose results change: add keys"


@pytest.mark.parametrize("before", ["16ec0ba", "b4b43ee"])
def test_a_result_is_found_under_the_key_of_an_earlier_version(
    before: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = looked_for(monkeypatch, tmp_path)

    assert {name: key for name, key in KEYS[before].items() if key not in keys[name]} == {}


@pytest.mark.parametrize(("name", "fn"), STEPS)
def test_each_step_of_ours_counts_by_its_name(name: str, fn: Any) -> None:
    assert getattr(fn, MARK).name == f"labelloop.{name}"


def test_what_a_step_of_ones_own_made_of_features_is_found_although_they_moved(tmp_path: Path) -> None:
    def mine(features: Features) -> int:
        return len(features.matrix)

    memory = Asked()
    memory.remember = lambda *_, **__: None  # type: ignore[method-assign]
    features = Features([Ref("npy", "0" * 32)], np.eye(2, 3, dtype=np.float32))
    Run(Artifacts(MemoryStore(), tmp_path), memory, LocalOrchestrator())(step(name="mine.count")(mine), features)

    assert "017d57764bbbb0528b5666fb7cf12a92" in memory.keys, "this is where 96f880a kept it"


def test_a_named_step_may_be_rewritten_until_its_version_is_raised(tmp_path: Path) -> None:
    def one(value: int) -> int:
        return value + 1

    def other(value: int) -> int:
        return 1 + value

    memory = Asked()
    run = Run(Artifacts(MemoryStore(), tmp_path), memory, LocalOrchestrator())
    memory.remember = lambda *_, **__: None  # type: ignore[method-assign]
    for fn, version in ((one, ""), (other, ""), (other, "2")):
        run(step(name="mine.add", version=version)(fn), 1)

    first, second, third = memory.keys
    assert first == second != third


def test_a_class_with_a_name_counts_by_it_and_its_subclass_by_its_source() -> None:
    @named("labelloop.Test")
    @dataclass(frozen=True)
    class Named:
        value: int

    @dataclass(frozen=True)
    class Below(Named):
        pass

    assert fingerprint(Named(1)) == ["dataclass", "labelloop.Test", {"value": 1}]
    assert "Below" in fingerprint(Below(1))[1]


def opened(version: int, folder: Path) -> tuple[Loop, Counting]:
    """A loop over a copy of a stored workspace, and what it executes."""
    shutil.unpack_archive(HERE / f"version-{version}.zip", folder)
    shutil.copy(HERE / "old_learner.py", folder)
    parts = Parts(FakeAnnotator(), LocalArtifactStore(path=str(folder / "artifacts")), Counting())
    return Loop(load(folder, {}), cast(Stack, parts), clock=lambda: NOW), cast(Counting, parts.orchestrator)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_workspace_of_every_ledger_version_opens_with_all_its_answers(version: int, tmp_path: Path) -> None:
    loop, _ = opened(version, tmp_path)

    answers = loop.ledger.answers.current()

    assert loop.ledger.items.count() == 48
    assert sum(map(len, answers.values())) == 35
    assert [one.state for one in loop.ledger.rounds.all()] == ["asked"] * 4
    assert loop.learning.models.champion() == loop.ledger.rounds.last().model  # type: ignore[union-attr]


@pytest.mark.parametrize("version", [one for one in VERSIONS if one >= KEPT])
def test_nothing_is_computed_again_after_an_upgrade(version: int, tmp_path: Path) -> None:
    loop, counting = opened(version, tmp_path)

    with loop.ledger.lease.held():
        learned = loop.learning.learn()
        loop.learning.out_of_sample()
        said = loop.learning.models.said(loop.learning.models.champion(), learned.features).probabilities
        assert said is not None

    assert counting.executed == []
    assert said.shape == (48, 3)
