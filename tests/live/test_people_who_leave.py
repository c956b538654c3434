"""Two people answered everything, disagreed, and leave: their answers stay theirs; nobody decides in another's name."""

from __future__ import annotations

from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.commands.doctor import examine
from labelloop.commands.export import write_labels
from labelloop.commands.status import status_in_words
from labelloop.commands.tick import outcome_in_words
from labelloop.kinds.consensus import consensus_of_all, disagreements
from labelloop.kinds.labels import regions_of
from labelloop.testing.annotator import LabelStudioPerson

from support.guests import invited
from support.small_world import LABELS, NAME, SCHEMA, World

pytestmark = pytest.mark.live

SETTINGS = {"loop__batch": 6, "holdout__per_round": 2, "loop__belief": "majority"}


def number_of(person: LabelStudioPerson) -> int:
    return int(person.client.whoami()["id"])


def seen(world: World, **settings: Any) -> dict[str, Any]:
    """All that votes, counts and exports make of the answers."""
    with world.loop(**settings) as loop:
        said = loop.ledger.said(SCHEMA)
        path = world.root / "labels.csv"
        write_labels(loop, str(path))
        return {
            "counts": dict(loop.ledger.answers.counts()),
            "disagreements": disagreements(SCHEMA, said, "majority"),
            "export": path.read_text(),
            "authors": sorted({one.annotator for answers in said.values() for one in answers}),
        }


def test_two_people_who_answered_everything_and_leave_stay_two_people(
    annotator: LabelStudioAnnotator, world: World
) -> None:
    settings = {**SETTINGS, "dataset__people_per_item": 2}
    fay, gus = (invited(annotator.client(), f"{name}-leaves@example.com") for name in ("fay", "gus"))
    world.tick(**settings)
    truth = world.truth()
    for i, item in enumerate(sorted(world.dataset.present())):
        wrong = LABELS[(LABELS.index(truth[item]) + 1) % 3]
        fay.answer(NAME, item, regions_of(SCHEMA, [truth[item]]))
        gus.answer(NAME, item, regions_of(SCHEMA, [truth[item] if i % 2 else wrong]))
    world.tick(**settings)
    before = seen(world, **settings)

    for person in (fay, gus):
        annotator.client().call("DELETE", f"/api/users/{number_of(person)}/")
    left = world.tick(**settings)
    again = world.tick(**settings)
    with world.loop(**settings) as loop:
        loop.tick(reconcile=True)
        faults = [one.detail for one in examine(loop) if "other answers" in one.detail]
    after = seen(world, **settings)

    assert before["authors"] == ["fay-leaves@example.com", "gus-leaves@example.com"]
    assert len(before["disagreements"]) == 4
    assert after == before
    assert left.changes.edited == again.changes.edited == 0
    assert "2 of the people have no account any more" in outcome_in_words(left)
    assert again.changes.left == ()
    assert faults == []


def test_nobody_but_the_owner_decides_alone_or_in_another_name(
    annotator: LabelStudioAnnotator, person: LabelStudioPerson, second_person: LabelStudioPerson, world: World
) -> None:
    world.tick(**SETTINGS)
    truth = world.truth()
    marked, forged, decided, *_ = sorted(world.dataset.present())
    wrong = {item: LABELS[(LABELS.index(truth[item]) + 1) % 3] for item in truth}
    owner, bob = person.client, second_person.client
    tasks = {one: person.task(NAME, one) for one in (marked, forged, decided)}

    def body(item: str, label: str, **more: Any) -> dict[str, Any]:
        return {"result": [dict(one) for one in regions_of(SCHEMA, [label])], "lead_time": 1, **more}

    for item in (marked, forged, decided):
        bob.call("POST", f"/api/tasks/{tasks[item]}/annotations/", body=body(item, truth[item]))
    bob.call("POST", f"/api/tasks/{tasks[marked]}/annotations/", body=body(marked, wrong[marked], ground_truth=True))
    in_my_name = body(forged, wrong[forged], ground_truth=True, completed_by=number_of(person))
    bob.call("POST", f"/api/tasks/{tasks[forged]}/annotations/", body=in_my_name)
    by_owner = owner.call("POST", f"/api/tasks/{tasks[decided]}/annotations/", body=body(decided, wrong[decided]))
    owner.call("PATCH", f"/api/annotations/{by_owner['id']}/", body={"ground_truth": True})
    for item in (marked, forged, decided):  # two more of Bob's, so that he has the newest word
        bob.call("POST", f"/api/tasks/{tasks[item]}/annotations/", body=body(item, truth[item]))

    world.tick(**SETTINGS)
    with world.loop(**SETTINGS) as loop:
        said = loop.ledger.said(SCHEMA)
        counting = {item for item, answers in said.items() for one in answers if one.ground_truth}
        status = status_in_words(loop)
        faults = [one.detail for one in examine(loop)]
    everybody = {**SETTINGS, "loop__ground_truth_by": ["*"]}
    world.tick(**everybody)
    with world.loop(**everybody) as loop:
        trusting = {item for item, answers in loop.ledger.said(SCHEMA).items() for one in answers if one.ground_truth}
        overruled = consensus_of_all(SCHEMA, loop.ledger.said(SCHEMA), "majority").answers

    assert counting == {decided}
    assert "ground truth of people outside loop.ground_truth_by" in status
    assert "bob@example.com (2)" in status
    assert any("bob@example.com (2)" in one for one in faults)
    assert trusting == {marked, forged, decided}
    assert overruled[marked] == (wrong[marked],)
