"""Coverage: what is chosen stands for what is near it."""

from __future__ import annotations

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.protocols import Selector
from labelloop.selection import coverage
from labelloop.selection.clusters import centroids
from labelloop.selection.coverage import uherding
from labelloop.testing.selector import a_pool
from labelloop.types import Pool


def five_clusters(sizes: tuple[int, ...] = (100, 80, 60, 40, 20)) -> tuple[np.ndarray, np.ndarray]:
    """(embeddings of tight clusters of these sizes, the cluster of each)."""
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    points = np.eye(len(sizes), 8)[cluster] + 0.05 * rng.standard_normal((len(cluster), 8))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), cluster


@pytest.mark.parametrize("selector", [centroids, uherding])
def test_a_cold_start_asks_once_in_every_cluster(selector: Selector) -> None:
    points, cluster = five_clusters()
    pool = Pool(points, None, points[:0])

    chosen = selector(pool, 5, np.random.default_rng(0))

    assert sorted(cluster[chosen].tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("selector", [centroids, uherding])
def test_the_largest_cluster_comes_first(selector: Selector) -> None:
    points, cluster = five_clusters()
    pool = Pool(points, None, points[:0])

    chosen = selector(pool, 5, np.random.default_rng(0))

    assert cluster[chosen[0]] == 0


@pytest.mark.parametrize("selector", [centroids, uherding])
def test_clusters_with_a_labelled_item_are_left_for_later(selector: Selector) -> None:
    points, cluster = five_clusters()
    pool = Pool(points, None, points[[0, 100, 180]])

    chosen = selector(pool, 2, np.random.default_rng(0))

    assert sorted(cluster[chosen].tolist()) == [3, 4]


def test_an_uncertain_region_is_preferred_to_a_certain_one() -> None:
    points, cluster = five_clusters()
    probabilities = np.where((cluster == 4)[:, np.newaxis], [0.5, 0.5], [0.99, 0.01]).astype(np.float32)
    pool = Pool(points, probabilities, points[:0])

    chosen = uherding(pool, 1, np.random.default_rng(0))

    assert cluster[chosen].tolist() == [4]


def test_near_duplicates_are_not_asked_twice() -> None:
    points, _ = five_clusters()
    twins = np.concatenate([points, points])
    probabilities = np.full((len(twins), 2), 0.5, np.float32)
    pool = Pool(twins, probabilities, points[:2])

    chosen = uherding(pool, 20, np.random.default_rng(0))

    assert len(set((chosen % len(points)).tolist())) == 20


def test_with_many_labels_the_most_uncertain_items_are_asked() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((400, 64))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    first = 0.5 + 0.5 * rng.random(200)
    labeled = np.concatenate([points[200:], points[200:] + np.float32(1e-3)])
    pool = Pool(points[:200], np.stack([first, 1 - first], 1).astype(np.float32), labeled)

    chosen = uherding(pool, 20, np.random.default_rng(0))

    assert set(chosen.tolist()) == set(np.argsort(first)[:20].tolist())


def test_the_lazy_greedy_step_chooses_what_the_plain_one_would() -> None:
    pool = a_pool(300, d=8, labeled=20)
    assert pool.probabilities is not None
    ordered = np.sort(pool.probabilities, axis=1)
    weights = 1.0 - (ordered[:, -1] - ordered[:, -2])
    distances = np.linalg.norm(pool.labeled[:, None] - pool.labeled[None], axis=2) + 9 * np.eye(20)
    radius = np.clip(np.quantile(distances.min(axis=1), 0.01), 0.05, 1.0)
    kernel = np.exp(-np.square(np.linalg.norm(pool.embeddings[:, None] - pool.embeddings[None], axis=2) / radius))
    covered = np.exp(-np.square(np.linalg.norm(pool.embeddings[:, None] - pool.labeled[None], axis=2) / radius)).max(
        axis=1
    )
    plain = []
    for _ in range(30):
        gains = np.maximum(kernel - covered, 0) @ weights
        plain.append(int(gains.argmax()))
        covered = np.maximum(covered, kernel[plain[-1]])

    chosen = uherding(pool, 30, np.random.default_rng(0))

    assert chosen.tolist() == plain


@pytest.mark.parametrize("n", [10, 300, 600])
def test_a_pool_larger_than_the_sample_is_covered_block_by_block(n: int) -> None:
    pool = a_pool(20_000, d=8)

    chosen = uherding(pool, n, np.random.default_rng(0))

    assert len(set(chosen.tolist())) == n


def test_a_sampled_pool_is_covered_nearly_as_well_as_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = a_pool(4000, d=8, labeled=0)
    pool = Pool(pool.embeddings, None, pool.labeled)
    whole = [_coverage(pool, size, monkeypatch) for size in (4000, 400)]

    assert whole[1] > 0.97 * whole[0]


def _coverage(pool: Pool, sample: int, monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(coverage, "CANDIDATES", sample)
    monkeypatch.setattr(coverage, "REFERENCES", sample)
    chosen = uherding(pool, 10, np.random.default_rng(0))
    similar = pool.embeddings @ pool.embeddings[chosen].T
    return float(np.exp(2 * (similar.max(axis=1) - 1)).mean())


@pytest.mark.parametrize("selector", [centroids, uherding])
def test_embeddings_that_are_not_numbers_are_refused_by_position(selector: Selector) -> None:
    points, _ = five_clusters()
    points[7, 0] = np.nan

    with pytest.raises(ConfigError, match="embedding of item 7"):
        selector(Pool(points, None, points[:0]), 5, np.random.default_rng(0))
