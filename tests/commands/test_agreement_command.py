"""labelloop agreement: from what several people said, in each control, for scripts and for people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labelloop.cli import run
from labelloop.commands.agreement import agreements
from labelloop.kinds.labels import regions_of
from labelloop.types import Region

from support.small_world import NAME, SCHEMA, World

CONTROLS = """
[controls.tone]
kind = "rating"
stars = 4
"""


def tone(stars: int) -> Region:
    return {"from_name": "tone", "to_name": "text", "type": "rating", "value": {"rating": stars}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Ann and Bob have answered what was asked; Carol a few."""
    made = World(tmp_path)
    path = tmp_path / "labelloop.toml"
    path.write_text(path.read_text() + CONTROLS)
    made.add(60)
    made.tick()
    for number, item in enumerate(sorted(made.dataset.open_items())):
        for who in ("ann", "bob", *(["carol"] if number < 3 else [])):
            label = SCHEMA.labels[(number + (who == "bob" and number % 4 == 0)) % len(SCHEMA.labels)]
            said = [*regions_of(SCHEMA, [label]), tone(1 + number % 4)]
            made.people.answer(NAME, item, said, f"{who}@example.com")
    made.tick()
    return made


def test_each_control_has_an_agreement_of_its_own_label_by_label_and_two_by_two(world: World) -> None:
    with world.loop() as loop:
        main, beside = agreements(loop.ledger, loop.schema)

    assert (main.control, beside.control) == ("label", "tone")
    assert main.all.value is not None and 0.3 < main.all.value < 1.0
    assert set(main.labels) == set(SCHEMA.labels)
    assert beside.all.value == 1.0
    assert beside.labels == {}
    first = main.pairs[0]
    assert (first.one, first.other, first.items) == ("ann@example.com", "bob@example.com", main.all.items)
    assert {(one.one, one.other): one.items for one in main.pairs}["ann@example.com", "carol@example.com"] == 3


def test_the_command_says_it_to_people_and_to_scripts(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-C", str(world.root), "agreement"]) == 0
    told = capsys.readouterr().out
    assert run(["-C", str(world.root), "--json", "agreement"]) == 0
    said = json.loads(capsys.readouterr().out)

    assert "label: alpha 0." in told
    assert "tone: alpha 1.000 (1.000 to 1.000) on" in told
    assert "bob@example.com" in told
    assert set(said) == {"label", "tone"}
    assert said["tone"]["all"]["value"] == 1.0
    assert f"alpha {said['label']['all']['value']:.3f}" in told


def test_where_nobody_shares_an_item_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path)
    world.add(60)
    world.play(1)

    assert run(["-C", str(tmp_path), "agreement"]) == 0
    assert capsys.readouterr().out.strip() == "label: no item has answers of two people"
