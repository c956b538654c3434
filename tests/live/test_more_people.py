"""On a real Label Studio a higher number of people counts from then on: what is closed stays so until it is said."""

from __future__ import annotations

from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.client import Client
from labelloop.commands.reopen import plan, reopen
from labelloop.errors import NotFoundError
from labelloop.kinds.labels import regions_of
from labelloop.loop.decide import Start, Wait
from labelloop.testing.annotator import LabelStudioPerson

from support.guests import invited
from support.small_world import NAME, SCHEMA, World

pytestmark = pytest.mark.live

SETTINGS = {"loop__batch": 3, "holdout__per_round": 1}
SOONEST = 8


@pytest.fixture(scope="module")
def eve(live_annotator: LabelStudioAnnotator) -> LabelStudioPerson:
    """A third person."""
    return invited(live_annotator.client(), "eve-more@example.com")


def for_people(people: int) -> dict[str, Any]:
    return {**SETTINGS, "dataset__people_per_item": people}


def shown(person: LabelStudioPerson) -> dict[str, tuple[int, bool]]:
    """Item -> its overlap, and whether Label Studio takes it to be done."""
    query = {"project": person.project(NAME), "fields": "all", "page_size": 100}
    rows = person.client.call("GET", "/api/tasks", query=query)["tasks"]
    return {row["data"]["labelloop_id"]: (row["overlap"], row["is_labeled"]) for row in rows}


def answer(person: LabelStudioPerson, world: World, *items: str) -> None:
    truth = world.truth()
    for item in items:
        person.answer(NAME, item, regions_of(SCHEMA, [truth[item]]))


def test_what_is_closed_stays_closed_and_what_is_open_or_comes_is_for_more(
    person: LabelStudioPerson, second_person: LabelStudioPerson, world: World
) -> None:
    world.tick(**SETTINGS)
    one, two, *late = sorted(world.dataset.present())
    answer(person, world, one)
    world.tick(**SETTINGS)
    answer(person, world, two)  # which nobody has heard

    (note,) = world.tick(**for_people(2)).notes
    after = shown(person)
    answer(person, world, *late)
    half = world.tick(**for_people(2))
    next_of_bob = second_person.next_task(NAME)["data"]["labelloop_id"]
    answer(second_person, world, *late)
    whole = world.tick(**for_people(2))
    new = shown(person).keys() - after.keys()

    assert "2 question(s) that have their answers stay closed" in note
    assert after == {one: (1, True), two: (1, True)} | dict.fromkeys(late, (2, False))
    assert isinstance(half.action, Wait)
    assert next_of_bob in late
    assert isinstance(whole.action, Start)
    assert {shown(person)[item] for item in new} == {(2, False)}
    assert {shown(person)[item] for item in (one, two)} == {(1, True)}


def test_of_a_round_that_is_done_nothing_opens_until_it_is_said(
    person: LabelStudioPerson, second_person: LabelStudioPerson, world: World
) -> None:
    world.tick(**SETTINGS)
    items = sorted(world.dataset.present())
    answer(person, world, *items)
    one_round = {"loop__rounds": 1}
    world.tick(**SETTINGS, **one_round)

    world.tick(**for_people(2), **one_round)
    after = shown(person)
    with pytest.raises(NotFoundError):
        second_person.next_task(NAME)
    with world.loop(**for_people(2), **one_round) as loop:
        planned = plan(loop)
        done = reopen(loop)
        left = plan(loop)

    assert after == dict.fromkeys(items, (1, True))
    assert planned == done
    assert (planned.questions, planned.answers, left.questions) == (4, 4, 0)
    assert shown(person) == dict.fromkeys(items, (2, False))
    assert second_person.next_task(NAME)["data"]["labelloop_id"] in items


def test_from_two_to_three_people_and_back(
    person: LabelStudioPerson, second_person: LabelStudioPerson, eve: LabelStudioPerson, world: World
) -> None:
    world.tick(**for_people(2))
    done, half, *_ = items = sorted(world.dataset.present())
    answer(person, world, done, half)
    answer(second_person, world, done)

    world.tick(**for_people(3))
    three = shown(person)
    given = eve.next_task(NAME)["data"]["labelloop_id"]
    said = {one.item_id: one for page in world.dataset.answers(None) for one in page.heard}
    second_person.retract(NAME, next(one.id for one in said[done].annotations if one.annotator == "bob@example.com"))
    world.tick(**for_people(3))
    opened = shown(person)
    answer(second_person, world, half)
    world.tick(**for_people(2))

    assert three == {done: (1, True)} | dict.fromkeys(items[1:], (3, False))
    assert given != done
    assert opened == dict.fromkeys(items, (3, False))
    assert shown(person) == {done: (2, False), half: (1, True)} | dict.fromkeys(items[2:], (2, False))


@pytest.mark.parametrize("late", [False, True])
def test_killed_at_every_change_and_repeated_it_is_complete(
    person: LabelStudioPerson, world: World, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    world.tick(**SETTINGS)
    closed, *waiting = sorted(world.dataset.present())
    answer(person, world, closed)
    world.tick(**SETTINGS)
    whole, kills, left = Client.call, 0, 0

    def call(self: Client, method: str, path: str, **more: Any) -> Any:
        nonlocal left
        is_ours = method == "PATCH" and bool({"overlap", "maximum_annotations"} & more["body"].keys())
        if is_ours and left == 0 and not late:
            raise KeyboardInterrupt
        answered = whole(self, method, path, **more)
        if is_ours and left == 0:
            raise KeyboardInterrupt
        left -= is_ours
        return answered

    monkeypatch.setattr(Client, "call", call)
    for allowed in range(SOONEST):
        left = allowed
        try:
            world.tick(**for_people(2))
        except KeyboardInterrupt:
            kills += 1
            continue
        break
    monkeypatch.undo()

    assert kills >= 2
    assert shown(person) == {closed: (1, True)} | dict.fromkeys(waiting, (2, False))
