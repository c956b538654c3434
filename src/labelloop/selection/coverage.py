"""Selectors that see the whole pool: each item is asked for the sake of the items near it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labelloop.selection.geometry import ROWS, closest, clusters, drawn, embeddings_at, filled, sample
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
SPACED = 2048
"""Labelled items whose spacing sets the radius, a random sample where there are more."""
PURE = 0.95
"""Share of the balls of `probcover` that hold one cluster only: the paper's alpha."""
KINDS = 10
"""Clusters that set the radius of `probcover` before a model says how many labels there are."""
PAIRS = 1 << 25
"""Distances that `coreset` measures before it chooses: bounds its time where pool and labels are both large."""
FARTHEST = 4096
"""Items that `coreset` keeps at hand."""

_WIDEST = 1.0
_NARROWEST = 0.05
_LEAST = 1e-6
_LAZY = 16

Reach = Callable[[np.ndarray], np.ndarray]
"""Cosine similarities -> how far one item stands for the other, in [0, 1]. May work in place."""


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
    checked(pool)
    if pool.has_model:
        weights = np.maximum(uncertainty_of(pool, closeness_of_two), _LEAST)
        radius = _radius(sample(pool.labeled, SPACED, rng))
    return _herded(pool, n, rng, weights, _Gaussian(radius))


def probcover(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n items whose balls hold most of what no labelled item's ball holds.

    ProbCover of Yehuda, Dekel, Hacohen and Weinshall, NeurIPS 2022 (arXiv 2205.11320). The radius is the largest one
    at which 95 % of the balls hold items of one k-means cluster only, with as many clusters as there are labels, or
    `KINDS` before there is a model. What is left when everything is covered is drawn at random.

    Ours: the cover is estimated from a sample, as that of `uherding`. Needs no probabilities.

    Raises:
        ConfigError: Embeddings that are needed are not numbers.
    """
    probabilities = checked(pool)
    if len(pool) == 0 or n == 0:
        return np.empty(0, np.intp)
    kinds = KINDS if probabilities is None else max(2, probabilities.shape[1])
    radius = _pure_radius(sample(pool.embeddings, CANDIDATES, rng), kinds, rng)
    return _herded(pool, n, rng, np.ones(len(pool), np.float32), _Ball(radius))


def coreset(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n items farthest from everything labelled, one after the other: k-center greedy.

    Core-set of Sener and Savarese, ICLR 2018 (arXiv 1708.00489), in its greedy form, on the embeddings. It asks for
    outliers first. Exact where pool times labels is below `PAIRS`, else on a random part of the pool. Distances only
    shrink, so that items nearer than the farthest one at hand need not be looked at: this changes the cost alone.

    Raises:
        ConfigError: Embeddings that are needed are not numbers.
    """
    n = min(n, len(pool))
    if n == 0:
        return np.empty(0, np.intp)
    covering = sample(pool.labeled, COVERING, rng)
    rows = drawn(len(pool), max(PAIRS // (len(covering) + 1), n), rng)
    points = embeddings_at(pool.embeddings, rows)
    near = closest(points, covering)
    found = [int((points @ points.sum(axis=0)).argmax())] if not len(covering) else []
    chosen: list[int] = []
    while len(chosen) + len(found) < n:
        if found:
            np.maximum(near, closest(points, points[found]), out=near)
            near[found] = np.inf
            chosen += found
        found = _far_ones(points, near, n - len(chosen))
    return rows[np.asarray(chosen + found, np.intp)]


def _far_ones(points: np.ndarray, near: np.ndarray, n: int) -> list[int]:
    """Up to n farthest points in turn, as long as they are known to be the farthest of all; at least one."""
    at_hand = np.arange(len(points))
    if len(points) > FARTHEST:
        at_hand = np.argpartition(near, FARTHEST)[:FARTHEST]
    ceiling = np.inf if len(at_hand) == len(points) else float(near[at_hand].max())
    some, similar = points[at_hand], near[at_hand].copy()
    found: list[int] = []
    while len(found) < n:
        farthest = int(similar.argmin())
        if similar[farthest] == np.inf or (found and similar[farthest] > ceiling):
            break
        found.append(int(at_hand[farthest]))
        np.maximum(similar, some @ some[farthest], out=similar)
        similar[farthest] = np.inf
    return found


@dataclass(frozen=True)
class _Gaussian:
    """exp(-(distance / radius)^2) of rows of length 1."""

    radius: float

    def __call__(self, similar: np.ndarray) -> np.ndarray:
        similar -= 1.0
        similar *= 2.0 / self.radius**2
        np.minimum(similar, 0.0, out=similar)
        reached: np.ndarray = np.exp(similar, out=similar)
        return reached


@dataclass(frozen=True)
class _Ball:
    """1 where the distance is at most the radius, else 0."""

    radius: float

    def __call__(self, similar: np.ndarray) -> np.ndarray:
        reached: np.ndarray = (similar >= 1.0 - 0.5 * self.radius**2 - _LEAST).astype(np.float32)
        return reached


def _herded(pool: Pool, n: int, rng: np.random.Generator, weights: np.ndarray, reach: Reach) -> np.ndarray:
    """The n positions that greedily cover most of the weight, block by block; random ones once all is covered."""
    n = min(n, len(pool))
    covering = sample(pool.labeled, COVERING, rng)
    left = np.ones(len(pool), np.bool_)
    blocks: list[np.ndarray] = [np.empty(0, np.intp)]
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        chosen = _block(pool, size, rng, weights=weights, left=left, covering=covering, reach=reach)
        left[chosen] = False
        covering = np.concatenate([covering, embeddings_at(pool.embeddings, chosen)])
        blocks.append(chosen)
        if len(chosen) < size:
            break
    return filled(np.concatenate(blocks), len(pool), n, rng)


def _block(
    pool: Pool,
    n: int,
    rng: np.random.Generator,
    *,
    weights: np.ndarray,
    left: np.ndarray,
    covering: np.ndarray,
    reach: Reach,
) -> np.ndarray:
    """At most n positions among those that are `left`."""
    candidates, references, scale = _strata(np.flatnonzero(left), weights, rng)
    seen = np.concatenate([candidates, references])
    points = embeddings_at(pool.embeddings, seen)
    worth = weights[seen]
    worth[len(candidates) :] *= scale
    kernel = reach(points[: len(candidates)] @ points.T)
    covered = reach(np.maximum(closest(points, covering), -4e4)) if len(covering) else np.zeros(len(points), np.float32)
    chosen: np.ndarray = candidates[_greedy(kernel, worth, covered, n)]
    return chosen


def _strata(left: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """(candidates, references, how many items of the pool each reference stands for)."""
    if len(left) <= CANDIDATES:
        return left, left[:0], 1.0
    foremost = top(weights[left], CANDIDATES // 2, rng)
    rest = np.delete(left, foremost)
    others = rng.choice(len(rest), min(len(rest), CANDIDATES // 2 + REFERENCES), replace=False)
    candidates, references = np.split(rest[others], [CANDIDATES // 2])
    scale = (len(rest) - len(candidates)) / max(1, len(references))
    return np.sort(np.concatenate([left[foremost], candidates])), np.sort(references), scale


def _greedy(kernel: np.ndarray, worth: np.ndarray, covered: np.ndarray, n: int) -> np.ndarray:
    """Rows of `kernel` (c, r) that add most to the sum of `worth` times coverage, one after the other.

    Gains only ever shrink, so a row whose fresh gain still beats every older one is the best. Fewer than n where no
    other row adds anything.
    """
    gains = np.concatenate(
        [np.maximum(kernel[i : i + ROWS] - covered, 0.0) @ worth for i in range(0, len(kernel), ROWS)]
    )
    chosen: list[int] = []
    while len(chosen) < min(n, len(kernel)):
        fresh = np.zeros(len(kernel), np.bool_)
        best = int(gains.argmax())
        while not fresh[best]:
            stale = np.argpartition(-gains, min(_LAZY, len(gains) - 1))[:_LAZY]
            stale = np.union1d(stale, best)
            stale = stale[~fresh[stale] & np.isfinite(gains[stale])]
            gains[stale] = np.maximum(kernel[stale] - covered, 0.0) @ worth
            fresh[stale] = True
            best = int(gains.argmax())
        if gains[best] <= 0.0:
            break
        chosen.append(best)
        gains[best] = -np.inf
        covered = np.maximum(covered, kernel[best])
    return np.asarray(chosen, np.intp)


def _radius(labeled: np.ndarray) -> float:
    """The spacing of labelled items."""
    if len(labeled) < 2:
        return _WIDEST
    similar = labeled @ labeled.T
    np.fill_diagonal(similar, -np.inf)
    distances = np.sqrt(np.maximum(2.0 - 2.0 * similar.max(axis=1), 0.0))
    return float(np.clip(np.quantile(distances, 0.01), _NARROWEST, _WIDEST))


def _pure_radius(points: np.ndarray, kinds: int, rng: np.random.Generator) -> float:
    """The largest radius at which `PURE` of the balls around the points hold one cluster: a quantile of how far the
    nearest point of another cluster is."""
    _, members = clusters(points, min(kinds, len(points)), rng)
    nearest = np.full(len(points), -np.inf, np.float32)
    for start in range(0, len(points), ROWS):
        similar = points[start : start + ROWS] @ points.T
        similar[members[start : start + ROWS, None] == members] = -np.inf
        nearest[start : start + ROWS] = similar.max(axis=1)
    strange = np.sqrt(np.maximum(2.0 - 2.0 * nearest[np.isfinite(nearest)], 0.0))
    return float(np.quantile(strange, 1.0 - PURE)) if len(strange) else _WIDEST
