"""Rows of CSV, TSV, JSONL, JSON and Parquet files, streamed; a broken row is told apart and never ends the file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

_LONGEST_CELL = 64 << 20
_ROWS_AT_ONCE = 1024
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands ("line 7", "row 7") and its cells by column."""

    place: str
    cells: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that cannot be read, or with an empty place a file that cannot be read any further."""

    place: str
    reason: str


def rows(file: BinaryIO, ending: str) -> Iterator[Row | BrokenRow]:
    """The rows of an open file, one at a time; only JSON is read as a whole.

    Args:
        ending: One of `READERS`.
    """
    return READERS[ending](file)


def _csv_rows(file: BinaryIO) -> Iterator[Row | BrokenRow]:
    return _separated(file, None)


def _tsv_rows(file: BinaryIO) -> Iterator[Row | BrokenRow]:
    return _separated(file, "\t")


def _separated(file: BinaryIO, delimiter: str | None) -> Iterator[Row | BrokenRow]:
    csv.field_size_limit(_LONGEST_CELL)
    # an undecodable byte becomes a lone surrogate: one cell is refused later, not the file
    lines = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    head = lines.readline()
    if "\0" in head:
        yield BrokenRow("", "is not UTF-8 text (UTF-16?): save it as CSV UTF-8")
        return
    lines.seek(0)
    reader = csv.reader(lines, delimiter=delimiter or _delimiter(head))
    header = next(reader, [])
    if twice := sorted({name for name in header if header.count(name) > 1}):
        yield BrokenRow("", f"has the column {twice[0]!r} twice")
        return
    yield from _records(reader, header)


def _records(reader: Any, header: list[str]) -> Iterator[Row | BrokenRow]:
    while True:
        place = f"line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BrokenRow(place, f"is not CSV: {error}")
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            yield BrokenRow(place, f"has {len(cells)} cell(s), the header has {len(header)}")
            continue
        yield Row(place, dict(zip(header, cells, strict=True)))


def _delimiter(head: str) -> str:
    """The separator of the header; spreadsheets of half the world write a semicolon into a .csv."""
    return max(_DELIMITERS, key=head.count)


def _jsonl_rows(file: BinaryIO) -> Iterator[Row | BrokenRow]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            yield _parsed(f"line {number}", line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)


def _parsed(place: str, line: bytes) -> Row | BrokenRow:
    try:
        return _row(place, json.loads(line))
    except (ValueError, RecursionError) as error:
        return BrokenRow(place, f"is not JSON: {error}")


def _json_rows(file: BinaryIO) -> Iterator[Row | BrokenRow]:
    try:
        whole = json.loads(file.read().removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        yield BrokenRow("", f"is not JSON: {error}")
        return
    if not isinstance(whole, list):
        yield BrokenRow("", "is not a list of objects")
        return
    for number, record in enumerate(whole, start=1):
        yield _row(f"row {number}", record)


def _row(place: str, record: Any) -> Row | BrokenRow:
    if not isinstance(record, dict):
        return BrokenRow(place, f"is not an object with columns but {type(record).__name__}")
    return Row(place, record)


def _parquet_rows(file: BinaryIO) -> Iterator[Row | BrokenRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=_ROWS_AT_ONCE):
            for record in batch.to_pylist():
                number += 1
                yield Row(f"row {number}", record)
    except (pa.ArrowException, OSError) as error:
        yield BrokenRow("", f"is not Parquet after row {number}: {error}")


READERS: Mapping[str, Callable[[BinaryIO], Iterator[Row | BrokenRow]]] = {
    ".csv": _csv_rows,
    ".tsv": _tsv_rows,
    ".jsonl": _jsonl_rows,
    ".ndjson": _jsonl_rows,
    ".json": _json_rows,
    ".parquet": _parquet_rows,
}
