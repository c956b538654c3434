"""One long story on SQLite and on PostgreSQL: both ledgers hold the same in the end."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from labelloop.commands import auto_label, label_errors
from labelloop.commands import labels as change_labels
from labelloop.commands.bias import bias
from labelloop.commands.doctor import examine
from labelloop.commands.export import write_labels
from labelloop.commands.rollback import roll_back
from labelloop.kinds import LabelSchema, label_changes
from labelloop.kinds.label_changes import LabelChange
from labelloop.kinds.labels import regions_of

from support.small_world import LABELS, NAME, World

SETTINGS: dict[str, Any] = {
    "auto_label__confidence": 0.7,
    "auto_label__error": 0.4,
    "auto_label__audit": 0.2,
    "auto_label__audit_per_round": 5,
    "holdout__size": 60,
    "holdout__per_round": 20,
    "loop__batch": 8,
    "loop__blind_share": 0.2,
    "loop__belief": "weighted",
    "loop__gate": "always",
    "loop__selector": "relabel(random, 0.3)",
}


def answered(world: World, wrong: int = 0) -> None:
    """Two people answer what is open in turns, the first `wrong` ones to learn from wrongly."""
    truth, asked = world.truth(), {one.item_id: one for one in world.questions()}
    doomed = [one.item_id for one in asked.values() if one.state == "asked" and one.purpose == "train"][:wrong]
    for number, question in enumerate(world.dataset.open_items()):
        label = truth[asked[question].item]
        said = LABELS[(LABELS.index(label) + 1) % 3] if question in doomed else label
        world.people.answer(NAME, question, regions_of(world.schema, [said]), f"{'ab'[number % 2]}@example.com")


def story(world: World) -> dict[str, Any]:
    """Everything that the newer tables are for; what they hold, and what is told of it."""
    world.add(200)
    for wrong in (3, 0, 0):
        world.tick(**SETTINGS)
        answered(world, wrong)
    world.tick(**SETTINGS)
    with world.loop(**SETTINGS) as loop:
        asked = label_errors.ask(loop, 3)
        certified = auto_label.apply(loop)
    answered(world)
    world.tick(**SETTINGS)
    with world.loop(**SETTINGS) as loop:
        verdicts = label_errors.report(loop)
        standing = auto_label.standing(loop)
        back = roll_back(loop, "2")
        write_labels(loop, str(world.root / "labels.csv"))
        biased = bias(loop)
    with world.loop(**SETTINGS) as loop:
        auto_label.revoke(loop)
        change_labels.relabel(loop, _hound)
    with (world.root / "labels.csv").open() as file:
        exported = sorted(tuple(row.items()) for row in csv.DictReader(file))
    world.tick(**SETTINGS)
    with world.loop(**SETTINGS) as loop:
        assert list(examine(loop)) == []
        world.schema = loop.schema
    told = {"parts": (asked, certified, verdicts, standing, back, biased), "exported": exported}
    return {**told, **world.dump()}


def _hound(schema: LabelSchema, history: Sequence[LabelChange]) -> LabelChange:
    return label_changes.rename(schema, history, "dog", "hound")


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)
def test_the_same_story_leaves_the_same_ledger_on_both_databases(tmp_path: Path, ledger_url: str) -> None:
    wanted = story(World(tmp_path / "sqlite"))

    found = story(World(tmp_path / "postgres", ledger_url=ledger_url))

    assert wanted["opinions"]
    assert wanted["auto_labels"]
    assert wanted["audits"]
    assert wanted["guesses"]
    for part, said in wanted.items():
        assert found[part] == said, part
