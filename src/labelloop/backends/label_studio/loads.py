"""Many things in requests that fit the road: bounded by bytes, halved where somebody on the way refuses them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import httpx

from labelloop.backends.label_studio.refusals import ForeignError, OversizeError
from labelloop.backends.label_studio.repeats import CutError
from labelloop.errors import LabelLoopError

T = TypeVar("T")

AROUND = 400
"""Bytes that a file in a form takes beside its content, at most."""

_HARMLESS = 32_000
"""Bytes of a request that nobody refuses for its size alone."""


def by_size(sized: Iterable[tuple[T, int]], most_bytes: int, most: int) -> Iterator[list[T]]:
    """The things in turn, so many at a time that they stay within `most_bytes` and `most`; one alone may be larger."""
    some: list[T] = []
    length = 0
    for one, size in sized:
        if some and (len(some) >= most or length + size > most_bytes):
            yield some
            some, length = [], 0
        some.append(one)
        length += size
    if some:
        yield some


def written(one: object) -> int:
    """Bytes that a thing takes in a list of JSON."""
    return len(json.dumps(one, separators=(",", ":"))) + 1


def halves(some: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """The first and the second half."""
    middle = len(some) // 2
    return some[:middle], some[middle:]


def was_too_large(error: LabelLoopError, size: int) -> bool:
    """Whether a request was refused for its size, as it is certain that it was not passed on."""
    if isinstance(error, OversizeError):
        return True
    return isinstance(error, ForeignError) and error.status == httpx.codes.BAD_REQUEST and size > _HARMLESS


def may_be_too_large(error: LabelLoopError, size: int) -> bool:
    """Whether a connection was cut that way, though the request may have been passed on."""
    return isinstance(error, CutError) and size > _HARMLESS


def words(what: str, size: int, error: LabelLoopError) -> str:
    """That one thing alone is too large."""
    return f"{what} has {size:,} bytes, which is more than is let through: {error.message}; {error.hint}"
