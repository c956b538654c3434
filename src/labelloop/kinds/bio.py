"""Spans as tags of tokens, and back: BIO is written; BIO, BIOES, BILOU, BMES, IOB1 and IOE are read."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect
from collections.abc import Iterable, Sequence
from functools import lru_cache

from labelloop.errors import ConfigError
from labelloop.kinds.spans import Span, Spans

Place = tuple[int, int]
"""Where a token starts, and where it ends (exclusive), in characters (code points)."""

OUTSIDE = "O"

_TAG = re.compile(r"([BIMELSU])-(\S.*)")
_GOES_ON, _ENDS = "IMEL", "ELSU"
_IDEOGRAPHS = ((0x2E80, 0xA4CF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1B000, 0x1B2FF), (0x20000, 0x3FFFF))
_SIGNS = {"l": "_", "j": ".'’-·&/", "h": "@#", "c": ",:"}
_TOKEN = re.compile(r"h?[ld][ldm]*(?:(?:[jh]|(?<=d)c(?=d))[ld][ldm]*)*|e[em]*|[^s]m*")
"""Of the sorts of characters, each as one letter."""

_ADDRESS = re.compile(r"(?:https?://|www\.)\S*[^\s.,;:!?()\[\]'\"»”’]")


def parsed(tag: str) -> tuple[str, str]:
    """The letter of a tag and its label; "O" and nothing for what is outside.

    Raises:
        ConfigError: It is no tag.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    found = _TAG.fullmatch(tag)
    if found is None:
        raise ConfigError(f"{tag!r} is no tag", "write O, or B- and I- (or E-, L-, M-, S-, U-) before a label: B-PER")
    return found[1], found[2]


def is_tag(text: str) -> bool:
    """Whether a text is a tag."""
    return text == OUTSIDE or bool(_TAG.fullmatch(text))


def spans_of(places: Sequence[Place], tags: Sequence[str]) -> Spans:
    """The spans that tags of tokens say. Which of the schemes it is need not be known.

    What goes on where nothing of its label is open begins a span, as IOB1 has it.

    Args:
        places: (n,) of the tokens, in the order of the text.
        tags: (n,).

    Raises:
        ConfigError: One is no tag.
    """
    found: list[Span] = []
    is_open = False
    for (start, end), tag in zip(places, tags, strict=True):
        letter, label = parsed(tag)
        if letter == OUTSIDE:
            is_open = False
            continue
        if is_open and letter in _GOES_ON and found[-1][2] == label:
            found[-1] = (found[-1][0], end, label)
        else:
            found.append((start, end, label))
        is_open = letter not in _ENDS
    return tuple(found)


def tags_of(places: Sequence[Place], spans: Sequence[Span]) -> list[str]:
    """(n,) BIO tags of n tokens; a token bears the label of the span that it lies in.

    Args:
        places: Tokens in the order of the text, none of which a span begins or ends in: see `cut`.
        spans: Without overlaps: see `apart`.
    """
    tags = [OUTSIDE] * len(places)
    ordered, at = sorted(spans), 0
    for row, (start, end) in enumerate(places):
        while at < len(ordered) and ordered[at][1] <= start:
            at += 1
        if at < len(ordered) and ordered[at][0] <= start and end <= ordered[at][1]:
            begins = row == 0 or places[row - 1][0] < ordered[at][0]
            tags[row] = f"{'B' if begins else 'I'}-{ordered[at][2]}"
    return tags


def apart(spans: Iterable[Span]) -> Spans:
    """The spans without those that overlap a longer one, or one as long that begins before."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda one: (one[0] - one[1], one)):
        at = bisect(kept, span)
        if all(span[1] <= other[0] or other[1] <= span[0] for other in kept[max(at - 1, 0) : at + 1]):
            kept.insert(at, span)
    return tuple(kept)


def cut(places: Iterable[Place], spans: Iterable[Span]) -> list[Place]:
    """The tokens, each in parts where a span begins or ends inside of it."""
    edges = sorted({edge for start, end, _ in spans for edge in (start, end)})
    found: list[Place] = []
    at = 0
    for start, end in places:
        while at < len(edges) and edges[at] <= start:
            at += 1
        ends = [edge for edge in edges[at : at + end - start] if edge < end]
        found += zip([start, *ends], [*ends, end], strict=True)
    return found


def words(text: str) -> list[Place]:
    """The tokens of a text as corpora have them: words with the signs inside of them (`don't`, `U.N`, `3.5`, `#tag`).

    Every other sign, and every ideograph, is a token; marks and joined emoji stay with what stands before them.
    """
    sorts = [_sort(one) for one in text]
    for address in _ADDRESS.finditer(text):
        sorts[slice(*address.span())] = "l" * len(address[0])
    return [found.span() for found in _TOKEN.finditer("".join(sorts))]


@lru_cache(maxsize=1 << 14)
def _sort(one: str) -> str:
    """One letter: space, letter, digit, mark, emblem (of which a run is a token), joiner, hash, comma, other sign."""
    if one.isspace():
        return "s"
    if any(first <= ord(one) <= last for first, last in _IDEOGRAPHS):
        return "o"
    for sort, signs in _SIGNS.items():
        if one in signs:
            return sort
    sort = unicodedata.category(one)
    if sort[0] == "M" or sort == "Cf":
        return "m"
    if sort in ("So", "Sk"):
        return "e"
    return {"L": "l", "N": "d"}.get(sort[0], "o")
