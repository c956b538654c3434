"""Pictures in Google's and Azure's buckets, through a Label Studio that labelloop manages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.testing.secrets import MemorySecrets

from support import emulators
from support.buckets import GCS, Azure, Shelf, link_to, looked_at, picture, task_data
from support.emulators import Emulator

pytestmark = [pytest.mark.live, pytest.mark.slow]

NAME = "other clouds"
PETS = LabelSchema("image", ("cat", "dog"))
CANARY = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnk="


@pytest.fixture(scope="module")
def gcs(gcs_server: Emulator) -> Iterator[GCS]:
    """A bucket, and the token server of its service account."""
    made = GCS(gcs_server, "live-pets")
    yield made
    made.tokens.stop()


@pytest.fixture(scope="module")
def azure(azure_server: Emulator) -> Azure:
    """A container."""
    return Azure(azure_server, "live-pets")


@pytest.fixture(scope="module")
def shelf(gcs: GCS, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """The store of the stack; the server is started for Google's emulator, which no field of a storage can name."""
    return Shelf(tmp_path_factory.mktemp("shelf"), gcs.where)


@pytest.fixture(scope="module")
def managed(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioAnnotator]:
    """Our own server, started for the bucket."""
    home = tmp_path_factory.mktemp("clouds")
    annotator = LabelStudioAnnotator(home=home, secrets=MemorySecrets(), port=8610, store=shelf)
    annotator.up()
    yield annotator
    annotator.down()


@pytest.fixture(autouse=True)
def _fresh(managed: LabelStudioAnnotator) -> Iterator[None]:
    yield
    if any(summary.name == NAME for summary in managed.datasets()):
        managed.delete(NAME)


def test_google_pictures_are_seen_by_signed_links(managed: LabelStudioAnnotator, shelf: Shelf, gcs: GCS) -> None:
    shelf.where = gcs.where
    question = gcs.put("pets/a cat #1.png", b"the bytes of a cat")
    dataset = managed.open(NAME, PETS)

    dataset.ask([question])

    link = link_to(managed, dataset.project, question.item.uri)
    assert httpx.URL(link).params["X-Goog-Expires"] == "3600"
    assert looked_at(managed, dataset.project, question.item.id).content == b"the bytes of a cat"
    assert "by a link that works for 60 minutes" in managed.look(NAME)


def test_google_pictures_without_a_key_that_can_sign_are_passed_on(
    managed: LabelStudioAnnotator, shelf: Shelf, gcs: GCS
) -> None:
    shelf.where = replace(gcs.where, credentials={"token": emulators.fake_gcp_key(gcs.server.url)})
    question = gcs.put("pets/passed on.png", b"passed on")
    dataset = managed.open(NAME, PETS)

    dataset.ask([question])

    assert looked_at(managed, dataset.project, question.item.id).content == b"passed on"
    assert managed.look(NAME) == f"1 from gs://{gcs.name}: passed on by Label Studio"


def test_azure_pictures_of_another_endpoint_are_passed_on(
    managed: LabelStudioAnnotator, shelf: Shelf, azure: Azure
) -> None:
    shelf.where = azure.where
    question = azure.put("pets/a cat & 1.png", b"the bytes of a cat")
    dataset = managed.open(NAME, PETS)

    dataset.ask([question])

    assert looked_at(managed, dataset.project, question.item.id).content == b"the bytes of a cat"
    assert task_data(managed, dataset.project, question.item.id) == f"azure-blob://{azure.name}/pets/a cat & 1.png"
    assert managed.look(NAME) == f"1 from az://{azure.name}: passed on by Label Studio"


@pytest.mark.parametrize("cloud", ["gcp", "azure"])
def test_no_cloud_has_its_storage_twice_or_tells_its_key(
    managed: LabelStudioAnnotator, shelf: Shelf, gcs: GCS, azure: Azure, cloud: str
) -> None:
    bucket = gcs if cloud == "gcp" else azure
    shelf.where = bucket.where
    for run in range(3):
        managed.open(NAME, PETS).ask([bucket.put(f"pets/run {run}.png", b"run")])

    dataset = managed.open(NAME, PETS)
    kind = "gcs" if cloud == "gcp" else "azure"
    told = managed.client().call("GET", f"/api/storages/{kind}", query={"project": dataset.project})
    log = managed.connection.server.log.read_text(errors="replace")
    assert len(told) == 1
    for secret in (emulators.AZURE_KEY, gcs.key["private_key"].splitlines()[1]):
        assert secret not in f"{told}{log}"


@pytest.mark.parametrize(
    ("cloud", "credentials", "reason"),
    [
        ("azure", {"account_name": emulators.AZURE_ACCOUNT, "account_key": CANARY}, "failed to authenticate"),
        ("azure", {}, "account name and key must be set"),
        ("gcp", {"token": '{"private_key": "' + CANARY + '"}'}, "not in the expected format"),
        ("gcp", {"token": CANARY}, "must be valid JSON"),
    ],
)
def test_a_key_that_does_not_work_is_said_and_not_shown(
    managed: LabelStudioAnnotator,
    shelf: Shelf,
    gcs: GCS,
    azure: Azure,
    cloud: str,
    credentials: dict[str, str],
    reason: str,
) -> None:
    bucket = gcs if cloud == "gcp" else azure
    shelf.where = replace(bucket.where, credentials=credentials)
    question = bucket.put("pets/refused.png", b"refused")

    with pytest.raises(ConfigError, match=reason) as caught:
        managed.open(NAME, PETS).ask([question])

    assert CANARY not in f"{caught.value.message} {caught.value.hint}"
    assert CANARY not in managed.connection.server.log.read_text(errors="replace")
    assert ("media_secret" in caught.value.hint) is (credentials == {})


def test_keys_that_label_studio_cannot_name_are_uploaded_instead(azure: Azure) -> None:
    from labelloop.backends.label_studio.buckets import address

    odd = [picture(f"az://{azure.name}/pets/{name}").item.uri for name in ("a#1.png", "50%.png", "why?.png", " x ")]

    assert [address(azure.where, uri) for uri in odd] == [""] * 4
    assert address(azure.where, f"az://{azure.name}/pets/a.png") == f"azure-blob://{azure.name}/pets/a.png"
    assert address(azure.where, "az://other/pets/a.png") == ""
