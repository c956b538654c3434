"""A store in a bucket, and pictures in it, for the tests that show them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from labelloop.backends.label_studio import calls
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.local_store import LocalArtifactStore
from labelloop.testing.secrets import MemorySecrets
from labelloop.types import Bucket, Item, Question

from support import emulators
from support.emulators import Emulator
from support.http_double import Response, serving


class Shelf(LocalArtifactStore):
    """A store that says it is in a bucket, with whatever credentials it is given next."""

    def __init__(self, folder: Path, where: Bucket) -> None:
        super().__init__(path=str(folder))
        self.where = where

    def bucket(self) -> Bucket:
        """The bucket of now."""
        return self.where


def elsewhere(
    annotator: LabelStudioAnnotator, home: Path, where: Bucket, secrets: MemorySecrets, media_secret: str = ""
) -> Any:
    """The server of the session as someone else's, for a stack whose store is in a bucket."""
    calls.allow_bucket(annotator.connection.home, where)  # whoever runs a server of their own lets it read their bucket
    return LabelStudioAnnotator(
        home=home,
        secrets=secrets,
        url=annotator.client().url,
        authentication_secret="team",
        store=Shelf(home / "store", where),
        media_secret=media_secret,
    )


@dataclass
class S3:
    """A bucket of an S3 server."""

    server: Emulator
    name: str
    keys: dict[str, str] = field(
        default_factory=lambda: {
            "aws_access_key_id": emulators.ACCESS_KEY,
            "aws_secret_access_key": emulators.SECRET_KEY,
        }
    )

    def __post_init__(self) -> None:
        self.client.create_bucket(Bucket=self.name)

    @property
    def client(self) -> Any:
        """The bucket's own client."""
        import boto3

        return boto3.client("s3", endpoint_url=self.server.url, region_name="us-east-1", **self.keys)

    @property
    def where(self) -> Bucket:
        """What a store would say."""
        return Bucket("s3", self.name, "pets/", self.server.url, "us-east-1", credentials=dict(self.keys))

    def put(self, key: str, body: bytes) -> Question:
        """A picture in the bucket, as a question."""
        self.client.put_object(Bucket=self.name, Key=key, Body=body)
        return picture(f"s3://{self.name}/{key}")


def picture(uri: str) -> Question:
    """A question about an object."""
    return Question(Item(uri.rpartition("/")[2], "image", uri=uri))


def held_with(where: Bucket, **keys: str) -> Bucket:
    """The bucket with other credentials."""
    return replace(where, credentials=keys)


def task_data(annotator: LabelStudioAnnotator, project: int, item: str, *, resolved: bool = False) -> str:
    """What the task of an item says, as it is kept or as a browser gets it."""
    query = {"project": project, "fields": "task_only", "resolve_uri": str(resolved).lower(), "page_size": 1000}
    tasks = annotator.client().call("GET", "/api/tasks", query=query)["tasks"]
    (value,) = [task["data"]["image"] for task in tasks if task["data"]["labelloop_id"] == item]
    return str(value)


def looked_at(annotator: LabelStudioAnnotator, project: int, item: str) -> httpx.Response:
    """What a browser that is signed in gets for the picture of an item, redirects followed."""
    client = annotator.client()
    headers = {"Authorization": client.authorization(), "Origin": client.url}
    page = client.url + task_data(annotator, project, item, resolved=True)
    answer = httpx.get(page, headers=headers, trust_env=False, timeout=60)
    if answer.status_code != 303:
        return answer
    return httpx.get(answer.headers["location"], headers={"Origin": client.url}, trust_env=False)


def link_to(annotator: LabelStudioAnnotator, project: int, uri: str) -> str:
    """The signed link of an object, as Label Studio hands it out."""
    client = annotator.client()
    query = {"fileuri": base64.urlsafe_b64encode(uri.encode()).decode()}
    headers = {"Authorization": client.authorization()}
    page = f"{client.url}/projects/{project}/resolve/"
    answer = httpx.get(page, params=query, headers=headers, trust_env=False, timeout=60)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


@dataclass
class GCS:
    """A bucket of a Google Cloud Storage server, with a token server of its own: the emulator has none."""

    server: Emulator
    name: str

    def __post_init__(self) -> None:
        granted = Response(200, {"access_token": "granted", "expires_in": 3600, "token_type": "Bearer"})
        self.tokens = serving(lambda _: granted)
        self.key = {**json.loads(emulators.fake_gcp_key(self.server.url)), "token_uri": f"{self.tokens.url}/token"}
        httpx.post(f"{self.server.url}/storage/v1/b", params={"project": "p"}, json={"name": self.name})

    @property
    def where(self) -> Bucket:
        """What a store with a real service account would say."""
        key = {name: value for name, value in self.key.items() if name != "disable_oauth"}
        return Bucket("gcp", self.name, "pets/", self.server.url, credentials={"token": json.dumps(key)})

    def put(self, key: str, body: bytes) -> Question:
        """A picture in the bucket, as a question."""
        query = {"name": key, "uploadType": "media"}
        headers = {"Content-Type": "image/png"}
        url = f"{self.server.url}/upload/storage/v1/b/{self.name}/o"
        assert httpx.post(url, params=query, content=body, headers=headers).is_success
        return picture(f"gs://{self.name}/{key}")


@dataclass
class Azure:
    """A container of an Azure Blob server."""

    server: Emulator
    name: str

    def __post_init__(self) -> None:
        self.request("PUT", "", b"", {"restype": "container"}, {})

    @property
    def where(self) -> Bucket:
        """What a store would say."""
        keys = {"account_name": emulators.AZURE_ACCOUNT, "account_key": emulators.AZURE_KEY}
        return Bucket("azure", self.name, "pets/", self.server.url, account=emulators.AZURE_ACCOUNT, credentials=keys)

    def put(self, key: str, body: bytes) -> Question:
        """A picture in the container, as a question."""
        headers = {"x-ms-blob-type": "BlockBlob", "x-ms-blob-content-type": "image/png"}
        self.request("PUT", f"/{quote(key)}", body, {}, headers)
        return picture(f"az://{self.name}/{key}")

    def request(self, method: str, path: str, body: bytes, query: dict[str, str], headers: dict[str, str]) -> None:
        """A request signed with the account's key, as Azure's documentation of shared keys describes it."""
        now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        sent = {**headers, "x-ms-date": now, "x-ms-version": "2021-08-06"}
        named = "".join(f"{name}:{value}\n" for name, value in sorted(sent.items()))
        length = str(len(body)) if body else ""
        account = emulators.AZURE_ACCOUNT
        place = f"/{account}/{account}/{self.name}{path}" + "".join(f"\n{k}:{v}" for k, v in sorted(query.items()))
        text = f"{method}\n\n\n{length}\n\n\n\n\n\n\n\n\n{named}{place}"
        digest = hmac.new(base64.b64decode(emulators.AZURE_KEY), text.encode(), hashlib.sha256).digest()
        sent["Authorization"] = f"SharedKey {account}:{base64.b64encode(digest).decode()}"
        url = f"{self.server.url}/{self.name}{path}"
        answer = httpx.request(method, url, params=query, content=body, headers=sent)
        assert answer.is_success, answer.text
