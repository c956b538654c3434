"""The selector to use when one does not want to choose one."""

from __future__ import annotations

import numpy as np

from labelloop.protocols import Selector
from labelloop.selection.chance import random
from labelloop.selection.clusters import centroids
from labelloop.selection.compose import balanced, mix
from labelloop.selection.coverage import uherding
from labelloop.types import Pool


def auto(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The middle of large clusters before there is a model, then as `balanced(uherding)`.

    `centroids` first, as the cold start of Gupte 2024 (arXiv 2401.14555), `uherding` from the first model on: its
    radius shrinks as labels come, so that it turns from coverage to uncertainty by itself (Bae 2025, arXiv 2412.20644).
    Balance between the labels the model expects is what rare labels need, and cost nothing on the balanced tasks tried.

    Raises:
        ConfigError: Probabilities or embeddings that are needed are not numbers.
    """
    return centroids(pool, n, rng) if pool.probabilities is None else balanced(uherding)(pool, n, rng)


def trusted(selector: Selector, trust: float) -> Selector:
    """A selector that chooses by itself as far as it is trusted, and the others at random.

    Whoever watches what the random share of earlier batches taught, against what the selector chose, sets the trust.

    Args:
        trust: In [0, 1]; 0 is random.

    Raises:
        ConfigError: The trust is not in [0, 1].
    """
    return mix(selector, random, trust)
