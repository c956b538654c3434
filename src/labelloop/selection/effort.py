"""What an answer costs a person: long texts take longer to mark than short ones."""

from __future__ import annotations

import numpy as np

LENGTH_COST = 0.0
"""The power to which length counts unless somebody says otherwise: decision 31."""

_SHORT = 0.05
"""Quantile of the lengths below which a text counts as if it were as long: opening it costs something, too."""


def per_effort(uncertainty: np.ndarray, lengths: np.ndarray, power: float) -> np.ndarray:
    """(n,) float32 in [0, 1]: uncertainty per effort, highest where an answer teaches most for what it costs. Pure.

    Effort is the length to the power; of the shortest texts it is 1, so that nothing gets more uncertain.

    Args:
        uncertainty: (n,) in [0, 1]; NaN stays.
        lengths: (n,) of the texts, in any unit; 0 where nobody knows, which counts as the median.
        power: 0 where every text costs the same, 1 where every word does.
    """
    there = lengths[lengths > 0]
    if power == 0 or not len(there):
        return np.asarray(uncertainty, np.float32)
    unit = np.quantile(there, _SHORT)
    known = np.where(lengths > 0, lengths, np.median(there))
    cheap: np.ndarray = (uncertainty * (unit / np.maximum(known, unit)) ** power).astype(np.float32)
    return cheap
