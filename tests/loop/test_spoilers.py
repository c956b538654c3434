"""A learner that cannot take one item: it is found by halving, set aside by name, and the loop goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.data.sources import content_id
from labelloop.errors import StepError
from labelloop.evaluation import holdout
from labelloop.evaluation.halving import PATIENCE, spoilers
from labelloop.loop.decide import Start

from support import fragile_learner
from support.small_world import LABELS, World

FRAGILE = {"learner__flavor": "support.fragile_learner:FragileLearner", "holdout__share": 0.0}


@pytest.mark.parametrize(
    ("n", "bad"),
    [(2, {0}), (2, {1}), (3, {0, 1}), (16, {7}), (16, {0, 15}), (1000, {0}), (1000, {3, 900}), (1000, {5, 6, 999})],
)
def test_those_that_spoil_a_whole_are_found_and_no_others(n: int, bad: set[int]) -> None:
    tried = []

    def works(rows: np.ndarray) -> bool:
        tried.append(len(rows))
        return not bad & {*rows.tolist()}

    assert set(spoilers(n, works).tolist()) == bad
    assert len(tried) <= 2 * 10 * len(bad) + 2


def test_where_everything_fails_nobody_is_blamed_and_it_ends_soon() -> None:
    tried = []

    def works(rows: np.ndarray) -> bool:
        tried.append(len(rows))
        return False

    assert len(spoilers(1000, works)) == 0
    assert len(tried) < 40


def test_looking_takes_no_longer_than_a_while() -> None:
    now = [0.0]

    def works(rows: np.ndarray) -> bool:
        now[0] += PATIENCE / 3
        return 1 not in rows

    assert len(spoilers(1000, works, lambda: now[0])) == 0
    assert now[0] <= 2 * PATIENCE


class Poisoned:
    """A world in which one text spoils what is made of it."""

    def __init__(self, root: Path, poison: str = " poison") -> None:
        self.now = datetime(2026, 2, 3, tzinfo=UTC)
        self.world = World(root / "world", clock=lambda: self.now)
        self._root = root
        texts = [f"{LABELS[i % 3]} number {i}" for i in range(24)]
        texts[4] += poison
        self.ids = self.world.add_texts(texts)
        fragile_learner.trained.clear()

    def without(self) -> Poisoned:
        """Another world, in which no text does."""
        return Poisoned(self._root / "other", "")

    def tick(self, **settings: Any) -> Any:
        return self.world.tick(**{**FRAGILE, "loop__batch": 24, **settings})

    def aside(self) -> list[tuple[str, str]]:
        ledger = self.world.ledger()
        found = [(one.item_id, one.missing.reason) for one in ledger.aside.all()]
        ledger.close()
        return found


@pytest.fixture
def poisoned(tmp_path: Path) -> Poisoned:
    return Poisoned(tmp_path)


def test_an_item_that_a_learner_cannot_learn_from_is_set_aside_by_name_and_the_others_make_a_model(
    poisoned: Poisoned,
) -> None:
    poisoned.tick(learner__judges=True)
    poisoned.world.answer_all()

    outcome = poisoned.tick(learner__judges=True)

    assert poisoned.world.last().model
    assert poisoned.world.last().learned_from == 23
    ((item, reason),) = poisoned.aside()
    assert item == poisoned.ids[4]
    assert reason == f"item {item!r} cannot be learned from: ValueError: singular matrix"
    assert any(item in note for note in outcome.notes)


def test_it_is_tried_again_with_growing_pauses_and_counts_again_once_the_learner_can(poisoned: Poisoned) -> None:
    poisoned.tick(learner__judges=True)
    poisoned.world.answer_all()
    poisoned.tick(learner__judges=True)
    pauses = []
    for number in range(3):
        ledger = poisoned.world.ledger()
        (one,) = ledger.aside.all()
        ledger.close()
        assert one.due is not None
        pauses.append(one.due - poisoned.now)
        poisoned.now = one.due
        poisoned.world.add_texts([f"cat number {100 + number}"])
        poisoned.tick(learner__judges=True)
        poisoned.world.answer_all()
        poisoned.tick(learner__judges=True)
    assert pauses == [timedelta(minutes=10), timedelta(minutes=20), timedelta(minutes=40)]

    poisoned.now += timedelta(days=2)
    poisoned.world.add_texts(["cat number 200"])
    poisoned.tick(learner__judges=True, learner__learns=True)
    assert poisoned.aside() == []


def test_an_item_that_a_model_cannot_judge_is_set_aside_by_name_and_the_others_are_asked(poisoned: Poisoned) -> None:
    poisoned = poisoned.without()
    poisoned.tick(loop__batch=6)
    poisoned.world.answer_all()
    (bad,) = poisoned.world.add_texts(["cat number 77 poison"])

    outcome = poisoned.tick()

    assert isinstance(outcome.action, Start)
    assert poisoned.aside() == [(bad, f"item {bad!r} cannot be judged by the model in use")]
    assert poisoned.world.dataset.present() == set(poisoned.ids)
    assert poisoned.world.last().model


def test_a_held_out_item_that_a_model_cannot_judge_is_no_part_of_the_score(poisoned: Poisoned) -> None:
    poisoned = poisoned.without()
    texts = (f"cat number {n} poison" for n in range(100, 200))
    bad = next(one for one in texts if holdout.held_out(np.array([content_id(one)]), 0.5, "0").any())
    poisoned.world.add_texts([bad])
    settings = {"holdout__share": 0.5, "holdout__per_round": 25, "holdout__size": 25, "learner__learns": True}
    poisoned.tick(**settings)
    poisoned.world.answer_all()

    poisoned.tick(**settings)

    asked = [one.item_id for one in poisoned.world.questions() if one.purpose == "holdout"]
    assert content_id(bad) in asked
    assert poisoned.world.last().metrics["n"] == len(asked) - 1


def test_a_learner_that_can_do_nothing_is_an_error_and_no_item_is_blamed(poisoned: Poisoned) -> None:
    poisoned.tick()
    poisoned.world.answer_all()

    with pytest.raises(StepError, match="RuntimeError: nothing works"):
        poisoned.tick(learner__broken=True)

    assert poisoned.aside() == []
    assert len(fragile_learner.trained) < 40


@pytest.mark.parametrize("able", [{"learner__judges": True}, {"learner__learns": True}])
def test_label_errors_are_found_among_the_others_though_one_spoils_what_is_learned(
    poisoned: Poisoned, able: dict[str, bool]
) -> None:
    poisoned.tick(learner__judges=True, learner__learns=True)
    poisoned.world.answer_all()
    poisoned.tick(learner__judges=True, learner__learns=True)

    unseen = poisoned.world.loop(**FRAGILE, **able).learning.out_of_sample()

    said = {str(one): likely for one, likely in zip(unseen.examples.inputs.ids, unseen.probabilities, strict=True)}
    assert np.isnan(said.pop(poisoned.ids[4], np.array([np.nan]))).all()
    assert len(said) == 23
    assert np.isfinite(np.stack(list(said.values()))).all()
    assert [item for item, _ in poisoned.aside()] == [poisoned.ids[4]][: "learner__judges" in able]
