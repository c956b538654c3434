"""An item that several people answer is waited for until they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.errors import ConfigError, OtherOwnerError
from labelloop.kinds.labels import regions_of
from labelloop.loop.decide import Start, Wait

from small_world import NAME, SCHEMA, World


class Unable:
    """What no annotator and no dataset is: a capability that nobody has."""


def answer_as(world: World, who: str) -> None:
    truth = world.truth()
    for item_id in world.dataset.open_items():
        world.people.answer(NAME, item_id, regions_of(SCHEMA, [truth[item_id]]), annotator=who)


def test_a_round_for_two_people_waits_for_both(animals: World) -> None:
    animals.tick(dataset__people_per_item=2)
    answer_as(animals, "ann@example.com")
    half = animals.tick(dataset__people_per_item=2)
    answer_as(animals, "bob@example.com")
    whole = animals.tick(dataset__people_per_item=2)

    assert animals.dataset.people == 2
    assert isinstance(half.action, Wait)
    assert half.changes.created > 0
    assert isinstance(whole.action, Start)


def test_fewer_people_close_what_has_their_answers(animals: World) -> None:
    animals.tick(dataset__people_per_item=2)
    answer_as(animals, "ann@example.com")
    animals.tick(dataset__people_per_item=2)

    outcome = animals.tick()

    assert isinstance(outcome.action, Start)
    assert animals.dataset.people == 1


def test_more_people_open_what_one_has_answered(animals: World) -> None:
    animals.tick()
    animals.answer_all()
    asked = animals.tick(loop__rounds=1).round

    outcome = animals.tick(dataset__people_per_item=2, loop__rounds=1)

    assert asked is not None
    assert {one.state for one in animals.questions()} == {"asked"}
    assert sorted(animals.dataset.open_items()) == sorted(animals.dataset.present())
    assert outcome.changes.total == 0


def test_the_tick_that_opens_what_was_closed_says_so_once_with_the_way_back(animals: World) -> None:
    animals.tick()
    animals.answer_all()
    animals.tick(loop__rounds=1)
    answered = len(animals.questions())

    said, again, back = (animals.tick(dataset__people_per_item=people, loop__rounds=1).notes for people in (2, 2, 1))

    (note,) = said
    assert f"people_per_item is 2 now and was 1: {answered} question(s) of the past are open again" in note
    assert "1 closes them as before" in note
    assert not [*again, *back]
    assert {one.state for one in animals.questions()} == {"answered"}


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
    monkeypatch.setattr("labelloop.loop.loop.Overlapping", Unable)

    with pytest.raises(ConfigError, match="people_per_item is 2") as refused:
        animals.tick(dataset__people_per_item=2)

    assert "people_per_item = 1" in refused.value.hint
