"""What became an item is not read again while listing says that it is the same: here, in archives, in buckets."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import fsspec
import httpx
import numpy as np
import pytest
from PIL import Image

from labelloop.backends.buckets import BucketArtifacts
from labelloop.commands.add import Added, add_items
from labelloop.data.locations import held
from labelloop.data.sources import Columns, content_id
from labelloop.ledger import Ledger, open_ledger
from labelloop.protocols import BucketStore
from labelloop.types import Modality

from support import clouds
from support.emulators import Emulator
from support.http_double import Request, Response, serving

CLOUDS = {
    "s3": ("s3_server", clouds.s3_store),
    "gcp": ("gcs_server", clouds.gcp_store),
    "azure": ("azure_server", clouds.azure_store),
}
LONG_AGO = 1_700_000_000


def png(number: int) -> bytes:
    body = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(noise).resize((96, 72)).save(body, "PNG")
    return body.getvalue()


def settled(path: Path, body: bytes) -> None:
    """A file that nobody has changed for long."""
    path.write_bytes(body)
    os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "photos")
    yield opened
    opened.close()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "sub/c.png")):
        settled(folder / name, png(number))
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened."""
    opened: list[str] = []

    def noting(fs: Any, path: str, **how: int) -> AbstractContextManager[bytes | str]:
        opened.append(Path(path).name)
        return held(fs, path, **how)

    for module in ("found", "sources"):
        monkeypatch.setattr(f"labelloop.data.{module}.held", noting)
    return opened


def add(ledger: Ledger, *places: object, modality: Modality = "image", **options: Any) -> Added:
    return add_items(ledger, [str(place) for place in places], modality, Columns(), **options)


def counts(taken: Added) -> tuple[int, int, int]:
    return taken.new, taken.known, len(taken.unreadable)


@pytest.mark.parametrize("place", ["", "**/*.png", "a.png"])
def test_a_folder_a_pattern_and_a_file_are_opened_once(ledger: Ledger, here: Path, read: list[str], place: str) -> None:
    first = add(ledger, here / place)
    read.clear()

    again = add(ledger, here / place)

    assert counts(again) == (0, first.new, 0)
    assert read == []


def test_whichever_way_a_file_is_named_it_is_known(ledger: Ledger, here: Path, read: list[str]) -> None:
    add(ledger, here)
    read.clear()

    again = add(ledger, here / "sub", here / "*.png", (here / "a.png").as_uri(), here)

    assert counts(again) == (0, 7, 0)
    assert read == []


def test_only_what_changed_is_read_and_new_content_is_a_new_item(ledger: Ledger, here: Path, read: list[str]) -> None:
    add(ledger, here)
    read.clear()
    settled(here / "b.png", png(9))
    settled(here / "d.png", png(0))

    again = add(ledger, here)

    assert (*counts(again), again.changed) == (0, 4, 0, ("b.png",))
    assert sorted(read) == ["b.png", "d.png"]
    assert [one.meta["file"] for one in ledger.items.between(0, 9)] == ["a.png", "b.png", "sub/c.png", "b.png"]
    assert ledger.items.between(3, 4)[0].id == content_id(png(9))


def test_content_that_comes_back_is_the_item_it_was(ledger: Ledger, here: Path) -> None:
    add(ledger, here)
    settled(here / "b.png", png(9))
    add(ledger, here)
    settled(here / "b.png", png(1))

    assert counts(add(ledger, here)) == (0, 3, 0)


def test_what_cannot_be_read_is_tried_again(ledger: Ledger, here: Path, read: list[str]) -> None:
    settled(here / "b.png", b"\x89PNG not really")
    add(ledger, here)
    read.clear()

    again = add(ledger, here)
    settled(here / "b.png", png(1))
    corrected = add(ledger, here)

    assert counts(again) == (0, 2, 1)
    assert read == ["b.png", "b.png"]
    assert counts(corrected) == (1, 2, 0)


def test_a_file_that_changes_as_we_look_is_read_again(ledger: Ledger, here: Path, read: list[str]) -> None:
    (here / "b.png").write_bytes(png(1))
    add(ledger, here)
    read.clear()

    add(ledger, here)

    assert read == ["b.png"]


def test_a_dry_run_remembers_nothing_and_reads_nothing_that_is_remembered(
    ledger: Ledger, here: Path, read: list[str]
) -> None:
    add(ledger, here, dry_run=True)
    add(ledger, here)
    read.clear()

    assert counts(add(ledger, here, dry_run=True)) == (0, 3, 0)
    assert read == []


def test_another_dataset_of_the_same_ledger_reads_for_itself(tmp_path: Path, ledger: Ledger, here: Path) -> None:
    add(ledger, here)
    other = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "others")

    taken = add(other, here)
    other.close()

    assert counts(taken) == (3, 0, 0)


def test_texts_in_files_are_read_once_too(ledger: Ledger, tmp_path: Path, read: list[str]) -> None:
    (tmp_path / "notes").mkdir()
    settled(tmp_path / "notes" / "a.txt", b"one")
    settled(tmp_path / "notes" / "b.txt", b"two")
    add(ledger, tmp_path / "notes", modality="text")
    read.clear()

    assert counts(add(ledger, tmp_path / "notes", modality="text")) == (0, 2, 0)
    assert read == []


def test_an_archive_is_read_each_time_for_another_may_have_the_same_times_in_it(
    ledger: Ledger, tmp_path: Path, read: list[str]
) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a.png", png(0))
    add(ledger, f"zip://::{tmp_path}/photos.zip")

    assert counts(add(ledger, f"zip://::{tmp_path}/photos.zip")) == (0, 1, 0)
    assert read == ["a.png", "a.png"]


def test_a_filesystem_that_tells_no_times_is_read_each_time(ledger: Ledger, read: list[str]) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe({"/once/a.png": png(0)})

    first, again = add(ledger, "memory://once"), add(ledger, "memory://once")
    fs.rm("/once", recursive=True)

    assert (counts(first), counts(again)) == ((1, 0, 0), (0, 1, 0))
    assert read == ["a.png", "a.png"]


def test_an_add_that_was_killed_reads_what_it_had_not_kept(
    ledger: Ledger, here: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelloop.commands.add.BATCH", 2)

    def end(what: str, done: int, total: int | None) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add(ledger, here, progress=end)
    read.clear()

    assert counts(add(ledger, here)) == (1, 2, 0)
    assert read == ["c.png"]


@pytest.fixture(params=CLOUDS)
def store(request: pytest.FixtureRequest) -> BucketStore:
    server, make = CLOUDS[request.param]
    made: BucketStore = make(request.getfixturevalue(server))
    return made


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the objects that were fetched, by whichever way."""
    names: list[str] = []
    opening: Callable[..., Any] = BucketArtifacts.open

    def noting(self: BucketArtifacts, name: str) -> Any:
        names.append(Path(name).name)
        return opening(self, name)

    monkeypatch.setattr(BucketArtifacts, "open", noting)
    return names


@pytest.mark.parametrize("place", ["photos", "photos/*.png", "photos/a.png"])
def test_objects_are_fetched_once(ledger: Ledger, store: BucketStore, fetched: list[str], place: str) -> None:
    for number, name in enumerate(("a.png", "b.png")):
        store.write(f"photos/{name}", io.BytesIO(png(number)))
    first = add(ledger, f"{store.path}/{place}", store=store)
    fetched.clear()

    again = add(ledger, f"{store.path}/{place}", store=store)

    assert counts(again) == (0, first.new, 0)
    assert fetched == []


def test_an_object_that_was_replaced_is_fetched(ledger: Ledger, store: BucketStore, fetched: list[str]) -> None:
    store.write("photos/a.png", io.BytesIO(png(0)))
    store.write("photos/b.png", io.BytesIO(png(1)))
    add(ledger, f"{store.path}/photos", store=store)
    fetched.clear()
    store.write("photos/b.png", io.BytesIO(png(2)))

    again = add(ledger, f"{store.path}/photos", store=store)

    assert (*counts(again), again.changed) == (0, 2, 0, ("b.png",))
    assert fetched == ["b.png"]


def test_what_was_copied_into_the_bucket_is_neither_read_nor_copied_again(
    ledger: Ledger, store: BucketStore, here: Path, read: list[str], fetched: list[str]
) -> None:
    add(ledger, here, store=store)
    add(ledger, f"{store.path}/media", store=store)
    read.clear()
    fetched.clear()

    again = add(ledger, here, f"{store.path}/media", store=store)

    assert (*counts(again), again.copied) == (0, 6, 0, 0)
    assert (read, fetched) == ([], [])


def test_over_the_wire_a_known_folder_costs_its_listing(ledger: Ledger, s3_server: Emulator) -> None:
    def passed_on(request: Request) -> Response:
        url = f"{s3_server.url}{quote(request.path)}?{urlencode(request.query)}"
        answer = httpx.request(request.method, url, headers=request.headers, content=request.body, trust_env=False)
        kept = {name: value for name, value in answer.headers.items() if name in ("etag", "last-modified")}
        return Response(answer.status_code, answer.content, {**kept, "Content-Type": "application/xml"})

    between = serving(passed_on)
    store = clouds.s3_store(s3_server)
    for number in range(30):
        store.write(f"photos/{number}.png", io.BytesIO(png(number)))
    watched = clouds.s3_store(s3_server, path=store.path, endpoint=between.url)
    requests = []
    for _ in range(2):
        between.seen.clear()
        taken = add(ledger, f"{store.path}/photos", store=watched)
        requests.append([one for one in between.seen if one.path.endswith(".png")])
    listing = [one.query.get("list-type") for one in between.seen if one.method == "GET"]
    between.stop()

    assert counts(taken) == (0, 30, 0)
    assert [len(one) for one in requests] == [30, 0]
    assert set(listing) == {"2"}
    assert len(between.seen) <= 5
