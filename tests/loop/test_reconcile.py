"""Whatever differs between ledger and annotator, however it came about, is found, repaired and reported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from labelloop.commands.tick import outcome_as_dict, outcome_in_words
from labelloop.kinds.labels import regions_of
from labelloop.ledger.annotations import Changes
from labelloop.loop.listener import Repair

from support.small_world import NAME, NOW, SCHEMA, World


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


def behind_its_back(world: World, item_id: str, **fields: Any) -> None:
    """Change a question at a time that every hearing has passed, as a server does whose clock was set back."""
    world.dataset.forge(replace(world.dataset.task(item_id), **fields))


def asked(world: World) -> list[str]:
    """A round, asked and answered and heard; the items."""
    world.tick()
    world.answer_all()
    world.tick(loop__rounds=1)
    return sorted(world.dataset.present())


def test_where_nothing_differs_nothing_is_repaired(animals: World) -> None:
    asked(animals)
    before = animals.ledger().answers.changes()

    outcome = reconciled(animals)

    assert outcome == Repair()
    assert animals.ledger().answers.changes() == before


def reconciled(world: World) -> Repair | None:
    loop = world.loop(loop__rounds=1)
    with loop:
        return loop.tick(reconcile=True).repair


def test_answers_edits_and_removals_that_no_hearing_noticed_are_repaired(animals: World) -> None:
    first, second, third, *_ = asked(animals)
    said = {item: animals.dataset.task(item).said for item in (first, second, third)}
    extra = replace(said[first][0], id="9001", annotator="bob@example.com")
    edited = replace(said[second][0], regions=regions_of(SCHEMA, ["owl"]), lead_time=99.0)
    behind_its_back(animals, first, said=(*said[first], extra))
    behind_its_back(animals, second, said=(edited,))
    behind_its_back(animals, third, said=())

    assert animals.tick(loop__rounds=1).changes == Changes(), "this is what a hearing cannot notice"
    repair = reconciled(animals)

    assert repair == Repair(Changes(created=1, edited=1, removed=1))
    current = animals.ledger().answers.current()
    assert {one.id for one in current[first]} == {said[first][0].id, "9001"}
    assert current[second] == [edited]
    assert third not in current
    assert reconciled(animals) == Repair()


def test_a_question_that_vanished_while_another_appeared_is_missed_by_the_count_and_found(animals: World) -> None:
    first, *_ = asked(animals)
    kept = animals.dataset.task(first)
    stranger = replace(kept.question.item, id="of a stranger")
    animals.dataset.forget(first)
    question = replace(kept.question, item=stranger, prediction=None)
    animals.dataset.forge(replace(kept, question=question, said=()))

    assert animals.tick(loop__rounds=1).lost == 0
    repair = reconciled(animals)

    assert repair is not None
    assert (repair.lost, repair.back) == (1, 0)
    assert first not in animals.ledger().answers.current()


def test_a_question_that_was_restored_is_back_with_its_answers(animals: World) -> None:
    first, *_ = asked(animals)
    kept = animals.dataset.task(first)
    animals.dataset.forget(first)
    assert animals.tick(loop__rounds=1).lost == 1
    animals.dataset.forge(kept)

    repair = reconciled(animals)

    assert repair is not None
    assert (repair.back, repair.changes) == (1, Changes(created=1))
    assert [one.change for one in animals.ledger().answers.past(first)] == ["created", "removed", "restored"]


def test_what_was_repaired_is_said(animals: World) -> None:
    first, *_ = asked(animals)
    behind_its_back(animals, first, said=())

    with animals.loop(loop__rounds=1) as loop:
        outcome = loop.tick(reconcile=True)

    assert "reconciled with the annotator: 1 removal(s) unheard" in outcome_in_words(outcome)
    assert outcome_as_dict(outcome)["repair"]["changes"]["removed"] == 1


@pytest.mark.parametrize(("hours", "setting", "happens"), [(25, 86400, True), (23, 86400, False), (1000, 0, False)])
def test_it_happens_by_itself_once_in_a_while(animals: World, hours: int, setting: int, happens: bool) -> None:
    clock = Clock()
    animals.clock = clock
    asked(animals)
    clock.now += timedelta(hours=hours)

    first = animals.tick(loop__rounds=1, loop__reconcile_every=setting)
    again = animals.tick(loop__rounds=1, loop__reconcile_every=setting)

    assert (first.repair is not None) == happens
    assert again.repair is None


def test_the_clock_of_our_machine_decides_nothing_about_what_is_heard(animals: World) -> None:
    years = count(1)
    animals.clock = lambda: NOW - timedelta(days=3650 * next(years) % 7000)
    first, *_ = asked(animals)

    said = animals.dataset.task(first).said[0]
    animals.people.edit(NAME, said.id, regions_of(SCHEMA, ["owl"]))

    assert animals.tick(loop__rounds=1).changes.edited == 1


def test_the_history_says_who_said_what_when_and_what_it_was_before(animals: World) -> None:
    first, *_ = asked(animals)
    said = animals.dataset.task(first).said[0]
    animals.people.edit(NAME, said.id, regions_of(SCHEMA, ["owl"]))
    animals.tick(loop__rounds=1)
    animals.people.retract(NAME, said.id)
    animals.tick(loop__rounds=1)

    past = animals.ledger().answers.past(first)

    assert [one.change for one in past] == ["created", "edited", "removed"]
    assert {one.annotator for one in past} == {said.annotator}
    assert past[0].regions == said.regions
    assert past[1].regions == past[2].regions == regions_of(SCHEMA, ["owl"])
