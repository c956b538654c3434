"""Items from the places people keep them: folders, globs and tables, here or behind any URL that fsspec reads.

What an item is known by is in `labelloop.data.found`; a table may bring ids of its own.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from labelloop.data import decoding
from labelloop.data.contents import held_content, problem, read_content, side_by_side, unreadable
from labelloop.data.decoding import HEAD, begins_as_picture, shown_from
from labelloop.data.found import Found, Unreadable, content_id, image_item, text_item, unsigned
from labelloop.data.locations import (
    ALONE,
    REFUSALS,
    Access,
    Listed,
    Place,
    ending,
    first_bytes,
    held,
    leads_out,
    open_place,
    opened_file,
)
from labelloop.data.noticed import Noticed
from labelloop.data.saved import mail_in, saved_tables
from labelloop.data.table_rows import Columns, Reading, read_rows
from labelloop.data.tables import CONLL, LINES, READERS, kind_of, rows
from labelloop.data.text_files import Table, checked_encoding, example, guessed_encoding
from labelloop.errors import ConfigError
from labelloop.protocols import Progress, silent
from labelloop.types import Modality, NewItem, Seen

__all__ = [
    "Columns",
    "Found",
    "UnchangedFile",
    "Unreadable",
    "content_id",
    "endings",
    "held_content",
    "problem",
    "read_changed",
    "read_content",
    "read_items",
    "unreadable",
    "unsigned",
]

TEXT_ENDINGS = (".eml", ".md", ".txt")

_LITTER = ("desktop.ini", "thumbs.db")
_LARGEST_TEXT = 4 << 20
_LARGEST_MAIL, _MAIL_TAKES = 32 << 20, 8
"""Bytes of a mail with what is attached, and how many times as much memory it takes to be read."""

_RECALLED = 1000


@dataclass(frozen=True, slots=True)
class UnchangedFile:
    """A file that has not changed since it became an item; it was not opened."""

    item_id: str


Recall = Callable[[Sequence[Seen]], Mapping[str, str]]
"""Says which of some files are known not to have changed: address -> id of the item."""


def _nothing_known(seen: Sequence[Seen]) -> Mapping[str, str]:
    return {}


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
    reading = _Reading(open_place(where, access), modality, columns, noticed or Noticed(), recall)
    return _watched(reading, progress)


@dataclass(frozen=True)
class _Reading(Reading):
    """One place, how it is read, and what is known of it."""

    recall: Recall


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


def _is_enough(reading: _Reading, one: Listed) -> bool:
    """True: a file is all that people are shown.

    Raises:
        ConfigError: They are shown more.
    """
    columns = reading.columns
    if len({*columns.shown, *columns.item}) > 1:
        raise ConfigError(
            f"{reading.place.relative(one.path)} is one {reading.modality}, and the label config shows "
            f"${', $'.join(columns.shown)}",
            "add a table with a column for each of them",
        )
    return True


def _read_files(reading: _Reading, listed: Iterable[Listed]) -> Iterator[Found | UnchangedFile]:
    """The files of the kind, some at a time: those that are known, then those that must be read."""
    place, recall = reading.place, reading.recall
    read = _image_file if reading.modality == "image" else partial(_text_file, reading)
    wanted = (one for one in listed if _is_wanted(reading, one) and _is_enough(reading, one))
    while some := {place.uri(one.path): one for one in islice(wanted, _RECALLED)}:
        known = recall([Seen(uri, one.stamp) for uri, one in some.items() if one.stamp])
        yield from (UnchangedFile(known[uri]) for uri in some if uri in known)
        unread = [(one.path, Seen(uri, one.stamp)) for uri, one in some.items() if uri not in known]
        for found in side_by_side(lambda file: read(place, *file), unread):
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
    return text_item(name, text, {"file": name})


def _image_file(place: Place, path: str, seen: Seen) -> Found:
    name = place.relative(path)
    return _at(image_item(place, path, name, {"file": name}), seen)


def _at(found: Found, seen: Seen) -> Found:
    return replace(found, uri=seen.uri) if isinstance(found, Unreadable) else replace(found, seen=seen)


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
        yield from read_rows(reading, path, table.name, rows(table, kind))
    except REFUSALS as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        yield Unreadable(table.name, f"cannot be read: {said}")


def endings(modality: Modality) -> tuple[str, ...]:
    """The endings of the files that are items of this kind."""
    return decoding.endings() if modality == "image" else TEXT_ENDINGS
