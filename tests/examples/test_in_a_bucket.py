"""The example with its images and models in a bucket of each cloud, shown from there by a real Label Studio."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.buckets import BucketArtifacts
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.data.stamps import stamp_of
from labelloop.examples import pull
from labelloop.ledger.rounds import Round
from labelloop.testing.secrets import MemorySecrets
from labelloop.types import Seen

from support import clouds
from support.example_project import Project

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(900)]

STORES = {
    "aws": ("s3", "s3_server", clouds.s3_store),
    "azure": ("azure", "azure_server", clouds.azure_store),
    "gcp": ("gcp", "gcs_server", clouds.gcp_store),
}
SCHEMES = {"aws": "s3", "azure": "azure-blob", "gcp": "gs"}
"""Label Studio's names for addresses in a bucket."""

NOW = 4e9


@pytest.fixture(params=STORES)
def where(request: pytest.FixtureRequest) -> str:
    """As `run.py` takes it."""
    return str(request.param)


@pytest.fixture
def store(request: pytest.FixtureRequest, where: str) -> BucketArtifacts:
    _, server, make = STORES[where]
    made: BucketArtifacts = make(request.getfixturevalue(server))
    return made


@pytest.fixture
def shown_by(where: str, store: BucketArtifacts, tmp_path: Path) -> Iterator[LabelStudioAnnotator]:
    """Our own Label Studio, started for the bucket: of Google's emulator no field of an import storage can tell."""
    there = LabelStudioAnnotator(home=tmp_path / "people", secrets=MemorySecrets(), port=9010, store=store)
    there.up()
    yield there
    there.down()


@pytest.fixture
def digits(where: str, store: BucketArtifacts, shown_by: LabelStudioAnnotator, tmp_path: Path) -> Project:
    pytest.importorskip("torch")
    root = pull("label_studio_annotation", tmp_path / "labelloop_examples")
    images = [root / "data" / "batch_1", root / "data" / "batch_2"]
    return Project(root, shown_by, images, store=store, flavor=STORES[where][0])


def last(project: Project) -> Round:
    found = project.ledger().rounds.last()
    assert found is not None
    return found


def remembered(project: Project, store: BucketArtifacts) -> dict[str, str]:
    """The images of the bucket that the next run does not open, and their items."""
    files = store.filesystem()
    entries = list(files.entries_below(f"{store.bucket_name}/{store.prefix}images"))
    listed = [Seen(files.unstrip_protocol(one["name"]), stamp_of(one, NOW)) for one in entries]
    return project.ledger().items.unchanged(listed)


def test_a_broken_image_an_edited_annotation_and_runs_again_that_read_nothing_twice(
    where: str, digits: Project, store: BucketArtifacts
) -> None:
    store.write("images/batch_1/scan-broken.png", io.BytesIO(b"\x89PNG not really"))
    said = digits.run("run.py", where, "--inference")
    first = remembered(digits, store)
    again = digits.run("run.py", where, "--inference")

    assert "scan-broken.png" in said
    assert "unreadable" in said
    assert len(first) == 64
    assert not any("broken" in uri for uri in first)
    assert "0 new item(s), 64 known" in again
    assert "scan-broken.png" in again
    assert {task["data"]["image"].partition("://")[0] for task in digits.tasks()} == {SCHEMES[where]}
    assert digits.answer_all() == 64

    digits.run("run.py", where, "--train")
    before = last(digits)
    task: Any = next(one for one in digits.tasks() if purpose(digits, one) == "train")
    wrong = next(label for label in "3589" if label not in str(task["annotations"][0]["result"]))
    result = [{**task["annotations"][0]["result"][0], "value": {"choices": [wrong]}}]
    address = f"/api/annotations/{task['annotations'][0]['id']}/"
    digits.annotator.client().call("PATCH", address, body={"result": result})
    said = digits.run("run.py", where, "--train")
    digits.run("run.py", where, "--inference", "--rerun")

    assert "1 edited" in said
    assert last(digits).number > before.number
    assert last(digits).learned_from == before.learned_from
    assert set(first) < set(remembered(digits, store))
    assert len(remembered(digits, store)) == 128
    ids = [one["data"]["labelloop_id"] for one in digits.tasks()]
    assert len(ids) == len(set(ids)) == 128


def purpose(project: Project, task: Any) -> str:
    asked = {one.item_id: one.purpose for one in project.ledger().answers.questions()}
    return asked[task["data"]["labelloop_id"]]
