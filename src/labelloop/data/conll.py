"""Files of CoNLL: a token a line with its tag in the last column, a blank line after each sentence; read as texts with
spans, streamed.

The tokens of a sentence are joined by single spaces, whatever stood between them once. What the columns are is what
most lines have; a sentence with another line is told apart, and a file of which most lines bear no tag is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from labelloop.data.locations import open_place, opened_file
from labelloop.data.text_files import BrokenRow, RefusedError, Row, Table, limited, text_of
from labelloop.errors import ConfigError
from labelloop.kinds import bio
from labelloop.kinds.bio import Place
from labelloop.kinds.spans import Spans

ENDINGS = (".conll", ".iob", ".bio")
LONGEST = 1_000_000
"""Characters of a sentence."""

_DOCUMENT = re.compile(r"-DOCSTART-|#(begin|end) document\b")
_COMMENT = re.compile(r"# (newdoc|newpar)\b|# [\w.:-]+ = |# id \S+\s+domain=")
_ID = re.compile(r"# (?:sent_)?id = (.*\S)")
_BLANKS = re.compile(r"[ \t]+")
_MARK = "\ufeff"
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text with its spans.

    Attributes:
        places: Of each token in the text, which a single space stands between.
        id: What a comment `# id = ...` says; empty without one.
        place: Where it begins in its file: "line 7".
    """

    text: str
    spans: Spans
    places: tuple[Place, ...] = field(repr=False)
    id: str = ""
    place: str = field(default="", compare=False)

    @property
    def tags(self) -> list[str]:
        """The spans as BIO, a tag for each token."""
        return bio.tags_of(self.places, self.spans)


_Sort = Literal["token", "comment", "end"]


class _Line(NamedTuple):
    """A line of a file: a token, what is said about the sentence that follows, or the end of one."""

    sort: _Sort
    number: int
    text: str


class _Columns(NamedTuple):
    """How lines are parted: at every tab, or at blanks; and into how many columns."""

    by_tab: bool
    width: int


def read(path: str | Path, encoding: str = "") -> list[Sentence]:
    """The sentences of a file, all of them.

    Args:
        path: A file, or any URL of one that fsspec reads; also packed (`.conll.gz`).
        encoding: Where it is not UTF-8; none is guessed.

    Raises:
        NotFoundError: There is no such file.
        ConfigError: It is no CoNLL file, or not of this encoding; or a line is broken, which is named.
    """
    place = open_place(str(path))
    name = place.relative(place.path)
    found = list(_or_why(Table(name, partial(opened_file, place.fs, place.path), encoding, _refuse_guess)))
    broken = [one for one in found if isinstance(one, BrokenRow)]
    if broken:
        more = f", and {len(broken) - 1} sentence(s) more are broken" if len(broken) > 1 else ""
        where = f"{name} {broken[0].place}".rstrip()
        raise ConfigError(f"{where}: {broken[0].reason}{more}", "mend the file, or leave these sentences out")
    return [one for one in found if isinstance(one, Sentence)]


def sentences(table: Table) -> Iterator[Sentence | BrokenRow]:
    """The sentences of a file, one at a time, and the places of those that are broken.

    Raises:
        RefusedError: The file as a whole is no CoNLL.
    """
    columns = _columns_of(table)
    with text_of(table) as lines:
        held: list[_Line] = []
        size, id = 0, ""
        for line in chain(_sorted(limited(lines)), [_Line("end", 0, "")]):
            if line.sort == "token":
                size += len(line.text)
                held += [line] if size <= LONGEST else []
            elif line.sort == "comment":
                said = _ID.match(line.text)
                id = said[1] if said else id
            else:
                if held:
                    yield _sentence(held, columns, id) if size <= LONGEST else _endless(held[0])
                held, size, id = [], 0, ""


def rows(table: Table) -> Iterator[Row | BrokenRow]:
    """The sentences as rows of a table: `text`, its `tags` as BIO, and `id` where the file has some.

    Raises:
        RefusedError: The file as a whole is no CoNLL.
    """
    for one in sentences(table):
        if isinstance(one, BrokenRow):
            yield one
            continue
        cells: dict[str, Any] = {"text": one.text, "tags": one.tags}
        yield Row(one.place, {**cells, "id": one.id} if one.id else cells)


def _or_why(table: Table) -> Iterator[Sentence | BrokenRow]:
    try:
        yield from sentences(table)
    except RefusedError as error:
        yield BrokenRow("", str(error))


def _refuse_guess(encoding: str, example: str) -> None:
    raise RefusedError(f"is not UTF-8; as {encoding} it has {example!r}: give its encoding")


def _columns_of(table: Table) -> _Columns:
    """What most lines have.

    Raises:
        RefusedError: No line is a token with its tag, or most are none.
    """
    kinds: Counter[_Columns] = Counter()
    tagged, first = 0, ""
    with text_of(table) as lines:
        for line in _sorted(limited(lines)):
            if line.sort == "token":
                first = first or f"line {line.number} is {line.text[:_SHOWN]!r}"
                by_tab = "\t" in line.text
                cells = _cells(line.text, by_tab=by_tab)
                kinds[_Columns(by_tab, len(cells))] += 1
                tagged += bio.is_tag(cells[-1])
    if not kinds:
        raise RefusedError("has no sentence: no line is a token with its tag")
    columns, lines_like_it = kinds.most_common(1)[0]
    if columns.width == 1 and 2 * lines_like_it > kinds.total():
        raise RefusedError(f"is no CoNLL: its lines have one column, not a token and its tag; {first}")
    if 2 * tagged < kinds.total():
        bad = f"{kinds.total() - tagged} of {kinds.total()} lines"
        raise RefusedError(f"is no CoNLL: in {bad} the last column is no tag, such as O or B-PER; {first}")
    return columns


def _sorted(lines: Iterable[str]) -> Iterator[_Line]:
    """Each line with what it is; a comment stands before the first token of its sentence."""
    sort: _Sort = "end"
    for number, line in enumerate(lines, start=1):
        text = line.lstrip(_MARK).strip(" \t\r\n")
        if not text.strip() or _DOCUMENT.match(text):
            sort = "end"
        elif sort == "token" or not _COMMENT.match(text):
            sort = "token"
        else:
            sort = "comment"
        yield _Line(sort, number, text)


def _cells(text: str, *, by_tab: bool) -> list[str]:
    return [one.strip(" ") for one in text.split("\t")] if by_tab else _BLANKS.split(text)


def _endless(first: _Line) -> BrokenRow:
    return BrokenRow(
        f"line {first.number}",
        f"begins a sentence of more than {LONGEST} characters: is there no blank line between sentences?",
    )


def _sentence(lines: Sequence[_Line], columns: _Columns, id: str) -> Sentence | BrokenRow:
    tokens: list[str] = []
    tags: list[str] = []
    for line in lines:
        cells = _cells(line.text, by_tab=columns.by_tab)
        if len(cells) != columns.width:
            return BrokenRow(f"line {line.number}", f"has {len(cells)} column(s), most lines have {columns.width}")
        if not bio.is_tag(cells[-1]):
            return BrokenRow(f"line {line.number}", f"{cells[-1][:_SHOWN]!r} is no tag, such as O or B-PER")
        tokens.append(" ".join(filter(None, cells[0].split(" "))))
        tags.append(cells[-1])
    text = " ".join(tokens)
    spans = bio.spans_of(_places(tokens), tags)
    return Sentence(text, spans, tuple(_places(text.split(" "))), id, f"line {lines[0].number}")


def _places(tokens: Iterable[str]) -> list[Place]:
    """Where tokens stand that are joined by single spaces."""
    at, found = 0, []
    for token in tokens:
        found.append((at, at + len(token)))
        at += len(token) + 1
    return found
