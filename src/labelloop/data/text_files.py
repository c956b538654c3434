"""Texts of files: unpacked, and decoded as a whole or refused as a whole, whatever encoding they turn out to have."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import posixpath
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, TextIO

from labelloop.errors import ConfigError

LONGEST_LINE = 64 << 20
"""Characters."""

_BLOCK = 1 << 20
_SAMPLE = 100_000
_EXAMPLE = 60
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF_8 = "utf-8-sig"
_ALPHABETS = {"LATIN", "GREEK", "CYRILLIC", "HEBREW", "ARABIC", "THAI"}
_OF_LATIN = ("cp1252", "cp1250")
BAD_PACKAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""How a file that cannot be unpacked to its end says so."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands ("line 7", "row 7") and its cells by column."""

    place: str
    cells: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that cannot be read, or with an empty place a file that cannot be read at all."""

    place: str
    reason: str


def _silent(encoding: str, example: str) -> None:
    pass


@dataclass(frozen=True)
class Table:
    """A file with rows.

    Attributes:
        name: Its name, whose ending says what it is: see `kind_of`.
        open: Opens it from its beginning, as often as it is asked.
        encoding: The encoding of a text; empty for UTF-8, and a guess where it is not.
        guessed: Told of an encoding that was guessed, and some text that shows it.
        names: Column -> what its numbers stand for, where the format keeps that elsewhere.
    """

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]]
    encoding: str = ""
    guessed: Callable[[str, str], None] = _silent
    names: Mapping[str, Sequence[str]] | None = None

    @contextmanager
    def unpacked(self) -> Iterator[BinaryIO]:
        """The file without its compression."""
        packing = posixpath.splitext(self.name)[1].lower()
        with self.open() as file:
            yield UNPACKERS[packing](file) if packing in UNPACKERS else file


class RefusedError(Exception):
    """Why a file is refused as a whole."""


@contextmanager
def text_of(table: Table, newline: str = "") -> Iterator[TextIO]:
    """The text of a table whose every byte can be decoded."""
    encoding = _encoding_of(table)
    with table.unpacked() as file:
        yield io.TextIOWrapper(file, encoding, newline=newline)


def _encoding_of(table: Table) -> str:
    """The encoding that the whole file has."""
    chosen = checked_encoding(table.encoding) or _marked(table) or _UTF_8
    bad = _first_bad_byte(table, chosen)
    if bad is None:
        return chosen
    if table.encoding or chosen != _UTF_8:
        raise RefusedError(
            f"is not {table.encoding or chosen} as a whole (byte {bad}): give its encoding with --encoding NAME"
        )
    sample = _sample(table)
    guess = guessed_encoding(sample)
    if not guess or _first_bad_byte(table, guess) is not None:
        raise RefusedError(
            f"is not UTF-8 as a whole (byte {bad}), and {_not_guessed(guess)}: give its encoding with --encoding NAME"
        )
    table.guessed(guess, example(sample, guess))
    return guess


def checked_encoding(name: str) -> str:
    """The name of an encoding, as it was given.

    Raises:
        ConfigError: There is none of this name.
    """
    try:
        if name and not getattr(codecs.lookup(name), "_is_text_encoding", True):
            raise LookupError
    except LookupError:
        raise ConfigError(
            f"there is no encoding {name!r}", "some are utf-8, utf-16, cp1252, cp1251, cp932, gb18030"
        ) from None
    return _UTF_8 if name and codecs.lookup(name).name == "utf-8" else name


def _not_guessed(guess: str) -> str:
    if guess:
        return f"not {guess} either, which it looks like"
    return "nobody can tell what it is" if can_guess() else "without pip install 'labelloop[tables]' nothing is guessed"


def can_guess() -> bool:
    """Whether the package that guesses encodings is installed."""
    try:
        import chardet
    except ImportError:
        return False
    return hasattr(chardet, "EncodingEra")


def guessed_encoding(sample: bytes) -> str:
    """The encoding that some bytes most likely have, as a name that Python knows; empty where nothing tells."""
    if not can_guess():
        return ""
    from chardet import EncodingEra, detect

    found = detect(sample, encoding_era=EncodingEra.MODERN_WEB)["encoding"]
    if not found or b"\0" in sample:
        return ""
    likely = [codecs.lookup(found.replace("Windows-", "cp")).name, *_OF_LATIN]
    return next((one for one in likely if not _mixes_scripts(sample, one)), likely[0])


def _mixes_scripts(sample: bytes, encoding: str) -> bool:
    """Whether a word would have letters of several alphabets, a Greek one in a French word; or nothing is decoded."""
    try:
        words = sample.decode(encoding).split()
    except UnicodeDecodeError:
        return True
    scripts = ({unicodedata.name(one, "").partition(" ")[0] for one in word} & _ALPHABETS for word in words)
    return any(len(one) > 1 for one in scripts)


def example(sample: bytes, encoding: str) -> str:
    """The first line of a sample that is not ASCII, in few characters."""
    told = [line.strip() for line in sample.decode(encoding, "replace").splitlines() if not line.isascii()]
    return told[0][:_EXAMPLE] if told else ""


def _marked(table: Table) -> str:
    """The encoding that a byte order mark says; empty without one."""
    with _read_through(table) as file:
        head = file.read(4)
    return next((encoding for mark, encoding in _BOMS if head.startswith(mark)), "")


def _first_bad_byte(table: Table, encoding: str) -> int | None:
    """Where decoding fails; None where it does not."""
    decoder, read = codecs.getincrementaldecoder(encoding)(), 0
    with _read_through(table) as file:
        while block := file.read(_BLOCK):
            try:
                decoder.decode(block)
            except UnicodeError as error:
                return read + getattr(error, "start", 0) + 1
            read += len(block)
    try:
        decoder.decode(b"", final=True)
    except UnicodeError:
        return read
    return None


def _sample(table: Table) -> bytes:
    """Lines that are not ASCII, of which a guess is made."""
    told, size = [], 0
    with _read_through(table) as file:
        while (line := file.readline(_SAMPLE)) and size < _SAMPLE:
            if not line.isascii():
                told.append(line)
                size += len(line)
    return b"".join(told)


@contextmanager
def _read_through(table: Table) -> Iterator[BinaryIO]:
    with table.open():
        pass  # whoever cannot open it at all says so in the words of the filesystem
    try:
        with table.unpacked() as file:
            yield file
    except BAD_PACKAGE as error:
        raise RefusedError(f"cannot be read to its end: {error}") from error


def limited(lines: TextIO) -> Iterator[str]:
    while line := lines.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE and not line.endswith("\n"):
            raise RefusedError(f"has a line of more than {LONGEST_LINE >> 20} MiB")
        yield line


def _zstandard(file: BinaryIO) -> Any:
    import pyarrow as pa

    return io.BufferedReader(_Readable(pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")), _BLOCK)


class _Readable(io.RawIOBase):
    """A stream of Arrow's as Python's own."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        some = self._stream.read(len(buffer))
        buffer[: len(some)] = some
        return len(some)


UNPACKERS: Mapping[str, Callable[[BinaryIO], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _zstandard,
}
