"""On a real Label Studio: a project is its number, and a copy of a workspace is refused before it asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator

from live_world import LiveWorld

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture
def world(annotator: LabelStudioAnnotator, tmp_path: Path) -> Iterator[LiveWorld]:
    made = LiveWorld(tmp_path / "world", annotator, f"owned {tmp_path.name}")
    made.draw(40)
    made.do("tick")
    made.answer_all()
    yield made


def test_a_renamed_project_is_the_same_project(world: LiveWorld, annotator: LabelStudioAnnotator) -> None:
    number, tasks = world.project, len(world.tasks())
    annotator.client().call("PATCH", f"/api/projects/{number}", body={"title": "Animals Q4 (do not touch)"})

    told = [world.run(*command) for command in (["status"], ["tick"], ["annotator", "dataset", "stats"], ["doctor"])]

    assert [one.returncode for one in told] == [0, 0, 0, 0], told
    world.name = "Animals Q4 (do not touch)"
    assert world.project == number
    assert len(world.tasks()) > tasks
    assert not any("begin anew" in one.stdout + one.stderr for one in told)


def test_what_people_write_into_the_description_stays(world: LiveWorld, annotator: LabelStudioAnnotator) -> None:
    path = f"/api/projects/{world.project}"
    mark = annotator.client().call("GET", path)["description"]
    annotator.client().call("PATCH", path, body={"description": f"Ask Ann first.\n{mark}"})

    world.do("tick")

    now = annotator.client().call("GET", path)["description"]
    assert now.startswith("Ask Ann first.")
    assert now.count("labelloop:") == 1
    assert mark not in now


def test_a_copied_workspace_is_refused_before_it_asks(world: LiveWorld, tmp_path: Path) -> None:
    shutil.copytree(world.root, tmp_path / "copy")
    copy = LiveWorld(tmp_path / "copy", world.annotator, world.name)
    world.do("tick")
    tasks = world.tasks()

    refused, looked = copy.run("tick"), copy.run("doctor")

    assert refused.returncode == 2
    assert "has gone on 1 time(s) of asking further, without this ledger" in refused.stderr
    assert "labelloop tick --take-over" in refused.stderr
    assert "without this ledger" in looked.stdout
    assert world.tasks() == tasks
    assert copy.run("tick", "--take-over").returncode == 0
    assert world.run("tick").returncode == 2


def test_answers_of_a_restored_label_studio_are_written_back(world: LiveWorld) -> None:
    world.do("tick")
    world.answer_all()
    world.do("tick")
    said, client = world.state()["annotations"], world.annotator.client()
    for task in world.tasks()[-12:]:
        client.call("DELETE", f"/api/tasks/{task['id']}/")

    refused, repaired = world.run("tick"), world.run("doctor", "--repair", "--yes")

    assert refused.returncode == 2
    assert "are gone from the annotator at once" in refused.stderr
    assert "repaired" in repaired.stdout, repaired.stdout + repaired.stderr
    assert world.run("tick").returncode == 0
    assert len(world.state()["annotations"]) >= len(said)
