"""Labels taken from the model, on a real Label Studio: nothing of them there but the audit, and that blind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.kinds.labels import regions_of

from support.live_world import LiveWorld

pytestmark = [pytest.mark.live, pytest.mark.slow]

TERMS = ("--set=auto_label.error=0.5", "--set=auto_label.confidence=0.8", "--set=auto_label.audit=0.5")


def test_taken_labels_are_audited_blind_and_revoked_by_evidence(
    tmp_path: Path, live_annotator: LabelStudioAnnotator
) -> None:
    world = LiveWorld(tmp_path / "w", live_annotator, "auto label")
    world.draw(120)
    for _ in range(6):
        world.do("tick")
        world.answer_all()
    before = {task["data"]["labelloop_id"] for task in world.tasks()}

    world.do(*TERMS, "auto-label", "apply", "--yes")

    new = [task for task in world.tasks() if task["data"]["labelloop_id"] not in before]
    assert new
    assert not any(shown["result"] for task in new for shown in task["predictions"])
    audited = {task["data"]["labelloop_id"] for task in new}
    taken = {row["id"]: row["labels"] for row in exported(world) if row["source"] == "model"}
    assert audited < taken.keys()

    for item_id in audited:
        other = next(label for label in "0123456789" if [label] != taken[item_id])
        world.person.answer(world.name, item_id, regions_of(world.schema, [other]))
    world.do(*TERMS, "tick")

    rows = exported(world)
    assert {row["source"] for row in rows} == {"human"}
    assert audited <= {row["id"] for row in rows}


def exported(world: LiveWorld) -> list[dict[str, Any]]:
    world.do("export", "-o", str(world.root / "labels.jsonl"))
    return [json.loads(line) for line in (world.root / "labels.jsonl").read_text().splitlines()]
