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
from labelloop.types import Item, Missing, Modality
from labelloop.types.names import named

READERS = 4
"""Threads that read and decode: enough to hide a disk or a bucket, few enough to leave the cores to the network."""

AHEAD = 8
"""Batches that are read ahead: decoded contents kept waiting, and the window in which texts are sorted by length."""

LOOKED_AT = 400
"""Items that are looked at, for what is not seen."""

FEWEST = 20
MUCH = 0.1
"""Share of the items, or of the tokens, above which it is said that they are not seen."""

FLAT = 6
"""Grey levels between the darkest and the lightest part of a picture of almost one colour."""

CODE, CELLS = 32, 64
"""Bytes of a picture's fingerprint: its code, and its grey levels behind it."""

READER = 'choose one that does: backbone = "hf:intfloat/multilingual-e5-small" under [learner], or a file of your own'

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


@named("labelloop.Blind")
@dataclass(frozen=True)
class Blind:
    """The backbone of last resort: it reads every item, sees nothing in it, and gives all the same embedding.

    Args:
        modality: What is read.
        why: Why no other one can be had, in words.
        way: What to do about it.
    """

    modality: Modality
    why: str
    way: str
    dimension: int = 1
    batch_size: int = 64

    @property
    def fingerprint(self) -> str:
        """The same whatever the reason."""
        return f"blind-{self.modality}"

    def prepare(self, content: bytes | str) -> bytes | str:
        """The content, as it was read."""
        return content

    def embed(self, batch: Sequence[bytes | str]) -> np.ndarray:
        """(n, 1) float32 ones."""
        return np.ones((len(batch), 1), np.float32)


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


def digests_of(backbone: Backbone, items: Sequence[Item]) -> list[str]:
    """What each item's embedding is known by: its content, and how it is read where not as a whole, by words."""
    plain = [item.digest or item.id for item in items]
    way = getattr(backbone, "way_of_reading", None)
    if way is None:
        return plain
    return [f"{one}/{how}" if (how := way(item.text)) else one for one, item in zip(plain, items, strict=True)]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a backbone does not see of a pool, from some of its items.

    Attributes:
        items: Items that were looked at.
        size: Items there were.
        unknown: Share of all tokens that the network never learned.
        letters, windows, cut: Items that are read by their letters, in windows, not to their end.
        tokens: What the network reads at once; 0 where it reads no tokens.
        equal: Items with the embedding of another one; flat: pictures of almost one colour.
    """

    items: int
    size: int
    unknown: float = 0.0
    letters: int = 0
    windows: int = 0
    cut: int = 0
    tokens: int = 0
    equal: int = 0
    flat: int = 0

    def notices(self) -> list[tuple[str, str]]:
        """(what is not seen, the way out), worst first."""
        if self.items < FEWEST:
            return []
        found = []
        if self.letters > self.items * MUCH:
            words = f"the backbone does not know the words of {self.letters} of {self.items} texts"
            words += f" ({self.unknown:.0%} of the tokens are unknown): they are read by their letters"
            found.append((words, READER))
        elif self.unknown > MUCH:
            found.append((f"the backbone does not know {self.unknown:.0%} of the tokens of {self.items} texts", READER))
        if self.equal > self.items * MUCH:
            words = f"{self.equal} of {self.items} items have the same embedding as another: no model tells them apart"
            found.append((words, "choose another backbone, or take items out that are all the same"))
        if self.flat > self.items * MUCH:
            words = f"{self.flat} of {self.items} pictures are of almost one colour"
            found.append((words, "look at them; are they empty, or too dark, or was something else to be shown?"))
        if self.cut:
            words = f"{self.cut} of {self.items} texts are too long to be read to their end"
            found.append((words, "add them in parts, such as paragraphs"))
        if self.windows:
            words = f"{self.windows} of {self.items} texts are longer than the {self.tokens} tokens that the backbone"
            words += " reads at once: they are read in windows"
            found.append((words, "nothing to do, unless what counts is a word in many pages; then add them in parts"))
        return found


def sight(backbone: Backbone, items: Sequence[Item], size: int, thumbnails: Sequence[bytes] = ()) -> Sight:
    """What a backbone does not see of some items of a pool of this size, before any is embedded.

    Args:
        thumbnails: Fingerprints of these items, if they are pictures.
    """
    flat = sum(_is_flat(one) for one in thumbnails)
    if not hasattr(backbone, "sight"):
        return Sight(len(items), size, flat=flat)
    seen = [backbone.sight(item.text) for item in items if item.text.strip()]
    return Sight(
        len(seen),
        size,
        float(np.mean([one.unknown for one in seen])) if seen else 0.0,
        sum(one.by_letters for one in seen),
        sum(one.windows > 1 for one in seen),
        sum(one.cut for one in seen),
        getattr(getattr(backbone, "options", None), "max_tokens", 0),
    )


def count_equal(matrix: np.ndarray) -> int:
    """Rows of (n, d) that another row is equal to, of those that are numbers."""
    rows = np.ascontiguousarray(matrix[np.isfinite(matrix).all(axis=1)].astype(np.float16))
    if not len(rows):
        return 0
    counts = np.unique(rows.view(f"V{rows.dtype.itemsize * rows.shape[1]}").ravel(), return_counts=True)[1]
    return int(counts[counts > 1].sum())


def _is_flat(fingerprint: bytes) -> bool:
    """Whether a picture is of almost one colour, by its fingerprint."""
    levels = np.frombuffer(fingerprint[CODE : CODE + CELLS], np.uint8)
    return len(levels) == CELLS and int(np.ptp(levels)) <= FLAT and not any(fingerprint[:CODE])


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
