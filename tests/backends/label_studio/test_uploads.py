"""A picture that Label Studio cannot reach by itself is uploaded, read as the stack reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.media import shown
from labelloop.backends.label_studio.served import Root
from labelloop.errors import BackendError
from labelloop.places import Access
from labelloop.types import Bucket, Item

from http_double import Double, Request, Response, serving

PETS = Bucket("s3", "pets", credentials={"aws_access_key_id": "k", "aws_secret_access_key": "s"})


class Shelf:
    """A store in the bucket `pets`, which alone can open it."""

    path = "s3://pets/loop"

    def __init__(self) -> None:
        self.files = MemoryFileSystem()

    def filesystem(self) -> MemoryFileSystem:
        """The bucket."""
        return self.files


@pytest.fixture
def server() -> Iterator[Double]:
    def answer(request: Request) -> Response:
        if request.path == "/api/projects/7/import":
            return Response(201, {"file_upload_ids": [1]})
        return Response(200, [{"id": 1, "file": "upload/7/picture.png"}])

    double = serving(answer)
    yield double
    double.stop()


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf()
    yield made
    made.files.store.clear()


def uploaded(server: Double, shelf: Any, uri: str) -> bytes:
    value = shown(
        Client(server.url, "t"), 7, [Item("a", "image", uri=uri)], Root(Path("/")), PETS, access=Access(shelf)
    )
    assert value == {"a": "/data/upload/7/picture.png"}
    return next(one.body for one in server.seen if one.path.endswith("/import"))


def test_an_object_whose_key_label_studio_cannot_name_is_read_with_the_credentials_of_the_store(
    server: Double, shelf: Shelf
) -> None:
    shelf.files.pipe_file("pets/why?.png", b"the picture")

    assert b"the picture" in uploaded(server, shelf, "s3://pets/why?.png")


def test_one_that_is_gone_is_named(server: Double, shelf: Shelf) -> None:
    with pytest.raises(BackendError, match=r"item 'a' cannot be read from s3://pets/why\?.png"):
        uploaded(server, shelf, "s3://pets/why?.png")
