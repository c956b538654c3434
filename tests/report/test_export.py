"""What is exported can be read back, is complete or absent, and is safe in a spreadsheet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from labelloop.errors import BackendError, ConfigError
from labelloop.report.rows import ExportRow, PredictionRow, export
from labelloop.types import Annotation, Item

NOON = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
CAT = Item("a1", "text", text="a cat, naïve 猫\nsecond line", meta={"row": 7, "by": None})


def row(item: Item = CAT, labels: tuple[str, ...] = ("cat", "pet")) -> ExportRow:
    return ExportRow(item, labels, "ann@example.org", "human", held_out=True, updated_at=NOON)


def test_jsonl_holds_everything_exactly(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"

    count = export([row(), row(Item("=b", "image", uri="file:///b.png"), ("|",))], path)

    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert count == 2
    assert first == {
        "id": "a1",
        "uri": "",
        "text": CAT.text,
        "labels": ["cat", "pet"],
        "annotator": "ann@example.org",
        "source": "human",
        "held_out": True,
        "updated_at": "2026-03-01T12:30:00+00:00",
        "meta": {"row": 7, "by": None},
        "extra": {},
        "annotations": [],
    }
    assert (second["id"], second["labels"]) == ("=b", ["|"])


def test_csv_holds_one_cell_a_column(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"

    export([row()], path)

    with path.open(newline="", encoding="utf-8") as file:
        (read,) = csv.DictReader(file)
    assert read["text"] == CAT.text
    assert read["labels"] == "cat|pet"
    assert read["held_out"] == "true"
    assert json.loads(read["meta"]) == CAT.meta


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@sum", "'@sum"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("1=1", "1=1"),
    ],
)
def test_csv_cells_are_no_formulas(tmp_path: Path, cell: str, written: str) -> None:
    path = tmp_path / "labels.csv"

    export([row(Item("a", "text", text=cell), (cell,))], path)

    with path.open(newline="", encoding="utf-8") as file:
        (read,) = csv.DictReader(file)
    assert (read["text"], read["labels"]) == (written, written)


def test_labels_with_a_bar_can_be_told_apart_in_csv(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"

    export([row(labels=("a|b", "c\\"))], path)

    with path.open(newline="", encoding="utf-8") as file:
        (read,) = csv.DictReader(file)
    assert read["labels"] == "a\\|b|c\\\\"


def test_parquet_has_typed_columns(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"

    count = export((row() for _ in range(5000)), path)

    table = pq.read_table(path)
    assert count == table.num_rows == 5000
    read = table.slice(4999).to_pylist()[0]
    assert (read["labels"], read["held_out"], read["updated_at"]) == (["cat", "pet"], True, NOON)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_predictions_are_exported_too(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"predictions.{ending}"

    count = export([PredictionRow(CAT, ("cat",), 0.75, {"cat": 0.75, "dog": 0.25}, "v1")], path)

    assert count == 1
    assert _read_one(path)["probabilities"] in (
        {"cat": 0.75, "dog": 0.25},
        '{"cat": 0.75, "dog": 0.25}',
        [("cat", 0.75), ("dog", 0.25)],
    )


def _read_one(path: Path) -> dict[str, Any]:
    if path.suffix == ".parquet":
        record: dict[str, Any] = pq.read_table(path).to_pylist()[0]
        return record
    with path.open(newline="") as file:
        return dict(next(csv.DictReader(file)) if path.suffix == ".csv" else json.loads(file.readline()))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_no_rows_make_a_file_without_rows(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"labels.{ending}"

    assert export(iter(()), path) == 0
    assert path.is_file()


@pytest.mark.parametrize(("format", "start"), [(None, '{"id": "a1"'), ("csv", "id,uri,text")])
def test_a_dash_is_the_standard_output(capsys: pytest.CaptureFixture[str], format: Any, start: str) -> None:
    export([row()], "-", format)

    assert capsys.readouterr().out.startswith(start)


def test_parquet_is_not_written_to_the_standard_output() -> None:
    with pytest.raises(ConfigError, match="standard output"):
        export([row()], "-", "parquet")


@pytest.mark.parametrize("name", ["labels.xlsx", "labels"])
def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        export([row()], tmp_path / name)

    assert ".parquet" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        export([row()], tmp_path / "missing" / "labels.csv")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").mkdir()

    with pytest.raises(ConfigError, match="is a folder"):
        export([row()], tmp_path / "labels.csv")


def test_a_failed_export_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text("old\n")

    with pytest.raises(ZeroDivisionError):
        export(_failing(), path)

    assert [one.name for one in tmp_path.iterdir()] == ["labels.jsonl"]
    assert path.read_text() == "old\n"


def _failing() -> Iterator[ExportRow]:
    yield row()
    raise ZeroDivisionError


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_the_machines_fault() -> None:
    with pytest.raises(BackendError, match="cannot be written"):
        export([row()], "/dev/full", "jsonl")

    assert not Path("/dev/full").is_file()


NOTE = {"from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["because it purrs"]}}
SURE = {"from_name": "sure", "to_name": "text", "type": "rating", "value": {"rating": 4}}


def test_label_studios_json_carries_every_region_of_every_annotation(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    choice = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["cat"]}}
    said = Annotation("7", "a1", (choice, NOTE, SURE), "ann@example.org", NOON, NOON, lead_time=2.0)
    skipped = Annotation("8", "a1", (NOTE,), "bob@example.org", NOON, NOON, skipped=True)

    count = export([replace(row(), annotations=(said, skipped)), row()], path)

    first, second = json.loads(path.read_text())
    assert count == 2
    assert first["data"] == {"text": CAT.text, "labelloop_id": "a1"}
    assert [one["result"] for one in first["annotations"]] == [[choice, NOTE, SURE], [NOTE]]
    assert [one["was_cancelled"] for one in first["annotations"]] == [False, True]
    assert first["meta"]["labelloop"]["labels"] == ["cat", "pet"]
    assert second["annotations"] == []


def test_nothing_to_export_is_an_empty_list_for_label_studio(tmp_path: Path) -> None:
    assert export(list[ExportRow](), tmp_path / "labels.json") == 0

    assert json.loads((tmp_path / "labels.json").read_text()) == []


def test_predictions_are_no_tasks_of_label_studio(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not written as Label Studio's JSON"):
        export([PredictionRow(CAT, ("cat",), 0.9, {"cat": 0.9}, "m1")], tmp_path / "p.json")

    assert not (tmp_path / "p.json").exists()
