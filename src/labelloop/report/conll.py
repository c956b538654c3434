"""Texts with spans as CoNLL: a token and its BIO tag a line, parted by a tab, and a blank line after each text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from labelloop.errors import ConfigError
from labelloop.kinds import bio
from labelloop.kinds.bio import Place
from labelloop.kinds.spans import Span

_MARK = "\ufeff"
"""A byte order mark, which begins a file and is part of no token."""


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text and what is marked in it.

    Attributes:
        places: Its tokens where they are known; None takes its words.
        comments: Name -> what is said above it: `# name = value`.
    """

    text: str
    spans: Sequence[Span]
    places: Sequence[Place] | None = None
    comments: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """What was written.

    Attributes:
        left_out: Spans that overlap a longer one, or hold nothing but white space.
    """

    texts: int = 0
    spans: int = 0
    left_out: int = 0

    def in_words(self) -> str:
        """The counts for people."""
        left = f"; {self.left_out} left out, which overlap a longer one or hold no token" if self.left_out else ""
        return f"{self.texts} text(s) with {self.spans} span(s){left}"


def write(texts: Iterable[MarkedText], file: BinaryIO) -> Tally:
    """Write texts, one at a time; returns what was written, and what could not be."""
    tally = Tally()
    for one in texts:
        lines = list(_lines(one))
        begun = sum(tag.startswith("B-") for _, tag in lines)
        tally.texts += 1
        tally.spans += begun
        tally.left_out += len(set(one.spans)) - begun
        above = "".join(f"# {name} = {' '.join(value.split())}\n" for name, value in one.comments.items())
        below = "".join(f"{token}\t{tag}\n" for token, tag in lines)
        file.write(f"{above}{below}\n".encode("utf-8", "replace"))
    return tally


def known_tokens(text: str, beside: Mapping[str, Any]) -> list[Place] | None:
    """Where the tokens stand of a text that was read from CoNLL: between single spaces, with a tag each beside it.

    Args:
        beside: What came with the item.

    Returns:
        None for another text.
    """
    tokens, tags = text.split(" "), beside.get("tags")
    if not isinstance(tags, list | tuple) or len(tags) != len(tokens) or re.search(r"[\t\r\n]|^ | $|  ", text):
        return None
    places, at = [], 0
    for token in tokens:
        places.append((at, at + len(token)))
        at += len(token) + 1
    return places


def checked_names(labels: Sequence[str]) -> None:
    """Refuse labels that would be one and the same in tags, which have no white space.

    Raises:
        ConfigError: Two labels are alike.
    """
    names: dict[str, str] = {}
    for label in labels:
        other = names.setdefault(_name(label), label)
        if other != label:
            raise ConfigError(
                f"the labels {other!r} and {label!r} are both {_name(label)!r} in CoNLL",
                "rename one with labelloop labels rename, or write .jsonl",
            )


def _lines(one: MarkedText) -> Iterator[tuple[str, str]]:
    spans = bio.apart(one.spans)
    places = bio.cut(bio.words(one.text) if one.places is None else one.places, spans)
    places = [(start, end) for start, end in places if one.text[start:end].strip(_MARK)]
    for (start, end), tag in zip(places, bio.tags_of(places, spans), strict=True):
        yield one.text[start:end].replace(_MARK, ""), _name(tag)


def _name(text: str) -> str:
    return re.sub(r"\s+", "_", text.strip())
