"""Answers that people write, by the nearest answered text, beside the answer that most gave: the topics of two corpora.

Run: .venv/bin/python benchmarks/bench_nearest.py

The topic of a text stands for what people write about it. Each row: corpus, answers learned from, share of 1,000 other
texts whose answer is exactly right with twice its standard error over 5 seeds, the same of the most frequent answer,
and how sure the learner was on average.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from labelloop.kinds import LabelSchema
from labelloop.kinds.texts import FreeText
from labelloop.learners.nearest import Nearest
from labelloop.testing.kind_learner import examples_of
from labelloop.types import Item, only

from tasks import named

CORPORA = ("news", "reuters")
SIZES, SEEDS, ASKED = (100, 300, 1000), 5, 1000


def main() -> None:
    """Measure and print."""
    for name in CORPORA:
        task = named(name, "texts", name)
        for size in SIZES:
            rows = np.array(list(_played(task.embeddings, task.answers, size)))
            mean, error = rows.mean(axis=0), 2 * rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
            print(
                f"{name}, {size} answers: {mean[0]:.3f} ± {error[0]:.3f} right, "
                f"the most frequent {mean[1]:.3f} ± {error[1]:.3f}, sure {mean[2]:.3f}",
                flush=True,
            )


def _played(features: np.ndarray, labels: np.ndarray, size: int) -> Iterator[tuple[float, float, float]]:
    """(right, right of the most frequent answer, mean confidence) of each seed."""
    kind = FreeText()
    items = [Item(f"item-{row:05}", "text", text=f"text {row}") for row in range(len(labels))]
    everything = examples_of(kind, items, [f"about {label}" for label in labels])
    everything = replace(everything, inputs=replace(everything.inputs, features=features.astype(np.float32)))
    learner = Nearest(schema=LabelSchema("text", (), control="reply", asked=kind))
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(labels))
        known, asked = only(everything, np.sort(order[ASKED : ASKED + size])), only(everything, np.sort(order[:ASKED]))
        with tempfile.TemporaryDirectory() as folder:
            learner.train(known, Path(folder))
            said = learner.load(Path(folder)).predict(asked.inputs)
        most = Counter(known.answers).most_common(1)[0][0]
        wanted = asked.answers
        right = np.mean([one == other for one, other in zip(said.answers, wanted, strict=True)])
        yield float(right), float(np.mean([one == most for one in wanted])), float(said.confidence.mean())


if __name__ == "__main__":
    main()
