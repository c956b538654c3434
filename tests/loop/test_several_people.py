"""An item that several people answer is waited for until they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labelloop.commands.doctor import examine
from labelloop.commands.recovery import write_back
from labelloop.commands.reopen import Reopening, plan, reopen
from labelloop.errors import ConfigError, OtherOwnerError
from labelloop.kinds.labels import regions_of
from labelloop.loop.decide import Start, Wait
from labelloop.testing.annotator import FakeDataset

from support.small_world import NAME, SCHEMA, World


class Unable:
    """What no annotator and no dataset is: a capability that nobody has."""


ANN, BOB, EVE = "ann@example.com", "bob@example.com", "eve@example.com"


def answer_as(world: World, who: str, *items: str) -> None:
    """Somebody answers these items, or all that are open."""
    truth = world.truth()
    for item_id in items or world.dataset.open_items():
        world.people.answer(NAME, item_id, regions_of(SCHEMA, [truth[item_id]]), annotator=who)


def retract(world: World, item: str) -> None:
    """What people said about an item is deleted."""
    with world.loop() as loop:
        for said in loop.ledger.answers.current()[item]:
            world.people.retract(NAME, said.id)


def test_a_round_for_two_people_waits_for_both(animals: World) -> None:
    animals.tick(dataset__people_per_item=2)
    answer_as(animals, ANN)
    half = animals.tick(dataset__people_per_item=2)
    answer_as(animals, BOB)
    whole = animals.tick(dataset__people_per_item=2)

    assert animals.dataset.people == 2
    assert isinstance(half.action, Wait)
    assert half.changes.created > 0
    assert isinstance(whole.action, Start)


def test_fewer_people_close_what_has_their_answers(animals: World) -> None:
    animals.tick(dataset__people_per_item=2)
    answer_as(animals, ANN)
    animals.tick(dataset__people_per_item=2)

    outcome = animals.tick()

    assert isinstance(outcome.action, Start)
    assert animals.dataset.people == 1


def test_a_higher_number_counts_for_what_is_open_and_what_is_asked_from_then_on(animals: World) -> None:
    animals.tick()
    early, *late = animals.dataset.open_items()
    answer_as(animals, ANN, early)
    outcome = animals.tick(dataset__people_per_item=2)
    answer_as(animals, ANN)
    half = animals.tick(dataset__people_per_item=2)
    waiting = animals.dataset.open_items()
    answer_as(animals, BOB)
    whole = animals.tick(dataset__people_per_item=2)

    asked = {one.item_id for one in animals.questions()} - {early, *late}
    assert isinstance(outcome.action, Wait)
    assert waiting == late
    assert isinstance(half.action, Wait)
    assert isinstance(whole.action, Start)
    assert sorted(animals.dataset.open_items()) == sorted(asked)
    answer_as(animals, ANN)
    assert isinstance(animals.tick(dataset__people_per_item=2).action, Wait)


def test_a_round_that_is_answered_is_not_asked_again_of_more_people(animals: World) -> None:
    animals.tick()
    animals.answer_all()

    outcome = animals.tick(dataset__people_per_item=2, loop__rounds=1)

    assert {one.state for one in animals.questions()} == {"answered"}
    assert animals.dataset.open_items() == []
    assert outcome.changes.total == len(animals.questions())


def test_answers_that_nobody_has_heard_yet_close_their_questions_before_the_number_is_raised(animals: World) -> None:
    animals.tick()
    heard, *_, last = animals.dataset.open_items()
    answer_as(animals, ANN, heard)
    animals.tick()
    answer_as(animals, ANN, last)

    animals.tick(dataset__people_per_item=2)

    assert not {heard, last} & set(animals.dataset.open_items())


def test_the_tick_that_raises_the_number_says_once_what_stays_closed_and_the_way_to_open_it(animals: World) -> None:
    animals.tick()
    animals.answer_all()
    animals.tick(loop__rounds=1)
    answered = len(animals.questions())

    said, again, back = (animals.tick(dataset__people_per_item=people, loop__rounds=1).notes for people in (2, 2, 1))

    (note,) = said
    assert f"people_per_item is 2 now and was 1: {answered} question(s) that have their answers stay closed" in note
    assert "labelloop reopen" in note
    assert not [*again, *back]
    assert {one.state for one in animals.questions()} == {"answered"}


def test_a_lower_number_says_what_it_closes_and_a_higher_one_after_it_opens_nothing(animals: World) -> None:
    animals.tick(dataset__people_per_item=2)
    answer_as(animals, ANN)
    animals.tick(dataset__people_per_item=2)
    asked = len(animals.questions())

    (note,) = animals.tick(dataset__people_per_item=1, loop__rounds=1).notes
    animals.tick(dataset__people_per_item=3, loop__rounds=1)

    assert f"people_per_item is 1 now and was 2: {asked} question(s) have enough answers, and are closed" in note
    assert animals.dataset.open_items() == []
    assert animals.dataset.people == 3


def test_a_question_that_loses_its_answer_is_for_as_many_people_as_now(animals: World) -> None:
    animals.tick()
    first, *_ = animals.dataset.open_items()
    animals.answer_all()
    animals.tick(dataset__people_per_item=2, loop__rounds=1)
    retract(animals, first)
    animals.tick(dataset__people_per_item=2, loop__rounds=1)

    answer_as(animals, ANN, first)
    animals.tick(dataset__people_per_item=2, loop__rounds=1)

    assert animals.dataset.open_items() == [first]
    assert [one.item_id for one in animals.questions() if one.state == "asked"] == [first]


def test_reopening_says_what_it_costs_and_asks_more_people_what_one_has_answered(animals: World) -> None:
    animals.tick()
    animals.answer_all()
    two = {"dataset__people_per_item": 2, "loop__rounds": 1}
    animals.tick(**two)
    asked = len(animals.questions())

    with animals.loop(**two) as loop:
        planned, before = plan(loop), animals.dataset.open_items()
        done, again = reopen(loop), reopen(loop)
        left = plan(loop)

    assert planned == done == Reopening(2, asked, asked)
    assert f"{asked} closed question(s)" in planned.in_words()
    assert f"{asked} more answer(s)" in planned.in_words()
    assert before == []
    assert again == left == Reopening(2, 0, 0)
    assert "nothing to open" in left.in_words()
    assert sorted(animals.dataset.open_items()) == sorted(animals.dataset.present())
    assert {one.state for one in animals.questions()} == {"asked"}
    assert animals.tick(**two).changes.total == 0


@pytest.mark.parametrize("method", ["share", "widen"])
@pytest.mark.parametrize("after", [False, True])
def test_a_change_of_the_number_that_is_interrupted_is_completed_by_the_next_tick(
    animals: World, monkeypatch: pytest.MonkeyPatch, method: str, after: bool
) -> None:
    animals.tick()
    first, second, *_ = animals.dataset.open_items()
    answer_as(animals, ANN, first)
    animals.tick(dataset__people_per_item=2)
    retract(animals, first)
    for who in (ANN, BOB):
        answer_as(animals, who, second)
    whole = getattr(FakeDataset, method)

    def killed(*arguments: Any) -> None:
        if after:
            whole(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FakeDataset, method, killed)
        animals.tick(dataset__people_per_item=3)
    animals.tick(dataset__people_per_item=3)
    waiting = animals.dataset.open_items()
    for who in (ANN, BOB):
        answer_as(animals, who)
    half = animals.tick(dataset__people_per_item=3)
    answer_as(animals, EVE)
    whole_round = animals.tick(dataset__people_per_item=3)

    assert second not in waiting
    assert first in waiting
    assert isinstance(half.action, Wait)
    assert isinstance(whole_round.action, Start)


def test_doctor_names_a_number_that_the_annotator_was_not_told(animals: World) -> None:
    animals.tick()
    animals.answer_all()
    animals.tick(loop__rounds=1)
    with animals.loop(dataset__people_per_item=2) as loop:
        loop.ledger.overlap.share(2)
        (fault,) = [one for one in examine(loop) if "people" in one.detail]
        assert fault.mend is not None
        fault.mend()
        left = [one for one in examine(loop) if "people" in one.detail]

    assert "was not told" in fault.detail
    assert left == []
    assert animals.dataset.open_items() == []
    assert animals.dataset.people == 2


def test_questions_that_are_written_back_stay_closed_for_others(animals: World) -> None:
    animals.tick()
    animals.answer_all()
    animals.tick(dataset__people_per_item=2, loop__rounds=1)
    lost = animals.dataset.present()
    for item in lost:
        animals.people.remove(NAME, item)

    with animals.loop(dataset__people_per_item=2, loop__rounds=1) as loop:
        write_back(loop)

    assert animals.dataset.present() == lost
    assert animals.dataset.open_items() == []


def test_the_dataset_of_another_ledger_is_shown_to_as_many_people_as_before(animals: World, tmp_path: Path) -> None:
    animals.play(2)
    other = World(tmp_path / "other", animals.people)
    other.add()

    with pytest.raises(OtherOwnerError):
        other.tick(dataset__people_per_item=2)

    assert animals.dataset.people == 1
    other.tick_knowing({"dataset__people_per_item": 2}, take_over=True)
    other.tick(dataset__people_per_item=2)
    assert animals.dataset.people == 2


def test_the_annotators_own_number_stays_where_none_was_ever_set(animals: World) -> None:
    animals.tick()
    animals.dataset.share(3)

    animals.tick()

    assert animals.dataset.people == 3


def test_an_annotator_that_cannot_is_refused_by_the_setting(animals: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labelloop.loop.overlap.Overlapping", Unable)

    with pytest.raises(ConfigError, match="people_per_item is 2") as refused:
        animals.tick(dataset__people_per_item=2)

    assert "people_per_item = 1" in refused.value.hint
