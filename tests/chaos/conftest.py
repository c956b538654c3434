"""A Label Studio of its own for the chaos suite, which is killed and started again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.testing.secrets import MemorySecrets

from support.live_world import LiveWorld
from support.mothers import Mother


@pytest.fixture(scope="session")
def chaos_annotator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioAnnotator]:
    """Our own Label Studio, up for the session."""
    home: Path = tmp_path_factory.mktemp("workspace")
    annotator = LabelStudioAnnotator(
        home=home, secrets=MemorySecrets(), port=21200 + os.getpid() % 100
    )  # two of these suites may run side by side
    annotator.up()
    yield annotator
    annotator.down()


@pytest.fixture
def annotator(chaos_annotator: LabelStudioAnnotator) -> LabelStudioAnnotator:
    """The same, up again whatever a test did to it."""
    chaos_annotator.up()
    return chaos_annotator


@pytest.fixture(scope="session")
def mother(chaos_annotator: LabelStudioAnnotator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mother]:
    """The process that forks for every command of every world."""
    folder = tmp_path_factory.mktemp("mother")
    made = Mother(folder, LiveWorld(folder, chaos_annotator, "nobody's").environment())
    yield made
    made.close()
