"""Labels and predictions to files that other tools read: JSONL, CSV, Parquet, and Label Studio's own JSON.

In CSV a cell that a spreadsheet would take for a formula (it starts with = + - @, a tab or a carriage return) gets an
apostrophe in front; several labels stand in one cell with | between them, a | or \\ in a label behind a \\; meta and
probabilities are JSON. JSONL and Parquet hold everything exactly as it is. Label Studio's JSON is a list of tasks with
every annotation.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

from labelloop.errors import BackendError, ConfigError
from labelloop.kinds import Control
from labelloop.kinds.consensus import as_said
from labelloop.types import Annotation, Item

Format = Literal["jsonl", "csv", "parquet", "json", "conll"]
STDOUT = "-"

_ENDINGS: Mapping[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".json": "json",
    **dict.fromkeys((".conll", ".iob", ".bio"), "conll"),
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ROWS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class ExportRow:
    """The believed answers about one item.

    Attributes:
        labels: What is believed in the main control; None where nobody said anything that counts there.
        annotator: Who said so last, as the annotator names people; the version of a model.
        source: Who said so: "human", or "model" for a label that nobody has seen (`labelloop auto-label`).
        held_out: Whether the item is protected: part of the honest score, not for training.
        answers: Control -> what is believed in it, as its kind writes it, or None; of those beside the main one.
        extra: Control -> what people said in it, of those that the schema does not know.
        annotations: Everything people say about the item, with every region as it is; JSONL and JSON hold it.
        data: What people are shown, by the columns of the label config that they brought; empty where it is ours.
    """

    item: Item
    labels: Sequence[str] | None
    annotator: str
    source: str
    held_out: bool
    updated_at: datetime
    answers: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    annotations: Sequence[Annotation] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """The row as it is written."""
        return {
            **_of(self.item),
            "labels": None if self.labels is None else list(self.labels),
            **({"answers": dict(self.answers)} if self.answers else {}),
            "annotator": self.annotator,
            "source": self.source,
            "held_out": self.held_out,
            "updated_at": self.updated_at.astimezone(UTC).isoformat(),
            "meta": dict(self.item.meta),
            "extra": dict(self.extra),
        }

    def everything(self) -> dict[str, Any]:
        """The row with every region of every annotation."""
        return {**self.columns(), "annotations": [_annotation(one) for one in self.annotations]}

    def task(self) -> dict[str, Any]:
        """The row as a task of Label Studio, which its import takes."""
        item, columns = self.item, self.columns()
        names = ("id", "labels", "answers", "annotator", "source", "held_out", "updated_at")
        told = {name: columns[name] for name in names if name in columns}
        return {
            "data": {**(self.data or {item.modality: item.text or item.uri}), "labelloop_id": item.id},
            "meta": {**dict(item.meta), "labelloop": told},
            "annotations": [_annotation_of_task(one) for one in self.annotations],
        }


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """What a model says about one item.

    Attributes:
        score: In [0, 1], the confidence in `labels`.
        probabilities: Label -> probability.
        model_version: Which model says so.
        answers: The main control -> what it says in it, as its kind writes it, where that are no choices.
    """

    item: Item
    labels: Sequence[str]
    score: float
    probabilities: Mapping[str, float]
    model_version: str
    answers: Mapping[str, Any] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """The row as it is written."""
        return {
            **_of(self.item),
            "labels": list(self.labels),
            **({"answers": dict(self.answers)} if self.answers else {}),
            "score": self.score,
            "probabilities": dict(self.probabilities),
            "model_version": self.model_version,
            "meta": dict(self.item.meta),
        }


Rows = Iterable[ExportRow] | Iterable[PredictionRow]


def export(rows: Rows, output: str | Path, format: Format | None = None, *, controls: Sequence[Control] = ()) -> int:
    """Write rows, one at a time, and return how many.

    A file appears under its name only when it is complete. No rows make a file with no rows.

    Args:
        output: The file; "-" is the standard output, as JSONL unless `format` says CSV.
        format: Guessed from the ending of the file unless given.
        controls: Those whose answers the rows have, each a column `answers.NAME` of CSV and Parquet.

    Raises:
        ConfigError: The ending names no format, or CoNLL, which has no rows; Parquet is to go to the standard output,
            there is no such folder, or predictions are to be Label Studio's JSON.
        BackendError: The disk is full, or refuses.
    """
    chosen = format or format_of(str(output))
    if chosen == "parquet" and str(output) == STDOUT:
        raise ConfigError("Parquet cannot be written to the standard output", "name a file ending in .parquet")
    if chosen == "conll":
        raise ConfigError("these rows are not written as CoNLL", "name a file ending in .jsonl")
    with completed(output) as file:
        return _write(chosen, _columns(rows, chosen), file, controls)


def _write(format: Format, rows: Iterator[dict[str, Any]], file: BinaryIO, controls: Sequence[Control]) -> int:
    if format == "parquet":
        return _write_parquet(rows, file, {f"answers.{one.name}": one.kind.arrow for one in controls})
    return _WRITERS[format](rows, file)


def format_of(output: str) -> Format:
    """What the ending of a file says; JSONL for the standard output.

    Raises:
        ConfigError: It names no format.
    """
    if output == STDOUT:
        return "jsonl"
    ending = Path(output).suffix.lower()
    if ending not in _ENDINGS:
        raise ConfigError(
            f"{output} ends in {ending!r}, which names no format" if ending else f"{output} has no ending",
            f"name a file ending in {', '.join(_ENDINGS)}",
        )
    return _ENDINGS[ending]


@contextmanager
def completed(output: str | Path) -> Iterator[BinaryIO]:
    """A file to write that replaces another when all went well, and leaves no trace when not; or the standard output.

    Raises:
        ConfigError: There is no such folder, or it is one.
        BackendError: The disk is full, or refuses.
    """
    if str(output) == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}", f"mkdir -p {path.parent}")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", "name a file in it")
    # a pipe or a device is written to; renaming a file over it would destroy it
    part = path if path.exists() and not path.is_file() else path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
        if part != path:
            part.replace(path.resolve())
    except OSError as error:
        raise BackendError(
            f"{path} cannot be written: {error.strerror or error}", "make room, or write elsewhere"
        ) from error
    finally:
        if part != path:
            part.unlink(missing_ok=True)


def _columns(rows: Rows, format: Format) -> Iterator[dict[str, Any]]:
    for row in rows:
        if format == "json":
            yield _task(row)
        elif format == "jsonl":
            yield row.everything() if isinstance(row, ExportRow) else row.columns()
        else:
            yield _flat(row.columns())


def _flat(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns with one for each control's answers."""
    flat: dict[str, Any] = {}
    for name, value in columns.items():
        flat.update({f"answers.{one}": said for one, said in value.items()} if name == "answers" else {name: value})
    return flat


def _task(row: ExportRow | PredictionRow) -> dict[str, Any]:
    if isinstance(row, PredictionRow):
        raise ConfigError("predictions are not written as Label Studio's JSON", "name a file ending in .jsonl")
    return row.task()


def _annotation_of_task(one: Annotation) -> dict[str, Any]:
    """As Label Studio exports it; its id and its author, which another server does not have, stand beside it."""
    told = _annotation(one)
    return {
        "was_cancelled": told.pop("skipped"),
        "labelloop": {"id": told.pop("id"), "annotator": told.pop("annotator")},
        **told,
    }


def _annotation(one: Annotation) -> dict[str, Any]:
    return {
        "id": one.id,
        "annotator": one.annotator,
        "skipped": one.skipped,
        "ground_truth": one.ground_truth,
        "lead_time": one.lead_time,
        "created_at": one.created_at.astimezone(UTC).isoformat(),
        "updated_at": one.updated_at.astimezone(UTC).isoformat(),
        "result": [dict(region) for region in as_said(one.regions)],
    }


def _of(item: Item) -> dict[str, Any]:
    return {"id": item.id, "uri": item.uri, "text": item.text}


def _write_jsonl(rows: Iterator[dict[str, Any]], file: BinaryIO) -> int:
    count = 0
    for row in rows:
        count += 1
        file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    return count


def _write_json(rows: Iterator[dict[str, Any]], file: BinaryIO) -> int:
    """One list, a task a line."""
    count = 0
    for count, row in enumerate(rows, start=1):
        file.write(b"[\n" if count == 1 else b",\n")
        file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
    file.write(b"\n]\n" if count else b"[]\n")
    return count


def _write_csv(rows: Iterator[dict[str, Any]], file: BinaryIO) -> int:
    lines = io.TextIOWrapper(file, "utf-8", errors="replace", newline="", write_through=True)
    writer = csv.writer(lines)
    count = 0
    for count, row in enumerate(rows, start=1):
        if count == 1:
            writer.writerow(row)
        writer.writerow([_cell(name, value) for name, value in row.items()])
    lines.flush()
    lines.detach()
    return count


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if value is None:
        return ""
    if name == "labels":
        value = "|".join(label.replace("\\", "\\\\").replace("|", "\\|") for label in value)
    elif isinstance(value, Mapping | list):
        value = json.dumps(value, ensure_ascii=False)
    return f"'{value}" if value.startswith(_FORMULA) else value


def _write_parquet(rows: Iterator[dict[str, Any]], file: BinaryIO, answers: Mapping[str, Any]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(rows, None)
    if first is None:
        pq.write_table(pa.table({name: pa.array([], pa.string()) for name in ("id", "uri", "text")}), file)
        return 0
    schema = pa.schema([(name, answers.get(name) or _arrow_type(pa, name, value)) for name, value in first.items()])
    count = 0
    everything = chain([first], rows)
    with pq.ParquetWriter(file, schema) as writer:
        while some := list(islice(everything, _ROWS_AT_ONCE)):
            count += len(some)
            writer.write_table(pa.Table.from_pylist([_arrow_row(row) for row in some], schema))
    return count


def _arrow_type(pa: Any, name: str, value: Any) -> Any:
    if name == "labels":
        return pa.list_(pa.string())
    if name == "probabilities":
        return pa.map_(pa.string(), pa.float64())
    if name == "updated_at":
        return pa.timestamp("us", "UTC")
    return {bool: pa.bool_(), float: pa.float64()}.get(type(value), pa.string())


def _arrow_row(row: Mapping[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {
        name: json.dumps(row[name], ensure_ascii=False) for name in ("meta", "extra") if name in row
    }
    if "updated_at" in row:
        changed["updated_at"] = datetime.fromisoformat(row["updated_at"])
    if "probabilities" in row:
        changed["probabilities"] = list(row["probabilities"].items())
    return {**row, **changed}


_WRITERS: Mapping[Format, Callable[[Iterator[dict[str, Any]], BinaryIO], int]] = {
    "jsonl": _write_jsonl,
    "json": _write_json,
    "csv": _write_csv,
}
