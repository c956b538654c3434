"""Writes the data by which a test holds our alpha equal to the package `krippendorff`.

Run: pip install krippendorff && python benchmarks/alpha_krippendorff.py > tests/evaluation/krippendorff.json
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import krippendorff
import numpy as np

LEVELS = ("nominal", "ordinal", "interval")


def main() -> None:
    """People who say what is true or anything else, and many who say nothing of an item."""
    cases = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        people, items, kinds = int(rng.integers(2, 8)), int(rng.integers(4, 60)), int(rng.integers(2, 7))
        truth = rng.integers(1, kinds + 1, items)
        said = np.where(rng.random((people, items)) < 0.7, truth, rng.integers(1, kinds + 1, (people, items)))
        missing = rng.random((people, items)) < 0.4
        table = np.where(missing, np.nan, said)
        alphas = {level: krippendorff.alpha(table, level_of_measurement=level) for level in LEVELS}
        units = [[int(one) for one in table[:, item] if not np.isnan(one)] for item in range(items)]
        cases.append({"units": units, **alphas})
    json.dump({"krippendorff": version("krippendorff"), "cases": cases}, sys.stdout)


if __name__ == "__main__":
    main()
