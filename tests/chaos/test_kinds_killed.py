"""SIGKILL at random moments of loops of spans, and of three controls of a label config that people brought."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator

from support.chaos_form import FULL
from support.graded_world import GradedWorld
from support.live_world import LiveWorld
from support.mothers import Mother
from support.span_world import SpanWorld

pytestmark = [pytest.mark.chaos, pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(1800 if FULL else 600)]

NAME = "another kind, killed"
ITEMS = 60
ROUNDS = 5 if FULL else 3
KILLS = 20 if FULL else 4


@pytest.fixture(autouse=True)
def gone_afterwards(annotator: LabelStudioAnnotator) -> Iterator[None]:
    yield
    annotator.up()
    annotator.delete(NAME)


@pytest.mark.parametrize("kind", [SpanWorld, GradedWorld])
def test_kills_over_rounds_of_another_kind_change_nothing_in_the_end(
    annotator: LabelStudioAnnotator, tmp_path: Path, mother: Mother, kind: type[LiveWorld]
) -> None:
    calm = kind(tmp_path / "undisturbed", annotator, NAME)
    calm.draw(ITEMS)
    effects = []
    for _ in range(ROUNDS):
        effects.append(mother.tick(calm))
        calm.answer_all()
    mother.tick(calm)
    wanted = calm.state()
    assert any(task[1] for task in wanted["tasks"]), "no question had a guess"
    annotator.delete(NAME)

    world = kind(tmp_path / "disturbed", annotator, NAME)
    world.draw(ITEMS)
    random, killed = Random(int(os.environ.get("LABELLOOP_CHAOS_SEED", "4"))), 0
    for number in range(1, ROUNDS + 1):
        while killed < KILLS * number // ROUNDS:
            code = mother.run(world, effect=random.randint(1, max(1, effects[number - 1] // 2)), delay=0.0)
            assert code in (0, 3, -signal.SIGKILL), mother.said()
            killed += code == -signal.SIGKILL
        mother.tick(world)
        world.answer_all()
    mother.tick(world)

    print(f"killed: {killed}")
    assert killed >= KILLS
    assert world.state() == wanted
