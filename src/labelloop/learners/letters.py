"""A text by its letters: what is left to read of a text whose words nobody knows."""

from __future__ import annotations

import unicodedata
import zlib
from collections import Counter

import numpy as np

from labelloop.learners.options import normalised

LETTERS = 3
"""The longest run of letters that is counted in such a text."""

MOST_LETTERS = 20_000
"""Letters of such a text that are read."""


def by_letters(text: str, dimension: int) -> np.ndarray:
    """(dimension,) float32 of length 1: how often each run of one to three letters comes, by a hash of it with a sign.

    Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text[:MOST_LETTERS]).casefold().split())
    plain = f" {plain} "
    runs = Counter(plain[at : at + n] for n in range(1, LETTERS + 1) for at in range(len(plain) - n + 1))
    hashes = np.array([zlib.crc32(run.encode("utf-8", "surrogatepass")) for run in runs], np.int64)
    sizes = np.sqrt(np.array(list(runs.values()), np.float32)) * np.where(hashes >> 20 & 1, 1, -1)
    counted = np.bincount(hashes % dimension, sizes, dimension).astype(np.float32)
    unit: np.ndarray = normalised(counted[None])[0]
    return unit
