"""Items are found wherever people keep them, known by their content, and one bad file never ends the reading."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from labelloop.data.locations import Access
from labelloop.data.sources import Columns, Unreadable, content_id, read_content, read_items
from labelloop.errors import BackendError, BadItemError, ConfigError, NotFoundError
from labelloop.types import Item, Modality, NewItem


def png(colour: str = "red") -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(body, "PNG")
    return body.getvalue()


def jpeg() -> bytes:
    body = io.BytesIO()
    Image.effect_noise((300, 200), 80).save(body, "JPEG")
    return body.getvalue()


def items(where: Path | str, modality: Modality = "image", columns: Columns | None = None) -> list[Item]:
    found = list(read_items(str(where), modality, columns))
    assert not [one for one in found if isinstance(one, Unreadable)]
    return [one.item for one in found if isinstance(one, NewItem)]


def problems(where: Path | str, modality: Modality = "image", columns: Columns | None = None) -> dict[str, str]:
    return {one.where: one.reason for one in read_items(str(where), modality, columns) if isinstance(one, Unreadable)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "my photos #1"
    (folder / "sub" / ".thumbs").mkdir(parents=True)
    (folder / "b.PNG").write_bytes(png("blue"))
    (folder / "a.png").write_bytes(png("red"))
    (folder / "sub" / "c.jpg").write_bytes(jpeg())
    (folder / ".hidden.png").write_bytes(png("green"))
    (folder / "sub" / ".thumbs" / "a.png").write_bytes(png("grey"))
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_a_folder_gives_its_images_in_the_order_of_their_names(photos: Path) -> None:
    found = items(photos)

    assert [item.meta["file"] for item in found] == ["a.png", "b.PNG", "sub/c.jpg"]


def test_an_image_is_known_by_its_bytes(photos: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "renamed.png").write_bytes(png("red"))

    (moved,) = items(elsewhere)

    assert moved.id == moved.digest == content_id(png("red")) == items(photos)[0].id
    assert len(moved.id) == 32


def test_what_was_found_can_be_read(photos: Path) -> None:
    found = items(photos)

    assert [read_content(item) for item in found[:2]] == [png("red"), png("blue")]
    assert found[0].uri == (photos / "a.png").as_uri()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("*.png", ["a.png"]), ("**/*.jpg", ["sub/c.jpg"]), ("*", ["a.png", "b.PNG"]), ("[ab].*", ["a.png", "b.PNG"])],
)
def test_a_glob_gives_what_it_matches(photos: Path, pattern: str, names: list[str]) -> None:
    assert [item.meta["file"] for item in items(photos / pattern)] == names


def test_a_name_that_looks_like_a_glob_is_a_name_where_it_exists(tmp_path: Path) -> None:
    (tmp_path / "scan[1].png").write_bytes(png())

    (item,) = items(tmp_path / "scan[1].png")

    assert item.meta["file"] == "scan[1].png"


def test_a_file_url_is_a_place_too(photos: Path) -> None:
    assert len(items(photos.as_uri())) == 3


def test_links_that_lead_in_circles_are_not_followed(photos: Path) -> None:
    (photos / "sub" / "round").symlink_to(photos, target_is_directory=True)

    assert len(items(photos)) == 3


def _bomb() -> bytes:
    body = png()
    head = b"IHDR" + (60000).to_bytes(4, "big") * 2 + body[24:29]
    return body[:12] + head + zlib.crc32(head).to_bytes(4, "big") + body[33:]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is empty"),
        (b"not an image at all", "is not an image"),
        (png()[:60], "broken"),
        (jpeg()[:2000], "broken"),
        (_bomb(), "too large"),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "bomb"],
)
def test_a_broken_image_is_reported_and_the_others_are_read(photos: Path, body: bytes, reason: str) -> None:
    (photos / "a2.png").write_bytes(body)

    found = list(read_items(str(photos), "image"))

    assert [isinstance(one, NewItem) for one in found] == [True, False, True, True]
    bad = found[1]
    assert isinstance(bad, Unreadable)
    assert bad.where == "a2.png"
    assert reason in bad.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_reported(photos: Path) -> None:
    (photos / "a.png").chmod(0)

    assert problems(photos) == {"a.png": "may not be read (permission denied)"}


def test_a_link_to_nothing_is_reported(photos: Path) -> None:
    (photos / "gone.png").symlink_to(photos / "nowhere.png")

    assert problems(photos) == {"gone.png": "does not exist"}


def test_a_folder_of_texts_gives_each_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_bytes("\ufeffnaïve \r\n".encode())
    (tmp_path / "two.txt").write_bytes(b" \n")
    (tmp_path / "three.txt").write_bytes("un café fermé".encode("cp1252"))

    found = {one.item.text for one in read_items(str(tmp_path), "text") if isinstance(one, NewItem)}

    assert found == {"naïve \r\n", "un café fermé"}
    assert problems(tmp_path, "text") == {"two.txt": "the text is empty"}


def test_a_missing_place_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        read_items(str(tmp_path / "nowhere"), "image")


@pytest.mark.parametrize("place", ["", "*.png", "notes.md"])
def test_a_place_without_data_is_refused_with_what_was_looked_for(tmp_path: Path, place: str) -> None:
    (tmp_path / "notes.md").write_text("nothing")

    with pytest.raises(ConfigError, match=r"no image.*\.jpeg"):
        list(read_items(str(tmp_path / place), "image"))


@pytest.mark.parametrize(("url", "hint"), [("nonsense://x/y", "URL"), ("dropbox://x/y", "pip install")])
def test_a_url_nobody_can_open_is_refused(url: str, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_items(url, "image")

    assert hint in refused.value.hint


def test_an_object_store_is_read_like_a_folder() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe({"/bucket/a.png": png("red"), "/bucket/sub/b.png": png("blue"), "/bucket/t.jsonl": b'{"image": "a.png"}'})

    found = items("memory://bucket")
    (from_table,) = items("memory://bucket/t.jsonl")

    assert [item.meta["file"] for item in found] == ["a.png", "sub/b.png"]
    assert [read_content(item) for item in found] == [png("red"), png("blue")]
    assert from_table.id == found[0].id
    fs.rm("/bucket", recursive=True)


def test_images_inside_a_zip_are_read_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("in/a.png", png("red"))
        archive.writestr("in/b.png", png("blue"))
    monkeypatch.chdir(tmp_path)

    found = items("zip://in/*.png::photos.zip")
    monkeypatch.chdir("/")

    assert [read_content(item) for item in found] == [png("red"), png("blue")]
    assert [item.id for item in items(f"zip://::{tmp_path}/photos.zip")] == [item.id for item in found]


@pytest.mark.parametrize("name", ["a::b", "s3:%2F", "100%", "what?", "one#two", "[1]", "~", "zip:files"])
def test_pictures_of_a_folder_with_an_odd_name_are_read_where_they_are(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "a::b.png").write_bytes(png("red"))
    (folder / "c#%3A.png").write_bytes(png("blue"))

    found = items(str(folder))

    assert [read_content(item) for item in found] == [png("red"), png("blue")]
    assert [item.id for item in items(folder.as_uri())] == [item.id for item in found]
    assert [item.id for item in items(str(folder / "a::b.png"))] == [found[0].id]


ROWS = [{"id": "r1", "text": "first, one", "stars": 5}, {"id": "r2", "text": "zweite Zeile: Äpfel", "stars": 1}]


def _parquet(records: list[dict[str, Any]]) -> bytes:
    body = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), body)
    return body.getvalue()


def _separated(records: list[dict[str, Any]], mark: str) -> bytes:
    lines = [mark.join(records[0])] + [mark.join(f'"{cell}"' for cell in one.values()) for one in records]
    return "\ufeff".encode() + "\r\n".join(lines).encode()


TABLES: Mapping[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "t.csv": lambda records: _separated(records, ","),
    "semicolons.csv": lambda records: _separated(records, ";"),
    "t.tsv": lambda records: _separated(records, "\t"),
    "t.jsonl": lambda records: "\n".join(json.dumps(one) for one in records).encode(),
    "t.json": lambda records: json.dumps(records).encode(),
    "t.parquet": _parquet,
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_texts_gives_an_item_a_row(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(TABLES[name](ROWS))

    found = items(tmp_path / name, "text")

    assert [item.text for item in found] == ["first, one", "zweite Zeile: Äpfel"]
    assert [item.id for item in found] == [content_id("first, one"), content_id("zweite Zeile: Äpfel")]
    assert {key: str(value) for key, value in found[0].meta.items()} == {"id": "r1", "stars": "5"}
    assert [read_content(item) for item in found] == [item.text for item in found]


@pytest.mark.parametrize("name", TABLES)
def test_ids_may_come_from_a_column(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(TABLES[name](ROWS))

    found = items(tmp_path / name, "text", Columns(id="id"))

    assert [item.id for item in found] == ["r1", "r2"]
    assert found[0].digest == content_id("first, one")


@pytest.mark.parametrize(
    ("given", "reason"),
    [("", "id is empty"), ("x" * 201, "201 characters"), ("a\tb", "do not print"), (" a", "spaces around")],
)
def test_an_id_that_will_not_do_is_reported(tmp_path: Path, given: str, reason: str) -> None:
    (tmp_path / "t.json").write_text(json.dumps([{"text": "one", "key": given}]))

    (problem,) = problems(tmp_path / "t.json", "text", Columns(id="key")).values()

    assert reason in problem


def test_an_id_used_twice_for_different_contents_is_reported(tmp_path: Path) -> None:
    rows = [("a", "one"), ("a", "one"), ("a", "two"), ("b", "two")]
    (tmp_path / "t.json").write_text(json.dumps([{"key": key, "text": text} for key, text in rows]))

    found = list(read_items(str(tmp_path / "t.json"), "text", Columns(id="key")))

    assert [isinstance(one, NewItem) for one in found] == [True, True, False, True]
    assert "used twice" in problems(tmp_path / "t.json", "text", Columns(id="key"))["t.json row 3"]


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("t.jsonl", b'{"text": "a"}\n{broken\n\n{"text": "b"}', {"t.jsonl line 2": "is not JSON"}),
        ("t.jsonl", b'{"text": "a"}\n["b"]', {"t.jsonl line 2": "not an object"}),
        ("t.jsonl", b'{"text": "a"}\n{"txt": "b"}', {"t.jsonl line 2": "has no 'text'"}),
        ("t.jsonl", b'broken\n{"text": "a"}', {"t.jsonl line 1": "is not JSON"}),
        ("t.jsonl", b'{"text": "a"}\n{"text": ["b"]}', {"t.jsonl line 2": "not text but list"}),
        ("t.jsonl", b'{"text": "a"}\n{"text": "\\ud800"}', {"t.jsonl line 2": "not UTF-8"}),
        ("t.jsonl", b'{"text": "a"}\n{"text": "x\\u0000"}', {"t.jsonl line 2": "NUL"}),
        ("t.csv", b'id,text\n1,"two\nlines"\n2,\n3,ok', {"t.csv line 4": "the text is empty"}),
        ("t.csv", b"id,text\n1,a,b\n2,ok", {"t.csv line 2": "has 3 cell(s), the header has 2"}),
        ("t.csv", b"text,text\na,b", {"t.csv": "column 'text' twice"}),
        ("t.json", b'{"text": "a"}', {"t.json": "not a list"}),
        ("t.json", b"[", {"t.json": "is not JSON"}),
        ("t.parquet", b"PAR1 but not really", {"t.parquet": "is not Parquet"}),
    ],
)
def test_a_broken_row_is_reported_with_its_place(
    tmp_path: Path, name: str, body: bytes, expected: Mapping[str, str]
) -> None:
    (tmp_path / name).write_bytes(body)

    found = problems(tmp_path / name, "text")

    assert list(found) == list(expected)
    assert all(reason in found[where] for where, reason in expected.items())


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        ("a,b", Columns(), "none of its columns is known"),
        ("text,body", Columns(), "any of text, body"),
        ("text,b", Columns(text="c"), "no column 'c'"),
        ("text,b", Columns(id="c"), "no column 'c'"),
    ],
)
def test_a_column_that_cannot_be_guessed_is_asked_for(
    tmp_path: Path, header: str, columns: Columns, message: str
) -> None:
    (tmp_path / "t.csv").write_text(f"{header}\n1,2\n")

    with pytest.raises(ConfigError, match=message) as refused:
        list(read_items(str(tmp_path / "t.csv"), "text", columns))

    assert header.split(",")[1] in refused.value.message + refused.value.hint


def test_an_empty_table_has_no_data(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text\n")

    with pytest.raises(ConfigError, match="no text"):
        list(read_items(str(tmp_path / "t.csv"), "text"))


def test_a_glob_reads_every_table_it_matches(tmp_path: Path) -> None:
    for shard in "ab":
        (tmp_path / f"{shard}.jsonl").write_text(json.dumps({"text": shard}))

    assert [item.text for item in items(tmp_path / "*.jsonl", "text")] == ["a", "b"]


def test_a_table_names_images_by_path_and_by_url(photos: Path) -> None:
    names = ["a.png", str(photos / "b.PNG"), (photos / "sub/c.jpg").as_uri(), "https://example.org/d.png"]
    (photos / "t.json").write_text(json.dumps([{"image": name, "by": "ann"} for name in names]))

    found = items(photos / "t.json")

    assert [item.id for item in found[:3]] == [item.id for item in items(photos)]
    assert found[0].meta == {"file": "a.png", "by": "ann"}
    assert (found[3].id, found[3].uri, found[3].digest) == (content_id(names[3]), names[3], "")


def test_a_row_whose_address_carries_a_password_is_named_without_it_and_is_no_item(photos: Path) -> None:
    addresses = ["https://ann:CANARY@example.org/d.png", "https://example.org/e.png"]
    (photos / "t.json").write_text(json.dumps([{"image": address} for address in addresses]))

    read = list(read_items(str(photos / "t.json"), "image"))

    assert [one.item.uri for one in read if isinstance(one, NewItem)] == addresses[1:]
    assert ["carries a password" in one.reason for one in read if isinstance(one, Unreadable)] == [True]
    assert "CANARY" not in repr(read)


@pytest.mark.parametrize("name", ["C# & 50% [x]", "a?b=c", "*", "%2e%2e", "~", "é 猫", "'\""])
def test_a_folder_whose_name_has_marks_of_an_address_is_read_as_it_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.png").write_bytes(png())
    (tmp_path / "t.json").write_text(json.dumps([{"image": f"{name}/a.png"}]))

    found = items(tmp_path / name) + items(tmp_path / "t.json")

    assert [read_content(item) for item in found] == [png()] * 2


def test_a_table_that_names_bad_images_is_read_to_its_end(photos: Path) -> None:
    (photos / "t.jsonl").write_text(
        "\n".join(json.dumps({"path": name}) for name in ["gone.png", "notes.txt", "", "a.png"])
    )

    found = problems(photos / "t.jsonl")

    assert found == {
        "t.jsonl line 1": "gone.png does not exist",
        "t.jsonl line 2": "notes.txt is not an image",
        "t.jsonl line 3": "the path is empty",
    }


def test_meta_is_always_json(tmp_path: Path) -> None:
    import datetime

    record = {"text": "a", "day": datetime.date(2026, 1, 2), "share": float("nan"), "raw": b"\xff", "tags": ["x", None]}
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "t.parquet")

    (item,) = items(tmp_path / "t.parquet", "text")

    assert json.loads(json.dumps(item.meta, allow_nan=False))["day"] == "2026-01-02"
    assert item.meta["share"] is None


def test_rows_are_streamed(tmp_path: Path) -> None:
    heard: list[int] = []
    (tmp_path / "t.jsonl").write_text('{"text": "a"}\n' * 1000)

    found = read_items(str(tmp_path / "t.jsonl"), "text", progress=lambda what, done, total: heard.append(done))
    next(found)
    next(found)

    assert heard == [1, 2]


def test_content_that_is_gone_or_changed_is_a_bad_item(photos: Path) -> None:
    first, second, _ = items(photos)
    (photos / "a.png").unlink()
    (photos / "b.PNG").write_bytes(png("green"))

    with pytest.raises(BadItemError, match="cannot be read"):
        read_content(first)
    with pytest.raises(BadItemError, match="has changed"):
        read_content(second)


HERE = Access(hosts=frozenset({"127.0.0.1"}))


class _Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = int(self.path.strip("/") or 200)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(png())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "expected"), [(404, BadItemError), (410, BadItemError), (429, BackendError), (503, BackendError)]
)
def test_the_web_may_refuse_for_good_or_for_now(web: str, status: int, expected: type[Exception]) -> None:
    with pytest.raises(expected, match=str(status)):
        read_content(Item("a", "image", uri=f"{web}/{status}"), HERE)


def test_an_image_on_the_web_is_read_when_it_is_needed(web: str) -> None:
    assert read_content(Item("a", "image", uri=f"{web}/200"), HERE) == png()


def test_a_web_that_does_not_answer_may_answer_later() -> None:
    with pytest.raises(BackendError) as failed:
        read_content(Item("a", "image", uri="http://127.0.0.1:9/x.png"), HERE)

    assert failed.value.retryable
