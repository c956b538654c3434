"""Files that `add` does not take are counted by their sort, and what would read them is said."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from labelloop.cli import main
from labelloop.commands.add import Added, add_items
from labelloop.data import decoding
from labelloop.data.sources import Columns
from labelloop.errors import ConfigError
from labelloop.ledger import open_ledger
from labelloop.types import Modality

HEIC = b"\0\0\0\x18ftypheic" + b"\0" * 100


@pytest.fixture
def no_plug_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Pillow that reads what every Pillow reads."""
    monkeypatch.setattr(decoding, "endings", lambda: decoding.ENDINGS)
    yield


def picture(format: str, colour: str = "red") -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(body, format)
    return body.getvalue()


def phone(folder: Path) -> Path:
    """What a phone leaves: one picture that everybody reads, and five others."""
    folder.mkdir()
    (folder / "IMG_0010.PNG").write_bytes(picture("PNG"))
    for number in (1, 2, 3):
        (folder / f"IMG_000{number}.HEIC").write_bytes(HEIC)
    (folder / "x.avif").write_bytes(b"\0\0\0\x18ftypavif" + b"\0" * 100)
    (folder / "IMG_0009").write_bytes(b"no picture at all")
    return folder


def added(tmp_path: Path, place: Path | str, modality: Modality = "image") -> Added:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "phone")
    return add_items(ledger, [str(place)], modality, Columns())


@pytest.mark.usefixtures("no_plug_in")
def test_a_phones_folder_says_what_it_passed_over_and_what_would_read_it(tmp_path: Path) -> None:
    taken = added(tmp_path, phone(tmp_path / "phone"))

    words = taken.in_words(dry_run=False)
    assert (taken.new, taken.unreadable) == (1, ())
    assert taken.as_dict()["passed_over"] == {".heic": 3, ".avif": 1, "without an ending": 1}
    assert "passed over 5 file(s)" in words
    assert "3 .heic (a phone's picture: pip install 'labelloop[heif]')" in words
    assert "1 without an ending" in words


@pytest.mark.usefixtures("no_plug_in")
def test_a_folder_of_nothing_else_is_refused_with_the_sorts_there_are(tmp_path: Path) -> None:
    folder = phone(tmp_path / "phone")
    (folder / "IMG_0010.PNG").unlink()

    with pytest.raises(ConfigError, match=r"passed over 3 \.heic .*labelloop\[heif\]"):
        added(tmp_path, folder)


def test_drawings_pages_tables_and_the_rest_are_named_each_by_its_ending(tmp_path: Path) -> None:
    for name in ("a.svg", "b.ico", "c.pdf", "d.csv", "e.mp4", "f.cr2", "g.weird", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "z.png").write_bytes(picture("PNG"))

    passed = added(tmp_path / "..", tmp_path).as_dict()["passed_over"]

    assert passed == dict.fromkeys((".svg", ".ico", ".pdf", ".csv", ".mp4", ".cr2", ".weird"), 1)


def test_texts_beside_documents_say_so_too(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("the cat sleeps")
    (tmp_path / "texts" / "b.md").write_text("# money")
    (tmp_path / "texts" / "c.docx").write_bytes(b"PK")

    taken = added(tmp_path, tmp_path / "texts", "text")

    assert taken.new == 2
    assert "1 .docx (a document: save its text as .txt)" in taken.in_words(dry_run=False)


def test_a_folder_of_an_object_store_is_counted_like_any_other(tmp_path: Path) -> None:
    files = MemoryFileSystem()
    files.pipe_file("/passing/a.png", picture("PNG"))
    files.pipe_file("/passing/b.svg", b"<svg/>")

    assert added(tmp_path, "memory://passing").as_dict()["passed_over"] == {".svg": 1}
    files.rm("/passing", recursive=True)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
def test_a_picture_without_an_ending_is_known_by_its_beginning(tmp_path: Path, format: str) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "IMG_0009").write_bytes(picture(format))

    taken = added(tmp_path, tmp_path / "pictures")

    assert (taken.new, taken.as_dict()["passed_over"]) == (1, {})


@pytest.mark.parametrize("ending", [".heic", ".avif", ".jp2", ".tga", ".jfif"])
def test_what_the_installed_pillow_reads_becomes_an_item(tmp_path: Path, ending: str) -> None:
    formats = {".heic": "HEIF", ".avif": "AVIF", ".jp2": "JPEG2000", ".tga": "TGA", ".jfif": "JPEG"}
    assert ending in decoding.endings(), "install what the development dependencies name"
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / f"IMG_1{ending.upper()}").write_bytes(picture(formats[ending]))

    assert added(tmp_path, tmp_path / "pictures").new == 1


def test_pictures_that_no_browser_shows_are_counted_with_what_people_see(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for number, name in enumerate(("a.tif", "b.TIFF", "c.png", "d.jp2")):
        form = {"tif": "TIFF", "tiff": "TIFF", "png": "PNG", "jp2": "JPEG2000"}[name.partition(".")[2].lower()]
        (tmp_path / "scans" / name).write_bytes(picture(form, ("red", "green", "blue", "white")[number]))

    (tmp_path / "scans" / "broken.tif").write_bytes(b"no picture")

    taken = added(tmp_path, tmp_path / "scans")

    assert taken.as_dict()["converted"] == {".jp2": 1, ".tif": 1, ".tiff": 1}
    assert "people see 1 .jp2, 1 .tif, 1 .tiff as PNG or JPEG" in taken.in_words(dry_run=False)


def test_names_that_would_not_print_are_counted_together(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").write_bytes(picture("PNG"))
    (tmp_path / "folder" / "b.\udcff\n").write_bytes(b"x")

    taken = added(tmp_path, tmp_path / "folder")

    taken.in_words(dry_run=False).encode()
    assert taken.as_dict()["passed_over"] == {"without an ending": 1}


def test_the_command_says_it_in_words_and_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        with pytest.raises(SystemExit, match="0"):
            main(["-C", str(tmp_path / "here"), *arguments])
        return capsys.readouterr().out

    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(picture("PNG"))
    (tmp_path / "pictures" / "b.svg").write_bytes(b"<svg/>")
    said("init", "--labels", "a,b")

    words = said("add", str(tmp_path / "pictures"), "--dry-run")
    listed = said("--json", "add", str(tmp_path / "pictures"))

    assert "passed over 1 file(s) that are not in the counts: 1 .svg (a drawing: save it as PNG)" in words
    assert json.loads(listed)["passed_over"] == {".svg": 1}


@pytest.mark.parametrize("column", ["label", "labels", "category", "Sentiment (v2)"])
def test_a_column_that_holds_our_labels_is_said(tmp_path: Path, column: str) -> None:
    lines = [{"text": f"text {n}", column: label, "by": "ann"} for n, label in enumerate(["cat", "dog", " cat ", "x"])]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "texts")

    taken = add_items(ledger, [str(tmp_path / "t.jsonl")], "text", Columns(), labels=("cat", "dog", "owl"))

    assert taken.as_dict()["label_columns"] == [{"table": "t.jsonl", "column": column, "labels": {"cat": 2, "dog": 1}}]
    assert f"column `{column}` of t.jsonl holds 2 of your labels (cat, dog) in 3 rows" in taken.in_words(dry_run=False)


def test_a_column_of_lists_is_looked_into_and_the_text_itself_is_not(tmp_path: Path) -> None:
    lines = [{"text": "cat", "id": "dog", "all": ["cat", "owl"], "other": "cats"}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "texts")

    taken = add_items(ledger, [str(tmp_path / "t.jsonl")], "text", Columns(id="id"), labels=("cat", "dog", "owl"))

    assert [one["column"] for one in taken.as_dict()["label_columns"]] == ["all"]
