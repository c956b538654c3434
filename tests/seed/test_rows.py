"""The rows of the mission, typed in a real shell: on a real Label Studio, with no cloud and on three.

Row numbers are those of docs/reference/rows.md. The transcript is written where LABELLOOP_TRANSCRIPTS names a folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labelloop.data.sources import content_id
from labelloop.kinds.labels import regions_of
from labelloop.testing.annotator import LabelStudioPerson
from labelloop.workspace.config import load
from labelloop.workspace.stack import Stack
from seed.clouds import CLOUDS, Cloud
from seed.shell import Shell, files_with

from support import emulators

pytestmark = [pytest.mark.live, pytest.mark.slow]

EXAMPLE = "label_studio_annotation"
DATABASE = ("label_studio.sqlite3",)
"""Label Studio keeps the credentials it signs URLs with in its own database: the one place they may be."""


@pytest.fixture(params=list(CLOUDS))
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cloud]:
    """Each way to run the example."""
    with CLOUDS[request.param](tmp_path / "servers") as running:
        yield running


@pytest.fixture
def shell(cloud: Cloud, tmp_path: Path) -> Iterator[Shell]:
    """A shell in a fresh directory, whose transcript is kept."""
    for name in ("home", "fresh"):
        (tmp_path / name).mkdir()
    variables = {**cloud.variables, "PORT": str(emulators.free_port())}
    made = Shell(tmp_path / "fresh", tmp_path / "home", variables)
    yield made
    if folder := os.environ.get("LABELLOOP_TRANSCRIPTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{cloud.name}.txt").write_text(made.transcript())


class People:
    """Who annotates in the browser's place, through the same REST API."""

    def __init__(self, shell: Shell) -> None:
        workspace = load(shell.folder, shell.environment())
        with pytest.MonkeyPatch.context() as patch:
            for name, value in shell.environment().items():
                patch.setenv(name, value)
            self.client = Stack(workspace).annotator.client()  # type: ignore[attr-defined]
        self.schema = workspace.config.schema_of()
        self.name = workspace.config.dataset.name
        self.person = LabelStudioPerson(self.client)
        self.truth = _truth(shell.folder)

    def annotate(self, count: int) -> int:
        """Answer that many of the open questions; how many there were to answer."""
        answered = 0
        for task in self.tasks():
            if task["total_annotations"] or answered == count:
                continue
            item = str(task["data"]["labelloop_id"])
            self.person.answer(self.name, item, regions_of(self.schema, (self.truth[item],)))
            answered += 1
        return answered

    def tasks(self) -> list[dict[str, Any]]:
        """Every task, as the data manager lists them."""
        project = self.person.project(self.name)
        query = {"project": project, "fields": "all", "page_size": 1000, "resolve_uri": "false"}
        found: list[dict[str, Any]] = self.client.call("GET", "/api/tasks", query=query)["tasks"]
        return found


def _truth(project: Path) -> dict[str, str]:
    """Item -> label: an item's id is made of its content."""
    lines = (project / "data" / "answers.csv").read_text().splitlines()[1:]
    named = [line.split(",") for line in lines]
    return {content_id((project / "data" / file).read_bytes()): label for file, label in named}


@pytest.mark.timeout(1200)
def test_every_row_works_as_typed(cloud: Cloud, shell: Shell, tmp_path: Path) -> None:
    shell.comment("1, 2: integrations and the example")
    shell.types(f"labelloop integration install {cloud.integrations}")
    assert "label_studio" in shell.types("labelloop integration list")
    assert EXAMPLE in shell.types("labelloop example list")
    shell.types(f"labelloop example pull {EXAMPLE}")
    shell.cd(f"labelloop_examples/{EXAMPLE}")

    shell.comment("3, 4: a workspace, and a stack copied from the default one")
    shell.types("labelloop init")
    shell.types("labelloop init")
    shell.types("labelloop stack copy default annotation_stack")
    shell.types("labelloop stack set annotation_stack")

    shell.comment("7, 8, 12, 13: secrets, and the bucket")
    shell.types(f"labelloop secrets-manager register cloud_secrets {cloud.secrets_manager}")
    shell.types("labelloop stack update annotation_stack -x cloud_secrets")
    for line in cloud.setting_up:
        shell.types(line)
    assert cloud.left() or cloud.name in ("local", "azure")
    if cloud.secret:
        shell.types(f"labelloop secret register store_auth {cloud.secret}")
        assert "********" in shell.types("labelloop secret get store_auth")
    shell.types("labelloop secret list")

    shell.comment("9, 10, 11, 5: the store, the annotator, and the stack of them")
    secret = " --authentication_secret=store_auth" if cloud.secret else ""
    shell.types(f"labelloop artifact-store register store {cloud.store}{secret}")
    shell.types("labelloop annotator register people --flavor label_studio --port=$PORT")
    shell.types("labelloop stack update annotation_stack -x cloud_secrets -a store -an people")
    shell.types("labelloop stack describe")

    shell.comment("6: up")
    up = shell.types("labelloop stack up")
    assert "FAILED" not in up
    assert f"127.0.0.1:{shell.variables['PORT']}" in up
    shell.types("labelloop stack up")

    shell.comment("15: training with nothing to learn from")
    assert "no annotations" in shell.types(f"python run.py {cloud.name} --train")

    shell.comment("16: inference brings the first batch")
    shell.types(f"python run.py {cloud.name} --inference")
    people = People(shell)
    first = people.tasks()
    assert first

    shell.comment("17: people annotate")
    assert people.annotate(60) == min(60, len(first))

    shell.comment("15, 16: train, deploy; the questions that are open get the model's predictions")
    trained = shell.types(f"python run.py {cloud.name} --train")
    shell.types(f"python run.py {cloud.name} --inference")
    assert len(people.tasks()) == len(first)

    shell.comment("18: the second lap")
    blind = _blind(shell.types(f"python run.py {cloud.name} --inference --rerun"))
    second = people.tasks()
    assert len(second) > len(first)
    filled_in = [any(one["result"] for one in task["predictions"]) for task in second[len(first) :]]
    assert sum(filled_in) == len(second) - len(first) - blind
    people.annotate(len(second))
    retrained = shell.types(f"python run.py {cloud.name} --train --rerun")
    assert _model(retrained) != _model(trained)
    assert _examples(retrained) > _examples(trained), "the second model has not learned from all answers"
    shell.types(f"python run.py {cloud.name} --inference --rerun")
    assert len({task["data"]["labelloop_id"] for task in people.tasks()}) == len(people.tasks()) == len(second)

    shell.comment("20 to 23: look")
    assert "up" in shell.types("labelloop annotator describe")
    assert people.name in shell.types("labelloop annotator dataset list")
    stats = shell.types(f"labelloop --json annotator dataset stats {people.name}")
    assert json.loads(stats)["labeled"] == len(second)
    by_name = shell.types(f"labelloop annotator dataset {people.name} stats")
    assert str(len(second)) in by_name
    shell.types(f"labelloop annotator dataset annotate {people.name} --print & sleep 3; kill $!", code=0)
    assert "--yes" in shell.types(f"labelloop annotator dataset delete {people.name}", code=2)
    shell.types(f"labelloop annotator dataset delete {people.name} --yes")

    shell.types("labelloop stack export annotation_stack")
    for canary in cloud.canaries:
        assert canary not in shell.transcript()
        assert files_with(canary, [tmp_path / "fresh", tmp_path / "home"], leave_out=DATABASE) == []

    shell.comment("14: clean-up")
    shell.types("labelloop stack down")
    shell.types("labelloop stack down")
    for line in cloud.tearing_down:
        shell.types(line)
    assert not cloud.left(), "the bucket that row 12 made is still there"
    shell.cd("../..")
    shell.types(f"labelloop example remove {EXAMPLE} --yes")
    assert not (shell.folder / "labelloop_examples" / EXAMPLE).exists()


def _blind(said: str) -> int:
    """How many questions were asked without a prediction, for the honest score."""
    found = re.search(r"(\d+) of them for the score", said)
    assert found, said
    return int(found[1])


def _examples(said: str) -> int:
    found = re.search(r"(\d+) examples", said)
    assert found, said
    return int(found[1])


def _model(said: str) -> str:
    found = re.search(r"model ([0-9a-f]{12}) is in use", said)
    assert found, said
    return found[1]
