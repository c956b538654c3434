"""The main job as a stranger runs it: the score surely rises, and every count agrees everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labelloop.cli.render import live_rounds
from labelloop.cli.visit import visiting
from labelloop.demo.run import Demo, Sort, play
from labelloop.loop.loop import Loop
from labelloop.workspace.config import load
from labelloop.workspace.stack import Stack

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.mark.parametrize("sort", ["image", "text", "spans"])
@pytest.mark.timeout(600)
def test_the_demo_ends_with_a_surely_better_score_and_agrees_with_label_studio(sort: Sort, tmp_path: Path) -> None:
    batch = 15 if sort == "image" else 10
    demo = Demo(tmp_path, sort, 0, 10, batch, error_rate=0.03, seed=0, me=False)
    stack = Stack(load(tmp_path))
    try:
        with live_rounds(as_json=True) as view:
            shown = play(demo, view, visiting)
        workspace = load(tmp_path)
        stack = Stack(workspace)
        loop = Loop(workspace, stack)

        first, last = (one for one in (shown.rounds[1], shown.rounds[-1]))
        assert first.high is not None
        assert last.low is not None
        assert last.low > first.high
        assert "<svg" in shown.report.read_text("utf-8")
        assert_agreement(loop)
    finally:
        annotator: Any = stack.annotator
        annotator.down()


def assert_agreement(loop: Loop) -> None:
    """Items, tasks, annotations and ledger say the same."""
    asked = {one.item_id: one for one in loop.ledger.answers.questions()}
    kept = loop.ledger.answers.current()
    heard = {one.item_id: one for page in loop.dataset.answers(None) for one in page.heard}
    counts = loop.dataset.stats()

    assert loop.dataset.present() == set(asked) == set(heard)
    assert loop.ledger.items.unknown(list(asked)) == set()
    assert {item: list(one.annotations) for item, one in heard.items()} == kept
    assert {item: one.task_id for item, one in heard.items()} == {item: one.task_id for item, one in asked.items()}
    assert counts.total == counts.labeled == len(asked) == sum(one.state == "answered" for one in asked.values())
    assert counts.annotations == sum(len(said) for said in kept.values())
    assert sum(one.asked for one in loop.ledger.rounds.all()) == len(asked)
    assert all(one.prediction is None for one in asked.values() if one.purpose == "holdout")
