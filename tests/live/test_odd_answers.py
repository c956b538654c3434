"""One bad answer never stops a loop on a real Label Studio: it is set aside by name, and the others are heard."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.client import Client
from labelloop.commands.doctor import examine
from labelloop.commands.history import history_as_dict
from labelloop.commands.status import status_as_dict, status_in_words
from labelloop.commands.tick import outcome_in_words
from labelloop.errors import BackendError
from labelloop.kinds.consensus import consensus_of_all
from labelloop.kinds.labels import regions_of
from labelloop.loop.decide import Start
from labelloop.loop.listener import Repair
from labelloop.testing.annotator import LabelStudioPerson

from support.odd_answers import choice
from support.small_world import NAME, SCHEMA, World

pytestmark = pytest.mark.live


def numbers(annotator: LabelStudioAnnotator, project: int) -> dict[str, int]:
    query = {"project": project, "fields": "task_only", "page_size": 200, "include": "id,data"}
    return {
        task["data"]["labelloop_id"]: int(task["id"])
        for task in annotator.client().call("GET", "/api/tasks", query=query)["tasks"]
    }


def post(client: Client, task: int, body: dict[str, Any]) -> None:
    """Label Studio answers 500 to some of these, and has saved them nevertheless."""
    with suppress(BackendError):
        client.call("POST", f"/api/tasks/{task}/annotations/", body=body)


SURROGATE = {"result": [choice(["\ud800"])]}


def test_an_answer_that_label_studio_cannot_show_is_set_aside_by_its_number_and_heard_when_it_was_mended(
    annotator: LabelStudioAnnotator, person: LabelStudioPerson, second_person: LabelStudioPerson, world: World
) -> None:
    settings = {"loop__batch": 6, "holdout__per_round": 2}
    world.tick(**settings)
    items = sorted(world.dataset.present())
    ids = numbers(annotator, person.project(NAME))
    truth = world.truth()
    bad, *good = items
    for item in good:
        person.answer(NAME, item, regions_of(SCHEMA, [truth[item]]))
    post(second_person.client, ids[bad], SURROGATE)

    outcome = world.tick(**settings)
    again = world.tick(**settings)
    with world.loop(**settings) as loop:
        status = status_in_words(loop)
        told = status_as_dict(loop)["unusable"]["unheard"]
        faults = [one.detail for one in examine(loop)]
        present = loop.dataset.present()
        loop.dataset.stats()
    repaired = reconciled(world, **settings)

    assert outcome.changes.created == len(good) + 1  # Bob's, of which it is known that it is there
    assert [one.task_id for one in outcome.unheard] == [str(ids[bad])]
    assert str(ids[bad]) in outcome_in_words(outcome)
    assert again.changes.total == 0
    assert [one["item"] for one in told] == [bad]
    assert f"{ids[bad]} (item {bad}" in status
    assert any(str(ids[bad]) in one for one in faults)
    assert not any("gone" in one for one in faults)
    assert set(items) <= present
    assert repaired.lost == 0

    assert isinstance(outcome.action, Start)
    person.answer(NAME, bad, regions_of(SCHEMA, [truth[bad]]))
    beside = world.tick(**settings)
    with world.loop(**settings) as loop:
        believed = consensus_of_all(SCHEMA, loop.ledger.said(SCHEMA)).answers[bad]
        doomed = next(one["annotation_id"] for one in history_as_dict(loop, bad))
    annotator.client().call("DELETE", f"/api/annotations/{doomed}/")
    mended = world.tick(**settings)
    assert [one.item_id for one in beside.unheard] == [bad]
    assert beside.changes.created == 1
    assert believed == (truth[bad],)
    assert mended.unheard == ()
    assert mended.changes.removed == 1


def reconciled(world: World, **settings: Any) -> Repair:
    """What a reconciliation finds."""
    with world.loop(**settings) as loop:
        found = loop.tick(reconcile=True).repair
    assert found is not None
    return found


def size_of(world: World) -> int:
    """Bytes of the workspace, ledger included."""
    return sum(path.stat().st_size for path in world.root.rglob("*") if path.is_file())


def test_a_huge_answer_is_not_kept_and_not_read_again(
    annotator: LabelStudioAnnotator, person: LabelStudioPerson, second_person: LabelStudioPerson, world: World
) -> None:
    settings = {"loop__batch": 6, "holdout__per_round": 2}
    world.tick(**settings)
    items = sorted(world.dataset.present())
    ids = numbers(annotator, person.project(NAME))
    huge = [
        {"result": [choice(["x" * 10_000_000])]},
        {"result": [choice([f"label {n}"]) for n in range(100_000)]},
        {
            "result": [
                {"from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["y" * 10_000_000]}}
            ]
        },
    ]
    for item, body in zip(items, huge, strict=False):
        post(second_person.client, ids[item], body)

    before = size_of(world)
    outcome = world.tick(**settings)
    idle = world.tick(**settings)
    with world.loop(**settings) as loop:
        status = status_in_words(loop)
        said = history_as_dict(loop, items[0])[0]["says"]
        labels = loop.dataset.stats().per_label

    assert outcome.changes.created == 3
    assert idle.changes.total == 0
    assert "has 10,000,0" in status
    assert "kept at most" in said
    assert size_of(world) - before < 1_000_000
    assert max(map(len, labels), default=0) < 200


def test_a_task_whose_id_was_changed_is_said_once_and_a_swapped_text_is_found_by_doctor(
    annotator: LabelStudioAnnotator, person: LabelStudioPerson, world: World
) -> None:
    settings = {"loop__batch": 6, "holdout__per_round": 2}
    world.tick(**settings)
    items = sorted(world.dataset.present())
    ids = numbers(annotator, person.project(NAME))
    client, foreign, swapped = annotator.client(), items[0], items[1]
    old = {item: client.call("GET", f"/api/tasks/{ids[item]}/")["data"] for item in (foreign, swapped)}
    client.call("PATCH", f"/api/tasks/{ids[foreign]}/", body={"data": {**old[foreign], "labelloop_id": "nobody's"}})
    client.call("PATCH", f"/api/tasks/{ids[swapped]}/", body={"data": {**old[swapped], "text": "another text"}})

    told = [world.tick(**settings).changes.foreign for _ in range(3)]
    with world.loop(**settings) as loop:
        faults = [one.detail for one in examine(loop)]

    assert told == [1, 0, 0]
    assert any(f"show another thing than was asked, such as {swapped}" in one for one in faults)
