"""reopen: it says what it costs people first, and asks; status agrees on what is open."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from support.command_line import said, use_stack, world_of_people
from support.small_world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A round that one person answered, and then two people per item."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    made = world_of_people(tmp_path)
    made.add(40)
    made.play(1)
    use_stack(made)
    made.tick(dataset__people_per_item=2, loop__rounds=1)
    return made


def told(capsys: pytest.CaptureFixture[str], world: World, *arguments: str, code: int = 0) -> str:
    return said(capsys, world, "--set=dataset.people_per_item=2", "--set=loop.rounds=1", *arguments, code=code)


def states(world: World) -> set[str]:
    return {one.state for one in world.questions()}


def test_reopening_says_first_what_it_costs_and_needs_a_yes(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    count = len(world.questions())

    plan = told(capsys, world, "reopen", "--dry-run")
    refused = told(capsys, world, "reopen", code=2)
    before = states(world)
    done = told(capsys, world, "reopen", "--yes")
    again = told(capsys, world, "reopen")

    assert f"{count} closed question(s)" in plan
    assert f"{count} more answer(s)" in plan
    assert "nobody agreed" in refused
    assert before == {"answered"}
    assert f"{count} question(s) are open again" in done
    assert states(world) == {"asked"}
    assert "nothing to open" in again


def test_scripts_get_the_numbers_and_status_agrees(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    count = len(world.questions())
    expected = {"people": 2, "questions": count, "answers": count}

    def waiting() -> int:
        now = json.loads(told(capsys, world, "--json", "status"))
        return int(now["asked"]) - int(now["answered"]) - int(now["skipped"])

    closed = waiting()
    planned = json.loads(told(capsys, world, "--json", "reopen", "--dry-run"))
    done = json.loads(told(capsys, world, "--json", "reopen", "--yes"))

    assert planned == done == expected
    assert (closed, waiting()) == (0, count)
    assert len(world.dataset.open_items()) == count
