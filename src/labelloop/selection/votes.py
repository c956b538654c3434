"""The selector that asks where a model changes its mind when it sees only part of an item."""

from __future__ import annotations

import numpy as np

from labelloop.selection.geometry import clusters, drawn, embeddings_at
from labelloop.selection.uncertainty import CHUNK, closeness_of_two, needed, top, uncertainty_of
from labelloop.types import Pool

VOTES = 3
"""Times each item is looked at in part: the paper's M."""
KEPT_BITS = 2
"""A feature is kept where so many random bits are all 1: a quarter of them, the paper's dropout of 0.75."""
SHARES = 131_072
"""Items that are voted on, a random sample where there are more."""
CLUSTERED = 4096
"""Items with a split vote that are clustered, a random sample where there are more."""
FITTED = 4
"""Items per feature from which the head is read back."""
_TINY = 1e-9
_RIDGE = 1e-6


def dropquery(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """n items, spread out, on whose label the model contradicts itself when most features are left out.

    DropQuery of Gupte et al., TMLR 2024 (arXiv 2401.14555): three predictions with three quarters of the features
    dropped; where at least half of them contradict the whole prediction, the item is a candidate; k-means makes n
    clusters of the candidates, and the one in the middle of each is asked. Where there are too few candidates, the
    items with the closest margin follow.

    Ours: a selector sees probabilities, not the model. A linear head is read back from them by least squares, exactly
    so where the model is one (logits are linear in the embedding); another model is approximated.

    Raises:
        ConfigError: There are no probabilities, or probabilities or embeddings are not numbers.
    """
    needed(pool)
    n = min(n, len(pool))
    if n == 0:
        return np.empty(0, np.intp)
    rows = drawn(len(pool), max(SHARES, n), rng)
    weights, bias = linear_head(pool, rng)
    split = np.concatenate(
        [_contradicted(pool, rows[start : start + CHUNK], weights, bias, rng) for start in range(0, len(rows), CHUNK)]
    )
    split = split[drawn(len(split), max(CLUSTERED, n), rng)]
    chosen: np.ndarray = split if len(split) <= n else split[_middles(embeddings_at(pool.embeddings, split), n, rng)]
    if len(chosen) == n:
        return chosen
    rest = uncertainty_of(pool, closeness_of_two)
    rest[chosen] = -np.inf
    return np.concatenate([chosen, top(rest, n - len(chosen), rng)])


def linear_head(pool: Pool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Weights (d, k) and bias (k,) of the linear model that says nearest to what the model said."""
    rows = drawn(len(pool), FITTED * (pool.embeddings.shape[1] + 1), rng)
    points = embeddings_at(pool.embeddings, rows)
    logits = _logits(_said(pool, rows), pool.multiple)
    centre, middle = points.mean(axis=0), logits.mean(axis=0)
    gram = (points - centre).T.astype(np.float64) @ (points - centre)
    gram[np.diag_indices_from(gram)] += _RIDGE * max(np.trace(gram) / len(gram), _TINY)
    weights = np.linalg.solve(gram, (points - centre).T @ (logits - middle)).astype(np.float32)
    return weights, middle - centre @ weights


def _logits(said: np.ndarray, multiple: bool) -> np.ndarray:
    """Logits up to what adds to all of a row."""
    if multiple:
        sure = np.clip(said, _TINY, 1.0 - 1e-6)
        odds: np.ndarray = np.log(sure) - np.log1p(-sure)
        return odds
    logs = np.log(np.maximum(said, _TINY))
    centred: np.ndarray = logs - logs.mean(axis=1, keepdims=True)
    return centred


def _contradicted(
    pool: Pool, rows: np.ndarray, weights: np.ndarray, bias: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Those of the rows where at least half of the votes contradict the whole prediction."""
    points = embeddings_at(pool.embeddings, rows)
    whole = _answer(points @ weights + bias, pool.multiple)
    against = np.zeros(len(rows), np.intp)
    for _ in range(VOTES):
        bits = rng.integers(0, 1 << KEPT_BITS, points.shape, np.uint8)
        part = np.where(bits == 0, points * np.float32(1 << KEPT_BITS), np.float32(0.0))
        against += (_answer(part @ weights + bias, pool.multiple) != whole).any(axis=1)
    found: np.ndarray = rows[2 * against >= VOTES]
    return found


def _answer(logits: np.ndarray, multiple: bool) -> np.ndarray:
    return logits > 0.0 if multiple else logits.argmax(axis=1)[:, np.newaxis]


def _middles(points: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n positions, one near the middle of each of n clusters; fewer clusters where points are the same."""
    middles, members = clusters(points, n, rng)
    distance = np.square(points - middles[members]).sum(axis=1)
    order = np.argsort(distance, kind="stable")
    _, first = np.unique(members[order], return_index=True)
    best = order[first]
    others = np.setdiff1d(order, best, assume_unique=True)
    sizes = np.bincount(members, minlength=n)[members[best]]
    ranked: np.ndarray = best[np.argsort(-sizes, kind="stable")]
    return np.concatenate([ranked, others[: n - len(ranked)]])


def _said(pool: Pool, rows: np.ndarray) -> np.ndarray:
    assert pool.probabilities is not None
    return np.asarray(pool.probabilities[rows], np.float64)
