"""Second opinions on a real Label Studio: tasks of their own, blind, and the verdict of somebody else counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.kinds.labels import regions_of

from support.live_world import DIGITS, LiveWorld

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture
def world(tmp_path: Path, live_annotator: LabelStudioAnnotator) -> LiveWorld:
    """Two rounds answered, one answer of the first one wrong."""
    made = LiveWorld(tmp_path / "w", live_annotator, "second opinions")
    made.draw(60)
    made.do("--set", "loop.batch=30", "--set", "holdout.share=0.12", "tick")
    first = next(one.item_id for one in made.questions() if one.purpose == "train")
    wrong = DIGITS[(int(made.truth[first][0]) + 5) % 10]
    made.person.answer(made.name, first, regions_of(made.schema, [wrong]))
    made.answer_all()
    made.do("--set", "loop.batch=4", "--set", "holdout.share=0.12", "tick")
    made.answer_all()
    return made


def heard(world: LiveWorld, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    world.do("--json", "--set", "holdout.share=0.12", *arguments)
    return json.loads(capsys.readouterr().out)


def test_a_second_opinion_is_asked_blind_once_and_another_persons_verdict_counts(
    world: LiveWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    client = world.annotator.client()
    assert heard(world, capsys, "label-errors", "ask", "-n", "1")["asked"] == 1
    assert heard(world, capsys, "label-errors", "ask", "-n", "1")["asked"] == 0
    (asked,) = [one for one in world.questions() if one.purpose == "opinion"]

    (task,) = [task for task in world.tasks() if task["data"]["labelloop_id"] == asked.item_id]
    assert asked.turn
    assert [(shown["result"], shown["score"]) for shown in task["predictions"]] == [([], asked.turn.at)]
    assert task["annotations"] == []
    assert asked.about in task["data"]["image"]
    shown = world.person.next_task(world.name)
    assert (shown["id"], shown["annotations"]) == (task["id"], [])
    assert not any(guess["result"] for guess in shown["predictions"])

    email = "second-opinion@example.com"
    bob = client.call("POST", "/api/users/", body={"email": email, "username": "second", "password": "second-opinion"})
    regions = [dict(one) for one in regions_of(world.schema, world.truth[asked.about])]
    said = {"result": regions, "completed_by": bob["id"], "lead_time": 2.0}
    client.call("POST", f"/api/tasks/{task['id']}/annotations/", body=said)
    heard(world, capsys, "tick")
    told = heard(world, capsys, "label-errors", "report")

    assert (told["independent"], told["same_person"]) == (1, 0)
    assert told["verdicts"][0]["by"] == email
    assert told["verdicts"][0]["verdict"] == list(world.truth[asked.about])
