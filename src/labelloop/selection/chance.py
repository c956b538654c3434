"""The selector that every other one must beat."""

from __future__ import annotations

import numpy as np

from labelloop.types import Pool


def random(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """n items, each as likely as any other."""
    return rng.choice(len(pool), min(n, len(pool)), replace=False)
