"""Choosing the batch: which items of the pool people are asked about next, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelloop.errors import ConfigError
from labelloop.protocols import Selector
from labelloop.selection.compose import Trace, traced
from labelloop.selection.names import FORMS, SELECTORS, selector_of
from labelloop.selection.reasons import RANDOM, reasons
from labelloop.selection.uncertainty import checked
from labelloop.types import Pool

__all__ = ["FORMS", "RANDOM", "SELECTORS", "Selection", "select", "selector_of"]


@dataclass(frozen=True)
class Selection:
    """The chosen batch.

    Attributes:
        positions: (n,) distinct positions in the pool, most useful first, the random ones mixed in.
        why: A short sentence for each.
    """

    positions: np.ndarray
    why: tuple[str, ...]


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
        selector: What `selector_of` can read.
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
    useful, who = _by_selector(pool, n, selector, choose, rng)
    kept = np.flatnonzero(~np.isin(useful, drawn))[: n - len(drawn)]
    at_random = np.zeros(n, np.bool_)
    at_random[rng.choice(n, len(drawn), replace=False)] = True
    positions = np.empty(n, np.intp)
    positions[at_random], positions[~at_random] = drawn, useful[kept]
    chose = np.empty(n, object)
    chose[at_random], chose[~at_random] = SELECTORS["random"], who[kept]
    return Selection(positions, reasons(pool, positions, chose.tolist(), labels))


def _by_selector(pool: Pool, n: int, name: str, choose: Selector, rng: np.random.Generator) -> Trace:
    """What a selector chose, where that can be, and who chose each."""
    chosen, who = traced(choose, pool, n, rng)
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
    return chosen, who
