"""What is learned from, what it is judged on, and which model is used from then on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelloop.commands.score import scorecard
from labelloop.commands.status import status_in_words
from labelloop.errors import ConfigError
from labelloop.ledger import tables
from labelloop.loop import embedding
from labelloop.loop.decide import Start
from labelloop.loop.notices import without_holdout
from labelloop.types import Examples, Inputs, Item, NewItem

from support import quick_learner
from support.small_world import LABELS, World


@pytest.fixture
def trained_on(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The ids of every example a model was trained on."""
    seen: set[str] = set()
    train = quick_learner.QuickLearner.train

    def watched(self: quick_learner.QuickLearner, examples: Examples, out: Path) -> None:
        assert not examples.held_out.any()
        seen.update(map(str, examples.inputs.ids))
        train(self, examples, out)

    monkeypatch.setattr(quick_learner.QuickLearner, "train", watched)
    return seen


def test_held_out_items_are_never_trained_on_never_selected_and_never_carry_a_guess(
    animals: World, trained_on: set[str]
) -> None:
    animals.play(6)

    asked = animals.questions()
    held_out = {one.item_id for one in asked if one.purpose == "holdout"}
    known = animals.loop().learning.learn().known
    protected = set(map(str, known.columns.ids[known.held_out]))
    assert len(held_out) >= 8
    assert held_out <= protected
    assert not trained_on & protected
    assert trained_on
    assert not {one.item_id for one in asked if one.purpose == "train"} & protected
    assert all(animals.dataset.prediction(item_id) is None for item_id in held_out)
    assert all(one.prediction is None for one in asked if one.purpose == "holdout")


def test_an_answer_to_a_held_out_item_moves_the_score_and_not_the_model(animals: World) -> None:
    animals.play(2)
    before = animals.loop().study()
    held_out = next(one.item_id for one in animals.questions() if one.purpose == "holdout")
    animals.answer(held_out, next(label for label in LABELS if label != animals.truth()[held_out]))

    after = animals.loop().study()

    assert after.judged.version == before.judged.version
    assert after.judged.metrics != before.judged.metrics


def test_near_duplicates_of_held_out_items_are_held_out_when_they_arrive_later(animals: World) -> None:
    known = animals.loop().learning.learn().known
    leader = str(known.columns.groups[known.held_out][0])
    ledger = animals.ledger()
    twin = quick_twin(ledger.items.get([leader])[leader].text, leader)
    ledger.items.add([twin])

    again = animals.loop().learning.learn().known

    assert bool(again.held_out[list(again.columns.ids).index(twin.item.id)])


def quick_twin(text: str, group: str) -> NewItem:
    """An item of the same group."""
    return NewItem(Item(f"{group}-twin", "text", text=f"{text}!", group=group), b"")


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_share_of_the_holdout_cannot_change_after_the_first_round(animals: World, share: float) -> None:
    animals.play(1)

    with pytest.raises(ConfigError, match=f"holdout.share is {share}, but this dataset began with 0.25") as refused:
        animals.tick(holdout__share=share)

    assert refused.value.hint.startswith("set holdout.share = 0.25")
    assert isinstance(animals.tick().action, Start)


def test_the_seed_may_change_and_the_holdout_stays(animals: World) -> None:
    animals.play(1)
    before = animals.loop().learning.learn().known.held_out

    assert (animals.loop(loop__seed=9).learning.learn().known.held_out == before).all()


def test_a_challenger_that_is_surely_worse_is_not_promoted_and_the_champion_keeps_guessing(animals: World) -> None:
    animals.play(4)
    champion = animals.last()

    outcome = animals.tick(learner__wrong=True)

    assert outcome.round is not None
    assert (outcome.round.promoted, outcome.round.version) == (False, champion.version)
    assert outcome.round.metrics["score"] == champion.metrics["score"]
    new = [one.prediction for one in animals.questions() if one.round == outcome.round.number and one.prediction]
    assert {guess.model_version for guess in new} == {champion.version}


def test_without_a_holdout_every_new_model_is_used_and_no_score_is_claimed(animals: World) -> None:
    for _ in range(2):
        outcome = animals.tick(holdout__share=0)
        animals.answer_all()

    assert outcome.round is not None
    assert (outcome.round.promoted, outcome.round.metrics["score"]) == (True, None)
    assert outcome.round.gate == "no held-out answers to judge it by yet"


@pytest.fixture
def one_group(world: World) -> World:
    """Forty items of one group, as an older labelloop made of letters on one template, that nobody holds out."""
    ids = world.add(40)
    ledger = world.ledger()
    with ledger.engine.begin() as connection:
        connection.execute(tables.items.update().values(grp=ids[0]))
    ledger.close()
    return world


def test_a_model_without_any_score_is_not_used_and_the_way_out_is_said(one_group: World) -> None:
    notes: list[str] = []
    for _ in range(2):
        outcome = one_group.tick()
        notes += outcome.notes
        one_group.answer_all()

    assert outcome.round is not None
    assert (outcome.round.promoted, outcome.round.model) == (False, "")
    assert outcome.round.gate.endswith("is not used: no held-out answer to judge it by yet")
    assert sum("40 items are 1 group(s)" in note and "share = 0" in note for note in notes) == 1


def test_a_model_without_any_score_is_used_where_the_gate_says_always(one_group: World) -> None:
    for _ in range(2):
        outcome = one_group.tick(loop__gate="always")
        one_group.answer_all()

    assert outcome.round is not None
    assert outcome.round.promoted


def test_where_no_item_can_be_held_out_status_and_score_say_the_way_out(one_group: World) -> None:
    for _ in range(3):
        one_group.tick(loop__gate="always")
        one_group.answer_all()
    loop = one_group.loop()

    with pytest.raises(ConfigError, match="nobody has answered a held-out question") as refused:
        scorecard(loop)
    assert 'duplicates = "exact"' in refused.value.hint
    assert "size = 200" not in refused.value.hint
    assert "no item can be held out for the score: 40 items are 1 group(s)" in status_in_words(loop)


def test_nothing_is_said_of_the_holdout_where_one_can_be_drawn_or_none_is_wanted(animals: World) -> None:
    assert without_holdout(animals.ledger(), animals.workspace().config) == ("", "")
    assert without_holdout(animals.ledger(), animals.workspace(holdout__share=0).config) == ("", "")


def test_a_holdout_that_has_its_size_grows_with_the_random_share(world: World) -> None:
    world.add(120)
    settings = {"holdout__size": 4, "loop__random_share": 0.5, "holdout__growth": 0.6}
    world.play(6, **settings)

    asked = world.questions()
    held_out = [one for one in asked if one.purpose == "holdout"]
    known = world.loop(**settings).learning.learn().known
    protected = set(map(str, known.columns.ids[known.held_out]))
    assert 4 + 5 <= len(held_out) <= 4 + 10
    assert {one.item_id for one in held_out} <= protected
    assert all(one.prediction is None for one in held_out)
    assert {one.round for one in asked if one.purpose == "train"} == {1, 2, 3, 4, 5, 6}
    assert [sum(one.round == number for one in asked) for number in range(2, 7)] == [6] * 5


@pytest.mark.parametrize("settings", [{"holdout__growth": 0}, {"holdout__size": 0}])
def test_a_holdout_grows_only_where_it_should(world: World, settings: dict[str, float]) -> None:
    world.add(120)
    wanted = {"holdout__size": 4, "loop__random_share": 1.0, **settings}
    world.play(4, **wanted)

    held_out = [one for one in world.questions() if one.purpose == "holdout"]
    assert len(held_out) == wanted["holdout__size"]


def test_one_class_only_is_learned_and_the_loop_goes_on(world: World) -> None:
    world.add(30, labels=["cat"])
    settings = {"learner__flavor": "frozen", "learner__backbone": "labelloop.testing.learner:FakeBackbone"}

    world.play(2, **settings)
    outcome = world.tick(**settings)

    assert outcome.round is not None
    assert outcome.round.learned_from == 12
    guesses = [one.prediction for one in world.questions() if one.prediction]
    assert {guess.regions[0]["value"]["choices"][0] for guess in guesses} == {"cat"}


def test_a_model_is_given_the_ids_of_the_items_that_it_judges(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: set[str] = set()
    predict = quick_learner.Means.predict

    def watched(self: quick_learner.Means, inputs: Inputs) -> np.ndarray:
        judged.update(inputs.ids.tolist())
        return predict(self, inputs)

    monkeypatch.setattr(quick_learner.Means, "predict", watched)

    animals.play(3)

    assert judged == set(animals.truth())


def test_the_same_answers_give_the_same_model(animals: World, tmp_path: Path) -> None:
    twin = World(tmp_path / "twin")
    twin.add()
    for one in (animals, twin):
        one.play(2)

    assert animals.last().version == twin.last().version


def test_what_is_read_otherwise_by_now_is_embedded_anew_once_and_nothing_else(
    animals: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    animals.play(2)
    quick_learner.embedded.clear()
    long = "cat number 0"

    def way(self: object, content: str) -> str:
        return "windows" if content == long else ""

    monkeypatch.setattr(quick_learner.WordBackbone, "way_of_reading", way, raising=False)
    animals.tick()
    anew = list(quick_learner.embedded)
    animals.tick()

    assert long in anew
    assert quick_learner.embedded == anew


def test_what_is_not_seen_is_kept_and_a_tick_says_it_once(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "count_equal", lambda matrix: 30)
    notes = []
    for _ in range(3):
        notes.append([one for one in animals.tick().notes if "the same embedding" in one])
        animals.answer_all()

    assert [len(one) for one in notes] == [1, 0, 0]
    assert "30 of 40 items have the same embedding as another" in status_in_words(animals.loop())
