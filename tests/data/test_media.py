"""Items in the store's bucket are read with its credentials; pictures from elsewhere are copied into it, once."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelloop.commands.add import Added, add_items
from labelloop.data.locations import ALONE, access_of
from labelloop.data.sources import Columns, content_id, read_content
from labelloop.errors import BackendError, BadItemError, ConfigError, NotFoundError
from labelloop.ledger import Ledger, open_ledger
from labelloop.protocols import BucketStore
from labelloop.testing.stores import MemoryStore
from labelloop.types import Item

from support import clouds

CLOUDS = {
    "s3": ("s3_server", clouds.s3_store),
    "gcp": ("gcs_server", clouds.gcp_store),
    "azure": ("azure_server", clouds.azure_store),
}


def png(number: int) -> bytes:
    body = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(noise).resize((96, 72)).save(body, "PNG")
    return body.getvalue()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "photos")


@pytest.fixture(params=CLOUDS)
def store(request: pytest.FixtureRequest) -> BucketStore:
    server, make = CLOUDS[request.param]
    made: BucketStore = make(request.getfixturevalue(server))
    return made


def photos(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.png").write_bytes(png(number))
    return folder


def put(store: BucketStore, files: Mapping[str, bytes]) -> None:
    for key, body in files.items():
        store.write(key, io.BytesIO(body))


def add(ledger: Ledger, store: Any, *places: object, **options: Any) -> Added:
    return add_items(ledger, [str(place) for place in places], "image", Columns(), store=store, **options)


def items(ledger: Ledger) -> list[Item]:
    return ledger.items.between(0, ledger.items.count())


def test_a_folder_of_the_bucket_gives_its_pictures_where_they_are(ledger: Ledger, store: BucketStore) -> None:
    put(store, {"photos/a.png": png(1), "photos/sub/b.PNG": png(2), "photos/.c.png": png(3), "photos/d.bin": b"?"})

    taken = add(ledger, store, f"{store.path}/photos")

    assert (taken.new, taken.copied, taken.unreadable) == (2, 0, ())
    assert [item.uri for item in items(ledger)] == [f"{store.path}/photos/a.png", f"{store.path}/photos/sub/b.PNG"]
    assert [item.meta["file"] for item in items(ledger)] == ["a.png", "sub/b.PNG"]
    read = partial(read_content, access=access_of(store))
    assert [read(item) for item in items(ledger)] == [png(1), png(2)]


def test_a_pattern_and_a_table_in_the_bucket_are_places_too(ledger: Ledger, store: BucketStore) -> None:
    rows = [{"image": "a.png"}, {"image": f"{store.path}/photos/b.png"}, {"image": "gone.png"}]
    table = "\n".join(json.dumps(row) for row in rows).encode()
    put(store, {"photos/a.png": png(1), "photos/b.png": png(2), "photos/c.png": png(3), "photos/list.jsonl": table})

    taken = add(ledger, store, f"{store.path}/photos/[c].png", f"{store.path}/photos/list.jsonl")

    assert (taken.new, taken.copied) == (3, 0)
    assert "gone.png does not exist" in taken.unreadable[0].reason


def test_pictures_from_elsewhere_are_copied_under_the_digest_of_their_content(
    ledger: Ledger, store: BucketStore, tmp_path: Path
) -> None:
    taken = add(ledger, store, photos(tmp_path / "here"))

    assert (taken.new, taken.copied) == (3, 3)
    assert "3 picture(s) copied into the bucket" in taken.in_words(dry_run=False)
    first = items(ledger)[0]
    digest = content_id(png(0))
    assert first.uri == f"{store.path}/media/{digest[:2]}/{digest}.png"
    assert read_content(first, access_of(store)) == png(0)


def test_adding_again_copies_nothing(ledger: Ledger, store: BucketStore, tmp_path: Path) -> None:
    here = photos(tmp_path / "here")
    add(ledger, store, here)

    again = add(ledger, store, here, f"{store.path}/media")

    assert (again.new, again.known, again.copied) == (0, 6, 0)


def test_a_dry_run_copies_nothing(ledger: Ledger, store: BucketStore, tmp_path: Path) -> None:
    taken = add(ledger, store, photos(tmp_path / "here"), dry_run=True)

    assert (taken.new, taken.copied) == (3, 0)
    assert list(store.filesystem().files_below(store.path)) == []


class Copier:
    """A bucket in memory that fails after some writes."""

    path = "s3://bucket"

    def __init__(self, writes: int) -> None:
        self.inside = MemoryStore()
        self.writes = writes

    def bucket(self) -> None: ...

    def filesystem(self) -> None: ...

    def write(self, key: str, body: Any) -> None:
        if len(self.inside.written) >= self.writes:
            raise BackendError("s3://bucket does not answer", "again", retryable=True)
        self.inside.write(key, body)


def test_what_was_interrupted_is_completed_by_the_next(ledger: Ledger, tmp_path: Path) -> None:
    here, bucket = photos(tmp_path / "here", 5), Copier(writes=2)
    with pytest.raises(BackendError, match="does not answer"):
        add(ledger, bucket, here)
    between = ledger.items.count()
    bucket.writes = 100

    taken = add(ledger, bucket, here)

    assert (between, taken.new, taken.copied) == (0, 5, 5)
    assert len(bucket.inside.bodies) == 5


def test_with_a_store_of_files_pictures_stay_where_they_are(ledger: Ledger, tmp_path: Path) -> None:
    here = photos(tmp_path / "here")

    taken = add(ledger, MemoryStore(), here)

    assert (taken.new, taken.copied) == (3, 0)
    assert items(ledger)[0].uri == (here / "0.png").as_uri()


def test_a_picture_that_is_gone_by_then_is_counted_not_added(ledger: Ledger, tmp_path: Path) -> None:
    table = tmp_path / "list.jsonl"
    table.write_text(json.dumps({"image": "http://127.0.0.1:1/none.png"}) + "\n")
    photos(tmp_path / "here", 1)

    taken = add(ledger, Copier(9), table, tmp_path / "here", hosts=["127.0.0.1"])

    assert (taken.new, taken.copied, ledger.items.count()) == (1, 1, 1)
    assert "http://127.0.0.1:1/none.png does not answer" in taken.unreadable[0].reason


@pytest.mark.parametrize(
    ("store_path", "url", "inside"),
    [
        ("s3://bucket/folder", "s3://bucket/photos/a.png", True),
        ("s3://bucket", "s3a://bucket/a.png", True),
        ("gs://bucket", "gcs://bucket/a.png", True),
        ("az://bucket", "abfs://bucket/a.png", True),
        ("s3://bucket", "s3://bucket2/a.png", False),
        ("s3://bucket", "gs://bucket/a.png", False),
        ("s3://bucket", "zip://a.png::s3://bucket/b.zip", False),
        ("s3://bucket", "bucket/a.png", False),
    ],
)
def test_only_urls_of_the_bucket_get_its_credentials(store_path: str, url: str, inside: bool) -> None:
    bucket = Copier(0)
    bucket.path = store_path

    assert access_of(bucket).holds(url) == inside
    assert not ALONE.holds(url)


def test_an_item_of_the_bucket_that_is_gone_is_a_bad_item(store: BucketStore) -> None:
    item = Item("gone", "image", uri=f"{store.path}/gone.png")

    with pytest.raises(BadItemError, match=r"gone\.png"):
        read_content(item, access_of(store))


def test_a_folder_that_is_not_there_is_not_found(ledger: Ledger, store: BucketStore) -> None:
    with pytest.raises(NotFoundError, match="there is nothing at"):
        add(ledger, store, f"{store.path}/nothing")


def test_wrong_keys_are_said_not_taken_for_nothing(ledger: Ledger, s3_server: Any) -> None:
    wrong = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
    store = clouds.s3_store(s3_server, authentication_secret="wrong", secrets=clouds.secrets_of("wrong", wrong))

    with pytest.raises(ConfigError, match=r"refuses the credentials of secret 'wrong' \(403 InvalidAccessKeyId\)"):
        add(ledger, store, f"{store.path}/photos")
