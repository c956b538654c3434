"""SIGKILL of changes of the labels at random moments, resumed until they are through: nothing that was said is lost."""

from __future__ import annotations

import signal
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.kinds.labels import regions_of

from support.chaos_form import FULL
from support.live_world import LiveWorld
from support.mothers import Mother

pytestmark = [pytest.mark.chaos, pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(1200 if FULL else 300)]

NAME = "labels changed and killed"
ITEMS = 60
KILLS = 12 if FULL else 3
"""Of each change, at most: those that come before its end."""

CHANGES: Sequence[Sequence[str]] = (
    ("rename", "0", "zero"),
    ("split", "3", "--into", "flat,round"),
    ("undo",),
    ("merge", "1", "7", "--into", "stroke"),
    ("remove", "4", "--ask-again"),
)[: 5 if FULL else 3]

LEDGERS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)] if FULL else ["sqlite"]

Play = Callable[[str, Random | None], tuple[Mapping[str, Any], int]]


@pytest.fixture
def play(annotator: LabelStudioAnnotator, mother: Mother, tmp_path: Path, ledger_url: str) -> Iterator[Play]:
    """Changes the labels of a new world, killed by chance or undisturbed: its state, and how often it was killed."""

    def playing(name: str, chance: Random | None) -> tuple[Mapping[str, Any], int]:
        world = LiveWorld(tmp_path / name, annotator, NAME, ledger_url=ledger_url if chance else "")
        world.draw(ITEMS)
        begin(world, mother)
        killed = sum(carried_out(world, mother, number, chance) for number in range(1, len(CHANGES) + 1))
        mother.tick(world)
        state = shown(world)
        annotator.delete(NAME)
        return state, killed

    yield playing
    if any(one.name == NAME for one in annotator.datasets()):
        annotator.delete(NAME)


def begin(world: LiveWorld, mother: Mother) -> None:
    """Two rounds are answered, one of them twice; a third one is open."""
    for _ in range(2):
        mother.tick(world)
        world.answer_all()
    twice = next(task for task in world.tasks() if world.truth[task["data"]["labelloop_id"]] == ("3",))
    body = {"result": [dict(one) for one in regions_of(world.schema, ["3"])], "lead_time": 1.0}
    world.annotator.client().call("POST", f"/api/tasks/{twice['id']}/annotations/", body=body)
    mother.tick(world)


def carried_out(world: LiveWorld, mother: Mother, number: int, chance: Random | None) -> int:
    """A change is made, and resumed until it is done; how often it was killed on the way."""
    command, effects, killed = ("labels", *CHANGES[number - 1], "--yes"), 60, 0
    if chance is None:
        mother.do(world, *command)
        return 0
    for left in range(KILLS, -1, -1):
        with closing(world.ledger()) as ledger:
            begun = ledger.labels.changes()[number - 1 :]
        if begun and begun[0].state == "done":
            break
        words = ("labels", "resume") if begun else command
        effect = chance.randint(1, effects) if left else 0
        code = mother.run(world, *words, effect=effect, delay=chance.choice([0.0, 0.002, 0.02]))
        assert code in (0, -signal.SIGKILL), mother.said()
        killed += code != 0
    mother.do(world, "labels", "resume")
    return killed


def shown(world: LiveWorld) -> Mapping[str, Any]:
    """The state, with the changes themselves, and the labels of each place."""
    with closing(world.ledger()) as ledger:
        changes = [
            (one.in_words(), one.before, one.after, one.mapping, one.undoes, one.state, sorted(one.again.values()))
            for one in ledger.labels.changes()
        ]
    project = world.annotator.client().call("GET", f"/api/projects/{world.project}")
    labels = tomllib.loads(world.config.read_text())["dataset"]["labels"]
    return {**world.state(), "changes": changes, "labels": labels, "label_config": project["label_config"]}


@pytest.mark.parametrize("ledger_url", LEDGERS, indirect=True)
def test_changes_of_the_labels_that_are_killed_and_resumed_lose_nothing(play: Play) -> None:
    wanted, _ = play("undisturbed", None)

    state, killed = play("disturbed", Random(19))

    print(f"killed: {killed} of at most {KILLS * len(CHANGES)}")
    assert killed >= KILLS * len(CHANGES) // 2
    assert [len(said) for _, _, said in wanted["tasks"]].count(2) == 1, "nobody answered twice"
    for part, said in wanted.items():
        assert state[part] == said, part
