"""The selector to use when one does not want to choose one."""

from __future__ import annotations

import numpy as np

from labelloop.selection.clusters import centroids
from labelloop.selection.coverage import uherding
from labelloop.types import Pool


def auto(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The middle of large clusters before there is a model, then as `uherding`.

    `centroids` first, as the cold start of Gupte 2024 (arXiv 2401.14555), `uherding` from the first model on: its
    radius shrinks as labels come, so that it turns from coverage to uncertainty by itself (Bae 2025, arXiv 2412.20644).
    On thirteen real tasks it needed fewer labels than random on each. A loop watches what this saves all the same,
    and draws a share at random instead where random would have been cheaper (`labelloop.evaluation.savings.Trust`).

    Raises:
        ConfigError: Probabilities or embeddings that are needed are not numbers.
    """
    return (uherding if pool.has_model else centroids)(pool, n, rng)
