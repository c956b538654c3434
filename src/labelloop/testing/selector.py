"""For whoever brings a selector: what every one of them does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.protocols import Selector
from labelloop.types import Pool


def a_pool(n: int, *, k: int = 4, d: int = 16, labeled: int = 5, multiple: bool = False, seed: int = 0) -> Pool:
    """A pool of n items in k clusters, with a model that recognises them."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((k, d)) * 2.0
    cluster = rng.integers(k, size=n + labeled)
    points = middles[cluster] + rng.standard_normal((n + labeled, d))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    logits = points[:n] @ middles.T.astype(np.float32)
    shares = 1 / (1 + np.exp(-logits)) if multiple else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Pool(points[:n], shares.astype(np.float32), points[n:], multiple)


def frozen(pool: Pool) -> Pool:
    """The same pool, whose columns nobody can write to."""
    for column in (pool.embeddings, pool.probabilities, pool.labeled):
        if column is not None:
            column.flags.writeable = False
    return pool


class SelectorContract:
    """What every selector does. Inherit, and provide the pytest fixture `selector`."""

    @pytest.mark.parametrize("multiple", [False, True])
    @pytest.mark.parametrize("n", [1, 7, 60])
    def test_it_chooses_as_many_distinct_items_as_asked(self, selector: Selector, n: int, multiple: bool) -> None:
        pool = a_pool(60, multiple=multiple)

        chosen = selector(pool, n, np.random.default_rng(0))

        assert chosen.shape == (n,)
        assert np.issubdtype(chosen.dtype, np.integer)
        assert len(set(chosen.tolist())) == n
        assert set(chosen.tolist()) <= set(range(60))

    def test_it_chooses_every_item_where_there_are_fewer_than_asked(self, selector: Selector) -> None:
        chosen = selector(a_pool(6), 10, np.random.default_rng(0))

        assert sorted(chosen.tolist()) == list(range(6))

    @pytest.mark.parametrize(("items", "n"), [(0, 5), (5, 0)])
    def test_it_chooses_nothing_where_nothing_is_there_or_asked(self, selector: Selector, items: int, n: int) -> None:
        chosen = selector(a_pool(items), n, np.random.default_rng(0))

        assert chosen.shape == (0,)

    def test_it_chooses_the_same_from_the_same_seed(self, selector: Selector) -> None:
        pool = a_pool(200)

        chosen = [selector(pool, 20, np.random.default_rng(3)).tolist() for _ in range(2)]

        assert chosen[0] == chosen[1]

    @pytest.mark.parametrize("labeled", [0, 1, 5])
    def test_without_a_model_it_chooses_or_says_that_it_cannot(self, selector: Selector, labeled: int) -> None:
        pool = replace(a_pool(60, labeled=labeled), probabilities=None)

        try:
            chosen = selector(pool, 7, np.random.default_rng(0))
        except ConfigError as refusal:
            assert refusal.hint
        else:
            assert len(set(chosen.tolist())) == 7

    @pytest.mark.parametrize("labeled", [0, 1])
    def test_it_works_with_hardly_any_labels(self, selector: Selector, labeled: int) -> None:
        chosen = selector(a_pool(60, labeled=labeled), 7, np.random.default_rng(0))

        assert len(set(chosen.tolist())) == 7

    def test_it_leaves_the_pool_as_it_is(self, selector: Selector) -> None:
        pool = frozen(a_pool(60))

        chosen = selector(pool, 7, np.random.default_rng(0))

        assert len(chosen) == 7

    def test_it_copes_with_items_that_are_all_the_same(self, selector: Selector) -> None:
        embeddings = np.tile(np.array([[1.0, 0.0]], np.float32), (30, 1))
        pool = Pool(embeddings, np.full((30, 3), 1 / 3, np.float32), embeddings[:2])

        chosen = selector(pool, 10, np.random.default_rng(0))

        assert len(set(chosen.tolist())) == 10
