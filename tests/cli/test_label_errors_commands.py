"""label-errors: what find, ask and report print, and what scripts get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labelloop.kinds.labels import regions_of

from support.command_line import said, use_stack, world_of_people
from support.small_world import LABELS, NAME, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Forty answers, the first of them wrong."""
    made = world_of_people(tmp_path)
    made.add(60)
    made.tick(loop__batch=40)
    truth = made.truth()
    train = [one.item_id for one in made.questions() if one.purpose == "train"]
    for item_id in made.dataset.open_items():
        wrong = LABELS[(LABELS.index(truth[item_id]) + 1) % 3]
        made.answer(item_id, wrong if item_id == train[0] else truth[item_id])
    made.tick(loop__budget=44)
    return use_stack(made)


def test_a_suspect_is_found_asked_about_and_reported(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, world, "label-errors", "find")
    (first, *_) = json.loads(said(capsys, world, "--json", "label-errors", "find"))
    assert first["item_id"] in shown
    assert (first["given"], first["opinion"]) != (first["suggested"], "asked")

    asked = said(capsys, world, "label-errors", "ask", "-n", "1")
    assert "1 second opinion(s) asked for, 1 open" in asked
    assert "only ann@example.com has answered so far" in asked
    assert json.loads(said(capsys, world, "--json", "label-errors", "ask", "-n", "1"))["asked"] == 0

    (question,) = [one for one in world.questions() if one.purpose == "opinion"]
    truth = world.truth()[question.about]
    world.people.answer(NAME, question.item_id, regions_of(world.schema, [truth]), "bob@example.com")
    said(capsys, world, "--set", "loop.budget=44", "tick")

    assert "1 overturned the label" in said(capsys, world, "label-errors", "report")
    told = json.loads(said(capsys, world, "--json", "label-errors", "report"))
    assert (told["precision"], told["independent"]) == (1.0, 1)
    assert told["verdicts"][0]["verdict"] == [truth]


def test_a_workspace_with_few_answers_is_told_how_many_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = world_of_people(tmp_path)
    made.add(12)
    made.play(1)

    heard = said(capsys, made, "label-errors", "find", code=2)

    assert "are too few to judge one by the others" in heard
    assert "answer 20 or more first" in heard
