"""Whoever edits labelloop.toml at the same time succeeds, and whoever is killed leaves it as before or as after."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import tomllib
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import pytest

from labelloop.cli import run
from labelloop.workspace.config import load

TEXT = """\
# ours, with words that must survive
version = 1
active_stack = "team"   # everybody's

[stacks.team]
artifact_store = "shelf"

# bytes
[artifact_stores.shelf]
flavor = "local"
path = "there"          # the big disk

[artifact_stores.spare]
flavor = "local"

# workers
[orchestrators.many]
flavor = "local"
workers = 3
"""

VERBS: Sequence[Sequence[str]] = (
    ("artifact-store", "register", "new", "-f", "local", "--path=x"),
    ("artifact-store", "rename", "shelf", "rack"),
    ("artifact-store", "delete", "spare"),
    ("orchestrator", "update", "many", "--workers=5"),
    ("stack", "copy", "team", "mine"),
    ("stack", "update", "-a", "spare"),
    ("stack", "rename", "team", "mine"),
    ("stack", "set", "default"),
    ("init", "--labels", "a,b"),
)

KILLS = 8
"""Of each verb, at any moment of it."""

SPAWN = multiprocessing.get_context("fork")


def _quietly(arguments: Sequence[str]) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os._exit(run(list(arguments)))


def _started(root: Path, verb: Sequence[str]) -> multiprocessing.process.BaseProcess:
    child = SPAWN.Process(target=_quietly, args=(["-C", str(root), *verb],))
    child.start()
    return child


def _workspace(root: Path) -> Path:
    root.mkdir()
    (root / "labelloop.toml").write_text(TEXT)
    return root


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_killed_verb_leaves_the_file_as_before_or_as_after(verb: Sequence[str], tmp_path: Path) -> None:
    whole = _workspace(tmp_path / "whole")
    began = perf_counter()
    child = _started(whole, verb)
    child.join()
    took, after = perf_counter() - began, (whole / "labelloop.toml").read_text()
    assert (child.exitcode, after != TEXT) == (0, True)

    chance, killed, root = random.Random(3), 0, _workspace(tmp_path / "killed")
    while killed < KILLS:
        (root / "labelloop.toml").write_text(TEXT)
        child = _started(root, verb)
        child.join(took * chance.random())
        child.kill()
        if _ended(child) == -signal.SIGKILL:
            killed += 1
        else:
            took *= 0.9  # it was faster than the first one

        assert (root / "labelloop.toml").read_text() in (TEXT, after)
        assert load(root, environ={}).config.version == 1

    (root / "labelloop.toml").write_text(TEXT)
    assert _ended(_started(root, verb)) == 0
    assert (root / "labelloop.toml").read_text() == after
    assert [one.name for one in root.iterdir() if one.name.endswith(".tmp")] == []


def test_processes_that_make_one_workspace_at_once_all_succeed_and_one_makes_it(tmp_path: Path) -> None:
    children = [_started(tmp_path, ["init", "--labels", f"cat,dog{n}"]) for n in range(6)]
    for child in children:
        child.join(60)

    assert [child.exitcode for child in children] == [0] * 6
    assert load(tmp_path).config.dataset.labels[0] == "cat"
    assert sorted(one.name for one in tmp_path.iterdir()) == [".labelloop", "labelloop.toml"]


def test_eight_processes_that_register_at_once_all_succeed(tmp_path: Path) -> None:
    root = _workspace(tmp_path / "busy")

    children = [SPAWN.Process(target=_register_many, args=(root, number)) for number in range(8)]
    for child in children:
        child.start()

    assert [_ended(child) for child in children] == [0] * 8
    text = (root / "labelloop.toml").read_text()
    assert text.startswith(TEXT)
    stores = tomllib.loads(text)["artifact_stores"]
    assert set(stores) == {"shelf", "spare", *(f"s{number}-{one}" for number in range(8) for one in range(10))}


def _register_many(root: Path, number: int) -> None:
    codes = [
        _ended(_started(root, ("artifact-store", "register", f"s{number}-{one}", "-f", "local", f"--path=p{one}")))
        for one in range(10)
    ]
    os._exit(max(codes))


def _ended(child: multiprocessing.process.BaseProcess) -> int:
    child.join()
    assert child.exitcode is not None
    return child.exitcode
