"""A store in a bucket, and pictures in it, for the tests that show them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.local_store import LocalArtifactStore
from labelloop.types import Bucket, Item, Question

import emulators
from emulators import Emulator


class Shelf(LocalArtifactStore):
    """A store that says it is in a bucket, with whatever credentials it is given next."""

    def __init__(self, folder: Path, where: Bucket) -> None:
        super().__init__(path=str(folder))
        self.where = where

    def bucket(self) -> Bucket:
        """The bucket of now."""
        return self.where


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
    headers = {"Authorization": client._authorization(), "Origin": client.url}
    page = client.url + task_data(annotator, project, item, resolved=True)
    answer = httpx.get(page, headers=headers, trust_env=False, timeout=60)
    if answer.status_code != 303:
        return answer
    return httpx.get(answer.headers["location"], headers={"Origin": client.url}, trust_env=False)


def link_to(annotator: LabelStudioAnnotator, project: int, uri: str) -> str:
    """The signed link of an object, as Label Studio hands it out."""
    client = annotator.client()
    query = {"fileuri": base64.urlsafe_b64encode(uri.encode()).decode()}
    headers = {"Authorization": client._authorization()}
    page = f"{client.url}/projects/{project}/resolve/"
    answer = httpx.get(page, params=query, headers=headers, trust_env=False, timeout=60)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])
