"""A text as tokens: where each word stands, and what a transformer makes of it in its place."""

from __future__ import annotations

import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import groupby
from threading import Lock

import numpy as np

from labelloop.errors import ConfigError
from labelloop.learners.backbones import backbone
from labelloop.learners.options import fingerprint_of, normalised
from labelloop.learners.texts import TextBackbone

Place = tuple[int, int]
"""Where a token starts, and where it ends (exclusive), in characters (code points)."""

VERSION = 1
"""Raise it when another vector comes out for the same token."""

MOST_WINDOWS = 256
"""Windows of a text that are read; tokens behind them have no vector."""

CACHED = 384 << 20
"""Bytes of vectors that a process keeps, of the texts read last: about 40,000 sentences of 25 word pieces."""

IDEOGRAPHS = ((0x2E80, 0xA4CF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1B000, 0x1B2FF), (0x20000, 0x3FFFF))
"""Code points of scripts that put no space between words, of which each character is a word of its own."""


def words(text: str) -> list[Place]:
    """The words of a text: runs of letters, runs of digits; every other sign, and every ideograph, for itself."""
    places: list[Place] = []
    at = 0
    for what, run in groupby(map(_sort, text)):
        size = sum(1 for _ in run)
        if what in ("letter", "digit"):
            places.append((at, at + size))
        elif what != "space":
            places.extend((at + i, at + i + 1) for i in range(size))
        at += size
    return places


def characters(text: str) -> list[Place]:
    """Every character that is no space."""
    return [(at, at + 1) for at, one in enumerate(text) if not one.isspace()]


@lru_cache(maxsize=1 << 14)
def _sort(one: str) -> str:
    if one.isspace():
        return "space"
    if any(first <= ord(one) <= last for first, last in IDEOGRAPHS):
        return "sign"
    sort = unicodedata.category(one)
    # A mark belongs to its letter: e + combining acute, the vowel signs of Hindi and Thai.
    return "letter" if sort[0] in "LM" else "digit" if sort == "Nd" else "sign"


def reader(name: str) -> TokenReader:
    """The one reader of this process with the backbone of this name, as in `labelloop.learners.backbones.backbone`.

    Raises:
        ConfigError: It is none of a transformer that labelloop reads texts with.
    """
    found = backbone(name, "text")
    if not isinstance(found, TextBackbone):
        raise ConfigError(
            f"network {name!r} is a {type(found).__name__}, which has no vectors of tokens",
            'name a transformer: network = "minilm" or "path/to/model.onnx"; or "none" to go without',
        )
    return _reader(found, found.fingerprint)


@lru_cache(maxsize=4)
def _reader(found: TextBackbone, fingerprint: str) -> TokenReader:
    return TokenReader(found, fingerprint)


class TokenReader:
    """Vectors of tokens in their context, by a transformer; those of the texts read last are kept. Thread-safe.

    Args:
        backbone: Whose network and tokenizer are used.
        fingerprint: Of the backbone.

    Raises:
        ConfigError: At the first use: its network gives one vector per text, none per token.
    """

    def __init__(self, backbone: TextBackbone, fingerprint: str) -> None:
        self._words, self._transformer = backbone.words, backbone.transformer
        self._most = backbone.options.max_tokens
        self.fingerprint = fingerprint_of("tokens", VERSION, fingerprint)
        self._kept = KeptReadings(CACHED)

    def vectors(self, text: str, places: Sequence[Place]) -> np.ndarray:
        """(n, d) float32, the mean over the word pieces that lie in each token; zeros where none does.

        The same, whatever was read before.
        """
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found = self._kept.get(key)
        if found is None:
            found = self._read(text)
            self._kept.put(key, found)
        starts, ends, scaled, sizes = found
        vectors = scaled.astype(np.float32) * sizes[:, None]
        rows = np.zeros((len(places), vectors.shape[1]), np.float32)
        first = np.searchsorted(ends, [start for start, _ in places], "right")
        last = np.searchsorted(starts, [end for _, end in places], "left")
        for row, (low, high) in enumerate(zip(first, last, strict=True)):
            if low < high:
                rows[row] = vectors[low:high].mean(axis=0)
        return rows

    def _read(self, text: str) -> tuple[np.ndarray, ...]:
        """Start and end of each word piece, its vector in 8 bits, and what these are to be multiplied with."""
        whole = text[: MOST_WINDOWS * self._size * 16].encode("utf-8", "replace").decode()
        said = self._words.splitter.encode(whole, add_special_tokens=False)
        pieces = [(i, *place) for i, place in zip(said.ids, said.offsets, strict=True) if place[0] < place[1]]
        ids, starts, ends = np.array(pieces, np.int64).reshape(-1, 3)[: MOST_WINDOWS * self._size // 2].T
        vectors = self._in_windows(ids)
        sizes = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), 1e-9) / 127
        return starts, ends, np.rint(vectors / sizes[:, None]).astype(np.int8), sizes.astype(np.float32)

    def _in_windows(self, ids: np.ndarray) -> np.ndarray:
        """(pieces, d), each of length 1, from the window in whose middle it stands; windows overlap by half."""
        size = self._size
        starts = np.minimum(np.arange(0, max(len(ids) - size // 2, 1), size // 2), max(len(ids) - size, 0))
        nearest = np.abs(np.arange(len(ids))[:, None] - (starts + size / 2)).argmin(axis=1)
        before, after = self._words.around
        rows = np.zeros((len(ids), self.dimension), np.float32)
        for window, start in enumerate(starts):
            mine = np.flatnonzero(nearest == window)
            if len(mine):
                # One at a time: what comes out must not depend on what is read beside it.
                out = self._out(np.concatenate([before, ids[start : start + size], after]))
                rows[mine] = out[len(before) + mine - start]
        return normalised(rows)

    def _out(self, ids: np.ndarray) -> np.ndarray:
        out, _ = self._transformer.outputs([ids])
        if out.ndim != 3:
            raise ConfigError(
                f"{self._transformer.network.path} gives one vector for a text, none for its tokens",
                "name its output that has them in model.json beside it, such as last_hidden_state",
            )
        rows: np.ndarray = out[0]
        return rows

    @cached_property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._out(np.concatenate(self._words.around)).shape[1])

    @cached_property
    def _size(self) -> int:
        """Word pieces in a window."""
        return max(self._most - sum(map(len, self._words.around)), 2)


class KeptReadings:
    """What was read last, up to so many bytes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._found: OrderedDict[bytes, tuple[np.ndarray, ...]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: bytes) -> tuple[np.ndarray, ...] | None:
        """It, and it counts as read now."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def put(self, key: bytes, arrays: tuple[np.ndarray, ...]) -> None:
        """Keep it; what was read longest ago makes room."""
        with self._lock:
            self._size += _bytes(arrays) - _bytes(self._found.pop(key, ()))
            self._found[key] = arrays
            while self._size > self._limit and len(self._found) > 1:
                self._size -= _bytes(self._found.popitem(last=False)[1])


def _bytes(arrays: Sequence[np.ndarray]) -> int:
    return sum(array.nbytes for array in arrays)
