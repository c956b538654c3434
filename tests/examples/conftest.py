"""The example projects, pulled into a fresh folder, with a real Label Studio for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.examples import pull
from labelloop.testing.secrets import MemorySecrets

from support.example_project import Project


@pytest.fixture(scope="session")
def annotator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioAnnotator]:
    """Our own Label Studio, up for the session."""
    there = LabelStudioAnnotator(home=tmp_path_factory.mktemp("workspace"), secrets=MemorySecrets(), port=8810)
    there.up()
    yield there
    there.down()


@pytest.fixture
def digits(annotator: LabelStudioAnnotator, tmp_path: Path) -> Project:
    """The example `label_studio_annotation`."""
    pytest.importorskip("torch")
    root = pull("label_studio_annotation", tmp_path / "labelloop_examples")
    return Project(root, annotator, [root / "data" / "batch_1", root / "data" / "batch_2"])


@pytest.fixture
def mine(annotator: LabelStudioAnnotator, tmp_path: Path) -> Project:
    """The example `own_step_learner_selector`."""
    root = pull("own_step_learner_selector", tmp_path / "labelloop_examples")
    return Project(root, annotator, [root / "images"])
