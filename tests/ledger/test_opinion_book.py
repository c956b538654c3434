"""Second opinions in the ledger, the same on every database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from labelloop.errors import BusyError
from labelloop.ledger import Ledger
from labelloop.ledger.opinions import Opinion, joined, named
from labelloop.ledger.questions import Asking
from labelloop.ledger.rounds import Round
from labelloop.types import Annotation, Answers, Heard, Item, NewItem, Turn

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
REGION = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["cat"]}}


@pytest.fixture
def pets(ledger: Ledger) -> Ledger:
    """Three items, all asked in round 1."""
    ledger.items.add([NewItem(Item(one, "text", text=one), one.encode()) for one in "abc"])
    first = Round(1, "because")
    ledger.rounds.plan(first, [Asking(one, "train", "why not") for one in "abc"], NOW)
    ledger.rounds.confirm(first, {one: f"task {one}" for one in "abc"})
    return ledger


def opinion(item: str, **more: object) -> Opinion:
    made = Opinion(f"{item}~2", item, "label error", "0.02", (REGION,), (), 0.02, ("ann",), turn=Turn(0.25, "m1"))
    return replace(made, **more)  # type: ignore[arg-type]


def test_what_was_planned_comes_back_whole_and_in_order(pets: Ledger) -> None:
    made = [opinion("b"), opinion("a", turn=None)]

    pets.opinions.plan(made, NOW)
    pets.opinions.plan([opinion("c")], NOW + timedelta(seconds=1))

    assert pets.opinions.all() == [*made, opinion("c")]
    assert pets.opinions.about() == {"b~2": "b", "a~2": "a", "c~2": "c"}


def test_planning_again_leaves_what_is_there_alone(pets: Ledger) -> None:
    pets.opinions.plan([opinion("a")], NOW)
    pets.opinions.confirm({"a~2": "7"})

    pets.opinions.plan([opinion("a", score=0.9, turn=None)], NOW)

    assert pets.opinions.all() == [opinion("a", state="asked")]


def test_they_are_questions_of_no_round_with_a_turn_and_the_item_that_people_see(pets: Ledger) -> None:
    pets.opinions.plan([opinion("b")], NOW)

    (one,) = pets.answers.questions(["planned"], round=0)

    assert (one.item_id, one.item, one.purpose, one.turn) == ("b~2", "b", "opinion", Turn(0.25, "m1"))
    assert pets.answers.blind(["a", "b", "b~2"]) == {"b~2"}
    assert pets.answers.turns(["b~2", "a"]) == {"b~2": Turn(0.25, "m1")}


def test_only_planned_ones_are_confirmed(pets: Ledger) -> None:
    pets.opinions.plan([opinion("a"), opinion("b")], NOW)
    pets.answers.hear(Answers((Heard("b~2", "9", (answer("2", "b~2", 0),)),), "c1"), NOW)

    pets.opinions.confirm({"a~2": "7", "b~2": "8"})

    states = {one.item_id: (one.state, one.task_id) for one in pets.answers.questions(round=0)}
    assert states == {"a~2": ("asked", "7"), "b~2": ("answered", "9")}


def test_those_of_a_round_are_planned_with_it_behind_its_batch(pets: Ledger) -> None:
    pets.rounds.plan(Round(2, "more"), [], NOW, [], [opinion("c"), opinion("a")])

    assert [one.item_id for one in pets.answers.questions(round=2)] == ["c~2", "a~2"]
    assert {one.state for one in pets.opinions.all()} == {"planned"}
    with pytest.raises(BusyError):
        pets.rounds.plan(Round(2, "again"), [], NOW, [], [opinion("b")])
    assert len(pets.opinions.all()) == 2


def test_what_was_said_about_an_item_has_them_in_the_order_of_time(pets: Ledger) -> None:
    pets.opinions.plan([opinion("a")], NOW)
    pets.answers.hear(
        Answers((Heard("a~2", "7", (answer("1", "a~2", 5),)), Heard("a", "1", (answer("2", "a", 9),))), "c"), NOW
    )

    said = joined(pets.answers.current(), pets.opinions.about())

    assert [one.id for one in said["a"]] == ["1", "2"]
    assert [one.annotation_id for one in pets.answers.past("a")] == ["1", "2"]


def test_each_further_question_about_an_item_has_a_name_of_its_own() -> None:
    assert named("a", {}) == "a~2"
    assert named("a", {"a~2": "a", "b~2": "b", "a~3": "a"}) == "a~4"


def answer(number: str, question: str, minute: int) -> Annotation:
    at = NOW + timedelta(minutes=minute)
    return Annotation(number, question, (REGION,), "bob@example.com", at, at)
