"""Selectors that group the pool first, and ask in groups where nothing was asked: no model is needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labelloop.selection.geometry import clusters, drawn, embeddings_at, filled, nearest_of, sample
from labelloop.types import Pool

CLUSTERED = 16_384
"""Items that are clustered, a random sample where there are more."""
COVERING = 16_384
"""Labelled items that count as covering, a random sample where there are more."""
EXPLORED = 256
"""Clusters that are added for labelled items, where there are more of those."""
NEIGHBOURS = 20
"""Neighbours by which `typiclust` measures how typical an item is: the paper's K."""
MEASURED = 2048
"""Items of one cluster that are compared with each other, a random sample where there are more."""


_Best = Callable[[np.ndarray, np.ndarray], int]
"""((n, d) points of one cluster, its (d,) middle) -> the position of the one to ask."""


def centroids(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n items in the middle of the n largest clusters that no labelled item is in.

    K-means on the embeddings (seeded as Arthur and Vassilvitskii 2007) with one cluster per item that is or will be
    labelled, as the cold start of Hacohen 2022 (arXiv 2202.02794) and Gupte 2024 (arXiv 2401.14555). Clusters at most
    `CLUSTERED` items or twice the batch. Needs no probabilities, and uses none.

    Raises:
        ConfigError: Embeddings that are needed are not numbers.
    """
    return _one_of_each(pool, n, rng, _middle)


def typiclust(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The most typical item of each of the n largest clusters that no labelled item is in.

    TypiClust of Hacohen, Dekel and Weinshall, ICML 2022 (arXiv 2202.02794): k-means with one cluster per item that is
    or will be labelled; in each, the item with the smallest mean distance to its 20 nearest neighbours in the cluster.
    Ours: a cluster of more than `MEASURED` items is represented by a sample of them, and at most `EXPLORED` clusters
    stand for what is labelled. Needs no probabilities, and uses none.

    Raises:
        ConfigError: Embeddings that are needed are not numbers.
    """
    return _one_of_each(pool, n, rng, lambda points, _: _typical(points, rng))


def _one_of_each(pool: Pool, n: int, rng: np.random.Generator, best: _Best) -> np.ndarray:
    n = min(n, len(pool))
    if n == 0:
        return np.empty(0, np.intp)
    rows = drawn(len(pool), max(CLUSTERED, 2 * n), rng)
    points = embeddings_at(pool.embeddings, rows)
    labeled = sample(pool.labeled, COVERING, rng)
    middles, members = clusters(points, min(len(points), n + min(len(labeled), EXPLORED)), rng)
    covered = np.zeros(len(middles), np.bool_)
    if len(labeled):
        covered[nearest_of(labeled, middles)] = True
    sizes = np.bincount(members, minlength=len(middles))
    order = [int(cluster) for cluster in np.lexsort((-sizes, covered)) if sizes[cluster]][:n]
    inside = np.split(np.argsort(members, kind="stable"), np.cumsum(sizes)[:-1])
    chosen = [inside[cluster][best(points[inside[cluster]], middles[cluster])] for cluster in order]
    return filled(rows[np.asarray(chosen, np.intp)], len(pool), n, rng)


def _middle(points: np.ndarray, middle: np.ndarray) -> int:
    return int(np.square(points - middle).sum(axis=1).argmin())


def _typical(points: np.ndarray, rng: np.random.Generator) -> int:
    """The one nearest to its neighbours; points are of length 1, so similarity orders as distance does."""
    rows = drawn(len(points), MEASURED, rng)
    some = points[rows]
    similar = some @ some.T
    np.fill_diagonal(similar, -np.inf)
    k = min(NEIGHBOURS, len(some) - 1)
    if k < 1:
        return 0
    nearest = np.partition(similar, -k, axis=1)[:, -k:]
    far = np.sqrt(np.maximum(2.0 - 2.0 * nearest, 0.0)).mean(axis=1)
    return int(rows[far.argmin()])
