"""After each promoted model the open questions get new guesses and turns, by the selector; blind ones stay blind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from labelloop.errors import BackendError, ConfigError
from labelloop.ledger.answers import AnswerBook
from labelloop.ledger.questions import Asking
from labelloop.loop.asker import PRUNED
from labelloop.loop.stages import Outcome
from labelloop.selection.uncertainty import closeness_of_two

from support.small_world import LABELS, NOW, SCHEMA, World

EAGER = {"loop__retrain_after": 4, "loop__selector": "margin", "loop__random_share": 0.0}


class Unable:
    """What no annotator and no dataset is: a capability that nobody has."""


@pytest.fixture
def blurred(world: World) -> World:
    """Texts of which the model is not equally sure."""
    world.add_texts([f"{LABELS[i % 3]} {' '.join(LABELS[:: 1 + i % 2][: i % 4])} number {i}" for i in range(60)])
    return world


def answer_first(world: World, count: int) -> list[str]:
    """People answer the questions that are first in the queue; which."""
    served = world.dataset.queue()[:count]
    for item in served:
        world.answer(item, world.truth()[item])
    return served


def waiting(world: World, purpose: str = "") -> list[Asking]:
    """The open questions."""
    return [one for one in world.questions() if one.state == "asked" and purpose in ("", one.purpose)]


def doubtful_first(world: World, items: Sequence[str]) -> list[str]:
    """Items by the margin of the model in use, the smallest first."""
    loop = world.loop()
    columns, features = loop.learning.embeddings.embedded()
    said = loop.learning.models.said(world.last().model, features).probabilities
    assert said is not None
    doubt = dict(zip(map(str, columns.ids), closeness_of_two(said, SCHEMA.multiple), strict=True))
    return sorted(items, key=lambda item: -doubt[item])


def learned(world: World, **settings: Any) -> Outcome:
    """The first round is answered in part, and learned from."""
    settings = {**EAGER, **settings}
    world.tick(**settings)
    truth = world.truth()
    for one in [*waiting(world, "train")[:5], *waiting(world, "holdout")[:2]]:
        world.answer(one.item_id, truth[one.item_id])
    return world.tick(**settings)


def test_before_there_is_a_model_people_get_questions_as_they_were_asked(animals: World) -> None:
    animals.tick()

    assert all(one.turn is None for one in animals.questions())
    assert animals.dataset.queue() == [one.item_id for one in animals.questions()]


def test_after_a_promotion_the_open_questions_are_in_the_selectors_order(blurred: World) -> None:
    outcome = learned(blurred)

    assert outcome.round is not None
    assert outcome.round.promoted
    assert {one.turn.version if one.turn else "" for one in waiting(blurred)} == {outcome.round.version}
    useful = {one.item_id for one in waiting(blurred, "train")}
    assert {one.round for one in waiting(blurred, "train")} == {1, 2}
    queue = [item for item in blurred.dataset.queue() if item in useful]
    assert queue == doubtful_first(blurred, sorted(useful)) != sorted(useful)


def test_the_order_follows_every_new_model(blurred: World) -> None:
    learned(blurred)
    seen = set()

    for _ in range(4):
        answer_first(blurred, 4)
        outcome = blurred.tick(**EAGER)
        assert outcome.round is not None
        if outcome.round.promoted:
            useful = [one.item_id for one in waiting(blurred, "train")]
            queue = [item for item in blurred.dataset.queue() if item in useful]
            assert queue == doubtful_first(blurred, useful)
            seen.add(tuple(queue))

    assert len(seen) > 1


def test_blind_questions_and_those_drawn_at_random_are_mixed_in_by_chance(animals: World) -> None:
    learned(animals, loop__random_share=0.5)

    turns = {one.item_id: (one.purpose, one.why, one.turn.at) for one in waiting(animals) if one.turn}
    again = World(animals.root / "again")
    again.add()
    learned(again, loop__random_share=0.5, loop__selector="uherding")

    other = {one.item_id: (one.purpose, one.why, one.turn.at) for one in waiting(again) if one.turn}
    drawn = {item for item, (purpose, why, _) in turns.items() if purpose == "holdout" or "at random" in why}
    assert len(drawn) > 3
    assert {item: turns[item] for item in drawn & other.keys()} == {item: other[item] for item in drawn & other.keys()}
    places = [place for place, item in enumerate(animals.dataset.queue()) if item in drawn]
    assert 0 < np.mean(places) < len(animals.dataset.queue()) - 1


def test_a_blind_question_has_a_turn_and_shows_nothing(animals: World) -> None:
    learned(animals)

    blind = waiting(animals, "holdout")
    assert blind
    assert all(one.turn and one.prediction is None for one in blind)
    assert [animals.dataset.prediction(one.item_id) for one in blind] == [None] * len(blind)


def test_what_is_learned_from_without_showing_a_guess_takes_the_selectors_place(blurred: World) -> None:
    learned(blurred, loop__blind_share=0.5)

    useful = [one.item_id for one in waiting(blurred) if one.purpose in ("train", "blind")]
    unseen = {one.item_id for one in waiting(blurred, "blind")}
    assert unseen
    assert {item: blurred.dataset.prediction(item) for item in unseen} == dict.fromkeys(unseen)
    assert [item for item in blurred.dataset.queue() if item in useful] == doubtful_first(blurred, useful)


def test_a_blind_question_is_not_kept_back_for_ever_by_new_ones(animals: World) -> None:
    animals.add(200, start=100)
    learned(animals, holdout__size=400)
    asked = {one.item_id for one in waiting(animals, "holdout")}

    for _ in range(12):
        answer_first(animals, 5)
        animals.tick(**EAGER, holdout__size=400)

    assert not asked & set(animals.dataset.open_items())


def test_a_model_that_is_not_promoted_moves_nobody_and_new_ones_come_between(blurred: World) -> None:
    blurred.play(2, **EAGER)
    blurred.tick(**EAGER)
    version, before = blurred.last().version, {one.item_id: one.turn for one in waiting(blurred)}
    answer_first(blurred, 4)

    outcome = blurred.tick(**EAGER, loop__batch=12, learner__wrong=True)

    assert outcome.round is not None
    assert (outcome.round.promoted, outcome.round.version) == (False, version)
    now = {one.item_id: one.turn for one in waiting(blurred)}
    assert {item: now[item] for item in now.keys() & before.keys()} == {
        item: before[item] for item in now.keys() & before.keys()
    }
    new = [one for one in waiting(blurred, "train") if one.item_id not in before]
    assert new
    assert all(one.turn and one.turn.version == version for one in new)
    useful = [one.item_id for one in waiting(blurred, "train")]
    assert [item for item in blurred.dataset.queue() if item in useful] == doubtful_first(blurred, useful)


def test_killed_between_plan_and_sending_the_new_order_is_completed(blurred: World) -> None:
    undisturbed = World(blurred.root / "undisturbed")
    undisturbed.add_texts([blurred.ledger().items.between(i, i + 1)[0].text for i in range(60)])
    learned(undisturbed)
    blurred.tick(**EAGER)
    truth = blurred.truth()
    for one in [*waiting(blurred, "train")[:5], *waiting(blurred, "holdout")[:2]]:
        blurred.answer(one.item_id, truth[one.item_id])
    blurred.dataset.fail_next_ask(BackendError("killed", retryable=True), after=2)

    with pytest.raises(BackendError):
        blurred.tick(**EAGER)
    planned = blurred.questions()
    blurred.tick(**EAGER)

    assert [(one.item_id, one.turn) for one in blurred.questions()] == [(one.item_id, one.turn) for one in planned]
    assert blurred.dataset.queue() == undisturbed.dataset.queue()
    assert [blurred.dataset.prediction(item) for item in blurred.dataset.queue()] == [
        undisturbed.dataset.prediction(item) for item in undisturbed.dataset.queue()
    ]


def test_people_get_questions_as_they_were_asked_where_that_is_wanted(animals: World) -> None:
    learned(animals, loop__queue="asked")

    assert all(one.turn is None for one in animals.questions())
    assert all(one.version == animals.last().version for one in waiting(animals, "train"))
    assert animals.dataset.queue() == [one.item_id for one in waiting(animals)]


def test_more_open_questions_than_a_selector_ranks_keep_the_rest_in_their_order(
    animals: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelloop.loop.round_steps.RANKED", 3)

    learned(animals, loop__batch=12)

    turns = [one.turn.at for one in waiting(animals, "train") if one.turn]
    assert len(turns) > 6
    assert len(set(turns)) == len(turns)


@pytest.fixture
def aged(animals: World) -> Iterator[World]:
    """Three models were in use, the newest for two days."""
    now = [NOW]
    animals.clock = lambda: now[0]
    animals.play(3)
    animals.tick()
    assert len(set(versions(animals))) == 3
    now[0] = NOW + timedelta(days=2)
    yield animals


def versions(world: World) -> list[str]:
    """The versions that people's annotator has predictions of, with repeats."""
    return [version for version, count in world.dataset.survey().versions.items() for _ in range(count)]


def test_predictions_of_old_models_are_kept_unless_said_otherwise(aged: World) -> None:
    before = versions(aged)

    assert aged.tick().pruned == 0
    assert versions(aged) == before


def test_they_are_deleted_a_model_per_tick_and_never_those_people_see(aged: World) -> None:
    shown = aged.last().version

    pruned = [aged.tick(loop__old_predictions="prune").pruned for _ in range(4)]

    assert [count > 0 for count in pruned] == [True, True, False, False]
    assert set(versions(aged)) == {shown}
    assert aged.dataset.stats().model_version == shown


def test_a_day_must_have_passed_since_another_model_took_their_place(aged: World) -> None:
    aged.clock = lambda: NOW + timedelta(hours=23)

    assert aged.tick(loop__old_predictions="prune").pruned == 0
    assert len(set(versions(aged))) == 3


def test_killed_after_deleting_it_is_noted_by_the_next_tick(aged: World, monkeypatch: pytest.MonkeyPatch) -> None:
    remember = AnswerBook.remember

    def killed(self: AnswerBook, name: str, value: Any) -> None:
        if name == PRUNED:
            raise KeyboardInterrupt
        remember(self, name, value)

    monkeypatch.setattr(AnswerBook, "remember", killed)
    with pytest.raises(KeyboardInterrupt):
        aged.tick(loop__old_predictions="prune")
    monkeypatch.undo()

    pruned = [aged.tick(loop__old_predictions="prune").pruned for _ in range(3)]

    assert [count > 0 for count in pruned] == [False, True, False]
    assert set(versions(aged)) == {aged.last().version}


def test_an_annotator_that_cannot_delete_predictions_says_so(aged: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labelloop.loop.asker.Pruning", Unable)

    with pytest.raises(ConfigError, match="cannot delete predictions") as refused:
        aged.tick(loop__old_predictions="prune")

    assert "labelloop.toml" in refused.value.hint
