"""Writes the data by which a test holds our error rates of texts equal to the package `jiwer`.

Run: pip install jiwer && python benchmarks/wer_jiwer.py > tests/kinds/jiwer.json
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import jiwer
import numpy as np

WORDS = ("so", "it", "is", "the", "Haus", "na\u00efve", "\u6771\u4eac", "caf\u00e9,", "a")


def main() -> None:
    """Texts of words, and what somebody else heard of them."""
    cases = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        wanted, given = [], []
        for _ in range(int(rng.integers(1, 9))):
            words = [str(word) for word in rng.choice(WORDS, rng.integers(1, 15))]
            heard = [str(rng.choice(WORDS)) if rng.random() < 0.2 else word for word in words if rng.random() < 0.9]
            wanted.append(" ".join(words))
            given.append(" ".join(heard) or "so")
        rates = {"wer": jiwer.wer(wanted, given), "cer": jiwer.cer(wanted, given)}
        cases.append({"wanted": wanted, "given": given, **rates})
    json.dump({"jiwer": version("jiwer"), "cases": cases}, sys.stdout)


if __name__ == "__main__":
    main()
