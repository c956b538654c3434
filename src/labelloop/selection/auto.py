"""The selector to use when one does not want to choose one."""

from __future__ import annotations

import numpy as np

from labelloop.selection.clusters import typiclust
from labelloop.selection.coverage import uherding
from labelloop.types import Pool


def auto(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """Typical items before there is a model, then what is uncertain and stands for much that is uncertain.

    `typiclust` first, as the low-budget theory of Hacohen 2022 (arXiv 2202.02794) asks, `uherding` from the first model
    on: its radius shrinks as labels come, so that it turns from coverage to uncertainty by itself (Bae 2025, arXiv
    2412.20644).

    Raises:
        ConfigError: Probabilities or embeddings that are needed are not numbers.
    """
    return typiclust(pool, n, rng) if pool.probabilities is None else uherding(pool, n, rng)
