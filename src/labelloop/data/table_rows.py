"""Rows of a table to items: which columns are read, what is in their cells, and whose ids they bring."""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from typing import Any

from labelloop.data.contents import side_by_side
from labelloop.data.found import LONGEST_TEXT, Found, Unreadable, image_item, is_web, text_item, web_item
from labelloop.data.locations import Place, place_of, protocol_of
from labelloop.data.noticed import Noticed
from labelloop.data.tables import cell, has_cell, is_header, paths_in
from labelloop.data.text_files import BrokenRow, Row
from labelloop.errors import ConfigError
from labelloop.errors.masking import masked
from labelloop.kinds.label_config import text_in
from labelloop.types import Modality, NewItem, Seen

TEXT_COLUMNS = ("text", "sentence", "content", "body", "document", "review", "comment", "message", "tweet")
URI_COLUMNS = ("image", "url", "uri", "path", "file", "filename", "file_name", "image_url", "image_path", "filepath")

_TABLES_MAY_NAME = frozenset(["file", "local", "s3", "s3a", "gs", "gcs", "az", "abfs", "azure", "zip", "tar"])
"""Kinds of addresses that a table may send us to, beside its own; the web is asked by `downloads` alone."""

_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table to read, and how; empty means: guess, from the names and the bytes.

    Attributes:
        text: The column, or a path to one inside of objects, such as `data.text`.
        encoding: Of tables and texts that are not UTF-8.
        lines: Whether every line of a text file is a text of its own.
        conll: Whether every line of a text file is a token with its tag, as in `.conll`.
        shown: All columns that people see, of which none may be missing.
        item: Those of them that are the item: one for a picture; several texts, or one in parts, are read as one text.
        parts: Those that hold lists or objects; a text in one of them is JSON.
    """

    text: str = ""
    uri: str = ""
    id: str = ""
    encoding: str = ""
    lines: bool = False
    conll: bool = False
    shown: tuple[str, ...] = ()
    item: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How the tables of one place are read.

    Attributes:
        modality: What people are to see.
        noticed: Where to write down what is passed over.
    """

    place: Place
    modality: Modality
    columns: Columns
    noticed: Noticed


def read_rows(reading: Reading, path: str, name: str, table: Iterator[Row | BrokenRow]) -> Iterator[Found]:
    """The items of a table's rows, and what cannot be read.

    Args:
        path: Of the table, in the place.
        name: Of the table, for people.

    Raises:
        ConfigError: The column to read is missing, or cannot be guessed.
    """
    broken: list[Unreadable] = []
    for first in table:
        if isinstance(first, Row):
            break
        broken.append(_broken(name, first))
    else:
        yield from broken
        return
    columns = _chosen(name, first.cells, reading.modality, reading.columns)
    yield from broken
    reader = _RowReader(reading.place, path, name, columns)
    everything = _looked_at(reading.noticed, name, columns, chain([first], table))
    # reading files waits, texts are only arithmetic
    found = side_by_side(reader.read, everything) if columns.uri else map(reader.read, everything)
    yield from _once(found) if columns.id else (one for _, one in found)


def _looked_at(
    noticed: Noticed, name: str, columns: Columns, table: Iterable[Row | BrokenRow]
) -> Iterator[Row | BrokenRow]:
    for row in table:
        if isinstance(row, Row):
            read = (columns.text, columns.uri, columns.id)
            noticed.look(name, {column: value for column, value in row.cells.items() if column not in read})
        yield row


def _broken(name: str, row: BrokenRow) -> Unreadable:
    return Unreadable(f"{name} {row.place}".rstrip(), row.reason)


@dataclass(frozen=True)
class _RowReader:
    """Rows of one table to items."""

    place: Place
    path: str
    name: str
    columns: Columns

    @cached_property
    def _uri(self) -> str:
        return self.place.uri(self.path)

    def read(self, row: Row | BrokenRow) -> tuple[str, Found]:
        """Where the row is, and what it is."""
        where = f"{self.name} {row.place}".rstrip()
        return where, _broken(self.name, row) if isinstance(row, BrokenRow) else self._found(where, row)

    def _found(self, where: str, row: Row) -> Found:
        column = self.columns.text or self.columns.uri
        if self.columns.parts:
            row = replace(row, cells=_with_parts(row.cells, self.columns.parts))
        try:
            content = self._of_item(row) if self.columns.item else cell(row.cells, column)
        except KeyError as error:
            return Unreadable(where, f"has no {error.args[0]!r}")
        if lacking := [name for name in self.columns.shown if row.cells.get(name) is None]:
            what = "no JSON in" if lacking[0] in self.columns.parts else "no"
            return Unreadable(where, f"has {what} {lacking[0]!r}, which people are shown")
        is_whole = not self.columns.item or content == row.cells.get(column)
        apart = {self.columns.id} - {*self.columns.shown} | ({column} if is_whole else set())
        meta = {key: _plain(value) for key, value in row.cells.items() if key not in apart}
        if len(str(meta)) > LONGEST_TEXT:
            return Unreadable(where, f"its other columns have more than {LONGEST_TEXT} characters")
        found = self._content(where, content, meta)
        if self.columns.id and not isinstance(found, Unreadable):
            found = _with_id(where, found, _cell_or_none(row, self.columns.id))
        if isinstance(found, Unreadable):
            return found
        is_file = bool(found.item.uri and found.item.digest and not self.columns.id)
        name = str(content).strip() if is_file else found.item.id
        return replace(found, seen=Seen(f"{self._uri}#{name}", ""))

    def _of_item(self, row: Row) -> object:
        """What the item is: a picture's address, or all its texts as one."""
        found = [cell(row.cells, column) for column in self.columns.item]
        return found[0] if self.columns.uri else "\n\n".join(map(text_in, found))

    def _content(self, where: str, cell: object, meta: Mapping[str, Any]) -> Found:
        if self.columns.text:
            return text_item(where, cell, meta)
        if isinstance(cell, Mapping) and not cell.get("path"):
            return Unreadable(where, "the picture is inside of the table: save it as a file, and name its path")
        cell = cell["path"] if isinstance(cell, Mapping) else cell
        if not isinstance(cell, str) or not cell.strip():
            return Unreadable(where, f"the {self.columns.uri} is empty")
        if is_web(cell):
            return web_item(where, cell.strip(), meta)
        return self._file(where, cell.strip(), meta)

    def _file(self, where: str, cell: str, meta: Mapping[str, Any]) -> Found:
        place = self.place
        path = cell if cell.startswith("/") else posixpath.normpath(posixpath.join(posixpath.dirname(self.path), cell))
        if "://" in cell:
            if refused := sorted(_schemes(cell) - _TABLES_MAY_NAME - {protocol_of(place.fs)}):
                return Unreadable(
                    where, f"{masked(cell)}: a table may not name {refused[0]}://, add such a place itself"
                )
            try:
                place = place_of(cell, self.place.access)
            except ConfigError as error:
                return Unreadable(where, error.message)
            path = place.path
        found = image_item(place, path, where, {"file": cell, **meta})
        return Unreadable(where, f"{cell} {found.reason}") if isinstance(found, Unreadable) else found


def _with_parts(cells: Mapping[str, Any], parts: Sequence[str]) -> Mapping[str, Any]:
    """A row in which what a format without lists has as JSON is lists again; what is no JSON is missing."""
    found = dict(cells)
    for column in parts:
        if isinstance(said := cells.get(column), str):
            try:
                found[column] = json.loads(said)
            except (ValueError, RecursionError):
                found[column] = None
    return found


def _cell_or_none(row: Row, column: str) -> object:
    try:
        found: object = cell(row.cells, column)
    except KeyError:
        return None
    return found


def _schemes(cell: str) -> set[str]:
    """The kinds of filesystems that an address goes through; in a chain, all but the last may be their names alone."""
    *links, last = cell.split("::")
    return {one.partition("://")[0] for one in [*links, *([last] if "://" in last else [])]}


def _with_id(where: str, found: NewItem, cell: object) -> Found:
    given = "" if cell is None else str(cell)
    if not given.strip():
        return Unreadable(where, "the id is empty")
    if len(given) > _LONGEST_ID:
        return Unreadable(where, f"the id has {len(given)} characters, at most {_LONGEST_ID} will do")
    if not given.isprintable() or given != given.strip():
        return Unreadable(where, f"the id {given!r} has spaces around it or characters that do not print")
    return replace(found, item=replace(found.item, id=given))


def _once(found: Iterable[tuple[str, Found]]) -> Iterator[Found]:
    """Pass items through, but refuse an id that was used before for another content."""
    contents: dict[int, int] = {}
    for where, one in found:
        if isinstance(one, Unreadable):
            yield one
            continue
        content = _short(one.item.digest or one.item.uri)
        if contents.setdefault(_short(one.item.id), content) == content:
            yield one
        else:
            yield Unreadable(where, f"the id {one.item.id!r} is used twice, for different contents; the first counts")


def _short(text: str) -> int:
    """64 bits of a digest: a million ids cost 100 MB less than as strings."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _chosen(name: str, first: Mapping[str, Any], modality: Modality, columns: Columns) -> Columns:
    """The columns to read: the named ones, or the only known name among those that are there.

    Args:
        first: The first row.

    Raises:
        ConfigError: A named column is missing, or none or several are known.
    """
    flag, wanted, known = (
        ("--uri-column", columns.uri, URI_COLUMNS)
        if modality == "image"
        else ("--text-column", columns.text, TEXT_COLUMNS)
    )
    there = list(first)
    for column in columns.shown:
        if column not in first:
            raise ConfigError(
                f"{name} has no column {column!r}, which the label config shows as ${column}",
                f"its columns are: {', '.join(there)}; rename one, or change the label config",
            )
    if columns.item and wanted not in ("", *columns.item):
        raise ConfigError(
            f"{flag} {wanted} is not what the label config asks about, which is ${', $'.join(columns.item)}",
            f"leave out {flag}, and name the column as the label config does",
        )
    wanted = wanted or next(iter(columns.item), "")
    for column in filter(None, (wanted, columns.id)):
        if not has_cell(first, column):
            raise ConfigError(f"{name} has no column {column!r}", f"its columns are: {', '.join(paths_in(first))}")
    candidates = [wanted] if wanted else [column for column in there if column.strip().lower() in known]
    candidates = [column for column in candidates if column != columns.id or column == wanted]
    if len(candidates) != 1:
        raise _unclear(name, first, candidates, modality, flag)
    if modality == "image":
        return replace(columns, text="", uri=candidates[0])
    return replace(columns, text=candidates[0], uri="")


def _unclear(
    name: str, first: Mapping[str, Any], candidates: Sequence[str], modality: Modality, flag: str
) -> ConfigError:
    there = ", ".join(paths_in(first))
    if candidates:
        which = f"any of {', '.join(candidates)} may be the {modality}; its columns are: {there}"
        return ConfigError(f"{name}: {which}", f"say which one with {flag} NAME")
    if not is_header(list(first)):
        return ConfigError(
            f"{name} has no header: its first line is {', '.join(map(repr, first))}",
            f"write the names of the columns above it, such as {'image' if modality == 'image' else 'text'}",
        )
    return ConfigError(
        f"{name}: none of its columns is known to be the {modality}; its columns are: {there}",
        f"say which one with {flag} NAME; if that line is no header, write one above it",
    )


def _plain(value: Any) -> Any:
    """The nearest JSON value: a column of a table may hold dates, bytes or not-a-number."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value).replace("\0", "").encode("utf-8", "replace").decode()
