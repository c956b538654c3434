"""doctor: what it prints, asks, leaves out and repairs, and its exit codes."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from labelloop.types import AnnotatorState

from support.command_line import said, use_stack, world_of_people
from support.small_world import NAME, World

_STACK = """
[stacks.default]
annotator = "memory"
artifact_store = "shelf"
[annotators.memory]
flavor = "support.people:shared"
[artifact_stores.shelf]
flavor = "local"
path = "artifacts"
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two rounds answered, one open, one question gone."""
    made = world_of_people(tmp_path)
    made.add(40)
    made.play(2)
    made.tick()
    made.people.remove(NAME, min(made.dataset.present()))
    return use_stack(made, _STACK)


def test_a_fault_is_named_with_its_repair_and_repaired_only_after_a_yes(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert "1 question(s) are gone from the annotator" in said(capsys, world, "doctor", code=2)
    assert "nobody agreed" in said(capsys, world, "doctor", "--repair", code=2)
    assert "0 fault(s) left" in said(capsys, world, "doctor", "--repair", "--yes")
    assert said(capsys, world, "doctor") == "nothing is wrong\n"


def test_fewer_people_than_an_item_needs_are_a_warning_and_no_fault(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(world.people), "people", lambda _: 1, raising=False)
    monkeypatch.setattr(type(world.people), "exposed", lambda _: ("", ""), raising=False)
    three = "--set=dataset.people_per_item=3"
    said(capsys, world, three, "doctor", "--repair", "--yes")

    told = said(capsys, world, three, "doctor")

    assert told == (
        "people: 1 can sign in, and each item needs 3: no question would ever be closed\n"
        "  invite people at fake://annotator, or set people_per_item = 1 under [dataset]\n"
    )


def test_scripts_get_the_faults_the_repairs_and_what_is_left(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(said(capsys, world, "--json", "doctor", "--repair", "--yes"))
    assert (told["checks"], told["not_looked_at"], told["left"]) == ([], [], [])
    assert [one["what"] for one in told["faults"]] == ["questions"]
    assert [one["result"] for one in told["repairs"]] == ["repaired"]


def test_while_the_annotator_is_away_the_rest_is_looked_at_and_repaired(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(world.root / "artifacts" / "npy")
    world.people.become(AnnotatorState("fake", "fake://annotator", "down"))

    looked = said(capsys, world, "doctor", code=3)
    told = json.loads(said(capsys, world, "--json", "doctor", "--repair", "--yes", code=3))

    assert "annotator: fake at fake://annotator is down" in looked
    assert "embeddings npy:" in looked
    assert "not looked at: annotator" in looked
    assert told["not_looked_at"] == ["annotator"]
    assert {one["result"] for one in told["repairs"]} == {"repaired"}
    assert told["left"] == []


def test_without_a_ledger_nothing_is_compared(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, world, "--set", "ledger.url=sqlite:////nowhere/at/all.db", "doctor", code=3)
    assert "ledger: the ledger sqlite:////nowhere/at/all.db cannot be opened" in told
    assert "not looked at: ledger, artifact store, annotator" in told
