"""Selectors made of selectors: part by one and part by another, a part of the pool, balance between labels, variety."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from labelloop.errors import ConfigError
from labelloop.protocols import Selector
from labelloop.selection.geometry import clusters, drawn, embeddings_at
from labelloop.types import Pool

DEEPER = 4
"""Items that `balanced` lets its selector name for each it asks."""


Trace = tuple[np.ndarray, np.ndarray]
"""Positions, and an object array with the selector that chose each; the selector is never a composed one."""


@dataclass(frozen=True)
class Composed:
    """A selector made of selectors, which can say who of them chose what."""

    trace: Callable[[Pool, int, np.random.Generator], Trace]

    def __call__(self, pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
        """As every selector."""
        return self.trace(pool, n, rng)[0]


def traced(choose: Selector, pool: Pool, n: int, rng: np.random.Generator) -> Trace:
    """What a selector chooses, and for each item the selector behind the choice."""
    if isinstance(choose, Composed):
        return choose.trace(pool, n, rng)
    positions = np.asarray(choose(pool, n, rng))
    return positions, _by(choose, len(positions))


def mix(first: Selector, second: Selector, share: float = 0.5) -> Selector:
    """A selector that lets `first` choose this share of each batch, and `second` the others, who knows what is taken.

    Raises:
        ConfigError: The share is not in [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"mix takes a share of {share:g}, not between 0 and 1", "mix(uherding, typiclust, 0.5)")
    return Composed(partial(_mixed, (first, second, share)))


def subsample(selector: Selector, size: int = 50_000) -> Selector:
    """A selector that sees at most `size` random items of the pool, for one whose cost grows with the pool.

    Raises:
        ConfigError: The size is not a whole number above 0.
    """
    if size < 1 or not float(size).is_integer():
        raise ConfigError(f"subsample takes a size of {size:g}, not a whole number above 0", "subsample(badge, 50000)")
    return Composed(partial(_subsampled, selector, int(size)))


def balanced(selector: Selector) -> Selector:
    """A selector that asks about as many items of each label the model expects, as far as there are useful ones.

    As the class balancing around another strategy of Aggarwal 2020 (WACV): the items the selector would choose,
    `DEEPER` times as many, are taken label after label in turn. Before there is a model it changes nothing.
    """
    return Composed(partial(_balanced, selector))


def diverse(selector: Selector, deeper: int = 10) -> Selector:
    """A selector that spreads its batch: `deeper` times as many items are clustered, the most useful of each is asked.

    Zhdanov 2019 (arXiv 1901.05954): the items the selector would choose are cut into n clusters by k-means.

    Raises:
        ConfigError: `deeper` is not a whole number above 0.
    """
    if deeper < 1 or not float(deeper).is_integer():
        raise ConfigError(f"diverse looks {deeper:g} times as deep, not a whole number above 0", "diverse(margin, 10)")
    return Composed(partial(_diverse, selector, int(deeper)))


def _mixed(parts: tuple[Selector, Selector, float], pool: Pool, n: int, rng: np.random.Generator) -> Trace:
    first, second, share = parts
    n = min(n, len(pool))
    # Rounded by chance, so that the share is right on average even in batches of one.
    size = min(n, int(n * share + rng.random()))
    ones, who = traced(first, pool, size, rng)
    if size == n:
        return ones, who
    taken = np.concatenate([pool.labeled, embeddings_at(pool.embeddings, ones)])
    others, who_else = traced(second, replace(pool, labeled=taken), n, rng)
    left = np.flatnonzero(~np.isin(others, ones))[: n - size]
    order = _interleaved(len(ones), len(left))
    return np.concatenate([ones, others[left]])[order], np.concatenate([who, who_else[left]])[order]


def _subsampled(selector: Selector, size: int, pool: Pool, n: int, rng: np.random.Generator) -> Trace:
    rows = drawn(len(pool), max(size, min(n, len(pool))), rng)
    if len(rows) == len(pool):
        return traced(selector, pool, n, rng)
    positions, who = traced(selector, pool.at(rows), n, rng)
    return rows[positions], who


def _balanced(selector: Selector, pool: Pool, n: int, rng: np.random.Generator) -> Trace:
    n = min(n, len(pool))
    if pool.probabilities is None or n == 0:
        return traced(selector, pool, n, rng)
    positions, who = traced(selector, pool, min(DEEPER * n, len(pool)), rng)
    expected = np.asarray(pool.probabilities[positions]).argmax(axis=1)
    kept = np.argsort(_turns(expected), kind="stable")[:n]
    return positions[kept], who[kept]


def _diverse(selector: Selector, deeper: int, pool: Pool, n: int, rng: np.random.Generator) -> Trace:
    n = min(n, len(pool))
    positions, who = traced(selector, pool, min(deeper * n, len(pool)), rng)
    if len(positions) <= n:
        return positions, who
    _, members = clusters(embeddings_at(pool.embeddings, positions), n, rng)
    kept = np.argsort(_turns(members), kind="stable")[:n]
    return positions[kept], who[kept]


def _turns(kinds: np.ndarray) -> np.ndarray:
    """(n,) how many of the same kind come before each."""
    order = np.argsort(kinds, kind="stable")
    ordered = kinds[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    turns = np.empty(len(kinds), np.intp)
    turns[order] = np.arange(len(kinds)) - starts
    return turns


def _interleaved(a: int, b: int) -> np.ndarray:
    """An order of a + b things in which both kinds are spread evenly, each in its own order."""
    places = np.concatenate([(np.arange(a) + 0.5) / max(a, 1), (np.arange(b) + 0.5) / max(b, 1)])
    return np.argsort(places, kind="stable")


def _by(choose: Selector, n: int) -> np.ndarray:
    who = np.empty(n, object)
    who[:] = choose
    return who
