"""Choosing the batch: which items of the pool people are asked about next, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelloop.errors import ConfigError
from labelloop.protocols import Selector
from labelloop.registry import flavors, resolve, unknown
from labelloop.selection.chance import random
from labelloop.selection.coverage import centroids, uherding
from labelloop.selection.uncertainty import checked, closeness_of_two, entropy, least_confident, margin
from labelloop.types import Pool

SELECTORS: Mapping[str, Selector] = {
    "uherding": uherding,
    "margin": margin,
    "least-confident": least_confident,
    "entropy": entropy,
    "centroids": centroids,
    "random": random,
}
"""The selectors that come with labelloop, by the name users write; the default first."""

RANDOM = "asked at random"
EXPLORING = "covers an unexplored region"


@dataclass(frozen=True)
class Selection:
    """The chosen batch.

    Attributes:
        positions: (n,) distinct positions in the pool, most useful first, the random ones mixed in.
        why: A short sentence for each.
    """

    positions: np.ndarray
    why: tuple[str, ...]


def selector_of(name: str) -> Selector:
    """The selector of this name: one of `SELECTORS`, an installed flavor, or `module:attribute`.

    Raises:
        NotFoundError: There is none.
        ConfigError: It cannot be imported, or cannot be called.
    """
    if name in SELECTORS:
        return SELECTORS[name]
    if ":" not in name and name not in flavors("selector"):
        raise unknown("selector", name, {**SELECTORS, **flavors("selector")})
    found = resolve("selector", name)
    if not callable(found):
        raise ConfigError(f"selector {name!r} is {found!r}, which cannot be called", "name a function (pool, n, rng)")
    chosen: Selector = found
    return chosen


def select(
    pool: Pool,
    n: int,
    selector: str,
    rng: np.random.Generator,
    *,
    random_share: float = 0.1,
    labels: Sequence[str] = (),
) -> Selection:
    """Choose min(n, len(pool)) items: a random share, the others by a selector.

    The random ones are drawn uniformly from the whole pool, whatever the selector prefers; their number is
    `random_share * n`, rounded up or down by chance so that it is right on average.

    Args:
        selector: A name that `selector_of` knows.
        random_share: In [0, 1].
        labels: Names of the columns of the probabilities, for the reasons.

    Raises:
        ConfigError: The selector is unknown, refuses the pool, or chose positions that cannot be; the share is
            outside [0, 1]; n is negative; probabilities are not numbers.
    """
    choose = selector_of(selector)
    if not 0.0 <= random_share <= 1.0:
        raise ConfigError(
            f"random_share is {random_share!r}, not between 0 and 1", "set random_share = 0.1 under [loop]"
        )
    if n < 0:
        raise ConfigError(f"a batch of {n} items cannot be asked", "set batch = 50 under [loop]")
    checked(pool)
    n = min(n, len(pool))
    if n == 0:
        return Selection(np.empty(0, np.intp), ())
    drawn = rng.choice(len(pool), min(n, int(n * random_share + rng.random())), replace=False)
    useful = _by_selector(pool, n, selector, choose, rng)
    useful = useful[~np.isin(useful, drawn)][: n - len(drawn)]
    at_random = np.zeros(n, np.bool_)
    at_random[rng.choice(n, len(drawn), replace=False)] = True
    positions = np.empty(n, np.intp)
    positions[at_random], positions[~at_random] = drawn, useful
    return Selection(positions, _reasons(pool, positions, at_random, selector, labels))


def _by_selector(pool: Pool, n: int, name: str, choose: Selector, rng: np.random.Generator) -> np.ndarray:
    """What a selector chose, where that can be."""
    chosen = np.asarray(choose(pool, n, rng))
    if chosen.shape != (n,) or not np.issubdtype(chosen.dtype, np.integer):
        raise ConfigError(
            f"selector {name!r} was asked for {n} positions and returned {chosen.dtype} of the shape {chosen.shape}",
            "return min(n, len(pool)) positions as integers",
        )
    if chosen.min() < 0 or chosen.max() >= len(pool) or len(np.unique(chosen)) < n:
        raise ConfigError(
            f"selector {name!r} chose a position twice, or one outside the pool of {len(pool)} items",
            "return distinct positions in the pool; labelloop.testing.selector.SelectorContract checks it",
        )
    return chosen


def _reasons(
    pool: Pool, positions: np.ndarray, at_random: np.ndarray, selector: str, labels: Sequence[str]
) -> tuple[str, ...]:
    return tuple(
        RANDOM if by_chance or selector == "random" else _reason(pool, int(position), selector, labels)
        for position, by_chance in zip(positions, at_random, strict=True)
    )


def _reason(pool: Pool, position: int, selector: str, labels: Sequence[str]) -> str:
    if selector not in SELECTORS:
        return f"chosen by {selector}"
    if pool.probabilities is None or selector == "centroids":
        return EXPLORING
    row = np.asarray(pool.probabilities[position], np.float64)
    doubt = _doubt(row, pool.multiple, labels)
    unsure = closeness_of_two(row[np.newaxis], pool.multiple)[0] >= 0.5
    if selector == "uherding" and not unsure:
        return f"stands for less certain items near it: {doubt}"
    return f"uncertain: {doubt}"


def _doubt(row: np.ndarray, multiple: bool, labels: Sequence[str]) -> str:
    """What the model hesitates between: `cat 0.41 vs dog 0.39`; for a multiple choice `cat 0.52, dog 0.44`."""
    order = np.argsort(np.abs(row - 0.5) if multiple else -row, kind="stable")[:2]
    said = [f"{labels[i]} {row[i]:.2f}" if len(labels) == len(row) else f"{row[i]:.2f}" for i in order]
    return (", " if multiple else " vs ").join(said)
