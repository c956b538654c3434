"""Requests that fit the road: bounded by bytes, halved where somebody on the way refuses them, tried beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from labelloop.backends.label_studio.refusals import ForeignError, OversizeError
from labelloop.backends.label_studio.repeats import CutError
from labelloop.errors import BackendError, LabelLoopError, NotFoundError

if TYPE_CHECKING:
    from labelloop.backends.label_studio.client import Client

T = TypeVar("T")

AROUND = 400
"""Bytes that a file in a form takes beside its content, at most."""

LONGEST_LIST = 6800
"""Bytes of a list of items in an address: proxies take lines of 8 kB, the rest of the address included."""

_NOWHERE = "/api/projects/0"
"""A project that there never is: Label Studio itself says so to whatever comes through to it."""

_OWN_PAGE = "404 | Label Studio"
"""The title of what it says to an import that leads nowhere, which is a page."""

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


def come_through(client: Client) -> tuple[str, str]:
    """Send what a tick sends, in its shapes and sizes, to where nothing is that it could change.

    Returns:
        What was found in words, and what to set where less comes through than a tick sends at first; else nothing.

    Raises:
        ConfigError, BackendError: Somebody on the way refuses a shape whatever its size.
    """
    _sent(client, "GET", "", query={"labelloop": "x" * LONGEST_LIST})
    _sent(client, "PATCH", "/", body={})
    _sent(client, "DELETE", "/tasks")
    size = client.most_bytes
    while (refusal := _refusal(client, size)) is not None:
        if size <= _HARMLESS:
            raise refusal
        size //= 2
    words = f"requests of {size:,} bytes come through"
    if size == client.most_bytes:
        return words, ""
    return f"{words}, larger ones do not", f"set max_request_bytes = {size} of the annotator; until then each is halved"


def _refusal(client: Client, size: int) -> LabelLoopError | None:
    """Why a list of JSON or a picture of so many bytes does not come through; None where both do."""
    try:
        _sent(client, "POST", "/import", body=["x" * (size - 4)])
        _sent(client, "POST", "/import", files={"a.png": ("a.png", bytes(size - AROUND))})
    except LabelLoopError as error:
        if was_too_large(error, size) or may_be_too_large(error, size):
            return error
        raise
    return None


def _sent(client: Client, method: str, path: str, **sent: Any) -> None:
    try:
        client.call(method, _NOWHERE + path, **sent)
    except NotFoundError:
        return
    except ForeignError as error:
        if error.status == httpx.codes.NOT_FOUND and _OWN_PAGE in error.message:
            return
        raise
    raise BackendError(
        f"Label Studio at {client.url} has a project of number 0, or something before it answers in its place",
        "check the annotator's url, and what stands before Label Studio",
    )
