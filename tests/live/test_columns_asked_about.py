"""A column that is asked about from the second round on is shown in the questions that were open before, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator

from support.span_world import SpanWorld, text_of

pytestmark = [pytest.mark.live, pytest.mark.slow]

NAME = "asked about later"
TONE = """
[controls.tone]
kind = "rating"
stars = 3
shown = "title"
"""


@pytest.fixture
def world(annotator: LabelStudioAnnotator, tmp_path: Path) -> Iterator[SpanWorld]:
    made = SpanWorld(tmp_path / "world", annotator, NAME)
    rows = [{"text": text_of(i), "title": f"number {i}"} for i in range(12)]
    path = made.root / "titled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made.do("add", str(path))
    yield made
    annotator.delete(NAME)


def titles(world: SpanWorld) -> list[str]:
    return [str(task["data"].get("title", "not there")).split()[0] for task in world.tasks()]


def test_open_questions_get_the_column_that_a_new_control_asks_about(
    world: SpanWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.do("tick")
    before = titles(world)
    written = world.config.read_text().replace('name = "', 'show = ["title"]\nname = "', 1)
    world.config.write_text(written.replace("[loop]", f"{TONE}[loop]", 1))

    world.do("tick")
    said = capsys.readouterr().out
    world.do("tick")

    assert set(before) == {"not"}
    assert "people are asked 'tone', too, from now on" in said
    assert set(titles(world)) == {"number"}
    assert len(titles(world)) == len(before)
