"""Two machines drive one loop by a shared ledger, and one is cut off while it sends: each item ends as one task."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.loop.loop import Loop
from labelloop.workspace.config import load
from labelloop.workspace.stack import Stack

from support.live_world import LiveWorld

pytestmark = [pytest.mark.chaos, pytest.mark.live, pytest.mark.slow]

NAME = "two machines"


def test_what_another_machine_had_sent_and_arrives_late_is_removed_by_the_next_tick(
    annotator: LabelStudioAnnotator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELLOOP_SECRET_TEAM__TOKEN", annotator.client().token)
    world = LiveWorld(tmp_path / "second", annotator, NAME)
    world.draw(20)
    try:
        with Loop(load(world.root, {}), Stack(load(world.root, {}))) as second:
            second.tick()
            first = world.tasks()
            late = [
                {"data": dict(task["data"])} for task in first[:3]
            ]  # the first machine keeps these doubts to itself
            annotator.client().call("POST", f"/api/projects/{world.project}/import", body=late)
            assert len(world.tasks()) == len(first) + 3

            second.tick()

        assert [task["id"] for task in world.tasks()] == [task["id"] for task in first]
    finally:
        annotator.delete(NAME)
