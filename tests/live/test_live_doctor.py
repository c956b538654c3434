"""The doctor on a real Label Studio: what is broken there on purpose is named, repaired, and then nothing is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from sqlalchemy import update

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.ledger import tables

from support.live_world import LiveWorld

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, live_annotator: LabelStudioAnnotator) -> LiveWorld:
    made = LiveWorld(tmp_path_factory.mktemp("doctor") / "w", live_annotator, "doctor")
    made.draw(60)
    for _ in range(2):
        made.do("tick")
        made.answer_all()
    made.do("tick")
    return made


def ask_twice(world: LiveWorld) -> None:
    task = next(task for task in world.tasks() if not task["annotations"])
    client = world.annotator.client()
    client.call("POST", f"/api/projects/{world.project}/import", body=[{"data": task["data"]}])


def delete_a_task(world: LiveWorld) -> None:
    world.annotator.client().call("DELETE", f"/api/tasks/{world.tasks()[0]['id']}/")


def predict_with_a_strange_model(world: LiveWorld) -> None:
    task = world.tasks()[-1]
    region = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["3"]}}
    body = [{"task": task["id"], "model_version": "stranger", "score": 0.5, "result": [region]}]
    world.annotator.client().call("POST", f"/api/projects/{world.project}/import/predictions", body=body)


def show_no_guesses(world: LiveWorld) -> None:
    world.annotator.client().call("PATCH", f"/api/projects/{world.project}", body={"model_version": ""})


def choose_another_order(world: LiveWorld) -> None:
    world.annotator.client().call("PATCH", f"/api/projects/{world.project}", body={"sampling": "Uniform sampling"})


def change_the_labels(world: LiveWorld) -> None:
    client = world.annotator.client()
    xml = client.call("GET", f"/api/projects/{world.project}")["label_config"]
    body = {"label_config": xml.replace('value="9"', 'value="nine"')}
    client.call("PATCH", f"/api/projects/{world.project}", body=body)


def forget_an_answer(world: LiveWorld) -> None:
    ledger = world.ledger()
    said = ledger.answers.current()
    first = said[min(said)][0]
    with ledger.engine.begin() as connection:
        connection.execute(update(tables.annotated).where(tables.annotated.c.id == first.id).values(regions=[]))
    ledger.close()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (ask_twice, "asked more than once"),
        (delete_a_task, "gone from the annotator"),
        (predict_with_a_strange_model, "1 of stranger"),
        (show_no_guesses, "people see the guesses of no model"),
        (choose_another_order, "by 'Uniform sampling', and not by their turns"),
        (change_the_labels, "labels missing in Label Studio: '9'"),
        (forget_an_answer, "other answers in the annotator"),
    ],
)
def test_what_is_broken_is_named_and_repaired(
    world: LiveWorld, break_it: Callable[[LiveWorld], None], said: str
) -> None:
    break_it(world)
    looked = world.run("--json", "doctor")
    assert looked.returncode == 2, looked.stderr
    assert any(said in fault["detail"] for fault in json.loads(looked.stdout)["faults"])
    assert world.run("--json", "doctor").stdout == looked.stdout

    repaired = world.run("doctor", "--repair", "--yes")

    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert said in repaired.stdout
    assert "nothing is wrong" in world.run("doctor").stdout


def test_tasks_that_people_added_by_hand_are_no_fault(world: LiveWorld) -> None:
    by_hand = [{"data": {"image": "https://example.com/by-hand.png"}}]
    world.annotator.client().call("POST", f"/api/projects/{world.project}/import", body=by_hand)

    assert world.run("doctor").stdout == "nothing is wrong\n"
