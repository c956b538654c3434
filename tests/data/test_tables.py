"""A table is read as a whole or refused as a whole, in whatever a spreadsheet or another tool made of it."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from labelloop.commands.add import Added, add_items
from labelloop.data import tables, text_files
from labelloop.data.noticed import Noticed
from labelloop.data.sources import Columns, Unreadable, read_changed
from labelloop.data.text_files import Table
from labelloop.errors import ConfigError
from labelloop.ledger import open_ledger
from labelloop.types import Modality, NewItem

ROWS = [{"text": "the cat slept", "label": "animals"}, {"text": "rent is due", "label": "money"}]

SPOKEN = [
    ("cp1252", ["der Hund schläft", "über Geld reden", "the cat sleeps"]),
    ("cp1252", ["un café fermé"]),
    ("cp1252", ["œuvre d’art", "cœur à çà où êtes"]),
    ("cp1252", ["le café est fermé", "“quotes” – and dashes", "ok"]),
    ("cp1250", ["zażółć gęślą jaźń", "ok", "pieniądze w banku"]),
    ("cp1251", ["кошка спит", "деньги в банке", "ok"]),
    ("cp932", ["猫が寝ています", "お金の話をしています", "ok"]),
    ("gb18030", ["我的猫睡觉", "银行里的钱", "ok"]),
    ("utf-16", ["der Hund schläft", "猫", "ok"]),
    ("utf-8-sig", ["der Hund schläft", "猫", "ok"]),
]


def read(
    where: Path, columns: Columns | None = None, modality: Modality = "text"
) -> tuple[list[str], list[Unreadable], Noticed]:
    """The texts of a place, what is unreadable, and what was noticed."""
    noticed = Noticed()
    found = list(read_changed(str(where), modality, lambda seen: {}, columns, noticed=noticed))
    texts = [one.item.text for one in found if isinstance(one, NewItem)]
    return texts, [one for one in found if isinstance(one, Unreadable)], noticed


def refused(where: Path, columns: Columns | None = None) -> str:
    """Why a table is refused: with no item, and one reason for the whole of it."""
    texts, (only,), _ = read(where, columns)
    assert texts == []
    assert only.where == where.name
    return only.reason


def written(path: Path, body: bytes) -> Path:
    path.write_bytes(body)
    return path


@pytest.mark.parametrize(("encoding", "texts"), SPOKEN)
def test_a_table_of_another_encoding_is_read_with_every_row_and_said(
    tmp_path: Path, encoding: str, texts: list[str]
) -> None:
    table = written(tmp_path / "t.csv", "\n".join(["text", *texts, ""]).encode(encoding))

    found, bad, noticed = read(table)

    assert (found, bad) == (texts, [])
    assert bool(noticed.guessed) == (not encoding.startswith("utf"))
    assert all(" is read as " in line and "--encoding" in line for line in noticed.in_words())


def test_add_says_the_guess_with_words_to_judge_it_by(tmp_path: Path) -> None:
    table = written(tmp_path / "t.csv", "text\nder Hund schläft\nüber Geld\n".encode("cp1252"))
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "texts")

    taken: Added = add_items(ledger, [str(table)], "text", Columns())

    said = "t.csv is read as cp1252, which is a guess, such as 'der Hund schläft'; if that is wrong: --encoding NAME"
    assert said in taken.in_words(dry_run=False)
    assert taken.as_dict()["guessed_encodings"] == {"t.csv": "cp1252"}


def test_a_named_encoding_is_no_guess(tmp_path: Path) -> None:
    table = written(tmp_path / "t.jsonl", '{"text": "ğ ş ı"}\n'.encode("cp1254"))

    found, bad, noticed = read(table, Columns(encoding="cp1254"))

    assert (found, bad, noticed.guessed) == (["ğ ş ı"], [], {})


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.json"])
def test_a_table_that_is_not_what_was_named_is_refused_as_a_whole(tmp_path: Path, name: str) -> None:
    table = written(tmp_path / name, b'[{"text": "ok"}, {"text": "caf\xe9"}]\n')

    assert "is not utf-8" in refused(table, Columns(encoding="utf-8"))


def test_what_nobody_can_guess_is_refused_as_a_whole(tmp_path: Path) -> None:
    table = written(tmp_path / "t.csv", b"text\nok\n" + bytes(range(128, 256)) * 3 + b"\0\n")

    assert "is not UTF-8 as a whole (byte 9)" in refused(table)


def test_without_the_library_nothing_is_guessed_and_nothing_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "can_guess", lambda: False)
    table = written(tmp_path / "t.csv", "text\nok\nschön\n".encode("cp1252"))

    assert "pip install 'labelloop[tables]'" in refused(table)


@pytest.mark.parametrize("name", ["nonsense", "base64", "rot13"])
def test_an_encoding_that_there_is_not_is_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no encoding '{name}'"):
        read(tmp_path, Columns(encoding=name))


@pytest.mark.parametrize(("first", "mark"), [("sep=;", ";"), ('"sep=|"', "|"), ("sep=\t", "\t"), ("SEP=,", ",")])
def test_the_first_line_that_excel_writes_is_understood(tmp_path: Path, first: str, mark: str) -> None:
    lines = [first, f"text{mark}label", f"the cat, it slept{mark}animals" if mark != "," else "the cat,animals"]
    table = written(tmp_path / "t.csv", "\r\n".join(lines).encode())

    assert read(table)[0] == [lines[2].rpartition(mark)[0]]


@pytest.mark.parametrize(
    "first",
    [
        "the cat slept,animals",
        "12,money",
        "https://pictures.example/1.png,animals",
        "Rent is due.,money",
        "x" * 50 + ",y",
    ],
)
def test_a_first_line_that_is_no_header_is_said_in_clear_words(tmp_path: Path, first: str) -> None:
    table = written(tmp_path / "t.csv", f"{first}\nmore,of it\n".encode())

    with pytest.raises(ConfigError, match=r"t\.csv has no header: its first line is ") as error:
        read(table)

    assert "write the names of the columns above it, such as text" in error.value.hint


def workbook(path: Path, *sheets: Sequence[Sequence[Any]]) -> Path:
    book = Workbook()
    for number, lines in enumerate(sheets):
        sheet = book.active if number == 0 else book.create_sheet(f"more {number}")
        assert sheet is not None
        for line in lines:
            sheet.append(line)
    book.save(path)
    return path


def test_a_workbook_of_excel_is_read(tmp_path: Path) -> None:
    lines: list[list[Any]] = [
        [],
        ["text", "label", "year"],
        ["der Hund schläft", "animals", 2024],
        [],
        ["猫", None, 1.5],
        [7, "x", None],
    ]
    table = workbook(tmp_path / "t.xlsx", lines, [], [])

    assert read(table)[0] == ["der Hund schläft", "猫", "7"]


def test_a_workbook_of_several_sheets_is_not_read_in_part(tmp_path: Path) -> None:
    table = workbook(tmp_path / "t.xlsx", [["text"], ["a"]], [["text"], ["b"]])

    assert "has 2 sheets with rows" in refused(table)


def test_a_row_of_a_workbook_with_more_cells_than_the_header_is_named(tmp_path: Path) -> None:
    found, bad, _ = read(workbook(tmp_path / "t.xlsx", [["text"], ["a"], ["b", "beyond"]]))

    assert (found, [one.where for one in bad]) == (["a"], ["t.xlsx row 3"])


def flipped(body: bytes) -> bytes:
    """The body with some bytes of its largest part changed."""
    middle = body.index(b"sheet1.xml") + 60
    return body[:middle] + bytes(255 - one for one in body[middle : middle + 8]) + body[middle + 8 :]


@pytest.mark.parametrize("damage", [lambda body: body[:-40], lambda body: b"no zip", flipped])
def test_a_damaged_workbook_is_refused_as_a_whole(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    table = workbook(tmp_path / "t.xlsx", [["text"], *([f"text {n}"] for n in range(500))])
    table.write_bytes(damage(table.read_bytes()))

    assert "workbook" in refused(table)


def zstandard(body: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(body, asbytes=True)
    return packed


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard,
}


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_a_packed_table_is_read(tmp_path: Path, kind: str, packing: str) -> None:
    body = {
        "csv": "text,label\nder Hund schläft,a\nok,b\n".encode("cp1252"),
        "jsonl": b'{"text": "der Hund schl\xc3\xa4ft"}\n{"text": "ok"}\n',
        "json": b'[{"text": "der Hund schl\xc3\xa4ft"}, {"text": "ok"}]',
    }[kind]
    table = written(tmp_path / f"t.{kind}{packing}", PACKERS[packing](body))

    assert read(table)[:2] == (["der Hund schläft", "ok"], [])


@pytest.mark.parametrize("packing", PACKERS)
def test_a_packed_table_that_is_cut_off_gives_no_row(tmp_path: Path, packing: str) -> None:
    lines = "\n".join(json.dumps({"text": f"text number {n} {n * 7919}"}) for n in range(5000))
    body = PACKERS[packing](lines.encode())

    assert "cannot be read to its end" in refused(written(tmp_path / f"t.jsonl{packing}", body[: len(body) // 2]))


def test_a_parquet_file_that_is_damaged_behind_its_beginning_gives_no_row(tmp_path: Path) -> None:
    texts = [f"text {n} {n * 7919}" for n in range(20_000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "t.parquet", row_group_size=5000, compression="zstd")
    body = bytearray((tmp_path / "t.parquet").read_bytes())
    middle = len(body) * 2 // 3
    body[middle : middle + 400] = bytes(400)

    assert "is not Parquet to its end" in refused(written(tmp_path / "t.parquet", bytes(body)))


def saved_to_disk(folder: Path, texts: list[str], shards: int = 2) -> None:
    """A folder as `datasets.Dataset.save_to_disk` writes it."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05}-of-{shards:05}.arrow" for n in range(shards)]
    for number, name in enumerate(names):
        some = texts[number::shards]
        table = pa.table({"text": some, "label": pa.array([len(one) % 2 for one in some])})
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["even", "odd"], "_type": "ClassLabel"},
    }
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


def test_a_folder_of_hugging_face_is_read_with_the_names_of_its_classes(tmp_path: Path) -> None:
    saved_to_disk(tmp_path / "saved", ["a", "bb", "ccc"])

    found = list(read_changed(str(tmp_path / "saved"), "text", lambda seen: {}))

    items = [one.item for one in found if isinstance(one, NewItem)]
    assert sorted((item.text, item.meta["label"]) for item in items) == [("a", "odd"), ("bb", "even"), ("ccc", "odd")]


def test_every_split_of_a_saved_dataset_is_read(tmp_path: Path) -> None:
    for split, texts in (("train", ["a", "b"]), ("test", ["c"])):
        saved_to_disk(tmp_path / "saved" / split, texts, shards=1)
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')

    assert read(tmp_path / "saved")[0] == ["a", "b", "c"]


def test_a_shard_that_is_cut_off_is_refused_by_its_name(tmp_path: Path) -> None:
    saved_to_disk(tmp_path / "saved", [f"text {n}" for n in range(1000)])
    shard = tmp_path / "saved" / "data-00001-of-00002.arrow"
    shard.write_bytes(shard.read_bytes()[:-3000])

    found, (bad,), _ = read(tmp_path / "saved")

    assert len(found) == 500
    assert (bad.where, "is not Arrow to its end" in bad.reason) == ("data-00001-of-00002.arrow", True)


EXPORTS: dict[str, Any] = {
    "tasks": [{"id": n, "data": one, "annotations": [{"result": []}]} for n, one in enumerate(ROWS)],
    "predictions": [{"data": one, "predictions": []} for one in ROWS],
    "nothing else": [{"data": one} for one in ROWS],
    "flat": ROWS,
}


@pytest.mark.parametrize("export", EXPORTS)
@pytest.mark.parametrize("columns", [Columns(), Columns(text="text"), Columns(text="data.text")], ids=repr)
def test_an_export_of_label_studio_gives_the_data_of_its_tasks(tmp_path: Path, export: str, columns: Columns) -> None:
    if export == "flat" and columns.text == "data.text":
        columns = Columns()
    (tmp_path / "t.json").write_text(json.dumps(EXPORTS[export]))
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, EXPORTS[export])))

    assert read(tmp_path / "t.json", columns)[0] == read(tmp_path / "t.jsonl", columns)[0] == [r["text"] for r in ROWS]


def test_a_column_inside_of_objects_is_named_by_its_path(tmp_path: Path) -> None:
    lines = [{"id": 1, "post": {"body": {"en": "the cat"}}}, {"id": 2, "post": {"body": {}}}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))

    found, (bad,), _ = read(tmp_path / "t.jsonl", Columns(text="post.body.en"))

    assert (found, bad.where) == (["the cat"], "t.jsonl line 2")
    with pytest.raises(ConfigError, match="none of its columns") as error:
        read(tmp_path / "t.jsonl")
    assert "post.body" in error.value.message


def test_every_line_of_a_text_is_a_text_where_that_is_asked_for(tmp_path: Path) -> None:
    written(tmp_path / "t.txt", "der Hund schläft\r\n\r\nüber Geld, und mehr\r\n".encode("cp1252"))

    assert read(tmp_path / "t.txt", Columns(lines=True))[0] == ["der Hund schläft", "über Geld, und mehr"]
    assert read(tmp_path, Columns(lines=True))[0] == ["der Hund schläft", "über Geld, und mehr"]
    assert len(read(tmp_path / "t.txt")[0]) == 1


def test_a_mail_is_its_subject_and_its_plain_text_whatever_its_encoding(tmp_path: Path) -> None:
    head = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-1\n"
    written(tmp_path / "a.eml", head + b"Content-Transfer-Encoding: quoted-printable\n\nSch=F6n war es.\n")
    written(tmp_path / "b.eml", b"Subject: x\nMIME-Version: 1.0\nContent-Type: text/html\n\n<p>hello</p>\n")

    found, (bad,), _ = read(tmp_path)

    assert found == ["Grüße\n\nSchön war es."]
    assert (bad.where, bad.reason) == ("b.eml", "the mail has no plain text, only HTML or attachments")


def test_a_large_table_is_streamed_and_what_cannot_be_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = json.dumps({"text": "the cat " * 100}) + "\n"
    table = written(tmp_path / "t.jsonl.gz", gzip.compress(line.encode() * 40_000, 1))
    tracemalloc.start()
    count = sum(1 for _ in tables.rows(Table(table.name, lambda: table.open("rb"))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (count, peak < 10 << 20) == (40_000, True)

    monkeypatch.setattr(tables, "LARGEST_WHOLE", 1000)
    monkeypatch.setattr(text_files, "LONGEST_LINE", 700)
    whole = written(tmp_path / "t.json", json.dumps([{"text": "x" * 1000}]).encode())
    assert "JSON is read as a whole: save it as JSONL, which is streamed" in refused(whole)
    assert "has a line of more than" in refused(table)


def test_a_row_whose_other_columns_would_fill_the_memory_is_named(tmp_path: Path) -> None:
    lines = [{"text": "a", "page": "x" * 2_000_000}, {"text": "b"}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))

    found, (bad,), _ = read(tmp_path / "t.jsonl")

    assert (found, "its other columns have more than" in bad.reason) == (["b"], True)


def test_pictures_inside_of_a_table_are_said_to_be_so(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [{"bytes": b"\x89PNG", "path": None}]}), tmp_path / "t.parquet")

    _, (bad,), _ = read(tmp_path / "t.parquet", modality="image")

    assert "the picture is inside of the table" in bad.reason
