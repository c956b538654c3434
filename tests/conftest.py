"""The small world of the loop's tests, empty and with forty texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from small_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty workspace and its people."""
    return World(tmp_path / "world")


@pytest.fixture
def animals(world: World) -> World:
    """Forty texts to be labelled."""
    world.add()
    return world
