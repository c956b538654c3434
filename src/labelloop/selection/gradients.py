"""The selector that asks for what would move the model far, and in different directions."""

from __future__ import annotations

import numpy as np

from labelloop.selection.geometry import embeddings_at, filled
from labelloop.selection.uncertainty import CHUNK, needed
from labelloop.types import Pool

TURNS = 32
"""Centres drawn between two passes over the pool."""
_PATIENCE = 64
_ROUNDING = 1e-5

_Rows = slice | list[int]


def badge(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """n items whose gradients are long and point apart: k-means++ on gradient embeddings.

    BADGE of Ash et al., ICLR 2020 (arXiv 1906.03671). For a linear head the gradient of the loss of the model's own
    answer is (probabilities - answer) times the embedding, transposed; the product of two gradients is the product of
    the first factors times that of the second. So distances are exact and no (n, k d) matrix is made.

    Ours: distances only shrink while centres are drawn, so that an item is drawn by an older distance and kept with
    the probability fresh / older. The distribution is that of k-means++, with a pass over the pool every `TURNS`
    centres instead of every one.

    Raises:
        ConfigError: There are no probabilities, or probabilities or embeddings are not numbers.
    """
    needed(pool)
    n = min(n, len(pool))
    if n == 0:
        return np.empty(0, np.intp)
    lengths = _lengths(pool)
    first = int(lengths.argmax())
    chosen, new = [first], [first]
    distances = np.full(len(pool), np.inf, np.float32)
    while len(chosen) < n:
        _shrink(pool, distances, lengths, new)
        distances[chosen] = 0.0
        new = _drawn(pool, distances, lengths, min(TURNS, n - len(chosen)), rng)
        if not new:
            break
        chosen += new
    return filled(np.asarray(chosen, np.intp), len(pool), n, rng)


def _drawn(pool: Pool, distances: np.ndarray, lengths: np.ndarray, n: int, rng: np.random.Generator) -> list[int]:
    """Up to n positions, each with a chance proportional to its squared distance to all that were drawn before."""
    ladder = np.cumsum(distances, dtype=np.float64)
    found: list[int] = []
    refused = 0
    while ladder[-1] > 0.0 and len(found) < n and refused < _PATIENCE:
        position = int(min(np.searchsorted(ladder, rng.random() * ladder[-1], side="right"), len(pool) - 1))
        fresh = distances[position]
        if found and fresh > 0.0:
            fresh = min(fresh, squared_distances(pool, [position], found, lengths).min())
        if fresh > 0.0 and rng.random() * distances[position] <= fresh:
            found.append(position)
            refused = 0
        else:
            refused += 1
    return found


def _shrink(pool: Pool, distances: np.ndarray, lengths: np.ndarray, centres: list[int]) -> None:
    """Make `distances` those to the nearest of all centres so far, `centres` being the new ones."""
    for start in range(0, len(pool), CHUNK):
        rows = slice(start, start + CHUNK)
        fresh = squared_distances(pool, rows, centres, lengths).min(axis=1)
        np.minimum(distances[rows], fresh, out=distances[rows])


def squared_distances(pool: Pool, rows: _Rows, centres: list[int], lengths: np.ndarray) -> np.ndarray:
    """(a, b) squared distances between gradients; what is only rounding is 0."""
    product = _outputs(pool, rows) @ _outputs(pool, centres).T
    product *= _inputs(pool, rows) @ _inputs(pool, centres).T
    long = lengths[rows][:, np.newaxis] + lengths[centres]
    squared: np.ndarray = long - 2.0 * product
    squared[squared < _ROUNDING * long] = 0.0
    return squared


def _lengths(pool: Pool) -> np.ndarray:
    """(n,) float32 squared length of each gradient."""
    lengths = np.empty(len(pool), np.float32)
    for start in range(0, len(pool), CHUNK):
        rows = slice(start, start + CHUNK)
        inputs = embeddings_at(pool.embeddings, np.arange(len(pool))[rows])
        lengths[rows] = np.square(_outputs(pool, rows)).sum(axis=1) * np.square(inputs).sum(axis=1)
    return lengths


def _inputs(pool: Pool, rows: _Rows) -> np.ndarray:
    return np.asarray(pool.embeddings[rows], np.float32)


def _outputs(pool: Pool, rows: _Rows) -> np.ndarray:
    """What the model says minus its own answer, the first factor of the gradient."""
    assert pool.probabilities is not None
    outputs = np.array(pool.probabilities[rows], np.float32)
    if pool.multiple:
        outputs -= outputs > 0.5
    else:
        outputs[np.arange(len(outputs)), outputs.argmax(axis=1)] -= 1.0
    return outputs
