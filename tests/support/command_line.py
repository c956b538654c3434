"""A small world that the command line is used on: its people are in memory, shared by the commands of one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.cli import run

from support import people
from support.small_world import World

STACK = """
[stacks.default]
annotator = "memory"
[annotators.memory]
flavor = "support.people:shared"
"""


def world_of_people(folder: Path) -> World:
    """An empty workspace with new people."""
    return World(folder, people.forget())


def use_stack(world: World, stack: str = STACK) -> World:
    """The same workspace, whose commands find these people from now on."""
    with (world.root / "labelloop.toml").open("a") as file:
        file.write(stack)
    return world


def said(capsys: pytest.CaptureFixture[str], world: World, *arguments: str, code: int = 0) -> str:
    """What a command says, which ends with this code; with --json the answer alone."""
    capsys.readouterr()
    assert run(["-C", str(world.root), *arguments]) == code
    heard = capsys.readouterr()
    return heard.out if "--json" in arguments else heard.out + heard.err
