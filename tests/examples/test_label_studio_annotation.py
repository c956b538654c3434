"""The example of the mission, typed as its README says, against a real Label Studio."""

from __future__ import annotations

import os
import signal
import time
from random import Random
from typing import Any

import pytest

from labelloop.ledger.rounds import Round

from support.example_project import Project

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(900)]


def last(project: Project) -> Round:
    found = project.ledger().rounds.last()
    assert found is not None
    return found


def asked_once(project: Project) -> int:
    ids = [task["data"]["labelloop_id"] for task in project.tasks()]
    assert len(ids) == len(set(ids)), "an item is a task twice"
    return len(ids)


def test_two_laps_learn_from_all_answers_and_repeating_any_command_changes_nothing(digits: Project) -> None:
    said = digits.run("run.py", "local", "--train")
    assert "no annotations to learn from yet" in said
    for _ in range(2):
        digits.run("run.py", "local", "--inference")
    assert asked_once(digits) == 64
    assert digits.answer_all() == 64

    digits.run("run.py", "--train", "local")
    first = last(digits)
    again = digits.run("run.py", "--train", "local")
    assert last(digits) == first
    assert "continue training" in again
    assert "cached" in next(line for line in again.splitlines() if line.startswith("continue training"))

    for _ in range(2):
        digits.run("run.py", "local", "--inference", "--rerun")
    assert asked_once(digits) == 128
    shown = [one for task in digits.tasks() for one in task["predictions"]]
    assert shown
    assert {one["model_version"] for one in shown} == {first.version}
    assert all(0 < one["score"] <= 1 for one in shown)
    assert digits.answer_all() == 64

    digits.run("run.py", "local", "--train", "--rerun")
    second = last(digits)
    digits.run("run.py", "local", "--train", "--rerun")
    assert last(digits) == second
    assert second.learned_from > first.learned_from
    assert second.version != first.version
    assert second.metrics["score"] >= first.metrics["score"]
    held_out = {one.item_id for one in digits.ledger().answers.questions() if one.purpose == "holdout"}
    assert second.learned_from == 128 - len(held_out)
    assert second.metrics["n"] == len(held_out)


def test_an_edited_annotation_trains_again_and_a_broken_image_is_only_reported(digits: Project) -> None:
    (digits.root / "data" / "batch_1" / "scan-broken.png").write_bytes(b"\x89PNG not really")
    said = digits.run("run.py", "--inference")
    assert "unreadable" in said
    assert "scan-broken.png" in said
    digits.answer_all()
    digits.run("run.py", "--train")
    before = last(digits)

    task: Any = next(task for task in digits.tasks() if held_in(digits, task["data"]["labelloop_id"]))
    wrong = next(label for label in "3589" if label not in str(task["annotations"][0]["result"]))
    result = [{**task["annotations"][0]["result"][0], "value": {"choices": [wrong]}}]
    digits.annotator.client().call(
        "PATCH", f"/api/annotations/{task['annotations'][0]['id']}/", body={"result": result}
    )
    said = digits.run("run.py", "--train")

    assert "1 edited" in said
    assert last(digits).number == before.number + 1
    assert last(digits).learned_from == before.learned_from


def held_in(project: Project, item_id: str) -> bool:
    asked = {one.item_id: one.purpose for one in project.ledger().answers.questions()}
    return asked[item_id] == "train"


def test_killed_anywhere_and_run_again_it_continues(digits: Project) -> None:
    random = Random(8)
    for command in (["--inference"], ["--train"], ["--inference", "--rerun"], ["--train", "--rerun"]):
        for longest in (3.0, 8.0, 14.0):
            process = digits.start("run.py", *command)
            time.sleep(random.uniform(1.0, longest))
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        digits.run("run.py", *command)
        digits.answer_all()

    assert asked_once(digits) == 128
    assert {one.state for one in digits.ledger().answers.questions()} == {"answered"}
    assert last(digits).learned_from > 90
    trained = [one for one in digits.ledger().rounds.all() if one.promoted]
    assert len(trained) == 2


def test_another_cloud_than_the_active_stacks_is_refused_with_the_commands(digits: Project) -> None:
    process = digits.start("run.py", "aws", "--train")
    _, err = process.communicate()

    assert process.returncode == 2
    assert "aws needs an artifact store of flavor s3" in err
    assert "labelloop artifact-store register" in err


def test_without_train_or_inference_it_says_what_to_type(digits: Project) -> None:
    process = digits.start("run.py", "local")
    _, err = process.communicate()

    assert process.returncode == 2
    assert "--train or --inference" in err


def test_the_small_example_learns_with_its_own_step_learner_and_selector(mine: Project) -> None:
    for _ in range(3):
        said = mine.run("mine.py")
        mine.answer_all()

    assert "how alike" in said
    assert last(mine).version
    assert asked_once(mine) == len(mine.ledger().answers.questions()) > 36
    assert {one.why for one in mine.ledger().answers.questions() if one.purpose == "train"} <= {
        "chosen by mine:least_alike",
        "asked at random",
    }
