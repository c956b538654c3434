"""labels: what each change prints, asks and leaves behind."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from support.command_line import said, use_stack, world_of_people
from support.small_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two rounds answered, one open."""
    made = world_of_people(tmp_path)
    made.add(40)
    made.play(2)
    made.tick()
    return use_stack(made)


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
