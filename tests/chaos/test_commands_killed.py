"""SIGKILL of single commands, repeated until they are through: the state of an undisturbed run, nothing twice."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.kinds.labels import regions_of

from support.chaos_form import FULL
from support.live_world import DIGITS, LiveWorld
from support.mothers import Mother

pytestmark = [pytest.mark.chaos, pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(1200 if FULL else 300)]

NAME = "commands killed and repeated"
ITEMS = 80
FIRST = 22
SETTINGS = (
    "--set=loop.batch=4",
    "--set=loop.gate=always",
    "--set=holdout.per_round=8",
    "--set=auto_label.error=0.9",
    "--set=auto_label.confidence=0.5",
    "--set=auto_label.audit=0.5",
    "--set=auto_label.audit_per_round=3",
)
KILLS = 25
"""Of each command by chance, at most: those that come before its end."""

DATASET = "labelloop.backends.label_studio.dataset:LabelStudioDataset"
DELIVERY = "labelloop.backends.label_studio.delivery:Delivery"
PREDICTIONS = "labelloop.backends.label_studio.predictions:Predictions"
ROUNDS = "labelloop.ledger.rounds:RoundBook"
OPINIONS = "labelloop.ledger.opinions:OpinionBook"
AUTO = "labelloop.ledger.auto:AutoBook"


@dataclass(frozen=True)
class Command:
    """A command, and moments of it that chance may miss, each still to come when the ones before have happened.

    Attributes:
        ends: Exit codes with which it may end once it has been through.
    """

    words: tuple[str, ...]
    points: tuple[str, ...]
    ends: tuple[int, ...] = (0,)


ASK = Command(
    ("label-errors", "ask", "-n", "3"),
    (
        f"{OPINIONS}:plan:before",
        f"{OPINIONS}:plan:after",
        f"{DELIVERY}:_send:during",
        f"{OPINIONS}:confirm:before",
        f"{OPINIONS}:confirm:after",
    ),
)
APPLY = Command(
    ("auto-label", "apply", "--yes"),
    (
        f"{AUTO}:note:before",
        f"{AUTO}:note:after",
        f"{AUTO}:remember:after",
        f"{ROUNDS}:plan:after",
        f"{DELIVERY}:_send:during",
        f"{ROUNDS}:confirm:before",
        f"{ROUNDS}:confirm:after",
    ),
)
TICK = Command(
    ("tick",), (f"{AUTO}:note:before", f"{AUTO}:note:after", f"{AUTO}:remember:after", f"{ROUNDS}:plan:after")
)
"""One that takes the labels of the next model; other moments of a tick are killed elsewhere."""

REVOKE = Command(("auto-label", "revoke", "--yes"), (f"{AUTO}:revoke:before", f"{AUTO}:revoke:after"), (0, 2))
ROLLBACK = Command(
    ("rollback",),
    (
        f"{ROUNDS}:plan:before",
        f"{ROUNDS}:plan:after",
        f"{PREDICTIONS}:add:after",
        f"{PREDICTIONS}:move:after",
        f"{DATASET}:_show:after",
        f"{ROUNDS}:confirm:before",
        f"{ROUNDS}:confirm:after",
    ),
)

MODES = ["at chosen points", "by chance"] if FULL else ["at chosen points"]
LEDGERS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)] if FULL else ["sqlite"]


class Game:
    """Every command in turn in a new world; a killer carries them out.

    Args:
        carry_out: Has a command end.
    """

    def __init__(self, world: LiveWorld, mother: Mother, carry_out: Callable[[LiveWorld, Command], None]) -> None:
        self._world = world
        self._mother = mother
        self._carry_out = carry_out

    def play(self) -> Mapping[str, Any]:
        """The state in the end."""
        world = self._world
        world.draw(ITEMS)
        self._begin()
        for command in (ASK, APPLY):
            self._carry_out(world, command)
        self._answer_most()
        for command in (TICK, ROLLBACK, REVOKE):
            self._carry_out(world, command)
        self._tick()
        state = {**world.state(), "export": self._exported()}
        world.annotator.delete(NAME)
        return state

    def _begin(self) -> None:
        """A round is answered, three answers are wrong; a second one is open, with the guesses of the first model."""
        world = self._world
        self._tick(f"--set=loop.batch={FIRST}")
        for item_id in sorted(one.item_id for one in world.questions() if one.purpose == "train")[:3]:
            wrong = DIGITS[(int(world.truth[item_id][0]) + 5) % 10]
            world.person.answer(world.name, item_id, regions_of(world.schema, [wrong]))
        world.answer_all()
        self._tick()

    def _answer_most(self) -> None:
        """All but two questions are answered, which get guesses of two models, so that one of these can come back."""
        world = self._world
        waiting = [one for one in world.questions() if one.state == "asked"]
        left = [one for one in waiting if one.purpose == "train"][:2]
        for one in waiting:
            if one not in left:
                world.person.answer(world.name, one.item_id, regions_of(world.schema, world.truth[one.item]))

    def _tick(self, *more: str) -> None:
        self._mother.do(self._world, *SETTINGS, *more, "tick")

    def _exported(self) -> list[dict[str, Any]]:
        """The labels that are believed, and whose they are."""
        path = self._world.root / "labels.jsonl"
        self._mother.do(self._world, *SETTINGS, "export", "-o", str(path))
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return [{name: row[name] for name in ("id", "labels", "source")} for row in rows]


class Killer:
    """Kills commands, and counts how often.

    Args:
        effects: Command -> the effects of one that nobody kills; kept up to date.
    """

    def __init__(self, mother: Mother, effects: dict[Command, int], mode: str) -> None:
        self.killed: Counter[str] = Counter()
        self._mother = mother
        self._effects = effects
        self._random = Random(23)
        self._mode = mode

    def carry_out(self, world: LiveWorld, command: Command) -> None:
        """The command is killed, made to end, and then made once more."""
        words = (*SETTINGS, *command.words)
        for how in self._moments(command):
            code = self._mother.run(world, *words, **how)
            if not code:
                self._effects[command] = self._mother.effects  # what is left to do by now
            assert code in (*command.ends, -signal.SIGKILL), self._mother.said()
            self.killed[" ".join(command.words[:2])] += code == -signal.SIGKILL
            assert code == -signal.SIGKILL or not how.get("point"), f"{how} was not reached"
        for _ in range(2):
            assert self._mother.run(world, *words) in command.ends, self._mother.said()

    def _moments(self, command: Command) -> Iterator[dict[str, Any]]:
        if self._mode == "at chosen points":
            points = [point for point in command.points if FULL or not point.endswith(":before")]
            yield from ({"point": point} for point in points)
        else:
            for _ in range(KILLS):
                effect = self._random.randint(1, self._effects[command])
                yield {"effect": effect, "delay": self._random.choice([0.0, 0.002, 0.02])}


@pytest.fixture(autouse=True)
def gone_afterwards(annotator: LabelStudioAnnotator) -> Iterator[None]:
    yield
    if any(one.name == NAME for one in annotator.datasets()):
        annotator.delete(NAME)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ledger_url", LEDGERS, indirect=True)
def test_commands_that_are_killed_and_repeated_end_as_undisturbed_ones(
    annotator: LabelStudioAnnotator, mother: Mother, tmp_path: Path, ledger_url: str, mode: str
) -> None:
    effects: dict[Command, int] = {}

    def undisturbed(world: LiveWorld, command: Command) -> None:
        effects[command] = mother.do(world, *SETTINGS, *command.words)

    wanted = Game(LiveWorld(tmp_path / "undisturbed", annotator, NAME), mother, undisturbed).play()

    killer = Killer(mother, effects, mode)
    world = LiveWorld(tmp_path / "disturbed", annotator, NAME, ledger_url=ledger_url)
    state = Game(world, mother, killer.carry_out).play()

    assert mode != "by chance" or killer.killed.total() >= KILLS * 2
    print(f"effects: {list(effects.values())}; killed: {dict(killer.killed)}")
    asked = [task[0] for task in state["tasks"]]
    assert len(asked) == len(set(asked)), "an item is a task twice"
    for part, said in wanted.items():
        assert state[part] == said, part
