"""What reading long texts in windows is worth: accuracy beside that of their first 128 tokens alone.

Run: python benchmarks/bench_windows.py                     Reuters, news, mail and tweets, 1,200 texts each, 20 seeds
     python benchmarks/bench_windows.py --task news --texts 4000

Both learn from the same 300 answers of a seed and are asked about all other texts. Nothing else differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from labelloop.kinds import LabelSchema
from labelloop.learners.backbones import backbone
from labelloop.learners.frozen import Frozen
from labelloop.learners.texts import BATCH, TextBackbone
from labelloop.types import Examples, Inputs

from tasks import SOURCES

TASKS = ("reuters", "news", "mail", "tweets")


def main() -> None:
    """Embed each task twice, and print both accuracies."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--task", action="append", choices=TASKS, help="this one; repeatable [all]")
    options.add_argument("--texts", type=int, default=1200)
    options.add_argument("--answers", type=int, default=300)
    options.add_argument("--seeds", type=int, default=20)
    given = options.parse_args()
    reads = backbone("auto", "text")
    assert isinstance(reads, TextBackbone)
    for task in given.task or TASKS:
        found = list(islice(SOURCES[task][1](), given.texts))
        prepared = [reads.prepare(text) for text, _, _ in found]
        first = [one if one.dtype == np.float32 else one[: reads.options.max_tokens] for one in prepared]
        answers = [label for _, label, _ in found]
        scores = [
            np.array([accuracy(features, answers, given.answers, seed) for seed in range(given.seeds)])
            for features in (embedded(reads, prepared), embedded(reads, first))
        ]
        change = scores[0] - scores[1]
        doubt = 2 * change.std(ddof=1) / np.sqrt(len(change))
        print(
            f"{task}: {len(found)} texts, in windows {scores[0].mean():.4f}, first 128 tokens {scores[1].mean():.4f}, "
            f"difference {change.mean():+.4f} (+- {doubt:.4f})",
            flush=True,
        )


def embedded(reads: TextBackbone, prepared: Sequence[np.ndarray]) -> np.ndarray:
    """(n, d) float32 embeddings."""
    batches = (prepared[start : start + BATCH] for start in range(0, len(prepared), BATCH))
    return np.concatenate([reads.embed(list(batch)) for batch in batches])


def accuracy(features: np.ndarray, answers: Sequence[str], learned: int, seed: int) -> float:
    """The share of the texts that were not learned from and are answered rightly."""
    labels = sorted(set(answers))
    wanted = np.array([labels.index(one) for one in answers])
    order = np.random.default_rng(seed).permutation(len(answers))
    ids, targets = np.arange(len(answers)).astype(str), np.eye(len(labels), dtype=np.bool_)[wanted]
    rows, others = order[:learned], order[learned:]
    examples = Examples(
        Inputs(ids[rows], features[rows]), targets[rows], tuple(labels), False, np.zeros(learned, np.bool_)
    )
    learner = Frozen(schema=LabelSchema("text", tuple(labels)), folds=3)
    with TemporaryDirectory() as folder:
        learner.train(examples, Path(folder))
        said = learner.load(Path(folder)).predict(Inputs(ids[others], features[others]))
    return float((said.argmax(axis=1) == wanted[others]).mean())


if __name__ == "__main__":
    main()
