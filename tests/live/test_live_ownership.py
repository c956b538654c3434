"""On a real Label Studio: a project is its number, and a copy of a workspace is refused before it asks."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.config import config_of
from labelloop.backends.label_studio.marks import FIELD, mark_of, swap_mark

from support.live_world import LiveWorld

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


def test_a_renamed_project_is_found_by_another_machine_and_its_new_name_said_once(world: LiveWorld) -> None:
    number = world.project
    world.annotator.client().call("PATCH", f"/api/projects/{number}", body={"title": "Animals, elsewhere"})
    for known in (world.root / ".labelloop" / "label-studio").glob("projects-*.json"):
        known.unlink()  # what another machine with the same ledger has not

    told = [world.run("tick") for _ in range(2)]

    assert [one.returncode for one in told] == [0, 0], told
    said = f"the dataset {world.name!r} is called 'Animals, elsewhere' in the annotator now, and is the same one"
    assert [" ".join(one.stdout.split()).count(said) for one in told] == [1, 0]


def test_another_project_under_the_old_title_is_not_taken_for_it(world: LiveWorld) -> None:
    client, number = world.annotator.client(), world.project
    client.call("PATCH", f"/api/projects/{number}", body={"title": "kept under another name"})
    other = _made(world)
    asked = len(_tasks(world, number))
    try:
        told = world.run("tick")
        assert told.returncode == 0, told.stderr
        assert len(_tasks(world, number)) > asked
        client.call("DELETE", f"/api/projects/{number}")

        gone = world.run("tick")

        assert gone.returncode == 2
        assert f"project {other} bears its title now, and is another one" in gone.stderr
        assert _tasks(world, other) == []
    finally:
        client.call("DELETE", f"/api/projects/{other}")


def test_the_mark_survives_what_people_edit_and_shows_nowhere(world: LiveWorld) -> None:
    client, path = world.annotator.client(), f"/api/projects/{world.project}"
    before = client.call("GET", path)
    mark, config = before[FIELD], str(before["label_config"])
    assert mark.startswith("labelloop:")
    assert "labelloop:" not in (before["description"] or "")

    for body in (
        {"title": world.name, "description": "Ask Ann first.", "color": "#FF0000", "sampling": "Uniform sampling"},
        {"label_config": config.replace("</View>", '<TextArea name="why" toName="image"/></View>')},
    ):
        client.call("PATCH", path, body=body)
        assert client.call("GET", path)[FIELD] == mark
    world.do("tick")

    after = client.call("GET", path)
    assert after["description"] == "Ask Ann first."
    assert after[FIELD] != mark


def test_a_login_that_somebody_set_stays_and_the_mark_is_in_the_description(world: LiveWorld) -> None:
    client, path = world.annotator.client(), f"/api/projects/{world.project}"
    client.call("PATCH", path, body={FIELD: "reader", "description": "Ask Ann first."})

    world.do("tick")

    now = client.call("GET", path)
    assert now[FIELD] == "reader"
    assert now["description"].startswith("Ask Ann first.")
    assert now["description"].count("labelloop:") == 1


@pytest.mark.timeout(900)
def test_of_eight_machines_that_leave_a_mark_at_the_same_moment_one_succeeds(world: LiveWorld) -> None:
    client, project, at_once = world.annotator.client(), world.project, threading.Barrier(8)
    before = mark_of(client, project)

    def leave(wanted: str) -> str:
        mine = Client(client.url, client.token)
        at_once.wait()
        return swap_mark(mine, project, before, wanted)

    for turn in range(2, 22):
        with ThreadPoolExecutor(8) as pool:
            told = set(pool.map(leave, [f"labelloop:0123456789abcdef:{turn}:{one:08x}" for one in range(8)]))
        assert told == {mark_of(client, project)}, told
        (before,) = told


def _made(world: LiveWorld) -> int:
    body = {"title": world.name, "label_config": config_of(world.schema)}
    return int(world.annotator.client().call("POST", "/api/projects", body=body)["id"])


def _tasks(world: LiveWorld, project: int) -> list[Any]:
    query = {"project": project, "page_size": 1000, "include": "id"}
    found: list[Any] = world.annotator.client().call("GET", "/api/tasks", query=query)["tasks"]
    return found


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
