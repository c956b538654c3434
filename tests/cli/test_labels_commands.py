"""labels: what each change prints, asks and leaves behind."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from labelloop.cli import run

from support import people
from support.small_world import World

_STACK = """
[stacks.default]
annotator = "memory"
[annotators.memory]
flavor = "support.people:shared"
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two rounds answered, one open."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = World(tmp_path, people.forget())
    made.add(40)
    made.play(2)
    made.tick()
    with (tmp_path / "labelloop.toml").open("a") as file:
        file.write(_STACK)
    return made


def said(capsys: pytest.CaptureFixture[str], world: World, *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run(["-C", str(world.root), *arguments]) == code
    heard = capsys.readouterr()
    return heard.out + heard.err


def test_a_change_shows_its_plan_first_and_needs_a_yes(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    plan = said(capsys, world, "labels", "rename", "dog", "hound", "--dry-run")
    assert "cat, dog, owl  ->  cat, hound, owl" in plan
    refused = said(capsys, world, "labels", "rename", "dog", "hound", code=2)
    assert "nobody agreed" in refused
    assert "hound" not in (world.root / "labelloop.toml").read_text()
    assert "done: rename" in said(capsys, world, "labels", "rename", "dog", "hound", "--yes")
    assert 'labels = ["cat", "hound", "owl"]' in (world.root / "labelloop.toml").read_text()


def test_every_change_is_in_the_history_and_the_list_says_what_is_meant(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, world, "labels", "merge", "cat", "dog", "--into", "pet", "--yes")
    said(capsys, world, "labels", "add", "elk", "--yes")
    said(capsys, world, "labels", "undo", "--yes")
    said(capsys, world, "labels", "split", "owl", "--into", "barn owl, snowy owl", "--leave", "--yes")
    said(capsys, world, "labels", "remove", "snowy owl", "--yes")
    history = json.loads(said(capsys, world, "--json", "labels", "history"))
    assert [one["verb"] for one in history] == ["merge", "add", "undo", "split", "remove"]
    assert all(one["by"] and one["at"] and one["state"] == "done" for one in history)
    means = {one["label"]: one["means"] for one in json.loads(said(capsys, world, "--json", "labels", "list"))}
    assert means == {
        "pet": "itself",
        "barn owl": "itself",
        "cat": "pet",
        "dog": "pet",
        "owl": "one of barn owl, snowy owl: set aside",
    }
    assert "undone" in said(capsys, world, "labels", "history")


def test_nothing_to_resume_is_no_error(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no change was interrupted" in said(capsys, world, "labels", "resume")
