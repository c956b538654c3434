"""Contents -> embeddings: reading and decoding in threads while the network computes, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from labelloop.errors import BadItemError
from labelloop.protocols import Backbone, Progress, silent
from labelloop.types import Item

READERS = 4
"""Threads that read and decode: enough to hide a disk or a bucket, few enough to leave the cores to the network."""

AHEAD = 8
"""Batches that are read ahead: decoded contents kept waiting, and the window in which texts are sorted by length."""

Content = tuple[str, Callable[[], bytes | str]]
"""An id, and what reads its content when a thread is free; raises BadItemError for an unreadable one."""


@dataclass(frozen=True)
class Embedded:
    """What could be embedded, in the order it came, and what could not.

    Attributes:
        ids: (n,) of the readable contents.
        matrix: (n, d) float32, L2-normalised.
        unreadable: (id, reason) of the others.
    """

    ids: tuple[str, ...]
    matrix: np.ndarray
    unreadable: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Prepared:
    id: str
    input: Any
    reason: str = ""


def embed(
    backbone: Backbone, contents: Iterable[Content], progress: Progress = silent, total: int | None = None
) -> Embedded:
    """Embed contents. An unreadable one is reported and skipped.

    Args:
        backbone: What embeds.
        contents: Read lazily, a few batches ahead.
        progress: Told ("embed", done, total) after each batch.
        total: How many contents there are, for the progress; the length of `contents` where it has one.
    """
    expected = len(contents) if total is None and isinstance(contents, Sequence) else total
    ids: list[str] = []
    parts: list[np.ndarray] = []
    unreadable: list[tuple[str, str]] = []
    done = 0
    prepared = _prepare_ahead(backbone, contents)
    for window in _windows(prepared, backbone):
        readable = [one for one in window if not one.reason]
        unreadable += [(one.id, one.reason) for one in window if one.reason]
        done += len(window) - len(readable)
        rows = np.empty((len(readable), backbone.dimension), np.float32)
        for batch in _batches(readable, backbone):
            rows[batch] = backbone.embed([readable[position].input for position in batch])
            done += len(batch)
            progress("embed", done, expected)
        ids += [one.id for one in readable]
        parts.append(rows)
    matrix = np.concatenate(parts) if parts else np.empty((0, backbone.dimension), np.float32)
    return Embedded(tuple(ids), matrix, tuple(unreadable))


def _windows(prepared: Generator[_Prepared, None, None], backbone: Backbone) -> Iterator[list[_Prepared]]:
    """What is embedded together: a batch of images as soon as it is there; several of texts, to be sorted by length."""
    size = backbone.batch_size * (AHEAD if backbone.modality == "text" else 1)
    with closing(prepared):
        while window := list(islice(prepared, size)):
            yield window


def embed_items(
    backbone: Backbone, items: Sequence[Item], read: Callable[[Item], bytes | str], progress: Progress = silent
) -> np.ndarray:
    """(n, d) float32 embeddings of items, L2-normalised; a row of NaN for an item that cannot be read or decoded."""
    contents = [(str(row), lambda item=item: read(item)) for row, item in enumerate(items)]
    made = embed(backbone, contents, progress)
    matrix = np.full((len(items), made.matrix.shape[1]), np.nan, np.float32)
    matrix[np.asarray(made.ids, dtype=np.intp)] = made.matrix
    return matrix


def _prepare_ahead(backbone: Backbone, contents: Iterable[Content]) -> Generator[_Prepared, None, None]:
    """Prepared contents in order, while threads work on the next ones: never more than `AHEAD` batches."""
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="labelloop-embed")
    waiting: deque[Future[_Prepared]] = deque()
    source = iter(contents)
    try:
        for content in islice(source, AHEAD * backbone.batch_size):
            waiting.append(pool.submit(_prepare, backbone, content))
        while waiting:
            ready = waiting.popleft().result()
            for content in islice(source, 1):
                waiting.append(pool.submit(_prepare, backbone, content))
            yield ready
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare(backbone: Backbone, content: Content) -> _Prepared:
    content_id, read = content
    try:
        return _Prepared(content_id, backbone.prepare(read()))
    except BadItemError as error:
        return _Prepared(content_id, None, error.message)


def _batches(readable: Sequence[_Prepared], backbone: Backbone) -> Iterator[list[int]]:
    """Positions in batches; texts of like length together, so that little is padded."""
    order = list(range(len(readable)))
    if backbone.modality == "text":
        order.sort(key=lambda position: len(readable[position].input))
    for start in range(0, len(order), backbone.batch_size):
        yield order[start : start + backbone.batch_size]
