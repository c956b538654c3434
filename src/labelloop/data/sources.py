"""Items from the places people keep them: folders, globs and tables, here or behind any URL that fsspec reads.

An item's id is the blake2b-128 digest of its content: of the bytes of an image file, of the UTF-8 bytes of a text. A
picture on the web is not downloaded when it is added; its id is the digest of its address, without what signs it for a
day. A table may bring ids of its own.
"""

from __future__ import annotations

import math
import posixpath
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import blake2b
from itertools import chain, islice
from os import cpu_count
from typing import Any, TypeVar

from labelloop.data import decoding
from labelloop.data.decoding import (
    DECODED,
    HEAD,
    begins_as_picture,
    decoded_size,
    need_pillow,
    opened_picture,
    shown_from,
)
from labelloop.data.duplicates import image_fingerprint, text_fingerprint
from labelloop.data.locations import (
    ALONE,
    HELD,
    REFUSALS,
    Access,
    Listed,
    Place,
    Take,
    ending,
    first_bytes,
    from_web,
    held,
    leads_out,
    open_place,
    opened_file,
    place_of,
    protocol_of,
    read_bytes,
)
from labelloop.data.noticed import Noticed
from labelloop.data.saved import mail_in, saved_tables
from labelloop.data.tables import CONLL, LINES, READERS, cell, has_cell, is_header, kind_of, paths_in, rows
from labelloop.data.text_files import BrokenRow, Row, Table, checked_encoding, example, guessed_encoding
from labelloop.errors import BackendError, BadItemError, ConfigError, LabelLoopError
from labelloop.errors.masking import has_credentials, masked
from labelloop.protocols import Progress, silent
from labelloop.types import Item, Missing, Modality, NewItem, Seen

T = TypeVar("T")
S = TypeVar("S")

TEXT_ENDINGS = (".eml", ".md", ".txt")
TEXT_COLUMNS = ("text", "sentence", "content", "body", "document", "review", "comment", "message", "tweet")
URI_COLUMNS = ("image", "url", "uri", "path", "file", "filename", "file_name", "image_url", "image_path", "filepath")

_LITTER = ("desktop.ini", "thumbs.db")
_TABLES_MAY_NAME = frozenset(["file", "local", "s3", "s3a", "gs", "gcs", "az", "abfs", "azure", "zip", "tar"])
"""Kinds of addresses that a table may send us to, beside its own; the web is asked by `downloads` alone."""
_SIGNED_BY_PREFIX = ("x-amz-", "x-goog-", "q-")
_SIGNED_BY_NAME = (
    *("signature", "expires", "policy", "key-pair-id"),
    *("awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "security-token"),
)
_SIGNED_BY_AZURE = (
    *("sig", "se", "sv", "sp", "st", "sr", "ss", "srt", "spr", "si", "sip", "scid", "saoid", "suoid"),
    *("skoid", "sktid", "skt", "ske", "sks", "skv"),
)
"""What S3, Google Cloud, Azure, CloudFront, Alibaba and Tencent sign links with."""

_LONGEST_TEXT = 1_000_000
_LARGEST_TEXT = 4 << 20
_LARGEST_MAIL, _MAIL_TAKES = 32 << 20, 8
"""Bytes of a mail with what is attached, and how many times as much memory it takes to be read."""

_LONGEST_ID = 200
_RECALLED = 1000
_THREADS = min(16, 4 * (cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table to read, and how; empty means: guess, from the names and the bytes.

    Attributes:
        text: The column, or a path to one inside of objects, such as `data.text`.
        encoding: Of tables and texts that are not UTF-8.
        lines: Whether every line of a text file is a text of its own.
        conll: Whether every line of a text file is a token with its tag, as in `.conll`.
    """

    text: str = ""
    uri: str = ""
    id: str = ""
    encoding: str = ""
    lines: bool = False
    conll: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that cannot become an item: which file or row, and why.

    Attributes:
        uri: The address of the file; empty for a row.
    """

    where: str
    reason: str
    uri: str = ""


@dataclass(frozen=True, slots=True)
class UnchangedFile:
    """A file that has not changed since it became an item; it was not opened."""

    item_id: str


Found = NewItem | Unreadable

Recall = Callable[[Sequence[Seen]], Mapping[str, str]]
"""Says which of some files are known not to have changed: address -> id of the item."""


def _nothing_known(seen: Sequence[Seen]) -> Mapping[str, str]:
    return {}


def content_id(content: bytes | str) -> str:
    """The id of an item with this content: 32 hex digits, blake2b-128 (RFC 7693) of the bytes or UTF-8."""
    return blake2b(content.encode() if isinstance(content, str) else content, digest_size=16).hexdigest()


def read_items(
    where: str,
    modality: Modality,
    columns: Columns | None = None,
    *,
    access: Access = ALONE,
    progress: Progress = silent,
) -> Iterator[Found]:
    """The items of one place, streamed in a fixed order, and what cannot be read, with the reason.

    Args:
        where: A folder (read with its subfolders, hidden files left out; or what Hugging Face's `save_to_disk` wrote),
            a glob, or one file: an image, a text or mail, or a table (CSV, TSV, JSONL, JSON, Parquet, Excel's .xlsx,
            CoNLL; the texts also as .gz, .bz2, .xz or .zst) of texts, or of paths and URLs of images; a path in a table
            counts from the folder of the table. Any URL of fsspec will do (`s3://...`, `zip://*.png::photos.zip`).
        modality: What people are to see. Folders give files of this kind only.
        access: How URLs are opened.

    Raises:
        NotFoundError: There is no such place.
        ConfigError: The place holds nothing of the kind, or the column to read cannot be guessed.
        BackendError: The filesystem behind the URL failed.
    """
    found = read_changed(where, modality, _nothing_known, columns, access=access, progress=progress)
    return (one for one in found if not isinstance(one, UnchangedFile))


def read_changed(
    where: str,
    modality: Modality,
    recall: Recall,
    columns: Columns | None = None,
    *,
    access: Access = ALONE,
    progress: Progress = silent,
    noticed: Noticed | None = None,
) -> Iterator[Found | UnchangedFile]:
    """As `read_items`, but files that have not changed since they became items are not opened.

    Args:
        recall: What is remembered; asked about many files at once. Rows of tables are read always.
        noticed: Where to write down what is passed over.
    """
    columns = columns or Columns()
    checked_encoding(columns.encoding)
    reading = _Reading(open_place(where, access), modality, recall, columns, noticed or Noticed())
    return _watched(reading, progress)


@dataclass(frozen=True)
class _Reading:
    """One place, and how it is read."""

    place: Place
    modality: Modality
    recall: Recall
    columns: Columns
    noticed: Noticed


def _watched(reading: _Reading, progress: Progress) -> Iterator[Found | UnchangedFile]:
    done = 0
    where, modality = reading.place.where, reading.modality
    for done, one in enumerate(_read(reading), start=1):
        progress(f"reading {where}", done, None)
        yield one
    if not done:
        passed = reading.noticed.sorts()
        there = f"; passed over {passed}" if passed else ""
        raise ConfigError(
            f"there is no {modality} in {where}; looked for {', '.join(endings(modality))}{there}",
            f"name a folder or glob of such files, or a table ({', '.join(READERS)})",
        )


def _read(reading: _Reading) -> Iterator[Found | UnchangedFile]:
    place = reading.place
    if place.is_glob:
        yield from _read_listed(reading, place.matches())
    elif place.ask(place.fs.isdir):
        if place.is_here and (saved := saved_tables(place.fs, place.path, place.relative)):
            for path, table in saved:
                yield from _read_table(reading, path, table)
            return
        refused: list[tuple[str, str]] = []
        walked = place.walk(refused)
        by_line = reading.columns.lines or reading.columns.conll
        yield from _read_listed(reading, list(walked)) if by_line else _read_files(reading, walked)
        yield from (Unreadable(*one) for one in refused)
    else:
        yield from _read_listed(reading, [place.itself()])


def _read_listed(reading: _Reading, listed: Sequence[Listed]) -> Iterator[Found | UnchangedFile]:
    shown = [one for one in listed if not posixpath.basename(one.path).startswith(".")]
    tables = {one.path: kind for one in shown if (kind := _table_kind(reading, one.path))}
    yield from _read_files(reading, (one for one in shown if one.path not in tables))
    for path, kind in tables.items():
        opened = partial(opened_file, reading.place.fs, path)
        name, encoding = reading.place.relative(path), reading.columns.encoding
        guessed = partial(reading.noticed.guess, name)
        yield from _read_table(reading, path, Table(name, opened, encoding, guessed), kind)


def _table_kind(reading: _Reading, path: str) -> str:
    """What kind of table a file is; empty for another file."""
    columns = reading.columns
    if (columns.lines or columns.conll) and reading.modality == "text" and ending(path) in TEXT_ENDINGS:
        return CONLL if columns.conll else LINES
    return kind_of(path)


def _is_wanted(reading: _Reading, one: Listed) -> bool:
    """Whether a file is of the kind: by its ending, or, of a picture without one, by its first bytes."""
    found = ending(one.path)
    if found in endings(reading.modality):
        return True
    if not found and reading.modality == "image" and begins_as_picture(first_bytes(reading.place.fs, one.path, HEAD)):
        return True
    if posixpath.basename(one.path).lower() not in _LITTER:
        reading.noticed.pass_over(found)
    return False


def _read_files(reading: _Reading, listed: Iterable[Listed]) -> Iterator[Found | UnchangedFile]:
    """The files of the kind, some at a time: those that are known, then those that must be read."""
    place, recall = reading.place, reading.recall
    read = _image_file if reading.modality == "image" else partial(_text_file, reading)
    wanted = (one for one in listed if _is_wanted(reading, one))
    while some := {place.uri(one.path): one for one in islice(wanted, _RECALLED)}:
        known = recall([Seen(uri, one.stamp) for uri, one in some.items() if one.stamp])
        yield from (UnchangedFile(known[uri]) for uri in some if uri in known)
        unread = [(one.path, Seen(uri, one.stamp)) for uri, one in some.items() if uri not in known]
        for found in _parallel(lambda file: read(place, *file), unread):
            if isinstance(found, NewItem) and reading.modality == "image" and not shown_from(found.item.uri):
                reading.noticed.converted[ending(found.item.uri)] += 1
            yield found


def _text_file(reading: _Reading, place: Place, path: str, seen: Seen) -> Found:
    name = place.relative(path)
    if out := leads_out(place, path):
        return Unreadable(name, f"is a link to {out}, outside of {place.root}: add that place itself")
    how = {"largest": _LARGEST_MAIL, "times": _MAIL_TAKES} if ending(path) == ".eml" else {"largest": _LARGEST_TEXT}
    with held(place.fs, path, **how) as raw:
        return _at(_text_in(reading, name, raw, seen.uri), seen)


def _text_in(reading: _Reading, name: str, raw: bytes | str, uri: str) -> Found:
    """A text from the bytes of its file, or from why these cannot be had."""
    if isinstance(raw, str):
        return Unreadable(name, raw, uri)
    is_mail = ending(name) == ".eml"
    try:
        text = mail_in(raw) if is_mail else _decoded(reading, name, raw)
    except UnicodeError as error:
        return Unreadable(name, f"the text is not {reading.columns.encoding or 'UTF-8'}: {error}", uri)
    if not text and is_mail:
        return Unreadable(name, "the mail has no plain text, only HTML or attachments", uri)
    return _text_item(name, text, {"file": name})


def _image_file(place: Place, path: str, seen: Seen) -> Found:
    name = place.relative(path)
    return _at(_image_item(place, path, name, {"file": name}), seen)


def _at(found: Found, seen: Seen) -> Found:
    return replace(found, uri=seen.uri) if isinstance(found, Unreadable) else replace(found, seen=seen)


def _image_item(place: Place, path: str, name: str, meta: Mapping[str, Any]) -> Found:
    with held(place.fs, path) as raw:
        if isinstance(raw, str):
            return Unreadable(name, raw)
        fingerprint = _verified(raw)
        if isinstance(fingerprint, str):
            return Unreadable(name, fingerprint)
        digest = content_id(raw)
    return NewItem(Item(digest, "image", uri=place.uri(path), digest=digest, meta=meta), fingerprint)


def _verified(raw: bytes) -> bytes | str:
    """The fingerprint of an image, which proves that it decodes; or why it does not."""
    need_pillow()
    from PIL import Image, UnidentifiedImageError

    if not raw:
        return "is empty"
    try:
        with opened_picture(raw) as image:
            image.draft("RGB", (64, 64))  # a JPEG is decoded at an eighth of its size where it can be
            with DECODED.taken(decoded_size(image)), closing(image):  # its pixels go before others may take their place
                return image_fingerprint(image)
    except UnidentifiedImageError:
        return "is not an image"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return f"is too large: {error}"
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError) as error:
        return f"is a broken image: {error}"
    except (struct.error, zlib.error, MemoryError) as error:
        return f"is a broken image: {error}"


def _text_item(where: str, text: object, meta: Mapping[str, Any]) -> Found:
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = str(text)
    if text is None or (isinstance(text, str) and not text.strip()):
        return Unreadable(where, "the text is empty")
    if not isinstance(text, str):
        return Unreadable(where, f"the text is not text but {type(text).__name__}")
    if len(text) > _LONGEST_TEXT:
        return Unreadable(where, f"the text is longer than {_LONGEST_TEXT} characters")
    if "\0" in text:
        return Unreadable(where, "the text has NUL characters: a binary file?")
    try:
        digest = content_id(text)
    except UnicodeEncodeError as error:
        return Unreadable(where, f"the text is not UTF-8 (character {error.start + 1})")
    return NewItem(Item(digest, "text", text=text, digest=digest, meta=meta), text_fingerprint(text))


def _decoded(reading: _Reading, name: str, raw: bytes) -> str:
    if reading.columns.encoding:
        return raw.decode(checked_encoding(reading.columns.encoding))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        guess = guessed_encoding(raw)
        if not guess:
            raise
        text = raw.decode(guess)
        reading.noticed.guess(name, guess, example(raw, guess))
        return text


def _read_table(reading: _Reading, path: str, table: Table, kind: str = "") -> Iterator[Found]:
    try:
        yield from _read_rows(reading, path, table.name, rows(table, kind))
    except REFUSALS as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        yield Unreadable(table.name, f"cannot be read: {said}")


def _read_rows(reading: _Reading, path: str, name: str, table: Iterator[Row | BrokenRow]) -> Iterator[Found]:
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
    found = _parallel(reader.read, everything) if columns.uri else map(reader.read, everything)
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
        try:
            content = cell(row.cells, column)
        except KeyError:
            return Unreadable(where, f"has no {column!r}")
        meta = {key: _plain(value) for key, value in row.cells.items() if key not in (column, self.columns.id)}
        if len(str(meta)) > _LONGEST_TEXT:
            return Unreadable(where, f"its other columns have more than {_LONGEST_TEXT} characters")
        found = self._content(where, content, meta)
        if self.columns.id and not isinstance(found, Unreadable):
            found = _with_id(where, found, _cell_or_none(row, self.columns.id))
        if isinstance(found, Unreadable):
            return found
        is_file = bool(found.item.uri and found.item.digest and not self.columns.id)
        name = str(content).strip() if is_file else found.item.id
        return replace(found, seen=Seen(f"{self._uri}#{name}", ""))

    def _content(self, where: str, cell: object, meta: Mapping[str, Any]) -> Found:
        if self.columns.text:
            return _text_item(where, cell, meta)
        if isinstance(cell, Mapping) and not cell.get("path"):
            return Unreadable(where, "the picture is inside of the table: save it as a file, and name its path")
        cell = cell["path"] if isinstance(cell, Mapping) else cell
        if not isinstance(cell, str) or not cell.strip():
            return Unreadable(where, f"the {self.columns.uri} is empty")
        if _is_web(cell):
            return _web_item(where, cell.strip(), meta)
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
        found = _image_item(place, path, where, {"file": cell, **meta})
        return Unreadable(where, f"{cell} {found.reason}") if isinstance(found, Unreadable) else found


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


def _web_item(where: str, url: str, meta: Mapping[str, Any]) -> Found:
    if has_credentials(url):  # it would be shown to everybody who answers, and exported; signed links end by themselves
        return Unreadable(where, f"{masked(url)} carries a password: give links without one, or signed ones")
    try:
        return NewItem(Item(content_id(unsigned(url)), "image", uri=url, meta=meta), b"")
    except UnicodeEncodeError:
        return Unreadable(where, f"{url!r} is not a URL")


def unsigned(url: str) -> str:
    """An address of the web without what signs it for a day, by which clouds tell one link to a file from another.

    An address that nobody has signed comes back as it is.
    """
    head, mark, query = url.partition("?")
    query, _, fragment = query.partition("#")
    parts = query.split("&") if mark else []
    names = {part.partition("=")[0].lower() for part in parts}
    kept = [part for part in parts if not _signs(part.partition("=")[0].lower(), names)]
    if len(kept) == len(parts):
        return url
    return head + (f"?{'&'.join(kept)}" if kept else "") + (f"#{fragment}" if fragment else "")


def _signs(name: str, names: set[str]) -> bool:
    """Whether a parameter of an address is part of its signature, among all that it has."""
    by_prefix = any(name.startswith(one) and f"{one}signature" in names for one in _SIGNED_BY_PREFIX)
    by_name = name in _SIGNED_BY_NAME and "signature" in names and bool(names & {"expires", "policy", "key-pair-id"})
    return by_prefix or by_name or (name in _SIGNED_BY_AZURE and {"sig", "se"} <= names)


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


@contextmanager
def held_content(item: Item, access: Access = ALONE) -> Iterator[bytes | str]:
    """As `read_content`, within the memory that many threads may fill together: see `locations.held`."""
    with ExitStack() as until:
        yield read_content(item, access, lambda size: until.enter_context(HELD.taken(size)))


def read_content(item: Item, access: Access = ALONE, take: Take = bool) -> bytes | str:
    """The bytes of an image, or the text of a text. Thread-safe.

    Raises:
        ConfigError: The bucket of the store refuses us.
        BadItemError: The content is gone, is not readable, or is not what it was when the item was added.
        BackendError: The service that has it does not answer now; `retryable`.
    """
    if item.modality == "text":
        return item.text
    raw = from_web(item.uri, access) if _is_web(item.uri) else _opened(item, access, take)
    if item.digest and content_id(raw) != item.digest:
        raise BadItemError(
            f"item {item.id!r} at {item.uri} has changed since it was added",
            "restore the file, or labelloop add it as it is now",
        )
    return raw


def unreadable(items: Iterable[Item], access: Access = ALONE) -> dict[str, Missing]:
    """Why those of the items that lie in files of this machine, and cannot be read or have changed, cannot be shown.

    Returns:
        Item id -> why.
    """
    here = [item for item in items if item.uri.startswith("file://")]
    found = zip(here, _parallel(lambda item: problem(item, access), here), strict=True)
    return {item.id: why for item, why in found if why is not None}


def problem(item: Item, access: Access = ALONE) -> Missing | None:
    """Why an item cannot be read; None if it can."""
    try:
        read_content(item, access)
    except BackendError as error:
        return Missing(error.message, away=True)
    except LabelLoopError as error:
        return Missing(error.message)
    return None


def _opened(item: Item, access: Access, take: Take) -> bytes:
    try:
        return read_bytes(item.uri, access, take)
    except (TimeoutError, ConnectionError) as error:
        raise BackendError(f"{item.uri} does not answer: {error}", "try again", retryable=True) from error
    except REFUSALS as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise BadItemError(f"item {item.id!r} cannot be read from {item.uri}: {reason}", "restore the file") from error
    except LabelLoopError:
        raise
    except Exception as error:  # every filesystem of others has its own
        raise BackendError(f"{item.uri} cannot be read: {error}", "try again", retryable=True) from error


def _is_web(uri: str) -> bool:
    return uri.lstrip().startswith(("http://", "https://")) and "::" not in uri


def _parallel(work: Callable[[S], T], things: Iterable[S]) -> Iterator[T]:
    """`map` on a few threads, in order, with a bounded number of things under way."""
    under_way: deque[Future[T]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="read") as pool:
        for thing in things:
            under_way.append(pool.submit(work, thing))
            if len(under_way) >= 4 * _THREADS:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def endings(modality: Modality) -> tuple[str, ...]:
    """The endings of the files that are items of this kind."""
    return decoding.endings() if modality == "image" else TEXT_ENDINGS
