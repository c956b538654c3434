"""How often the rarest of four labels is found after 300 answers, by weights of the labels and by selector.

Run: python benchmarks/bench_rare.py [SEEDS]     some minutes; reads what benchmarks/tasks.py embedded
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from labelloop.learners.frozen import STRENGTHS
from labelloop.learners.head import Fitting, Head, fit
from labelloop.selection import select
from labelloop.types import Pool

from tasks import _read

SHARES = (0.575, 0.27, 0.115, 0.04)
BUDGET, BATCH = 300, 50
WAYS = (("auto", False), ("auto", True), ("balanced(auto)", False), ("balanced(auto)", True))


def tails() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Five tasks: (name, embeddings, the place of each label, most frequent first)."""
    yield "mnist", *_tail("mnist", (("9",), ("7",), ("4",), ("5",)), 520)
    yield "fashion shirts", *_tail("fashion", (("2",), ("4",), ("0",), ("6",)), 650)
    yield "fashion shoes", *_tail("fashion", (("7",), ("9",), ("5",), ("8",)), 650)
    many = ("comp.graphics", "comp.os.ms-windows.misc", "comp.sys.ibm.pc.hardware")
    rest = (("comp.sys.mac.hardware",), ("sci.electronics",), ("comp.windows.x",))
    yield "news computers", *_tail("news", (many, *rest), 800)
    many = ("talk.politics.guns", "talk.politics.mideast", "talk.politics.misc")
    rest = (("soc.religion.christian",), ("alt.atheism",), ("talk.religion.misc",))
    yield "news talk", *_tail("news", (many, *rest), 800)


def _tail(source: str, labels: tuple[tuple[str, ...], ...], n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    embeddings, answers, _ = _read(source)
    parts = [
        rng.permutation(np.flatnonzero(np.isin(answers, some)))[: int(n * share)]
        for some, share in zip(labels, SHARES, strict=True)
    ]
    kinds = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    order = rng.permutation(len(kinds))
    return embeddings[np.concatenate(parts)][order], kinds[order]


def played(embeddings: np.ndarray, kinds: np.ndarray, way: tuple[str, bool], seed: int) -> tuple[float, float]:
    """(accuracy, recall of the rarest label) after all answers."""
    selector, balanced = way
    targets, rng = np.eye(len(SHARES), dtype=np.bool_)[kinds], np.random.default_rng(seed)
    order = rng.permutation(len(kinds))
    test, pool = order[: len(order) // 3], order[len(order) // 3 :]
    asked = np.empty(0, np.intp)
    head: Head | None = None
    while len(asked) < min(BUDGET, len(pool)):
        left = np.setdiff1d(pool, asked)
        likely = head.probabilities(embeddings[left]) if head else None
        now = Pool(embeddings[left], likely, embeddings[asked])
        chosen = select(now, BATCH, selector if head else "centroids", rng, random_share=0.1).positions
        asked = np.concatenate([asked, left[chosen]])
        head = fit(embeddings[asked], targets[asked], False, Fitting(STRENGTHS, 5, True, balanced))
    assert head is not None
    said = head.probabilities(embeddings[test]).argmax(axis=1)
    rare = kinds[test] == len(SHARES) - 1
    return float((said == kinds[test]).mean()), float((said[rare] == len(SHARES) - 1).mean())


def main() -> None:
    """Print a row per task and way."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    for name, embeddings, kinds in tails():
        for way in WAYS:
            accuracy, recall = np.mean([played(embeddings, kinds, way, seed) for seed in range(seeds)], axis=0)
            words = f"{way[0]}{', balanced weights' if way[1] else ''}"
            print(f"{name:16}{words:34}accuracy {accuracy:.3f}  recall of the rarest {recall:.3f}", flush=True)


if __name__ == "__main__":
    main()
