"""Bounds on an answer: how large, how slow, how deep it may be, whoever sends it."""

from __future__ import annotations

import contextlib
import inspect
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, TypeVar

import httpx

from labelloop.backends.label_studio.repeats import TooLargeError
from labelloop.errors import BackendError

T = TypeVar("T")

LARGEST_ANSWER = 256 * 2**20
"""Bytes of an answer, unpacked."""

PATIENCE = 60.0
"""Seconds that a request may take, all in all, beyond twice its time-out."""

_PACKED = ("", "identity", "gzip", "deflate")


class EndlessError(TooLargeError):
    """An answer without an end: it is larger, or lasts longer, than any of Label Studio's."""


class Deadline:
    """Closes the connection of a request when its time is over, however little drips in until then.

    Args:
        seconds: How long the request may take, all in all.
    """

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def trace(self, event: str, said: Mapping[str, Any]) -> None:
        """Learns of the connection: an httpx `trace` extension."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = said["return_value"].get_extra_info("socket")
            if self.is_over:
                self._end()

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def read(answer: httpx.Response, largest: int = 0) -> bytes:
    """The body of an answer that is being received.

    Raises:
        EndlessError: It is larger than `largest`, or LARGEST_ANSWER, bytes.
    """
    most = largest or LARGEST_ANSWER
    if (packed := answer.headers.get("Content-Encoding", "").strip().lower()) not in _PACKED:
        raise EndlessError(
            f"the answer of {answer.request.url.host} is packed as {packed[:40]!r}, which nobody asked for",
            "look at the proxy before Label Studio",
        )
    body = bytearray()
    for part in answer.iter_bytes():
        body += part
        if len(body) > most:
            raise EndlessError(
                f"the answer of {answer.request.url.host} is larger than {most:,} bytes",
                "look at what is so large there (an annotation, a page), or check the annotator's url",
            )
    return bytes(body)


def parsed(body: bytes) -> Any:
    """JSON.

    Raises:
        ValueError: It is none.
        EndlessError: It is nested deeper than anything should be.
    """
    try:
        return json.loads(body)
    except RecursionError:
        raise EndlessError("an answer is nested deeper than can be read", "check the annotator's url") from None


@contextlib.contextmanager
def understood(url: str = "") -> Iterator[None]:
    """Turn what is missing or of another type in an answer into an error in words.

    Raises:
        BackendError: The answer was not as Label Studio's API has it.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise BackendError(
            f"Label Studio{f' at {url}' if url else ''} answered in another shape than its API has: {_brief(error)}",
            "check the annotator's url and Label Studio's version; what stands before it may change answers",
        ) from error


def guarded(kind: type[T]) -> type[T]:
    """A class whose public methods tell an answer in another shape as an error in words.

    The answers are read in many places, each by the names of Label Studio's API; that they may be forged is the concern
    of this one.
    """
    for name, method in list(vars(kind).items()):
        if not name.startswith("_") and inspect.isfunction(method) and not hasattr(method, "__wrapped__"):
            setattr(kind, name, _guarded(method))
    return kind


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.isgeneratorfunction(method):

        @wraps(method)
        def pages(*arguments: Any, **named: Any) -> Iterator[Any]:
            with understood():
                yield from method(*arguments, **named)

        return pages

    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        with understood():
            return method(*arguments, **named)

    return call


def _brief(error: Exception) -> str:
    from labelloop.backends.label_studio.refusals import clean

    return clean(f"{type(error).__name__}: {error}", 120)
