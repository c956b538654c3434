"""A picture that Label Studio cannot reach by itself is uploaded, read as the stack reads it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.media import shown
from labelloop.backends.label_studio.served import Root
from labelloop.data.locations import Access
from labelloop.types import Bucket, Item, Missing

from support.http_double import Double, Request, Response, serving

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


def picture(form: str = "PNG") -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(body, form)
    return body.getvalue()


def uploaded(server: Double, shelf: Any, uri: str) -> bytes:
    value = shown(
        Client(server.url, "t"), 7, [Item("a", "image", uri=uri)], Root(Path("/")), PETS, access=Access(shelf)
    )
    assert value == {"a": "/data/upload/7/picture.png"}
    return next(one.body for one in server.seen if one.path.endswith("/import"))


def test_an_object_whose_key_label_studio_cannot_name_is_read_with_the_credentials_of_the_store(
    server: Double, shelf: Shelf
) -> None:
    shelf.files.pipe_file("pets/why?.png", picture())

    assert picture() in uploaded(server, shelf, "s3://pets/why?.png")


@pytest.mark.parametrize("name", ["scan.tif", "IMG_1.heic", "IMG_2.HEIC", "map.jp2"])
def test_an_object_that_no_browser_shows_is_uploaded_as_one_that_every_browser_does(
    server: Double, shelf: Shelf, name: str
) -> None:
    forms = {"tif": "TIFF", "heic": "HEIF", "jp2": "JPEG2000"}
    shelf.files.pipe_file(f"pets/{name}", picture(forms[name.rpartition(".")[2].lower()]))

    sent = uploaded(server, shelf, f"s3://pets/{name}")

    assert b'filename="a.png"' in sent
    assert b"\x89PNG\r\n" in sent


@pytest.mark.parametrize(("name", "form"), [("a.tif", "TIFF"), ("really_a_tiff.png", "TIFF"), ("IMG_0009", "PNG")])
def test_a_file_of_ours_that_a_browser_would_not_show_is_not_served_but_uploaded(
    server: Double, tmp_path: Path, name: str, form: str
) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / name).write_bytes(picture(form))
    item = Item("a", "image", uri=(tmp_path / "scans" / name).as_uri())

    value = shown(Client(server.url, "t"), 7, [item], Root(tmp_path))

    assert value == {"a": "/data/upload/7/picture.png"}
    assert not [one for one in server.seen if "localfiles" in one.path]
    assert any(b"\x89PNG\r\n" in one.body for one in server.seen if one.path.endswith("/import"))


def test_a_picture_that_cannot_be_made_into_one_is_left_out_and_the_others_are_asked(
    server: Double, shelf: Shelf
) -> None:
    shelf.files.pipe_file("pets/why?.png", picture())
    shelf.files.pipe_file("pets/broken.tif", picture("TIFF")[:50])
    items = [Item("a", "image", uri="s3://pets/why?.png"), Item("b", "image", uri="s3://pets/broken.tif")]
    refused: dict[str, Missing] = {}

    value = shown(Client(server.url, "t"), 7, items, None, PETS, access=Access(shelf), refused=refused)

    assert list(value) == ["a"]
    assert "cannot be made into a picture that browsers show" in refused["b"].reason


def test_one_that_is_gone_is_named_and_the_others_are_uploaded(server: Double, shelf: Shelf) -> None:
    shelf.files.pipe_file("pets/why?.png", picture())
    items = [Item(name, "image", uri=f"s3://pets/{name}?.png") for name in ("gone", "why")]
    missing: dict[str, Missing] = {}

    value = shown(Client(server.url, "t"), 7, items, Root(Path("/")), PETS, access=Access(shelf), refused=missing)

    assert value == {"why": "/data/upload/7/picture.png"}
    assert missing["gone"].reason.startswith("item 'gone' cannot be read from s3://pets/gone?.png")
