"""One real Label Studio server for the whole live suite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.errors import NotFoundError
from labelloop.testing.annotator import LabelStudioPerson
from labelloop.testing.secrets import MemorySecrets

from support.desk import Desk
from support.guests import invited
from support.small_world import NAME, World

BOB = "bob@example.com"


@pytest.fixture(scope="session")
def live_secrets() -> MemorySecrets:
    return MemorySecrets()


@pytest.fixture(scope="session")
def live_annotator(
    tmp_path_factory: pytest.TempPathFactory, live_secrets: MemorySecrets
) -> Iterator[LabelStudioAnnotator]:
    """Our own Label Studio, up for the session."""
    home: Path = tmp_path_factory.mktemp("workspace")
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    port, behind = 8193 + 20 * worker, "label.example.test"  # the name that the tests' company has for it
    annotator = LabelStudioAnnotator(home=home, secrets=live_secrets, port=port, hosts=behind)
    annotator.up()
    yield annotator
    annotator.down()


@pytest.fixture
def annotator(live_annotator: LabelStudioAnnotator) -> LabelStudioAnnotator:
    return live_annotator


@pytest.fixture
def person(live_annotator: LabelStudioAnnotator) -> LabelStudioPerson:
    return LabelStudioPerson(live_annotator.client())


@pytest.fixture(scope="session")
def personal_token(live_annotator: LabelStudioAnnotator) -> str:
    """A personal access token of the session's user, who can have but one."""
    return str(live_annotator.client().call("POST", "/api/token/")["token"])


@pytest.fixture(scope="session")
def second_person(live_annotator: LabelStudioAnnotator) -> LabelStudioPerson:
    """Bob, who signed up by invitation."""
    return invited(live_annotator.client(), BOB)


@pytest.fixture
def world(annotator: LabelStudioAnnotator, tmp_path: Path) -> Iterator[World]:
    """The small world with people who answer in Label Studio."""
    made = World(tmp_path, people=cast(Any, annotator))
    made.add(40)
    yield made
    annotator.delete(NAME)


@pytest.fixture
def desk(
    annotator: LabelStudioAnnotator, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    made = Desk(tmp_path / "desk", annotator, request.node.name[5:40].strip("_"), capsys)
    yield made
    with suppress(NotFoundError):
        annotator.delete(made.name)
