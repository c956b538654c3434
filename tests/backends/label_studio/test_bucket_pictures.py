"""What a link of each cloud says of its end, what a page of https shows, and what our own server gets to know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest

from labelloop.backends.label_studio.buckets import access_to, address, have_storage, is_signed, surroundings
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.probe import look, minutes_of, rehearse
from labelloop.backends.s3_store import S3ArtifactStore
from labelloop.errors import BackendError, ConfigError
from labelloop.protocols import PROBE
from labelloop.types import Bucket

from support import clouds
from support.emulators import Emulator
from support.http_double import Double, Request, Response, serving

TOKEN = "0123456789abcdef0123456789abcdef01234567"
IN_AN_HOUR = "IN_AN_HOUR"
PETS = Bucket("s3", "pets", "loop/", credentials={"aws_access_key_id": "k", "aws_secret_access_key": "s"})


@pytest.mark.parametrize(
    ("link", "minutes"),
    [
        ("https://x.example/a?X-Amz-Expires=3600&X-Amz-Date=20261125T000000Z", 60),
        ("https://x.example/a?X-Goog-Expires=300", 5),
        (f"https://x.example/a?sv=2024-05-04&se={IN_AN_HOUR}&sig=s", 60),
    ],
    ids=["s3", "gcp", "azure"],
)
def test_a_signed_link_of_each_cloud_says_how_long_it_works(link: str, minutes: float) -> None:
    in_an_hour = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    found = minutes_of(link.replace(IN_AN_HOUR, in_an_hour))

    assert found is not None
    assert abs(found - minutes) < 1


def test_a_link_that_says_no_end_has_none() -> None:
    assert minutes_of("https://x.example/a.png") is None


class Service:
    """Label Studio and the bucket in one: a task's picture is signed to a link of `minutes` with `headers`."""

    def __init__(self) -> None:
        self.minutes = 60
        self.status = 200
        self.headers: dict[str, str] = {"Access-Control-Allow-Origin": "*"}
        self.link = ""

    def __call__(self, request: Request) -> Response:
        if request.path == "/api/tasks":
            return Response(200, {"tasks": [{"id": 7, "data": {"image": "s3://pets/loop/a.png"}}], "total": 3})
        if request.path == "/tasks/7/resolve/":
            link = self.link or f"{request.url}/pets/a.png?X-Amz-Expires={self.minutes * 60}"
            return Response(303, headers={"Location": link})
        return Response(self.status, "the picture", self.headers)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def double(service: Service) -> Iterator[Double]:
    running = serving(service)
    yield running
    running.stop()


def test_a_picture_that_a_browser_gets_is_told_with_the_lifetime_of_its_link(double: Double) -> None:
    said = look(Client(double.url, TOKEN), 1, PETS)

    assert said == f"3 from s3://pets: a browser gets it, from {double.url}, by a link that works for 60 minutes"


@pytest.mark.parametrize(
    ("change", "kind", "message", "hint"),
    [
        ({"minutes": 1}, ConfigError, r"end after 1 minute\(s\)", "60 minutes"),
        ({"headers": {}}, ConfigError, r"Access-Control-Allow-Origin: none", "labelloop cloud setup aws --bucket pets"),
        ({"status": 403}, BackendError, "answered with 403", "s3:GetObject"),
        (
            {"link": "http://127.0.0.1:9/pets/a.png"},
            BackendError,
            "cannot be reached at http://127.0.0.1:9",
            "endpoint",
        ),
    ],
)
def test_each_thing_that_keeps_a_picture_from_people_is_told_with_its_remedy(
    service: Service, double: Double, change: dict[str, Any], kind: type[Exception], message: str, hint: str
) -> None:
    for name, value in change.items():
        setattr(service, name, value)

    with pytest.raises(kind, match=message) as caught:
        look(Client(double.url, TOKEN), 1, PETS)

    assert hint in getattr(caught.value, "hint", "")
    assert "X-Amz" not in f"{caught.value}"  # a signed link lets anybody in who reads the log


@pytest.mark.parametrize(
    ("bucket", "signed"),
    [
        (PETS, True),
        (Bucket("s3", "pets"), True),
        (Bucket("gcp", "pets", credentials={"token": '{"private_key": "k"}'}), True),
        (Bucket("gcp", "pets", credentials={"token": '{"private_key": "k", "disable_oauth": true}'}), False),
        (Bucket("gcp", "pets"), False),
        (Bucket("azure", "pets", account="a", credentials={"account_key": "k"}), True),
        (Bucket("azure", "pets", endpoint="http://127.0.0.1:1/a", credentials={"account_key": "k"}), False),
    ],
)
def test_links_are_signed_where_label_studio_can(bucket: Bucket, signed: bool) -> None:
    assert is_signed(bucket) is signed


def test_our_own_server_gets_the_default_credentials_of_the_store_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "pets")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/key.json")

    assert "AWS_PROFILE" not in surroundings(PETS)  # its session token would be mixed with the store's keys
    assert surroundings(Bucket("s3", "pets"))["AWS_PROFILE"] == "pets"
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in surroundings(Bucket("s3", "pets"))
    assert surroundings(Bucket("gcp", "pets"))["GOOGLE_APPLICATION_CREDENTIALS"] == "/key.json"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://pets/loop/a b#1.png", "s3://pets/loop/a b#1.png"),
        ("s3://pets/elsewhere.png", "s3://pets/elsewhere.png"),
        ("s3://petshop/a.png", ""),
        ("s3://pets/why?.png", ""),
        ("s3://pets//a.png", ""),
        ("gs://pets/a.png", ""),
        ("https://pets/a.png", ""),
        ("file:///pets/a.png", ""),
    ],
)
def test_only_objects_of_the_bucket_are_shown_from_it(uri: str, shown: str) -> None:
    assert address(PETS, uri) == shown


def test_before_anything_was_asked_the_probe_of_the_store_is_followed(s3_server: Emulator, double: Double) -> None:
    store = clouds.s3_store(s3_server)
    store.write(PROBE, BytesIO(b"labelloop"))

    said = rehearse(Client(double.url, TOKEN), store.bucket(), store)

    assert said == (
        f"no picture of s3://{store.bucket_name} has been asked about yet, so {store.path}/check/probe was tried:"
        f" a browser gets it, from {double.url}, by a link that works for 60 minutes"
    )


@pytest.mark.parametrize(("allowed", "fails"), [("*", False), ("https://other.example", True)])
def test_the_rehearsal_sees_whether_pages_may_show_the_bucket(double: Double, allowed: str, fails: bool) -> None:
    bucket = serving(lambda _: Response(200, "x", {"Access-Control-Allow-Origin": allowed, "ETag": "1"}))
    secrets = clouds.secrets_of("s", {"aws_access_key_id": "k", "aws_secret_access_key": "s"})
    store = S3ArtifactStore(path="s3://pets", authentication_secret="s", endpoint=bucket.url, secrets=secrets)
    try:
        told = "does not let pages" if fails else ""
        with pytest.raises(ConfigError, match=told) if fails else nullcontext():
            rehearse(Client(double.url, TOKEN), store.bucket(), store)
    finally:
        bucket.stop()


def test_a_rehearsal_needs_the_probe_and_a_bucket_whose_links_are_signed(
    double: Double, azure_server: Emulator
) -> None:
    azure = clouds.azure_store(azure_server)

    passed_on = rehearse(Client(double.url, TOKEN), azure.bucket(), azure)
    without = rehearse(Client(double.url, TOKEN), PETS, object())

    assert passed_on.endswith("Label Studio will pass them on")
    assert without == "no picture of s3://pets has been asked about yet"
    assert look(Client(double.url, TOKEN), 1, Bucket("s3", "pets")) != ""


def test_temporary_credentials_of_a_secret_reach_label_studios_storage_whole() -> None:
    keys = {"aws_access_key_id": "ASIA", "aws_secret_access_key": "s", "aws_session_token": "t"}
    store = S3ArtifactStore(path="s3://pets", authentication_secret="s", secrets=clouds.secrets_of("s", keys))

    sent = access_to(store.bucket())

    assert {name: sent[name] for name in keys} == keys


class Storages:
    """Label Studio with two storages of ours in a project; whoever removes one finds that it was removed already."""

    def __init__(self, *, gone: bool) -> None:
        self.gone = gone
        self.there: list[dict[str, Any]] = [
            {"id": number, "bucket": "pets", "title": "labelloop: s3://pets", "description": ""} for number in (4, 5)
        ]

    def __call__(self, request: Request) -> Response:
        if request.method == "GET":
            return Response(200, self.there)
        if request.method == "PATCH":
            return Response(200, {})
        if self.gone:
            self.there = self.there[:1]
        return Response(404, "<title>404 | Label Studio</title>", {"Content-Type": "text/html"})


@pytest.mark.parametrize("gone", [True, False], ids=["by another", "not at all"])
def test_a_second_storage_that_another_machine_removed_first_is_gone_all_the_same(gone: bool) -> None:
    double = serving(Storages(gone=gone))
    expected = nullcontext() if gone else pytest.raises(BackendError, match="404 to DELETE /api/storages/s3/5")
    try:
        with expected:
            have_storage(Client(double.url, TOKEN), 1, PETS)
    finally:
        double.stop()
