"""SIGKILL at any moment of a round, then the same command again: the state of an undisturbed run, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from threading import Timer

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator

from live_world import TESTS, LiveWorld

pytestmark = [pytest.mark.live, pytest.mark.slow]

NAME = "killed and run again"
ITEMS = 60
ROUNDS = 5
RANDOM_KILLS = 20

DATASET = "labelloop.backends.label_studio.dataset:LabelStudioDataset"
ROUND = "labelloop.ledger.rounds:RoundBook"
POINTS = (
    f"{DATASET}:_payload:after",
    f"{DATASET}:_send:during",
    f"{DATASET}:_send:after",
    f"{ROUND}:plan:before",
    f"{ROUND}:plan:after",
    f"{DATASET}:_show:after",
    "labelloop.ledger.answers:AnswerBook:hear:after",
    f"{ROUND}:confirm:before",
)
"""Moments that chance may miss; in an order in which each is still to come when the ones before it have happened."""


class Mother:
    """Forks a process for every command, and can kill it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._log = folder / "mother.log"
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "mother.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, world: LiveWorld, *, point: str = "", after: float = 0.0) -> int:
        """A tick; its exit code. Killed at a point, or after so many seconds, if any is given."""
        assert self._process.stdin
        assert self._process.stdout
        wanted = {"arguments": ["-C", str(world.root), "tick"], "point": point, "log": str(self._log)}
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        killer = Timer(after, os.kill, (pid, signal.SIGKILL))
        if after:
            killer.start()
        code = int(self._process.stdout.readline())
        killer.cancel()
        return code

    def tick(self, world: LiveWorld) -> float:
        """A tick that must succeed; its seconds."""
        began = time.monotonic()
        assert self.run(world) == 0, self._log.read_text()
        return time.monotonic() - began

    def close(self) -> None:
        """No more commands."""
        self._process.communicate()


@pytest.fixture
def mothers(annotator: LabelStudioAnnotator, tmp_path: Path) -> Iterator[Callable[[LiveWorld], Mother]]:
    """Makes the process that forks for a world."""
    made: list[Mother] = []

    def make(world: LiveWorld) -> Mother:
        made.append(Mother(tmp_path, world.environment()))
        return made[-1]

    yield make
    for mother in made:
        mother.close()
    annotator.delete(NAME)


def test_a_tick_killed_at_twenty_random_moments_ends_as_an_undisturbed_one(
    annotator: LabelStudioAnnotator, tmp_path: Path, mothers: Callable[[LiveWorld], Mother]
) -> None:
    calm = LiveWorld(tmp_path / "undisturbed", annotator, NAME)
    calm.draw(ITEMS)
    mother, seconds = mothers(calm), []
    for _ in range(ROUNDS):
        seconds.append(mother.tick(calm))
        calm.answer_all()
    wanted = calm.state()
    annotator.delete(NAME)

    disturbed = LiveWorld(tmp_path / "disturbed", annotator, NAME)
    disturbed.draw(ITEMS)
    mother, random = mothers(disturbed), Random(20)
    moments = deque(random.uniform(0.02, 0.9) * seconds[i * ROUNDS // RANDOM_KILLS] for i in range(RANDOM_KILLS))
    points, codes = deque(POINTS), []
    for number in range(1, ROUNDS + 1):
        codes += [mother.run(disturbed, after=moments.popleft()) for _ in range(RANDOM_KILLS // ROUNDS)]
        if number > 1:  # the first round has nothing to hear, and shows no predictions
            codes += [mother.run(disturbed, point=points.popleft()) for _ in range(len(POINTS) // (ROUNDS - 1))]
        mother.tick(disturbed)
        assert {one.state for one in disturbed.questions() if one.round == number} == {"asked"}
        disturbed.answer_all()

    assert set(codes) <= {0, -signal.SIGKILL}
    assert codes.count(-signal.SIGKILL) >= RANDOM_KILLS // 2, "too few were still at work when they were to be killed"
    asked = [task["data"]["labelloop_id"] for task in disturbed.tasks()]
    assert len(asked) == len(set(asked)), "an item is a task twice"
    assert disturbed.state() == wanted
