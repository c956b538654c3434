"""Arithmetic on embeddings that several selectors share: samples, spheres, clusters, all in bounded memory."""

from __future__ import annotations

import warnings

import numpy as np

from labelloop.errors import ConfigError

ROWS = 1024
"""Rows compared with others at once."""

_SEEDED = 10


def drawn(total: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """At most n distinct positions below `total`, ascending."""
    return np.arange(total) if total <= n else np.sort(rng.choice(total, n, replace=False))


def sample(matrix: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """At most n rows of a matrix of embeddings, drawn at random."""
    return embeddings_at(matrix, drawn(len(matrix), n, rng))


def embeddings_at(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some rows, in memory.

    Raises:
        ConfigError: One is not made of numbers.
    """
    points = np.asarray(matrix[rows], np.float32)
    wrong = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(wrong):
        raise ConfigError(
            f"the embedding of item {rows[wrong[0]]} of the pool has values that are not numbers",
            "leave items out that could not be embedded",
        )
    return points


def filled(chosen: np.ndarray, total: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """`chosen`, and random others up to n."""
    if len(chosen) >= n:
        return chosen[:n].astype(np.intp)
    others = np.setdiff1d(np.arange(total), chosen)
    return np.concatenate([chosen, rng.choice(others, n - len(chosen), replace=False)]).astype(np.intp)


def closest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) similarity of each point to the nearest of `others`; -inf where there are none."""
    nearest = np.full(len(points), -np.inf, np.float32)
    for start in range(0, len(others), ROWS):
        np.maximum(nearest, (points @ others[start : start + ROWS].T).max(axis=1), out=nearest)
    return nearest


def clusters(points: np.ndarray, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """((k, d) middles, (n,) cluster of each point); some clusters are empty where points are the same.

    K-means, seeded as Arthur and Vassilvitskii 2007.
    """
    from sklearn.cluster import KMeans, kmeans_plusplus
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    # Seeding on every point would cost more than all the rest.
    few = points[drawn(len(points), _SEEDED * k, rng)]
    seeds, _ = kmeans_plusplus(few, k, random_state=int(rng.integers(2**31)), n_local_trials=1)
    # Threads add up in the order they finish: more than one, and the same seed would not give the same batch.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="openmp"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(k, init=seeds, n_init=1, max_iter=20).fit(points)
    return fitted.cluster_centers_, fitted.labels_


def nearest_of(points: np.ndarray, middles: np.ndarray) -> np.ndarray:
    """(n,) the nearest middle of each point."""
    nearest: np.ndarray = (points @ middles.T - 0.5 * np.square(middles).sum(axis=1)).argmax(axis=1)
    return nearest
