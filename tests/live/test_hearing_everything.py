"""Everything that people and servers do is heard by a loop on a real Label Studio, or repaired by a reconciliation."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.environment import DATABASE
from labelloop.errors import NotFoundError
from labelloop.kinds.labels import regions_of
from labelloop.ledger.annotations import Changes
from labelloop.ledger.remembered import CURSOR
from labelloop.ledger.tables import annotated, history
from labelloop.loop.decide import Start, Wait
from labelloop.loop.listener import Repair
from labelloop.testing.annotator import LabelStudioPerson

from support.small_world import NAME, SCHEMA, World

pytestmark = pytest.mark.live


def answer(person: LabelStudioPerson, world: World, items: Sequence[str]) -> list[str]:
    truth = world.truth()
    return [person.answer(NAME, item, regions_of(SCHEMA, [truth[item]])) for item in items]


def tasks(annotator: LabelStudioAnnotator, project: int) -> list[dict[str, Any]]:
    query = {"project": project, "fields": "all", "page_size": 100}
    return list(annotator.client().call("GET", "/api/tasks", query=query)["tasks"])


def test_an_item_for_two_people_goes_to_both_and_is_closed_by_the_second(
    annotator: LabelStudioAnnotator, person: LabelStudioPerson, second_person: LabelStudioPerson, world: World
) -> None:
    two = {"dataset__people_per_item": 2, "loop__batch": 2, "holdout__per_round": 2}
    world.tick(**two)
    items = sorted(world.dataset.present())
    project = person.project(NAME)
    shown = {task["overlap"] for task in tasks(annotator, project)}
    answer(person, world, items)

    half = world.tick(**two)
    with pytest.raises(NotFoundError):  # there is nothing left for Ann
        person.next_task(NAME)
    next_of_bob = second_person.next_task(NAME)["data"]["labelloop_id"]
    answer(second_person, world, items)
    whole = world.tick(**two)
    overlaps = {task["overlap"] for task in tasks(annotator, project)}
    world.tick(loop__batch=2)

    assert annotator.people() >= 2
    assert shown == overlaps == {2}
    assert isinstance(half.action, Wait)
    assert next_of_bob in items
    assert isinstance(whole.action, Start)
    assert whole.round is not None
    assert whole.round.answered == len(items) == 4
    assert {task["overlap"] for task in tasks(annotator, project)} == {1}


def test_whatever_people_do_is_heard_by_the_next_tick_and_kept_in_the_history(
    annotator: LabelStudioAnnotator, person: LabelStudioPerson, second_person: LabelStudioPerson, world: World
) -> None:
    settings = {"loop__batch": 2, "holdout__per_round": 2, "loop__rounds": 1}
    world.tick(**settings)
    first, second, third, draft = sorted(world.dataset.present())
    client = annotator.client()
    ids = {task["data"]["labelloop_id"]: int(task["id"]) for task in tasks(annotator, person.project(NAME))}
    body = {"result": list(regions_of(SCHEMA, ["cat"])), "lead_time": 1}
    client.call("POST", f"/api/tasks/{ids[draft]}/drafts", body=body)
    one = person.answer(NAME, first, regions_of(SCHEMA, ["cat"]))
    person.skip(NAME, second)
    gone = person.answer(NAME, third, regions_of(SCHEMA, ["owl"]))
    created = world.tick(**settings).changes
    person.edit(NAME, one, regions_of(SCHEMA, ["dog"]))
    person.retract(NAME, gone)
    expert = second_person.answer(NAME, first, regions_of(SCHEMA, ["owl"]))
    client.call("PATCH", f"/api/annotations/{expert}/", body={"ground_truth": True})
    changed = world.tick(**settings).changes
    with closing(world.ledger()) as ledger:
        past = {item: [(said.change, said.annotator) for said in ledger.answers.past(item)] for item in (first, third)}
        states = {question.item_id: question.state for question in ledger.answers.questions()}
        truth = [said.ground_truth for said in ledger.answers.current()[first]]

    ann = annotator.login()[0]
    assert created == Changes(created=3)
    assert changed == Changes(created=1, edited=1, removed=1)
    assert sorted(past[first]) == [("created", ann), ("created", "bob@example.com"), ("edited", ann)]
    assert past[third] == [("created", ann), ("removed", ann)]
    assert states == {first: "answered", second: "skipped", third: "asked", draft: "asked"}
    assert sorted(truth) == [False, True]


def test_what_happens_behind_the_back_of_both_is_repaired_by_a_reconciliation(
    annotator: LabelStudioAnnotator, person: LabelStudioPerson, world: World
) -> None:
    settings = {"loop__batch": 3, "holdout__per_round": 3, "loop__rounds": 1}
    world.tick(**settings)
    items = sorted(world.dataset.present())
    answers = dict(zip(items, answer(person, world, items), strict=True))
    world.tick(**settings)
    edited, deleted, forgotten, *_ = items
    with closing(sqlite3.connect(annotator.connection.home / "data" / DATABASE, timeout=30)) as database, database:
        result = '[{"from_name":"label","to_name":"text","type":"choices","value":{"choices":["cat"]}}]'
        other = result if world.truth()[edited] != "cat" else result.replace("cat", "dog")
        database.execute("UPDATE task_completion SET result = ? WHERE id = ?", (other, answers[edited]))
        columns = ", ".join(row[1] for row in database.execute("PRAGMA table_info(task_completion)"))
        where = f"FROM task_completion WHERE id = {answers[deleted]}"
        kept = database.execute(f"SELECT {columns} {where}").fetchone()
        database.execute(f"DELETE {where}")
    lose(world, forgotten)

    unheard = world.tick(**settings)
    repaired = reconciled(world, settings)
    again = reconciled(world, settings)
    with closing(sqlite3.connect(annotator.connection.home / "data" / DATABASE, timeout=30)) as database, database:
        marks = ", ".join("?" * len(kept))
        database.execute(f"INSERT INTO task_completion ({columns}) VALUES ({marks})", kept)
    restored = world.tick(**settings).changes + reconciled(world, settings).changes
    with closing(world.ledger()) as ledger:
        past = {item: [said.change for said in ledger.answers.past(item)] for item in (edited, deleted, forgotten)}

    assert unheard.changes.total == 0
    assert repaired == Repair(Changes(created=1, edited=1, removed=1))
    assert again == Repair()
    assert restored == Changes(created=1)
    assert past[edited] == ["created", "edited"]
    assert past[deleted] == ["created", "removed", "restored"]
    assert past[forgotten] == ["created"]


def reconciled(world: World, settings: dict[str, Any]) -> Repair:
    with world.loop(**settings) as loop:
        repair = loop.tick(reconcile=True).repair
    assert repair is not None
    return repair


def lose(world: World, item_id: str) -> None:
    """A ledger that has lost an answer with its history, and whose cursor is a little ahead of the server's clock."""
    ahead = datetime.now(UTC) + timedelta(seconds=35)
    with closing(world.ledger()) as ledger:
        with ledger.engine.begin() as connection:
            for table in (annotated, history):
                connection.execute(delete(table).where(table.c.item_id == item_id))
        ledger.answers.remember(CURSOR, ahead.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


@pytest.mark.parametrize("behind", ["the next tick hears before", "the cursor is of tomorrow already"])
def test_answers_are_heard_after_the_clock_of_the_server_was_set_back(
    annotator: LabelStudioAnnotator, person: LabelStudioPerson, world: World, behind: str
) -> None:
    settings = {"loop__batch": 3, "holdout__per_round": 3, "loop__rounds": 1, "loop__reconcile_every": 0.0}
    world.tick(**settings)
    items = sorted(world.dataset.present())
    answer(person, world, items[:2])
    with closing(sqlite3.connect(annotator.connection.home / "data" / DATABASE, timeout=30)) as database, database:
        database.execute("UPDATE task SET updated_at = datetime('now', '+1 day') WHERE total_annotations > 0")
    if behind.startswith("the cursor"):
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        world.ledger().answers.remember(CURSOR, tomorrow)
    first = world.tick(**settings).changes

    answer(person, world, items[2:4])
    second = world.tick(**settings).changes
    answer(person, world, items[4:5])
    third = world.tick(**settings).changes

    assert [first.created, second.created, third.created] == [2, 2, 1]
