"""annotator bias: what is printed, and what scripts get."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labelloop.cli import run

from support import people
from support.small_world import World


def test_both_sides_are_compared_for_people_and_for_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path, people.forget(), clock=lambda: datetime(2025, 1, 1, tzinfo=UTC))
    world.add(60)
    world.play(4, loop__blind_share=0.5)
    world.tick(loop__budget=1)
    capsys.readouterr()

    assert run(["-C", str(tmp_path), "annotator", "bias"]) == 0
    words = capsys.readouterr().out
    assert run(["-C", str(tmp_path), "--json", "annotator", "bias"]) == 0
    told = json.loads(capsys.readouterr().out)

    assert told["assisted"]["answers"] > 0 < told["blind"]["answers"]
    assert f"blind      {told['blind']['answers']} answer(s)" in words
    assert "points" in words
    assert told["assisted"]["seconds"][0] == 1.0
