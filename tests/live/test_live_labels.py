"""Changes of the labels on a real Label Studio: through the command line, killed on the way, and taken back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator

from support.live_world import LiveWorld

pytestmark = [pytest.mark.live, pytest.mark.slow]

KILLED_BEFORE_THE_FILE = """
import os
from labelloop.commands import labels as relabelling
relabelling.rewrite = lambda *_: os._exit(9)
from labelloop.cli import main
main()
"""


@pytest.fixture
def world(tmp_path: Path, live_annotator: LabelStudioAnnotator, request: pytest.FixtureRequest) -> LiveWorld:
    made = LiveWorld(tmp_path / "w", live_annotator, f"labels {request.node.name}"[:50].strip())
    made.draw(60)
    for _ in range(2):
        made.do("tick")
        made.answer_all()
    made.do("tick")
    return made


def exported(world: LiveWorld) -> dict[str, list[str]]:
    world.do("export", "-o", str(world.root / "labels.jsonl"))
    rows = [json.loads(line) for line in (world.root / "labels.jsonl").read_text().splitlines()]
    return {row["id"]: row["labels"] for row in rows}


def project(world: LiveWorld) -> Mapping[str, Any]:
    found: Mapping[str, Any] = world.annotator.client().call("GET", f"/api/projects/{world.project}")
    return found


def said(world: LiveWorld) -> dict[str, tuple[Any, ...]]:
    """Item -> what its annotations in Label Studio say, and who said it."""
    return {
        task["data"]["labelloop_id"]: tuple(
            (one["result"][0]["value"]["choices"], one["completed_by"]) for one in task["annotations"]
        )
        for task in world.tasks()
        if task["annotations"]
    }


def test_rename_and_merge_translate_what_was_said_and_touch_no_annotation(world: LiveWorld) -> None:
    before, annotations = exported(world), said(world)

    world.do("labels", "rename", "0", "zero", "--yes")
    world.do("labels", "merge", "1", "7", "--into", "stroke", "--yes")

    meant = {"0": "zero", "1": "stroke", "7": "stroke"}
    assert exported(world) == {item: [meant.get(name, name) for name in names] for item, names in before.items()}
    assert said(world) == annotations
    assert project(world)["parsed_label_config"]["label"]["labels"] == ["zero", "stroke", *"2345689"]
    assert project(world)["model_version"] == ""
    assert world.person.next_task(world.name)["predictions"] == []

    world.do("tick")
    version = project(world)["model_version"]
    assert version
    shown = [one for task in world.tasks() for one in task["predictions"] if one["model_version"] == version]
    assert shown
    named = {label for one in shown for region in one["result"] for label in region["value"]["choices"]}
    assert named and not {"0", "1", "7"} & named


def test_split_asks_again_and_undo_puts_the_answers_back(world: LiveWorld) -> None:
    before, annotations = exported(world), said(world)
    common = max("0123456789", key=lambda digit: sum(names == [digit] for names in before.values()))
    affected = {item for item, names in before.items() if names == [common]}

    world.do("labels", "split", common, "--into", "thin,thick", "--yes")
    assert said(world).keys() == annotations.keys() - affected
    world.do("tick")
    assert exported(world).keys() == before.keys() - affected

    world.do("labels", "undo", "--yes")
    world.do("tick")
    assert exported(world) == before
    assert said(world) == annotations


def test_a_change_killed_between_label_studio_and_the_file_is_completed(world: LiveWorld) -> None:
    killed = world.run("labels", "rename", "0", "zero", "--yes", code=(KILLED_BEFORE_THE_FILE,))
    assert killed.returncode == 9
    refused = world.run("tick")
    assert refused.returncode == 2
    assert "labelloop labels resume" in refused.stderr

    world.do("labels", "resume")
    world.do("tick")

    assert "zero" in world.config.read_text()
    assert "zero" in project(world)["parsed_label_config"]["label"]["labels"]
    world.do("labels", "resume")


def test_a_label_config_styled_by_hand_keeps_its_style(world: LiveWorld) -> None:
    xml = str(project(world)["label_config"]).replace("<Header ", '<Header underline="true" ')
    world.annotator.client().call("PATCH", f"/api/projects/{world.project}", body={"label_config": xml})
    world.do("labels", "add", "none of them", "--yes")
    assert 'underline="true"' in project(world)["label_config"]
    assert project(world)["parsed_label_config"]["label"]["labels"][-1] == "none of them"
