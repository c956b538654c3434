"""The values of a secret as a command takes them: `--key=value`, from a file, from standard input, or from a prompt."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from labelloop.errors import ConfigError

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_ASK = None
"""The value of a key that was given without one."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What stood after the command: a name, and keys with values still to be read (None: to be asked for)."""

    name: str
    words: Mapping[str, str | None]


def parsed(words: Sequence[str]) -> Typed:
    """Take `NAME --key=value --key value --key` apart; a word that does not belong is never shown."""
    names: list[str] = []
    values: dict[str, str | None] = {}
    for key, value in _pairs(words):
        if key is None:
            names.append(str(value))
            continue
        if not _KEY.fullmatch(key):
            raise ConfigError("a key of the secret is not made of letters, digits and _", "write --key=VALUE")
        if key in values:
            raise ConfigError(f"--{key} is given twice", "give it once")
        values[key] = value
    if not names:
        raise ConfigError("the secret has no name", "labelloop secret register NAME --KEY=VALUE")
    if len(names) > 1:
        raise ConfigError(
            f"{len(names) - 1} word(s) beside the name of the secret belong to no key",
            "write each value as --KEY=VALUE, in quotes where it has spaces",
        )
    return Typed(names[0], values)


def read(words: Mapping[str, str | None]) -> Mapping[str, str]:
    """The values themselves.

    Raises:
        ConfigError: A file or standard input cannot be read as text, or a value is missing and there is no terminal.
    """
    if list(words.values()).count("-") > 1:
        raise ConfigError("two keys would read standard input", "give the other one as --KEY=@PATH")
    return {key: _value(key, word) for key, word in words.items()}


def asked(keys: Sequence[str], optional: Sequence[str] = ()) -> Mapping[str, str]:
    """Values that a person types unseen; an optional one may stay empty and is left out."""
    given = {key: _asked_for(key, optional=key in optional) for key in (*keys, *optional)}
    return {key: value for key, value in given.items() if value}


def asked_freely() -> Mapping[str, str]:
    """Keys and values that a person types, until the key is empty."""
    values: dict[str, str] = {}
    while key := click.prompt("key (empty: that was all)", default="", show_default=False, err=True).strip():
        values[key] = _asked_for(key)
    return values


def on_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _pairs(words: Sequence[str]) -> Iterator[tuple[str | None, str | None]]:
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("--"):
            yield None, word
            continue
        key, equals, value = word.removeprefix("--").partition("=")
        if equals:
            yield key, value
        elif waiting and not waiting[0].startswith("--"):
            yield key, waiting.pop(0)
        else:
            yield key, _ASK


def _value(key: str, word: str | None) -> str:
    if word is None:
        if not on_terminal():
            raise ConfigError(f"--{key} has no value", f"give --{key}=VALUE, --{key}=@PATH, or --{key}=- to read it")
        return _asked_for(key)
    if word == "-":
        return _text(key, sys.stdin.buffer.read())
    return _from_file(key, word[1:]) if word.startswith("@") else word


def _from_file(key: str, path: str) -> str:
    """The text of a file. Its path stays unsaid: it may be a secret that begins with @."""
    try:
        return _text(key, Path(path).expanduser().read_bytes())
    except OSError as error:
        raise ConfigError(
            f"the file given for --{key} cannot be read: {error.strerror}",
            f"check the path after @; a value that itself begins with @ is given as --{key}=- on standard input",
        ) from None


def _text(key: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"what was given for --{key} is not UTF-8 text", "give a text file") from None


def _asked_for(key: str, *, optional: bool = False) -> str:
    hint = "empty: none" if optional else "not shown; @PATH reads a file"
    default = "" if optional else None
    word = str(click.prompt(f"{key} ({hint})", hide_input=True, default=default, show_default=False, err=True))
    return _from_file(key, word[1:]) if word.startswith("@") else word
