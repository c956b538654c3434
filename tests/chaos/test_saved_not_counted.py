"""Label Studio, killed while it saved an answer, has it and does not count it: the next start does, and it is heard."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.environment import DATABASE
from labelloop.kinds.labels import regions_of

from support.live_world import LiveWorld

pytestmark = [pytest.mark.chaos, pytest.mark.live, pytest.mark.slow]


def test_an_answer_that_was_saved_and_not_counted_is_heard_after_a_start(
    annotator: LabelStudioAnnotator, tmp_path: Path
) -> None:
    world = LiveWorld(tmp_path / "w", annotator, "saved, not counted")
    world.draw(30)
    world.do("tick")
    first = world.tasks()[0]
    item_id = first["data"]["labelloop_id"]
    world.person.answer(world.name, item_id, regions_of(world.schema, world.truth[item_id]))
    annotator.down()
    with closing(sqlite3.connect(annotator.connection.home / "data" / DATABASE)) as connection, connection:
        connection.execute(
            "UPDATE task SET total_annotations = 0, is_labeled = 0, updated_at = ? WHERE id = ?",
            (first["updated_at"].replace("T", " ").rstrip("Z"), first["id"]),
        )

    annotator.up()
    answered = world.answer_all()
    world.do("tick")

    tasks = world.tasks()
    asked = [question for question in world.questions() if question.task_id in {str(task["id"]) for task in tasks}]
    annotator.delete(world.name)
    assert [len(task["annotations"]) for task in tasks] == [1] * answered + [1] + [0] * (len(tasks) - answered - 1)
    assert [question.state for question in asked].count("answered") == answered + 1
