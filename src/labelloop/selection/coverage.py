"""Selectors that see the whole pool: each item is asked for the sake of the items near it."""

from __future__ import annotations

import warnings

import numpy as np

from labelloop.errors import ConfigError
from labelloop.selection.uncertainty import checked, closeness_of_two, top, uncertainty_of
from labelloop.types import Pool

CANDIDATES = 2048
"""Items that `uherding` weighs against each other: half the most uncertain, half at random."""
REFERENCES = 4096
"""Further items, at random, that stand for the rest of the pool when coverage is measured."""
BLOCK = 256
"""Items chosen from one draw of candidates and references; a larger batch is chosen block by block."""
COVERING = 16_384
"""Labelled items that count as covering, a random sample where there are more."""
CLUSTERED = 16_384
"""Items that `centroids` clusters, a random sample where there are more."""
EXPLORED = 256
"""Clusters that `centroids` adds for labelled items, where there are more of those."""
SPACED = 2048
"""Labelled items whose spacing sets the radius, a random sample where there are more."""

_WIDEST = 1.0
_NARROWEST = 0.05
_LEAST = 1e-6
_ROWS = 1024
_LAZY = 16
_SEEDED = 10


def centroids(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n items in the middle of the n largest clusters that no labelled item is in.

    K-means on the embeddings (seeded as Arthur and Vassilvitskii 2007) with one cluster per item that is or will be
    labelled, as the cold start of Hacohen 2022 (arXiv 2202.02794) and Gupte 2024 (arXiv 2401.14555). Clusters at most
    `CLUSTERED` items or twice the batch. Needs no probabilities, and uses none.

    Raises:
        ConfigError: Embeddings that are needed are not numbers.
    """
    n = min(n, len(pool))
    if n == 0:
        return np.empty(0, np.intp)
    rows = _draw(len(pool), max(CLUSTERED, 2 * n), rng)
    points = _embeddings(pool.embeddings, rows)
    labeled = _sample(pool.labeled, COVERING, rng)
    middles, members = _clusters(points, min(len(points), n + min(len(labeled), EXPLORED)), rng)
    covered = np.zeros(len(middles), np.bool_)
    if len(labeled):
        covered[_nearest(labeled, middles)] = True
    sizes = np.bincount(members, minlength=len(middles))
    order = np.lexsort((-sizes, covered))
    distance = np.square(points - middles[members]).sum(axis=1)
    best = {int(members[i]): int(i) for i in np.argsort(-distance, kind="stable")}
    chosen = rows[[best[int(cluster)] for cluster in order if int(cluster) in best][:n]]
    return _filled(chosen, len(pool), n, rng)


def uherding(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n items that together cover the uncertain part of the pool best: Uncertainty Herding.

    Bae, Oliveira and Sutherland, ICLR 2025 (arXiv 2412.20644): greedily maximise the sum over the pool of
    uncertainty times the Gaussian kernel to the nearest labelled or chosen item. The uncertainty is the margin; the
    radius is the smallest distance between labelled items, so that few labels ask for coverage and many for
    uncertainty. The paper's temperature is the learner's work: probabilities are taken as calibrated.

    Without probabilities every item weighs the same and the radius stays 1: MaxHerding (Bae 2024, arXiv 2407.12212).

    Ours: the smallest distance is the first percentile of the distances to the nearest labelled neighbour, within
    [0.05, 1], so that a few labelled duplicates do not end coverage. A pool larger than `CANDIDATES` + `REFERENCES`
    is estimated from a stratified sample, where every candidate counts itself exactly. The greedy step is lazy
    (Minoux 1978), which changes its cost and not its result.

    Raises:
        ConfigError: Probabilities or embeddings that are needed are not numbers.
    """
    weights = np.ones(len(pool), np.float32)
    radius = _WIDEST
    if checked(pool) is not None:
        weights = np.maximum(uncertainty_of(pool, closeness_of_two), _LEAST)
        radius = _radius(_sample(pool.labeled, SPACED, rng))
    n = min(n, len(pool))
    covering = _sample(pool.labeled, COVERING, rng)
    left = np.ones(len(pool), np.bool_)
    blocks: list[np.ndarray] = [np.empty(0, np.intp)]
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        chosen = _herd(pool, size, rng, weights=weights, left=left, covering=covering, radius=radius)
        left[chosen] = False
        covering = np.concatenate([covering, _embeddings(pool.embeddings, chosen)])
        blocks.append(chosen)
    return np.concatenate(blocks)


def _herd(
    pool: Pool,
    n: int,
    rng: np.random.Generator,
    *,
    weights: np.ndarray,
    left: np.ndarray,
    covering: np.ndarray,
    radius: float,
) -> np.ndarray:
    """One block of `uherding`: n positions among those that are `left`."""
    candidates, references, scale = _strata(np.flatnonzero(left), weights, rng)
    seen = np.concatenate([candidates, references])
    points = _embeddings(pool.embeddings, seen)
    worth = weights[seen]
    worth[len(candidates) :] *= scale
    kernel = _kernel(points[: len(candidates)], points, radius)
    chosen: np.ndarray = candidates[_greedy(kernel, worth, _covered(points, covering, radius), n)]
    return chosen


def _strata(left: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """(candidates, references, how many items of the pool each reference stands for)."""
    if len(left) <= CANDIDATES:
        return left, left[:0], 1.0
    foremost = top(weights[left], CANDIDATES // 2, rng)
    rest = np.delete(left, foremost)
    drawn = rng.choice(len(rest), min(len(rest), CANDIDATES // 2 + REFERENCES), replace=False)
    others, references = np.split(rest[drawn], [CANDIDATES // 2])
    scale = (len(rest) - len(others)) / max(1, len(references))
    return np.sort(np.concatenate([left[foremost], others])), np.sort(references), scale


def _greedy(kernel: np.ndarray, worth: np.ndarray, covered: np.ndarray, n: int) -> np.ndarray:
    """Rows of `kernel` (c, r) that add most to the sum of `worth` times coverage, one after the other.

    Gains only ever shrink, so a row whose fresh gain still beats every older one is the best.
    """
    gains = np.concatenate(
        [np.maximum(kernel[i : i + _ROWS] - covered, 0.0) @ worth for i in range(0, len(kernel), _ROWS)]
    )
    chosen = np.empty(n, np.intp)
    for turn in range(n):
        fresh = np.zeros(len(kernel), np.bool_)
        best = int(gains.argmax())
        while not fresh[best]:
            stale = np.argpartition(-gains, min(_LAZY, len(gains) - 1))[:_LAZY]
            stale = np.union1d(stale, best)
            stale = stale[~fresh[stale] & np.isfinite(gains[stale])]
            gains[stale] = np.maximum(kernel[stale] - covered, 0.0) @ worth
            fresh[stale] = True
            best = int(gains.argmax())
        chosen[turn] = best
        gains[best] = -np.inf
        covered = np.maximum(covered, kernel[best])
    return chosen


def _kernel(left: np.ndarray, right: np.ndarray, radius: float) -> np.ndarray:
    """(a, b) float32 Gaussian kernel exp(-(distance / radius)^2) of L2-normalised rows."""
    kernel: np.ndarray = left @ right.T
    kernel -= 1.0
    kernel *= 2.0 / radius**2
    np.minimum(kernel, 0.0, out=kernel)
    np.exp(kernel, out=kernel)
    return kernel


def _covered(points: np.ndarray, covering: np.ndarray, radius: float) -> np.ndarray:
    """(n,) kernel of each point to the nearest covering one; 0 where there is none."""
    closest = np.full(len(points), -np.inf, np.float32)
    for start in range(0, len(covering), _ROWS):
        np.maximum(closest, (points @ covering[start : start + _ROWS].T).max(axis=1), out=closest)
    nearest: np.ndarray = np.exp(np.minimum((closest - 1.0) * (2.0 / radius**2), 0.0))
    return nearest


def _radius(labeled: np.ndarray) -> float:
    """The spacing of labelled items."""
    if len(labeled) < 2:
        return _WIDEST
    similar = labeled @ labeled.T
    np.fill_diagonal(similar, -np.inf)
    distances = np.sqrt(np.maximum(2.0 - 2.0 * similar.max(axis=1), 0.0))
    return float(np.clip(np.quantile(distances, 0.01), _NARROWEST, _WIDEST))


def _clusters(points: np.ndarray, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """((k, d) middles, (n,) cluster of each point); some clusters are empty where points are the same."""
    from sklearn.cluster import KMeans, kmeans_plusplus
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    # Seeding on every point would cost more than all the rest.
    few = points[_draw(len(points), _SEEDED * k, rng)]
    seeds, _ = kmeans_plusplus(few, k, random_state=int(rng.integers(2**31)), n_local_trials=1)
    # Threads add up in the order they finish: more than one, and the same seed would not give the same batch.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="openmp"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(k, init=seeds, n_init=1, max_iter=20).fit(points)
    return fitted.cluster_centers_, fitted.labels_


def _nearest(points: np.ndarray, middles: np.ndarray) -> np.ndarray:
    nearest: np.ndarray = (points @ middles.T - 0.5 * np.square(middles).sum(axis=1)).argmax(axis=1)
    return nearest


def _draw(total: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """At most n distinct positions below `total`, ascending."""
    return np.arange(total) if total <= n else np.sort(rng.choice(total, n, replace=False))


def _sample(matrix: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """At most n rows."""
    return _embeddings(matrix, _draw(len(matrix), n, rng))


def _embeddings(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
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


def _filled(chosen: np.ndarray, total: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """`chosen`, and random others up to n."""
    if len(chosen) == n:
        return chosen
    others = np.setdiff1d(np.arange(total), chosen)
    return np.concatenate([chosen, rng.choice(others, n - len(chosen), replace=False)])
