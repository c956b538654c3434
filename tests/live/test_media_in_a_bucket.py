"""People see pictures that lie in a bucket: through one storage, with the credentials of now, and nothing leaks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.dataset import LabelStudioDataset
from labelloop.errors import BackendError, ConfigError
from labelloop.kinds import LabelSchema
from labelloop.testing.secrets import MemorySecrets

from support import buckets, emulators
from support.buckets import S3, elsewhere, held_with, link_to, looked_at, picture, task_data
from support.emulators import Emulator

pytestmark = pytest.mark.live

NAME = "bucket pictures"
PETS = LabelSchema("image", ("cat", "dog"))
READER = "rotating-reader"
CANARY = "c4n4ry-s3cr3t-v4lu3"


@pytest.fixture(autouse=True)
def _fresh(annotator: LabelStudioAnnotator) -> Iterator[None]:
    yield
    if any(summary.name == NAME for summary in annotator.datasets()):
        annotator.delete(NAME)


@pytest.fixture(scope="session")
def s3(s3_server: Emulator) -> S3:
    """A bucket whose server enforces keys."""
    return S3(s3_server, "live-pets")


@pytest.fixture
def team(annotator: LabelStudioAnnotator) -> MemorySecrets:
    """A token for the server of the session."""
    return MemorySecrets({"team": {"token": annotator.client().token}})


def opened(annotator: LabelStudioAnnotator) -> LabelStudioDataset:
    return annotator.open(NAME, PETS)


def storages(annotator: LabelStudioAnnotator, project: int, kind: str = "s3") -> Sequence[Mapping[str, Any]]:
    listed: Sequence[Mapping[str, Any]] = annotator.client().call(
        "GET", f"/api/storages/{kind}", query={"project": project}
    )
    return listed


def test_a_picture_in_the_bucket_is_seen_and_its_task_keeps_the_plain_address(
    annotator: LabelStudioAnnotator, s3: S3, team: MemorySecrets, tmp_path: Path
) -> None:
    question = s3.put("pets/a cat #1 & more.png", b"the bytes of a cat")
    dataset = opened(elsewhere(annotator, tmp_path, s3.where, team))

    dataset.ask([question])

    seen = looked_at(annotator, dataset.project, question.item.id)
    assert (seen.status_code, seen.content) == (200, b"the bytes of a cat")
    assert seen.headers["content-type"] == "image/png"
    assert task_data(annotator, dataset.project, question.item.id) == question.item.uri
    assert "X-Amz-Expires=3600" in link_to(annotator, dataset.project, question.item.uri)


def test_every_run_reuses_the_one_storage_and_syncing_it_makes_no_tasks(
    annotator: LabelStudioAnnotator, s3: S3, team: MemorySecrets, tmp_path: Path
) -> None:
    for run in range(3):
        dataset = opened(elsewhere(annotator, tmp_path, s3.where, team))
        dataset.ask([s3.put(f"pets/run {run}.png", b"run")])
        list(dataset.answers(None))

    (storage,) = storages(annotator, dataset.project)
    annotator.client().call("POST", f"/api/storages/s3/{storage['id']}/sync")
    assert dataset.size() == 3


_ASK = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from labelloop.testing.secrets import MemorySecrets
from labelloop.kinds import LabelSchema
from labelloop.types import Bucket
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from support.buckets import Shelf, picture
where = Bucket("s3", {name!r}, "pets/", {endpoint!r}, "us-east-1", credentials={keys!r})
annotator = LabelStudioAnnotator(
    home=Path({home!r}), secrets=MemorySecrets({{"team": {{"token": sys.stdin.read()}}}}), url={url!r},
    authentication_secret="team", store=Shelf(Path({home!r}) / "store", where))
dataset = annotator.open({dataset!r}, LabelSchema("image", ("cat", "dog")))
print("ready", flush=True)
dataset.ask([picture({uri!r})])
"""


@pytest.mark.parametrize("homes", [("one", "one"), ("one", "two")], ids=["one machine", "two machines"])
def test_two_processes_at_once_end_with_one_storage(
    annotator: LabelStudioAnnotator, s3: S3, tmp_path: Path, homes: Sequence[str]
) -> None:
    uris = [s3.put(f"pets/at once {turn}.png", b"at once").item.uri for turn in range(2)]
    dataset = opened(annotator)
    url, token = annotator.client().url, annotator.client().token

    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                _ASK.format(
                    path=[str(Path(buckets.__file__).parents[1])],
                    name=s3.name,
                    endpoint=s3.server.url,
                    keys=s3.keys,
                    home=str(tmp_path / home),
                    url=url,
                    dataset=NAME,
                    uri=uri,
                ),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for uri, home in zip(uris, homes, strict=True)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(token)
        process.stdin.close()
        process.stdin = None
    outcomes = [process.communicate(timeout=120) for process in processes]
    if any(process.returncode for process in processes):
        raise AssertionError(outcomes)
    next_run = opened(elsewhere(annotator, tmp_path, s3.where, MemorySecrets({"team": {"token": token}})))
    next_run.ask([picture(uris[0])])
    next_run.ask([s3.put("pets/afterwards.png", b"afterwards")])

    assert len(storages(annotator, dataset.project)) == 1
    assert dataset.size() == 3


def test_rotated_credentials_reach_label_studio_with_the_next_hearing(
    annotator: LabelStudioAnnotator, s3: S3, team: MemorySecrets, tmp_path: Path
) -> None:
    question = s3.put("pets/rotated.png", b"still there")
    first, second = user_key(s3), user_key(s3)
    stack = elsewhere(annotator, tmp_path, held_with(s3.where, **first), team)
    dataset = opened(stack)
    dataset.ask([question])
    old_link = link_to(annotator, dataset.project, question.item.uri)
    assert httpx.get(old_link).content == b"still there"

    iam(s3).delete_access_key(UserName=READER, AccessKeyId=first["aws_access_key_id"])
    stack.media.store.where = held_with(s3.where, **second)
    assert "older credentials" in dataset.survey().stale
    list(dataset.answers(None))
    assert dataset.survey().stale == ""

    assert httpx.get(old_link).status_code == 403
    assert looked_at(annotator, dataset.project, question.item.id).content == b"still there"
    assert len(storages(annotator, dataset.project)) == 1


def test_temporary_credentials_travel_with_their_session_token(
    annotator: LabelStudioAnnotator, aws_server: Emulator, team: MemorySecrets, tmp_path: Path
) -> None:
    import boto3

    sts = boto3.client(
        "sts", endpoint_url=aws_server.url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    issued = sts.get_session_token()["Credentials"]
    keys = {
        "aws_access_key_id": issued["AccessKeyId"],
        "aws_secret_access_key": issued["SecretAccessKey"],
        "aws_session_token": issued["SessionToken"],
    }
    moto = S3(aws_server, "live-temporary", keys)
    question = moto.put("pets/temporary.png", b"for an hour")
    dataset = opened(elsewhere(annotator, tmp_path, moto.where, team))

    dataset.ask([question])

    assert (
        httpx.URL(link_to(annotator, dataset.project, question.item.uri)).params["X-Amz-Security-Token"]
        == (issued["SessionToken"])
    )
    assert looked_at(annotator, dataset.project, question.item.id).content == b"for an hour"


def test_label_studio_may_read_with_a_secret_of_its_own(
    annotator: LabelStudioAnnotator, s3: S3, team: MemorySecrets, tmp_path: Path
) -> None:
    question = s3.put("pets/least privilege.png", b"read only")
    reader = {
        "aws_access_key_id": emulators.READER_KEY,
        "aws_secret_access_key": emulators.READER_SECRET,
    }
    team.set("aws_label_studio", reader)
    dataset = opened(elsewhere(annotator, tmp_path, s3.where, team, media_secret="aws_label_studio"))

    dataset.ask([question])

    assert reader["aws_access_key_id"] in link_to(annotator, dataset.project, question.item.uri)
    assert looked_at(annotator, dataset.project, question.item.id).content == b"read only"


def test_a_secret_that_misses_a_key_is_named(annotator: LabelStudioAnnotator, s3: S3, tmp_path: Path) -> None:
    secrets = MemorySecrets(
        {"team": {"token": annotator.client().token}, "aws_label_studio": {"aws_access_key_id": CANARY}}
    )
    dataset = opened(elsewhere(annotator, tmp_path, s3.where, secrets, media_secret="aws_label_studio"))

    with pytest.raises(ConfigError, match="secret 'aws_label_studio' has no aws_secret_access_key") as caught:
        dataset.ask([picture(f"s3://{s3.name}/pets/x.png")])

    assert CANARY not in caught.value.message
    assert caught.value.hint == "labelloop secret update aws_label_studio --aws_secret_access_key=..."


def test_credentials_that_are_refused_are_said_and_shown_nowhere(
    annotator: LabelStudioAnnotator, s3: S3, team: MemorySecrets, tmp_path: Path
) -> None:
    question = s3.put("pets/refused.png", b"refused")
    wrong = held_with(
        s3.where, aws_access_key_id=f"{CANARY}-id", aws_secret_access_key=CANARY, aws_session_token=f"{CANARY}-token"
    )
    stack = elsewhere(annotator, tmp_path, wrong, team)
    dataset = opened(stack)

    with pytest.raises(ConfigError, match=f"cannot show pictures from s3://{s3.name}") as caught:
        dataset.ask([question])

    assert CANARY not in f"{caught.value.message} {caught.value.hint} {caught.value!r} {stack!r} {wrong!r}"
    assert dataset.size() == 0
    assert CANARY not in annotator.connection.server.log.read_text(errors="replace")


def test_label_studio_tells_no_credentials(
    annotator: LabelStudioAnnotator, s3: S3, team: MemorySecrets, tmp_path: Path
) -> None:
    question = s3.put("pets/told.png", b"told")
    secret = s3.keys["aws_secret_access_key"]
    dataset = opened(elsewhere(annotator, tmp_path, s3.where, team))
    dataset.ask([question])
    looked_at(annotator, dataset.project, question.item.id)

    client = annotator.client()
    (storage,) = storages(annotator, dataset.project)
    told = [
        client.call("GET", f"/api/storages/s3/{storage['id']}"),
        client.call("GET", "/api/storages/", query={"project": dataset.project}),
        client.call("GET", f"/api/projects/{dataset.project}"),
        client.call("GET", f"/api/projects/{dataset.project}/export", query={"download_all_tasks": "true"}),
        link_to(annotator, dataset.project, question.item.uri),
        annotator.connection.server.log.read_text(errors="replace"),
        *(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()),
    ]
    assert secret not in str(told)


def test_what_lies_elsewhere_is_shown_as_before(
    annotator: LabelStudioAnnotator, s3: S3, team: MemorySecrets, tmp_path: Path
) -> None:
    body = BytesIO()
    Image.new("RGB", (3, 2), "red").save(body, "PNG")
    (tmp_path / "local.png").write_bytes(body.getvalue())
    local = picture(f"file://{tmp_path / 'local.png'}")
    dataset = opened(elsewhere(annotator, tmp_path, s3.where, team))

    dataset.ask([local])

    assert looked_at(annotator, dataset.project, local.item.id).content == body.getvalue()
    assert storages(annotator, dataset.project) == []


def iam(s3: S3) -> Any:
    import boto3

    return boto3.client("iam", endpoint_url=s3.server.url, region_name="us-east-1", **s3.keys)


def user_key(s3: S3) -> dict[str, str]:
    """A new access key of somebody who may read everything."""
    manager = iam(s3)
    if READER not in [user["UserName"] for user in manager.list_users()["Users"]]:
        manager.create_user(UserName=READER)
        everything = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": ["arn:aws:s3:::*"]}
        document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
        manager.put_user_policy(UserName=READER, PolicyName="read", PolicyDocument=document)
    made = manager.create_access_key(UserName=READER)["AccessKey"]
    return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


def test_check_follows_the_link_as_a_browser_would(
    annotator: LabelStudioAnnotator, s3: S3, team: MemorySecrets, tmp_path: Path
) -> None:
    stack = elsewhere(annotator, tmp_path, s3.where, team)
    before = stack.look(NAME)
    dataset = opened(stack)
    empty = stack.look(NAME)
    dataset.ask([s3.put("pets/looked at.png", b"looked at")])

    seen = stack.look(NAME)

    assert before == f"no picture of s3://{s3.name} has been asked about yet"
    assert empty == f"no picture of s3://{s3.name} has been asked about yet"
    assert seen == (
        f"1 from s3://{s3.name}: a browser gets it, from {annotator.client().url}, by a link that works for 60 minutes"
    )
    assert elsewhere_without_bucket(annotator, tmp_path, team).look(NAME) == ""


def test_a_picture_that_was_deleted_from_the_bucket_is_found_missing(
    annotator: LabelStudioAnnotator, s3: S3, team: MemorySecrets, tmp_path: Path
) -> None:
    stack = elsewhere(annotator, tmp_path, s3.where, team)
    opened(stack).ask([s3.put("pets/deleted.png", b"deleted")])
    s3.client.delete_object(Bucket=s3.name, Key="pets/deleted.png")

    with pytest.raises(BackendError, match="the signed link was answered with 404") as caught:
        stack.look(NAME)

    assert "check that the object exists" in caught.value.hint


def test_a_storage_that_somebody_deleted_is_named_and_made_again(
    annotator: LabelStudioAnnotator, s3: S3, team: MemorySecrets, tmp_path: Path
) -> None:
    stack = elsewhere(annotator, tmp_path, s3.where, team)
    dataset = opened(stack)
    question = s3.put("pets/storage deleted.png", b"storage deleted")
    dataset.ask([question])
    (storage,) = storages(annotator, dataset.project)
    annotator.client().call("DELETE", f"/api/storages/s3/{storage['id']}")

    with pytest.raises(BackendError, match="it answered 404") as caught:
        stack.look(NAME)
    dataset.ask([s3.put("pets/next.png", b"next")])

    assert "was deleted" in caught.value.hint
    assert looked_at(annotator, dataset.project, question.item.id).content == b"storage deleted"


def test_a_bucket_without_cors_for_label_studio_is_named_with_the_remedy(
    annotator: LabelStudioAnnotator, s3_server: Emulator, team: MemorySecrets, tmp_path: Path
) -> None:
    closed = S3(s3_server, "live-no-cors")
    stack = elsewhere(annotator, tmp_path, closed.where, team)
    opened(stack).ask([closed.put("pets/no cors.png", b"no cors")])
    closed.client.put_bucket_cors(
        Bucket=closed.name,
        CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://other.example"]}]},
    )

    with pytest.raises(ConfigError, match="does not let pages of http") as caught:
        stack.look(NAME)

    assert f"labelloop cloud setup aws --bucket {closed.name}" in caught.value.hint


def elsewhere_without_bucket(annotator: LabelStudioAnnotator, home: Path, secrets: MemorySecrets) -> Any:
    url = annotator.client().url
    return LabelStudioAnnotator(home=home, secrets=secrets, url=url, authentication_secret="team")
