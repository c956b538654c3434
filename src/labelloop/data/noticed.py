"""What `add` notices beside the items: files that it passes over, and what would read them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labelloop.kinds import bio

SHOWN = 12
FILES = 3
NO_ENDING = "without an ending"

_PLAIN = re.compile(r"\.[a-z0-9_+-]{1,12}")
_TABLE = "a table: name it itself, or as a glob"
_TAGGED = "sentences with tags: name the file itself, or as a glob"
_DRAWING = "a drawing: save it as PNG"
_RAW = "a camera's raw picture: develop it as JPEG"
READERS: Mapping[str, str] = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "a phone's picture: pip install 'labelloop[heif]'"),
    ".avif": "pip install 'pillow>=11.3', which reads AVIF",
    **dict.fromkeys((".jp2", ".j2k", ".jpf"), "JPEG 2000: install a Pillow that was built with OpenJPEG"),
    **dict.fromkeys((".svg", ".eps", ".ai", ".emf", ".wmf"), _DRAWING),
    ".ico": "icons: save them as PNG",
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"), _RAW),
    **dict.fromkeys((".jxl", ".psd", ".xcf", ".dcm", ".exr", ".hdr"), "no reader here: save it as PNG"),
    ".pdf": "pages: save them as PNG, or their text as .txt",
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), "a film: save frames of it as JPEG"),
    **dict.fromkeys((".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".xlsx"), _TABLE),
    **dict.fromkeys((".conll", ".iob", ".bio"), _TAGGED),
    **dict.fromkeys((".xls", ".ods", ".numbers"), "a spreadsheet: save it as CSV UTF-8"),
    **dict.fromkeys((".doc", ".docx", ".rtf", ".odt", ".html", ".htm"), "a document: save its text as .txt"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"), "an archive: unpack it, or zip://*::FILE.zip"),
    ".msg": "a mail of Outlook: save it as .txt",
}
"""Ending -> what the files are, and what would have them read."""


@dataclass
class Noticed:
    """Filled while places are read.

    Attributes:
        passed_over: Ending, or `without an ending` -> files that are none of the kind, and were not opened.
        guessed: File -> the encoding that was guessed, and some text that shows it.
        labels: The labels of the loop, which columns of tables may hold.
        columns: Table and column -> label -> rows that hold it.
        tagged: Table and column -> label -> spans, of columns with a tag for each token.
        converted: Ending -> pictures read that no browser shows, which people see as PNG or JPEG.
    """

    labels: frozenset[str] = frozenset()
    columns: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    tagged: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)
    converted: Counter[str] = field(default_factory=Counter)
    guessed: dict[str, tuple[str, str]] = field(default_factory=dict)

    def pass_over(self, ending: str) -> None:
        """Count one file that does not become an item."""
        self.passed_over[ending if _PLAIN.fullmatch(ending) else NO_ENDING] += 1

    def guess(self, name: str, encoding: str, example: str) -> None:
        """Note an encoding that was guessed."""
        self.guessed[name] = (encoding, example)

    def look(self, table: str, cells: Mapping[str, Any]) -> None:
        """Look for our labels in the cells of a row, and for tags."""
        for column, value in cells.items():
            several = isinstance(value, list | tuple)
            if several and (spans := _spans(value)):
                self.tagged.setdefault((table, column), Counter()).update(spans)
                continue
            for one in value if several else (value,):
                if isinstance(one, str) and one.strip() in self.labels:
                    self.columns.setdefault((table, column), Counter())[one.strip()] += 1

    def as_dict(self) -> Mapping[str, Any]:
        """For scripts."""
        return {
            "passed_over": dict(_by_count(self.passed_over)),
            "converted": dict(_by_count(self.converted)),
            "label_columns": [
                {"table": table, "column": column, "labels": dict(found)}
                for (table, column), found in [*self.columns.items(), *self.tagged.items()]
            ],
            "guessed_encodings": {name: encoding for name, (encoding, _) in self.guessed.items()},
        }

    def in_words(self) -> list[str]:
        """Lines for people; none where nothing was noticed."""
        lines = [
            f"{name} is read as {encoding}, which is a guess, such as {example!r}; if that is wrong: --encoding NAME"
            for name, (encoding, example) in list(self.guessed.items())[:FILES]
        ]
        if len(self.guessed) > FILES:
            lines.append(
                f"... and {len(self.guessed) - FILES} more files of guessed encodings; all of them with --json"
            )
        lines += [_column_in_words(*where, found) for where, found in list(self.columns.items())[:FILES]]
        lines += [_tags_in_words(*where, found) for where, found in list(self.tagged.items())[:FILES]]
        if self.converted:
            sorts = ", ".join(f"{count} {ending}" for ending, count in _by_count(self.converted))
            lines.append(f"people see {sorts} as PNG or JPEG, which browsers show (of several pages the first)")
        if self.passed_over:
            lines.append(f"passed over {self.passed_over.total()} file(s) that are not in the counts: {self.sorts()}")
        return lines

    def sorts(self) -> str:
        """The sorts of files that were passed over, with what would read them."""
        counted = _by_count(self.passed_over)
        some = [_sort(ending, count) for ending, count in counted[:SHOWN]]
        rest = sum(count for _, count in counted[SHOWN:])
        return "; ".join([*some, f"{rest} of other sorts"] if rest else some)


def _column_in_words(table: str, column: str, found: Counter[str]) -> str:
    names = ", ".join([*list(found)[:FILES], *(["..."] if len(found) > FILES else [])])
    return (
        f"column `{column}` of {table} holds {len(found)} of your labels ({names}) in {found.total()} rows: it is kept"
        " beside the items, and is nobody's answer; labelloop simulate replays labels that are there"
    )


def _spans(cell: Sequence[Any]) -> list[str]:
    """The label of each span that the tags in a cell begin; none of a cell with anything else."""
    if not all(isinstance(one, str) and bio.is_tag(one) for one in cell):
        return []
    return [label for _, _, label in bio.spans_of([(row, row + 1) for row in range(len(cell))], cell)]


def _tags_in_words(table: str, column: str, found: Counter[str]) -> str:
    some = ", ".join(f"{count} {label}" for label, count in _by_count(found)[:FILES])
    more = f" and {len(found) - FILES} more labels" if len(found) > FILES else ""
    return (
        f"the {column} of {table} mark {found.total()} span(s) ({some}{more}): they are kept beside the items, and are"
        " nobody's answer"
    )


def _by_count(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def _sort(ending: str, count: int) -> str:
    known = READERS.get(ending, "")
    return f"{count} {ending} ({known})" if known else f"{count} {ending}"
