"""SIGKILL at any moment of a round, then the same command again: the state of an undisturbed run, nothing twice."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator

from support.live_world import LiveWorld
from support.mothers import Mother

pytestmark = [pytest.mark.live, pytest.mark.slow]

NAME = "killed and run again"
ITEMS = 60
ROUNDS = 5
RANDOM_KILLS = 20

DATASET = "labelloop.backends.label_studio.dataset:LabelStudioDataset"
DELIVERY = "labelloop.backends.label_studio.delivery:Delivery"
ROUND = "labelloop.ledger.rounds:RoundBook"
POINTS = (
    f"{DELIVERY}:_payload:after",
    f"{DELIVERY}:_send:during",
    f"{DELIVERY}:_send:after",
    f"{ROUND}:plan:before",
    f"{ROUND}:plan:after",
    f"{DATASET}:_show:after",
    "labelloop.ledger.answers:AnswerBook:hear:after",
    f"{ROUND}:confirm:before",
)
"""Moments that chance may miss; in an order in which each is still to come when the ones before it have happened."""


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
    mother, effects = mothers(calm), []
    for _ in range(ROUNDS):
        effects.append(mother.tick(calm))
        calm.answer_all()
    wanted = calm.state()
    annotator.delete(NAME)

    disturbed = LiveWorld(tmp_path / "disturbed", annotator, NAME)
    disturbed.draw(ITEMS)
    mother, random = mothers(disturbed), Random(20)
    points, codes = deque(POINTS), []
    for number in range(1, ROUNDS + 1):
        left = effects[number - 1]
        for _ in range(RANDOM_KILLS // ROUNDS):
            chosen = random.randint(1, left // 2)  # what a killed tick leaves to do is less each time
            codes.append(mother.run(disturbed, effect=chosen, delay=random.choice([0.0, 0.002, 0.02])))
        if number > 1:  # the first round has nothing to hear, and shows no predictions
            codes += [mother.run(disturbed, point=points.popleft()) for _ in range(len(POINTS) // (ROUNDS - 1))]
        mother.tick(disturbed)
        assert {one.state for one in disturbed.questions() if one.round == number} == {"asked"}
        disturbed.answer_all()

    assert set(codes) <= {0, -signal.SIGKILL}
    assert codes.count(-signal.SIGKILL) >= (RANDOM_KILLS + len(POINTS)) // 2, (
        "too few were still at work when they were to be killed"
    )
    asked = [task["data"]["labelloop_id"] for task in disturbed.tasks()]
    assert len(asked) == len(set(asked)), "an item is a task twice"
    assert disturbed.state() == wanted
