"""SIGKILL of the loop, of Label Studio and of both, at random moments: what people said and were asked stays exact."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.errors import BackendError

from support.chaos_form import FULL
from support.live_world import LiveWorld
from support.mothers import Mother

pytestmark = [pytest.mark.chaos, pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(3600 if FULL else 600)]

NAME = "killed in every way"
ITEMS = 60
ROUNDS = 5 if FULL else 3
KILLS = 100 if FULL else 8
KINDS = (
    ("the loop", "the server", "both") if FULL else ("the loop", "both", "the loop", "the server", *["the loop"] * 3)
)
"""In turns; a server that was killed takes some five seconds to start again."""


@dataclass
class Reaper:
    """Kills, and counts whom it has killed; starts the server again."""

    world: LiveWorld
    annotator: LabelStudioAnnotator
    mother: Mother
    random: Random
    killed: Counter[str] = field(default_factory=Counter)

    def kill(self, kind: str, effects: int) -> None:
        """One attempt: a tick during which somebody is killed, if the moment comes before its end."""
        server = [] if kind == "the loop" else [self._server()]
        chosen = self.random.randint(1, max(1, effects))
        delay = self.random.choice([0.0, 0.002, 0.02, 0.1])
        code = self.mother.run(self.world, effect=chosen, delay=delay, victims=server, survives=kind == "the server")
        assert code in (0, 3, -signal.SIGKILL), self.mother.said()
        gone = bool(server) and not _is_alive(server[0])
        if gone or (not server and code == -signal.SIGKILL):
            self.killed[kind] += 1
        self.annotator.up()
        assert self.annotator.client().url in self.world.config.read_text()

    def kill_under_people(self) -> None:
        """The server, while people answer."""
        victim = self._server()
        fuse = threading.Timer(self.random.uniform(0.0, 0.2), os.kill, (victim, signal.SIGKILL))
        fuse.start()
        with suppress(BackendError):
            self.world.answer_all()
        fuse.join()
        self.annotator.up()
        self.killed["the server, while people answer"] += 1

    def _server(self) -> int:
        running = self.annotator.connection.server.state()
        assert running
        return running.pid


@pytest.fixture(autouse=True)
def gone_afterwards(annotator: LabelStudioAnnotator) -> Iterator[None]:
    yield
    annotator.up()
    annotator.delete(NAME)


def test_kills_of_the_loop_of_the_server_and_of_both_change_nothing_in_the_end(
    annotator: LabelStudioAnnotator, tmp_path: Path, mother: Mother
) -> None:
    calm = LiveWorld(tmp_path / "undisturbed", annotator, NAME)
    calm.draw(ITEMS)
    effects = []
    for _ in range(ROUNDS):
        effects.append(mother.tick(calm))
        calm.answer_all()
    mother.tick(calm)
    wanted = calm.state()
    annotator.delete(NAME)

    world = LiveWorld(tmp_path / "disturbed", annotator, NAME)
    world.draw(ITEMS)
    reaper = Reaper(world, annotator, mother, Random(int(os.environ.get("LABELLOOP_CHAOS_SEED", "4"))))
    kinds = cycle(KINDS)
    for number in range(1, ROUNDS + 1):
        while reaper.killed.total() < KILLS * number // ROUNDS - 1:
            reaper.kill(next(kinds), effects[number - 1] // 2)
        mother.tick(world)
        if FULL or number == ROUNDS:
            reaper.kill_under_people()
        world.answer_all()
    mother.tick(world)

    print(f"killed: {dict(reaper.killed)}")
    assert reaper.killed.total() >= KILLS
    tasks = world.tasks()
    asked = [task["data"]["labelloop_id"] for task in tasks]
    assert len(asked) == len(set(asked)), "an item is a task twice"
    assert max(len(task["annotations"]) for task in tasks) == 1, "an answer is there twice"
    assert damaged(world.root / ".labelloop" / "artifacts") == []
    assert world.state() == wanted


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def damaged(store: Path) -> list[str]:
    """Artifacts whose bytes are not what their name says."""
    bodies = [path for path in store.rglob("*") if path.is_file() and "~unfinished" not in path.parts]
    assert bodies
    return [str(path) for path in bodies if blake2b(path.read_bytes(), digest_size=16).hexdigest() != path.name]
