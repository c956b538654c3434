"""The content of items, read again where it lies: for people, for learners, and to see whether it is still there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from os import cpu_count
from typing import TypeVar

from labelloop.data.found import content_id, is_web
from labelloop.data.locations import ALONE, HELD, REFUSALS, Access, Take, from_web, read_bytes
from labelloop.errors import BackendError, BadItemError, LabelLoopError
from labelloop.types import Item, Missing

T = TypeVar("T")
S = TypeVar("S")

_THREADS = min(16, 4 * (cpu_count() or 1))


@contextmanager
def held_content(item: Item, access: Access = ALONE) -> Iterator[bytes | str]:
    """As `read_content`, within the memory that many threads may fill together: see `locations.held`."""
    with ExitStack() as until:
        yield read_content(item, access, lambda size: until.enter_context(HELD.taken(size)))


def read_content(item: Item, access: Access = ALONE, take: Take = bool) -> bytes | str:
    """The bytes of an image, or the text of a text. Thread-safe.

    Raises:
        ConfigError: The bucket of the store refuses us.
        BadItemError: The content is gone, is not readable, or is not what it was when the item was added.
        BackendError: The service that has it does not answer now; `retryable`.
    """
    if item.modality == "text":
        return item.text
    raw = from_web(item.uri, access) if is_web(item.uri) else _opened(item, access, take)
    if item.digest and content_id(raw) != item.digest:
        raise BadItemError(
            f"item {item.id!r} at {item.uri} has changed since it was added",
            "restore the file, or labelloop add it as it is now",
        )
    return raw


def unreadable(items: Iterable[Item], access: Access = ALONE) -> dict[str, Missing]:
    """Why those of the items that lie in files of this machine, and cannot be read or have changed, cannot be shown.

    Returns:
        Item id -> why.
    """
    here = [item for item in items if item.uri.startswith("file://")]
    found = zip(here, side_by_side(lambda item: problem(item, access), here), strict=True)
    return {item.id: why for item, why in found if why is not None}


def problem(item: Item, access: Access = ALONE) -> Missing | None:
    """Why an item cannot be read; None if it can."""
    try:
        read_content(item, access)
    except BackendError as error:
        return Missing(error.message, away=True)
    except LabelLoopError as error:
        return Missing(error.message)
    return None


def _opened(item: Item, access: Access, take: Take) -> bytes:
    try:
        return read_bytes(item.uri, access, take)
    except (TimeoutError, ConnectionError) as error:
        raise BackendError(f"{item.uri} does not answer: {error}", "try again", retryable=True) from error
    except REFUSALS as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise BadItemError(f"item {item.id!r} cannot be read from {item.uri}: {reason}", "restore the file") from error
    except LabelLoopError:
        raise
    except Exception as error:  # every filesystem of others has its own
        raise BackendError(f"{item.uri} cannot be read: {error}", "try again", retryable=True) from error


def side_by_side(work: Callable[[S], T], things: Iterable[S]) -> Iterator[T]:
    """`map` on a few threads, in order, with a bounded number of things under way."""
    under_way: deque[Future[T]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="read") as pool:
        for thing in things:
            under_way.append(pool.submit(work, thing))
            if len(under_way) >= 4 * _THREADS:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
