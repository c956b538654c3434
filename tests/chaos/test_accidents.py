"""Restored backups, copies, clocks that jump, full disks: the end of an undisturbed run, by the way the words say.

Each accident happens at a moment drawn from its number. Where a tick is refused, nothing was asked, and what its hint
says is typed as it stands there. In the end everything was asked, and all of it is compared.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.errors import NotFoundError
from labelloop.kinds.consensus import consensus_of_all
from labelloop.kinds.labels import regions_of
from labelloop.testing.secrets import MemorySecrets

from support.chaos_form import FULL
from support.live_world import LiveWorld
from support.mothers import Mother

pytestmark = [pytest.mark.chaos, pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]

NAME = "by accident"
ITEMS = 18
ROUNDS = 3
"""After which few items are left."""

NUMBERS = range(20 if FULL else 2)
OTHER_OWNER, DISK_FULL = 2, 3
"""Exit codes."""

COMMAND = re.compile(r"labelloop ((?:tick|doctor)(?: --[a-z-]+)*)")
EFFECTS = 60
"""About as many as a tick has."""


@dataclass(frozen=True)
class Ended:
    """What holds in the end.

    Attributes:
        said: Item -> what people said, as the ledger has it.
        labels: Item -> its consensus.
        tasks: Item and answers of every task of Label Studio.
        asked: Round, item and purpose of every question.
        rounds: Number, model, answers and verdict of every round.
    """

    said: Mapping[str, Any]
    labels: Mapping[str, Any]
    tasks: Sequence[tuple[str, Any]]
    asked: Sequence[tuple[int, str, str]]
    rounds: Sequence[tuple[Any, ...]]


def ended(world: LiveWorld) -> Ended:
    with closing(world.ledger()) as ledger:
        said = ledger.answers.current()
        return Ended(
            {item: [one.regions[0]["value"] for one in found] for item, found in sorted(said.items()) if found},
            dict(sorted(consensus_of_all(world.schema, ledger.said(world.schema)).answers.items())),
            sorted((one["data"]["labelloop_id"], [_value(x) for x in one["annotations"]]) for one in world.tasks()),
            [(one.round, one.item_id, one.purpose) for one in ledger.answers.questions()],
            [(one.number, one.version, one.learned_from, one.asked, one.gate) for one in ledger.rounds.all()],
        )


def _value(annotation: Mapping[str, Any]) -> Any:
    return annotation["result"][0]["value"]


@dataclass
class Person:
    """Ticks and answers; where a tick is refused, types what its hint says."""

    world: LiveWorld
    mother: Mother
    draw: Random
    read: list[tuple[str, int, str]] = field(default_factory=list)

    def type(self, *words: str) -> int:
        """One command; its exit code."""
        code = self.mother.run(self.world, *words)
        said = self.mother.said()
        self.read.append((" ".join(words), code, said))
        assert "Traceback" not in said, said
        assert code == 0 or (said.startswith("error: ") and "\n hint: " in said) or words[0] != "tick", said
        return code

    def tick(self) -> None:
        """A tick, and the way on until one goes through."""
        for _ in range(4):
            tasks = self.world.tasks() if self.read else ()
            code = self.type("tick")
            if code == 0:
                return
            assert code == OTHER_OWNER, self.read[-1]
            assert self.world.tasks() == tasks, "something was asked before it was refused"
            self.follow()
        raise AssertionError(self.read)

    def follow(self) -> None:
        """Type the first command of the hint that was just read."""
        found = COMMAND.search(self.read[-1][2].partition(" hint: ")[2])
        assert found, self.read[-1]
        words = found[1].split()
        self.type(*words, *(["--yes"] if "--repair" in words else []))

    def killed(self) -> None:
        """A tick that is killed, or ends before."""
        code = self.mother.run(self.world, effect=self.draw.randint(1, EFFECTS))
        assert code in (0, -signal.SIGKILL), self.mother.said()

    def answer_some(self) -> None:
        """Answer a part of what is open."""
        with closing(self.world.ledger()) as ledger:
            due = sorted(one.item_id for one in ledger.answers.questions(["asked"]))
        for item_id in self.draw.sample(due, len(due) // 2):
            regions = regions_of(self.world.schema, self.world.truth[item_id])
            self.world.person.answer(self.world.name, item_id, regions)

    def answer_all(self) -> None:
        """Answer what is open."""
        self.world.answer_all()

    def day(self) -> list[Callable[[], None]]:
        """The steps of some rounds."""
        return [step for _ in range(ROUNDS) for step in (self.tick, self.answer_some, self.answer_all)]

    def play_on(self) -> Ended:
        """Until nothing is left to be asked."""
        for _ in range(ITEMS):
            self.tick()
            self.answer_all()
            if self.is_at_the_end():
                break
        self.tick()
        assert self.type("doctor") == 0, self.read[-1]
        return ended(self.world)

    def is_at_the_end(self) -> bool:
        """Whether a round found nothing more to ask; what a tick asks may have its answer already, of another life."""
        with closing(self.world.ledger()) as ledger:
            last = ledger.rounds.last()
            return last is not None and last.state == "asked" and last.asked == 0

    def refusals(self) -> list[str]:
        """What was refused so far."""
        return [said for _, code, said in self.read if code == OTHER_OWNER]


@dataclass(frozen=True)
class Scene:
    """Where accidents happen."""

    annotator: LabelStudioAnnotator
    mother: Mother
    folder: Path

    def person(self, draw: Random, root: Path | None = None) -> Person:
        """A person with a new workspace."""
        world = LiveWorld(root or self.folder / "workspace", self.annotator, NAME)
        world.draw(ITEMS)
        return Person(world, self.mother, draw)

    def moved(self, person: Person, root: Path) -> Person:
        """The same person at another workspace."""
        world = LiveWorld(root, self.annotator, NAME, truth=person.world.truth)
        return Person(world, self.mother, person.draw)


def live(draw: Random, steps: Sequence[Callable[[], None]], backup: Callable[[], None]) -> None:
    """Take the steps up to a moment, and a backup before."""
    first = draw.randrange(1, len(steps) - 1)
    later = draw.randrange(first + 1, len(steps) + 1)
    for number, step in enumerate(steps[:later]):
        if number == first:
            backup()
        step()


@pytest.fixture
def scene(annotator: LabelStudioAnnotator, mother: Mother, tmp_path: Path) -> Iterator[Scene]:
    yield Scene(annotator, mother, tmp_path)
    annotator.up()
    with suppress(NotFoundError):
        annotator.delete(NAME)


@pytest.fixture(scope="module")
def calm(chaos_annotator: LabelStudioAnnotator, mother: Mother, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The end of an undisturbed run."""
    chaos_annotator.up()
    person = Scene(chaos_annotator, mother, tmp_path_factory.mktemp("calm")).person(Random(0))
    for step in person.day():
        step()
    end = person.play_on()
    chaos_annotator.delete(NAME)
    assert len(end.said) == ITEMS
    return end


@pytest.mark.parametrize("number", NUMBERS)
def test_a_ledger_from_an_older_backup(scene: Scene, calm: Ended, number: int) -> None:
    draw = Random(f"ledger {number}")
    person = scene.person(draw)
    state, kept = person.world.root / ".labelloop", scene.folder / "kept"

    def backup() -> None:
        if number % 2:
            person.killed()
        kept.mkdir()
        for part in state.glob("ledger.db*"):
            shutil.copy(part, kept)

    live(draw, person.day(), backup)
    for part in state.glob("ledger.db*"):
        part.unlink()
    for part in kept.iterdir():
        shutil.copy(part, state)

    assert person.play_on() == calm


@pytest.mark.parametrize("number", NUMBERS)
def test_a_label_studio_from_an_older_backup(scene: Scene, calm: Ended, number: int) -> None:
    draw = Random(f"label studio {number}")
    person = scene.person(draw)
    (file,) = scene.annotator.connection.home.rglob("label_studio.sqlite3")
    kept = scene.folder / "kept.sqlite3"

    def backup() -> None:
        if number % 2:
            person.killed()
        with closing(sqlite3.connect(file)) as running, closing(sqlite3.connect(kept)) as copy:
            running.backup(copy)

    live(draw, person.day(), backup)
    scene.annotator.down()
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()
    shutil.copy(kept, file)
    scene.annotator.up()

    assert person.play_on() == calm


@pytest.mark.parametrize("number", NUMBERS)
def test_a_workspace_that_was_copied(scene: Scene, calm: Ended, number: int) -> None:
    """The one that comes second is refused; whichever goes on ends as one that was never copied."""
    draw = Random(f"copy {number}")
    person = scene.person(draw)

    def copy() -> None:
        if number % 2:
            person.killed()
        shutil.copytree(person.world.root / ".labelloop", scene.folder / "copy" / ".labelloop")

    live(draw, person.day(), copy)
    other = scene.moved(person, scene.folder / "copy")
    there = person.world.tasks()
    code = other.type("tick")
    assert code in (0, OTHER_OWNER), other.read[-1]
    if code == OTHER_OWNER:
        assert person.world.tasks() == there
    stays, leaves = (person, other) if draw.random() < 0.5 else (other, person)

    assert stays.play_on() == calm

    assert leaves.type("tick") == OTHER_OWNER, leaves.read[-1]


HOUR, DAY, YEAR = 3600, 86400, 365 * 86400
JUMPS = (HOUR, -HOUR, DAY, -DAY, YEAR, -YEAR)
needs_a_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="a clock that jumps is made with a compiler")


@dataclass(frozen=True)
class Clock:
    """The wall clock of whoever was started with these variables; what counts seconds since the start is left alone."""

    library: Path
    file: Path

    def jump(self, seconds: int) -> None:
        """Be so far off from now on."""
        self.file.write_text(f"{seconds:+d}\n")

    def environment(self) -> dict[str, str]:
        """What a process is started with."""
        return {"LD_PRELOAD": str(self.library), "CLOCK_OFF_BY": str(self.file)}


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    folder = tmp_path_factory.mktemp("clock")
    made = Clock(folder / "clock.so", folder / "offset")
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(made.library), str(source)], check=True)
    made.jump(0)
    return made


@contextmanager
def mother_at(clock: Clock, annotator: LabelStudioAnnotator, folder: Path) -> Iterator[Mother]:
    """Forks commands whose clock jumps, with the token for this annotator."""
    world = LiveWorld(folder, annotator, "nobody's")
    made = Mother(folder, {**world.environment(), **clock.environment()})
    yield made
    made.close()


@pytest.fixture(scope="module")
def shaken_mother(
    chaos_annotator: LabelStudioAnnotator, clock: Clock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mother]:
    """Commands whose clock jumps, and the Label Studio of the others."""
    with mother_at(clock, chaos_annotator, tmp_path_factory.mktemp("mother")) as made:
        yield made


@pytest.fixture(scope="module")
def shaken(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[tuple[LabelStudioAnnotator, Mother]]:
    """A Label Studio on the same machine, whose clock jumps too, and its commands."""
    home = tmp_path_factory.mktemp("shaken")
    annotator = LabelStudioAnnotator(home=home, secrets=MemorySecrets(), port=21400 + os.getpid() % 100)
    annotator.connection.server.surroundings = clock.environment
    annotator.up()
    with mother_at(clock, annotator, home / "mother") as made:
        yield annotator, made
    annotator.down()


def jumping(draw: Random, clock: Clock, first: int, steps: Sequence[Callable[[], None]]) -> None:
    """Take all steps; the clock jumps three times on the way."""
    when = sorted(draw.sample(range(1, len(steps)), 3))
    jumps = dict(zip(when, [first, draw.choice(JUMPS), 0], strict=True))
    for number, step in enumerate(steps):
        if number in jumps:
            clock.jump(jumps[number])
        step()


@needs_a_compiler
@pytest.mark.parametrize("number", NUMBERS)
def test_a_clock_that_jumps(scene: Scene, calm: Ended, shaken_mother: Mother, clock: Clock, number: int) -> None:
    draw = Random(f"clock {number}")
    clock.jump(0)
    person = Scene(scene.annotator, shaken_mother, scene.folder).person(draw)

    jumping(draw, clock, JUMPS[number % len(JUMPS)], person.day())

    assert person.play_on() == calm
    assert person.refusals() == []


@needs_a_compiler
@pytest.mark.parametrize("number", NUMBERS if FULL else [0])
def test_a_clock_of_everything_that_jumps(
    shaken: tuple[LabelStudioAnnotator, Mother], calm: Ended, clock: Clock, tmp_path: Path, number: int
) -> None:
    draw = Random(f"clocks {number}")
    clock.jump(0)
    person = Scene(*shaken, tmp_path).person(draw)

    jumping(draw, clock, JUMPS[-1 - number % len(JUMPS)], person.day())

    assert person.play_on() == calm
    assert person.refusals() == []
    shaken[0].delete(NAME)


SIZE = 8 * 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "labelloop", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, left: int) -> Path:
    """A file that leaves so many bytes of the disk."""
    ballast = folder / "ballast"
    status = os.statvfs(folder)
    with ballast.open("wb") as file:
        file.write(b"\1" * max(0, status.f_bavail * status.f_frsize - left))
    return ballast


def tick_on_a_full_disk(person: Person, disk: Path) -> int:
    """Ticks with ever more room, until one goes through; how many were refused."""
    room, refused = person.draw.randrange(0, 16) * 4096, 0
    while True:
        ballast = fill(disk, room)
        code = person.type("tick")
        assert code in (0, DISK_FULL), person.read[-1]
        assert person.type("status") in (0, DISK_FULL), person.read[-1]
        ballast.unlink()
        assert person.type("status") == 0, person.read[-1]
        if code == 0:
            return refused
        refused += 1
        room += person.draw.randrange(1, 24) * 4096


@pytest.mark.parametrize("number", NUMBERS)
def test_a_full_disk(scene: Scene, calm: Ended, disk: Path, number: int) -> None:
    draw = Random(f"disk {number}")
    person = scene.person(draw, disk / "workspace")
    refused = 0
    for _ in range(ROUNDS):
        refused += tick_on_a_full_disk(person, disk)
        person.answer_some()
        person.answer_all()

    assert person.play_on() == calm
    assert refused >= ROUNDS
