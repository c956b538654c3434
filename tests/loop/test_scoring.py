"""Of very many items a round scores a sample: drawn once, written down, and all that it chooses comes from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.commands.rollback import roll_back
from labelloop.commands.status import status_as_dict, status_in_words
from labelloop.kinds.predicted import Predicted, by_probabilities
from labelloop.ledger.items import ItemColumns
from labelloop.ledger.rounds import RoundBook
from labelloop.loop import scoring
from labelloop.loop.features import Features
from labelloop.loop.models import Models, Some
from labelloop.loop.round_steps import Snapshot, judgeable
from labelloop.loop.scoring import STRUCTURES, Sampled, most_scored, sampled_in
from labelloop.types import Inputs
from labelloop.workspace.config import load

from support.quick_learner import Means
from support.quick_tagger import QuickTagger
from support.small_spans import SpanWorld, text_of
from support.small_world import SCHEMA, World

FEW = {"loop__scored": 8}


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the items that models said something about, in order."""
    seen: list[str] = []
    predict = Means.predict

    def looked_at(self: Means, inputs: Inputs) -> np.ndarray:
        seen.extend(map(str, inputs.ids))
        return predict(self, inputs)

    monkeypatch.setattr(Means, "predict", looked_at)
    return seen


def batch(world: World, round: int) -> list[str]:
    """What a round asks to learn from."""
    return [one.item_id for one in world.questions() if one.round == round and one.purpose == "train"]


def held_out(world: World, round: int) -> list[str]:
    return [one.item_id for one in world.questions() if one.round == round and one.purpose == "holdout"]


def a_pool(world: World) -> set[str]:
    """What can be asked to learn from."""
    with world.loop() as loop, loop.ledger.lease.held():
        columns, _ = loop.learning.embeddings.embedded()
        known = loop.learning.snapshots.know(columns)
        return {str(one) for one in columns.ids[~known.asked & ~known.held_out]}


def test_a_pool_that_is_no_larger_is_scored_as_without(animals: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other")
    other.add()

    animals.play(3)
    other.play(3, loop__scored=40)

    assert animals.dump() == other.dump()
    assert sampled_in(other.last()) is None


def test_a_round_scores_a_sample_and_the_batch_comes_from_it(animals: World, scored: list[str]) -> None:
    animals.play(1, **FEW)
    pool = a_pool(animals)
    scored.clear()

    animals.tick(**FEW)

    drawn = {one for one in scored if one in pool}
    assert len(drawn) == 8 < len(pool)
    assert len(batch(animals, 2)) == 6
    assert set(batch(animals, 2)) <= drawn
    assert all(one.prediction for one in animals.questions() if one.item_id in batch(animals, 2))


def test_it_is_written_down_and_said(animals: World) -> None:
    animals.play(1, **FEW)
    size = len(a_pool(animals))
    animals.tick(**FEW)

    assert sampled_in(animals.last()) == Sampled(8, size)
    assert animals.last().as_dict()["scored"] == [8, size]
    with animals.loop(**FEW) as loop:
        words = f"8 of {size} items that can be asked, drawn at random; all with loop.scored = 0"
        assert status_as_dict(loop)["scored"] == {"scored": 8, "pool": size, "words": words}
        assert f"scored    {words}" in status_in_words(loop).splitlines()


def test_nothing_is_said_where_all_are_scored(animals: World) -> None:
    animals.play(2)

    with animals.loop() as loop:
        assert status_as_dict(loop)["scored"] == {}
        assert "scored" not in status_in_words(loop)


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_the_same_seed_draws_the_same(tmp_path: Path, scored: list[str], seed: int, same: bool) -> None:
    drawn = []
    for name, chosen in (("one", 0), ("other", seed)):
        world = World(tmp_path / name)
        world.add()
        world.play(1)  # the same first batch
        pool = a_pool(world)
        scored.clear()
        world.tick(**FEW, loop__seed=chosen, loop__gate="always")
        drawn.append({one for one in scored if one in pool})

    assert (drawn[0] == drawn[1]) is same


def test_each_round_draws_anew(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[set[str]] = []
    said = Models.said

    def looked_at(self: Models, model: str, features: Features, some: Some | None = None) -> Predicted:
        assert some is not None
        drawn.append(set(some.ids.tolist()) & pool)
        return said(self, model, features, some)

    monkeypatch.setattr(Models, "said", looked_at)
    animals.play(1, **FEW)
    for _ in range(2):
        pool = a_pool(animals)
        animals.play(1, **FEW)

    assert [len(one) for one in drawn] == [8, 8]
    assert drawn[0] != drawn[1]


def test_questions_for_the_score_come_from_all_that_is_held_out(animals: World) -> None:
    animals.play(2, **FEW)

    assert len(held_out(animals, 1)) == len(held_out(animals, 2)) == 4


def test_what_was_asked_stays_covered_although_nothing_is_said_of_it() -> None:

    ids = np.array(list("abcdef"))
    columns = ItemColumns(ids, ids, np.array([True, True, True, True, True, False]))
    asked, out, none = np.array([1, 0, 0, 0, 0, 0], bool), np.array([0, 1, 0, 0, 0, 0], bool), np.zeros(6, bool)
    known = Snapshot(columns, none, np.zeros((6, 3), bool), asked, out, {})
    likely = np.full((6, 3), np.nan, np.float32)
    likely[2] = 1 / 3
    looked = np.array([0, 0, 1, 1, 0, 0], bool)

    some, everything = (judgeable(known, by_probabilities(SCHEMA, likely), one) for one in (looked, None))

    assert ids[some.columns.readable].tolist() == ["a", "b", "c"]
    assert ids[everything.columns.readable].tolist() == ["c"]


def test_open_questions_get_the_guess_of_the_new_model_although_nobody_draws_them(animals: World) -> None:
    animals.play(1, **FEW)
    animals.tick(**FEW)
    waiting = sorted(animals.dataset.open_items())
    for item in waiting[:5]:
        animals.answer(item, animals.truth()[item])

    animals.tick(**FEW, loop__retrain_after=1, loop__gate="always")

    version = animals.last().version
    left = [one for one in animals.questions() if one.item_id in waiting[5:] and one.purpose == "train"]
    assert left
    assert all(one.prediction is not None and one.prediction.model_version == version for one in left)


def test_killed_after_scoring_and_continued_it_scores_nothing_again(
    animals: World, scored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    animals.play(1, **FEW)
    with monkeypatch.context() as patched:
        patched.setattr(RoundBook, "plan", killed)
        with pytest.raises(Killed):
            animals.tick(**FEW)
    scored.clear()

    animals.tick(**FEW)

    assert scored == []
    assert sampled_in(animals.last()) is not None


def test_a_round_that_brings_a_model_back_notes_no_sample_of_another(animals: World) -> None:
    animals.play(3, **FEW, loop__gate="always")
    assert sampled_in(animals.last()) is not None

    with animals.loop(**FEW) as loop:
        roll_back(loop)

    assert sampled_in(animals.last()) is None


def test_of_spans_a_sample_is_read_by_a_learner_that_reads_the_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = SpanWorld(tmp_path)
    world.add_texts([text_of(i) for i in range(80)])
    world.play(1)
    pool, seen = a_pool(world), set[str]()
    load_model = QuickTagger.load

    def loaded(self: QuickTagger, model: Path) -> Any:
        made = load_model(self, model)

        class Looking:
            labels = made.labels

            def predict(self, inputs: Inputs) -> Any:
                seen.update(map(str, inputs.ids))
                return made.predict(inputs)

        return Looking()

    monkeypatch.setattr(QuickTagger, "load", loaded)
    world.tick(**FEW)

    assert len(seen & pool) == 8
    assert set(batch(world, 2)) <= seen & pool
    assert world.last().model


def test_by_default_fifty_thousand_texts_are_read_for_spans_and_all_is_scored_otherwise(world: World) -> None:
    plain, none = world.workspace().config, world.workspace(loop__scored=0).config
    told = load(world.root, {"LABELLOOP_LOOP_SCORED": "7"}).config

    assert most_scored(plain, reads_structures=False) == 0
    assert most_scored(plain, reads_structures=True) == STRUCTURES == 50_000
    assert [most_scored(told, reads_structures=one) for one in (True, False)] == [7, 7]
    assert [most_scored(none, reads_structures=one) for one in (True, False)] == [0, 0]


@pytest.mark.parametrize("made", [SpanWorld, World])
def test_a_default_that_is_smaller_than_the_pool_is_a_sample_of_spans_alone(
    made: type[World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "STRUCTURES", 8)
    world = made(tmp_path / "many")
    world.add_texts([text_of(i) for i in range(80)] if made is SpanWorld else [f"cat number {i}" for i in range(80)])

    world.play(2)

    assert (sampled_in(world.last()) is not None) is (made is SpanWorld)
