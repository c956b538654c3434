"""Contents -> embeddings: reading and decoding in threads while the network computes, in bounded memory.

One content that cannot be read, decoded or embedded costs the others nothing: a batch that fails is halved down to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from labelloop.errors import BackendError, ConfigError, LabelLoopError
from labelloop.protocols import Backbone, Progress, silent
from labelloop.types import Item, Missing

READERS = 4
"""Threads that read and decode: enough to hide a disk or a bucket, few enough to leave the cores to the network."""

AHEAD = 8
"""Batches that are read ahead: decoded contents kept waiting, and the window in which texts are sorted by length."""

Content = tuple[str, Callable[[], bytes | str]]
"""An id, and what reads its content when a thread is free."""


@dataclass(frozen=True)
class Embedded:
    """What could be embedded, in the order it came, and what could not.

    Attributes:
        ids: (n,) of the readable contents.
        matrix: (n, d) float32, L2-normalised.
        missing: Id -> why it could not, of the others.
    """

    ids: tuple[str, ...]
    matrix: np.ndarray
    missing: Mapping[str, Missing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Prepared:
    id: str
    input: Any
    missing: Missing | None = None


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
    missing: dict[str, Missing] = {}
    done = 0
    prepared = _prepare_ahead(backbone, contents)
    for window in _windows(prepared, backbone):
        readable = [one for one in window if one.missing is None]
        missing |= {one.id: one.missing for one in window if one.missing is not None}
        done += len(window) - len(readable)
        rows = np.full((len(readable), backbone.dimension), np.nan, np.float32)
        for batch in _batches(readable, backbone):
            lost = _embed_into(rows, batch, readable, backbone)
            missing |= {readable[position].id: why for position, why in lost.items()}
            done += len(batch)
            progress("embed", done, expected)
        kept = [position for position, one in enumerate(readable) if one.id not in missing]
        ids += [readable[position].id for position in kept]
        parts.append(rows[kept])
    matrix = np.concatenate(parts) if parts else np.empty((0, backbone.dimension), np.float32)
    return Embedded(tuple(ids), matrix, missing)


def _embed_into(
    rows: np.ndarray, batch: Sequence[int], readable: Sequence[_Prepared], backbone: Backbone
) -> dict[int, Missing]:
    """Embed these positions into their rows; of those the backbone cannot take, why. A batch that fails is halved."""
    try:
        made = np.asarray(backbone.embed([readable[position].input for position in batch]), np.float32)
        if made.shape != (len(batch), rows.shape[1]):
            raise ValueError(f"an array of {made.shape} came out for {len(batch)} item(s)")
    except ConfigError:
        raise  # the network itself is at fault
    except Exception as error:  # noqa: BLE001 - whatever a backbone of others raises about one item
        if len(batch) == 1:
            return {batch[0]: Missing(f"the backbone cannot embed it: {_first_line(error)}")}
        half = len(batch) // 2
        return _embed_into(rows, batch[:half], readable, backbone) | _embed_into(rows, batch[half:], readable, backbone)
    rows[batch] = made
    odd = [position for position, row in zip(batch, made, strict=True) if not np.isfinite(row).all()]
    if odd and len(batch) > 1:  # alone, as one may have spoilt its neighbours
        alone = (_embed_into(rows, [position], readable, backbone) for position in odd)
        return {position: why for lost in alone for position, why in lost.items()}
    return {position: Missing("the backbone gives it an embedding that is no number") for position in odd}


def _first_line(error: Exception) -> str:
    said = error.message if isinstance(error, LabelLoopError) else str(error)
    return (said.splitlines() or [""])[0][:300] or type(error).__name__


def _windows(prepared: Generator[_Prepared, None, None], backbone: Backbone) -> Iterator[list[_Prepared]]:
    """What is embedded together: a batch of images as soon as it is there; several of texts, to be sorted by length."""
    size = backbone.batch_size * (AHEAD if backbone.modality == "text" else 1)
    with closing(prepared):
        while window := list(islice(prepared, size)):
            yield window


def embed_items(
    backbone: Backbone, items: Sequence[Item], read: Callable[[Item], bytes | str], progress: Progress = silent
) -> np.ndarray:
    """(n, d) float32 embeddings of items, L2-normalised; a row of NaN for an item that cannot be read or embedded."""
    return embed_what_can_be(backbone, items, read, progress)[0]


def embed_what_can_be(
    backbone: Backbone, items: Sequence[Item], read: Callable[[Item], bytes | str], progress: Progress = silent
) -> tuple[np.ndarray, dict[int, Missing]]:
    """The matrix of `embed_items`, and why each row of NaN is one."""
    contents = [(str(row), lambda item=item: read(item)) for row, item in enumerate(items)]
    made = embed(backbone, contents, progress)
    matrix = np.full((len(items), made.matrix.shape[1]), np.nan, np.float32)
    matrix[np.asarray(made.ids, dtype=np.intp)] = made.matrix
    return matrix, {int(row): why for row, why in made.missing.items()}


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
    except BackendError as error:
        return _Prepared(content_id, None, Missing(error.message, away=True))
    except LabelLoopError as error:
        return _Prepared(content_id, None, Missing(error.message))
    except Exception as error:  # noqa: BLE001 - whatever a decoder of others raises about one item
        return _Prepared(content_id, None, Missing(f"cannot be decoded: {_first_line(error)}"))


def _batches(readable: Sequence[_Prepared], backbone: Backbone) -> Iterator[list[int]]:
    """Positions in batches; texts of like length together, so that little is padded."""
    order = list(range(len(readable)))
    if backbone.modality == "text":
        order.sort(key=lambda position: len(readable[position].input))
    for start in range(0, len(order), backbone.batch_size):
        yield order[start : start + backbone.batch_size]
