"""Rows of tables in the formats people keep them in, streamed; a file is read as a whole or refused as a whole.

What tells whether a file can be read to its end (its encoding, its compression, its blocks) is looked at before the
first row is given, at the price of reading it twice. A row that is none is told apart and never ends the file.
"""

from __future__ import annotations

import csv
import json
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TextIO

from labelloop.data import conll
from labelloop.data.text_files import (
    BAD_PACKAGE,
    LONGEST_LINE,
    UNPACKERS,
    BrokenRow,
    RefusedError,
    Row,
    Table,
    limited,
    text_of,
)
from labelloop.errors import ConfigError

LARGEST_WHOLE = 256 << 20
"""Characters of a JSON file, which is not streamed; bytes of a workbook's texts. A line of JSONL has a quarter."""

_ROWS_AT_ONCE = 1024
_BATCH_BYTES = 64 << 20
_LONGEST_NAME, _MOST_WORDS = 40, 2
_NAME = re.compile(r"^(?!.*(://|[.!?]$|^\s*$))(?=.*[^\W\d_])")
_DELIMITERS = ",;\t|"
_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_TASK_KEYS = ("annotations", "predictions", "completions", "id")


Rows = Iterator[Row | BrokenRow]


def kind_of(path: str) -> str:
    """The ending of `READERS` that a file's name has, also before one of a compression; empty for another name."""
    stem, ending = posixpath.splitext(path.lower())
    if ending in UNPACKERS:
        inner = posixpath.splitext(stem)[1]
        return inner if inner in _TEXTS else ""
    return ending if ending in READERS else ""


def rows(table: Table, kind: str = "") -> Rows:
    """The rows of a table, one at a time; only JSON is read as a whole.

    Args:
        kind: One of `READERS`, or `LINES`; what the name of the table says where it is empty.

    Raises:
        ConfigError: A package that the format needs is not installed, or there is no such encoding.
    """
    try:
        yield from (_lines if kind == LINES else READERS[kind or kind_of(table.name)])(table)
    except RefusedError as error:
        yield BrokenRow("", str(error))


LINES = "lines"
CONLL = ".conll"


def _csv_rows(table: Table) -> Rows:
    return _separated(table, None)


def _tsv_rows(table: Table) -> Rows:
    return _separated(table, "\t")


def _separated(table: Table, delimiter: str | None) -> Rows:
    csv.field_size_limit(LONGEST_LINE)
    with text_of(table) as lines:
        head, before = lines.readline(LONGEST_LINE), 0
        if said := _SEPARATOR.fullmatch(head):  # Excel's own first line
            delimiter, head, before = said[1], lines.readline(LONGEST_LINE), 1
        if "\0" in head:
            raise RefusedError("has NUL characters: a binary file, or one of another encoding (--encoding NAME)?")
        reader = csv.reader(_again(head, lines), delimiter=delimiter or _delimiter(head))
        header = next(reader, [])
        if twice := sorted(name for name, times in Counter(header).items() if times > 1):
            raise RefusedError(f"has the column {twice[0]!r} twice")
        yield from _records(reader, header, before)


def _again(head: str, lines: TextIO) -> Iterator[str]:
    yield head
    yield from lines


def _records(reader: Any, header: list[str], before: int) -> Rows:
    while True:
        place = f"line {reader.line_num + 1 + before}"
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


def _jsonl_rows(table: Table) -> Rows:
    with text_of(table, "\n") as lines:
        for number, line in enumerate(limited(lines), start=1):
            if line.strip():
                yield _parsed(f"line {number}", line)


def _lines(table: Table) -> Rows:
    with text_of(table, "") as lines:
        for number, line in enumerate(limited(lines), start=1):
            if line.strip():
                yield Row(f"line {number}", {"text": line.rstrip("\r\n")})


def _parsed(place: str, line: str) -> Row | BrokenRow:
    try:
        return _row(place, json.loads(line))
    except (ValueError, RecursionError) as error:
        return BrokenRow(place, f"is not JSON: {error}")


def _json_rows(table: Table) -> Rows:
    with text_of(table) as lines:
        text = lines.read(LARGEST_WHOLE + 1)
    if len(text) > LARGEST_WHOLE:
        limit = f"{LARGEST_WHOLE >> 20} MiB"
        raise RefusedError(f"is larger than {limit}, and JSON is read as a whole: save it as JSONL, which is streamed")
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"is not JSON: {error}") from error
    if not isinstance(whole, list):
        raise RefusedError("is not a list of objects")
    for number, record in enumerate(whole, start=1):
        yield _row(f"row {number}", record)


def _row(place: str, record: Any) -> Row | BrokenRow:
    if not isinstance(record, dict):
        return BrokenRow(place, f"is not an object with columns but {type(record).__name__}")
    return Row(place, record["data"] if _is_task(record) else record)


def _is_task(record: Mapping[str, Any]) -> bool:
    """Whether an object is a task of Label Studio, whose columns are in its `data`."""
    inside = record.get("data")
    return isinstance(inside, dict) and (len(record) == 1 or any(key in record for key in _TASK_KEYS))


def cell(cells: Mapping[str, Any], column: str) -> Any:
    """What stands in a column, or, of objects in columns, at a path such as `data.text`.

    Raises:
        KeyError: There is none.
    """
    if column in cells:
        return cells[column]
    first, _, rest = column.partition(".")
    if rest and isinstance(cells.get(first), Mapping):
        return cell(cells[first], rest)
    if rest and first == "data":  # of a task of Label Studio, whose columns are in its `data`
        return cell(cells, rest)
    raise KeyError(column)


def has_cell(cells: Mapping[str, Any], column: str) -> bool:
    """Whether a row has this column."""
    try:
        cell(cells, column)
    except KeyError:
        return False
    return True


def paths_in(cells: Mapping[str, Any]) -> list[str]:
    """The columns of a row, and those inside of objects by their paths."""
    inside = [f"{name}.{one}" for name, value in cells.items() if isinstance(value, Mapping) for one in value]
    return [*map(str, cells), *inside]


def is_header(names: Sequence[str]) -> bool:
    """Whether a first line may be names of columns: short words, no numbers, no addresses, no sentences."""
    return all(len(name) <= _LONGEST_NAME and len(name.split()) <= _MOST_WORDS and _NAME.search(name) for name in names)


def _parquet_rows(table: Table) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with table.open() as file:
        try:
            opened = pq.ParquetFile(file)
            at_once = _at_once(opened.metadata)
            for _ in opened.iter_batches(batch_size=at_once):
                pass
        except (pa.ArrowException, OSError) as error:
            raise RefusedError(f"is not Parquet to its end: {error}") from error
        yield from _records_of(table, opened.iter_batches(batch_size=at_once))


def _at_once(metadata: Any) -> int:
    """Rows of which some 64 MiB are held, by what the file says about itself."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    longest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=0.0)
    return max(1, min(_ROWS_AT_ONCE, int(_BATCH_BYTES / max(longest, 1.0))))


def _arrow_rows(table: Table) -> Rows:
    """Arrow's stream, which Hugging Face's `save_to_disk` writes."""
    import pyarrow as pa

    try:
        with table.open() as file, pa.ipc.open_stream(file) as batches:
            for _ in batches:
                pass
    except (pa.ArrowException, OSError) as error:
        raise RefusedError(f"is not Arrow to its end: {error}") from error
    with table.open() as file, pa.ipc.open_stream(file) as batches:
        yield from _records_of(table, batches)


def _records_of(table: Table, batches: Any) -> Rows:
    number = 0
    for batch in batches:
        for start in range(0, len(batch), _ROWS_AT_ONCE):
            for record in batch.slice(start, _ROWS_AT_ONCE).to_pylist():
                number += 1
                yield Row(f"row {number}", _named(record, table.names or {}))


def _named(record: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
    """The cells, with the name of a class for its number."""
    told = {
        column: known[record[column]]
        for column, known in names.items()
        if isinstance(record.get(column), int) and 0 <= record[column] < len(known)
    }
    return {**record, **told}


def _xlsx_rows(table: Table) -> Rows:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise ConfigError(
            f"{table.name} is a workbook of Excel, and openpyxl is not installed",
            "labelloop integration install tables, or save it as CSV UTF-8",
        ) from error
    with table.open() as file:
        _refuse_damaged(file)
        try:
            workbook = load_workbook(file, read_only=True, data_only=True)
            filled = [sheet for sheet in workbook.worksheets if any(any(_filled(row)) for row in _first(sheet))]
        except Exception as error:  # the library has an error of its own for each part of a workbook
            raise RefusedError(f"is no workbook of Excel: {error}") from error
        if len(filled) > 1:
            names = ", ".join(repr(sheet.title) for sheet in filled)
            raise RefusedError(f"has {len(filled)} sheets with rows ({names}): save the one that is meant as CSV UTF-8")
        if filled:
            yield from _sheet_rows(filled[0].iter_rows(values_only=True))


def _refuse_damaged(file: BinaryIO) -> None:
    """Look at every byte of a workbook before the first row is given."""
    try:
        with zipfile.ZipFile(file) as parts:
            size = sum(part.file_size for part in parts.infolist() if part.filename.endswith("sharedStrings.xml"))
            if size > LARGEST_WHOLE:
                raise RefusedError(f"has more than {LARGEST_WHOLE >> 20} MiB of texts: save it as CSV UTF-8")
            bad = parts.testzip()
    except BAD_PACKAGE as error:
        raise RefusedError(f"is no workbook of Excel: {error}") from error
    if bad:
        raise RefusedError(f"is a damaged workbook: {bad} cannot be read")
    file.seek(0)


def _first(sheet: Any) -> Iterator[Sequence[Any]]:
    yield from sheet.iter_rows(max_row=20, values_only=True)


def _filled(cells: Sequence[Any]) -> list[bool]:
    return [one is not None and str(one).strip() != "" for one in cells]


def _sheet_rows(lines: Iterator[Sequence[Any]]) -> Rows:
    header: list[str] = []
    for number, cells in enumerate(lines, start=1):
        if not any(_filled(cells)):
            continue
        if not header:
            header = ["" if one is None else str(one).strip() for one in cells]
            while header and not header[-1]:
                header.pop()
            if twice := sorted(name for name, times in Counter(header).items() if times > 1):
                raise RefusedError(f"has the column {twice[0]!r} twice")
            continue
        rest = [*cells, *[None] * (len(header) - len(cells))]
        if any(_filled(rest[len(header) :])):
            yield BrokenRow(f"row {number}", f"has cells beyond the {len(header)} columns of the header")
            continue
        yield Row(f"row {number}", dict(zip(header, rest, strict=False)))


_TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", *conll.ENDINGS)

READERS: Mapping[str, Callable[[Table], Rows]] = {
    ".csv": _csv_rows,
    ".tsv": _tsv_rows,
    ".jsonl": _jsonl_rows,
    ".ndjson": _jsonl_rows,
    ".json": _json_rows,
    ".parquet": _parquet_rows,
    ".arrow": _arrow_rows,
    ".xlsx": _xlsx_rows,
    **dict.fromkeys(conll.ENDINGS, conll.rows),
}
PACKED = tuple(UNPACKERS)
