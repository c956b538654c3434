"""What the learner of spans is worth: F1 beside spaCy's blank `ner` pipeline, on the same texts of two corpora.

Run: python benchmarks/bench_spans.py                              ours, two corpora, 100, 300 and 1,000 texts, 5 seeds
     python benchmarks/bench_spans.py --spacy peer/bin/python      spaCy, by a Python that has it: uv venv peer &&
                                                                   uv pip install --python peer/bin/python spacy
     python benchmarks/bench_spans.py --read curves.csv            the table again

spaCy gets the words as the corpus parts them, and of its epochs the one that is best on the very texts it is asked
about: more than a user could know.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from corpora import WHEELS, corpus

from labelloop.kinds.predicted import Predicted
from labelloop.learners.spans import SpanLearner
from labelloop.testing.kind_learner import score
from labelloop.types import Examples, only

SIZES, MOST_ASKED = (100, 300, 1000), 1000
EPOCHS, EVERY, DROPOUT = 30, 5, 0.3
RESULTS = Path(__file__).parent / "results" / "spans-f1.csv"
FIELDS = ("corpus", "learner", "texts", "seed", "f1", "seconds")


def main() -> None:
    """Learn from each sample of each corpus, write one row each, and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--corpus", action="append", choices=list(WHEELS), help="this one; repeatable [all]")
    options.add_argument("--texts", action="append", type=int, help=f"so many; repeatable {list(SIZES)}")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--spacy", help="a Python that has spaCy, to measure that")
    options.add_argument("--output", type=Path, default=RESULTS, help="rows are added to it")
    options.add_argument("--read", type=Path, help="print the table of these rows, and measure nothing")
    given = options.parse_args()
    if given.read is None:
        for seed in range(given.first, given.seeds):
            for name in given.corpus or WHEELS:
                for size in given.texts or SIZES:
                    keep(given.output, measured(name, size, seed, given.spacy))
    print(table(given.read or given.output))


def measured(name: str, size: int, seed: int, spacy: str | None) -> dict[str, object]:
    """One row: what is learned from so many texts of a corpus, drawn by the seed."""
    known, asked = corpus(name)
    asked = only(asked, np.arange(min(len(asked), MOST_ASKED)))
    known = only(known, np.random.default_rng(seed).permutation(len(known))[:size])
    start = perf_counter()
    said = by_spacy(spacy, known, asked, seed) if spacy else [ours(known, asked)]
    best = max(score(one, asked) for one in said)
    row = (name, "spacy" if spacy else "labelloop", size, seed, round(best, 5), round(perf_counter() - start, 1))
    return dict(zip(FIELDS, row, strict=True))


def ours(known: Examples, asked: Examples) -> Predicted:
    """What the learner of labelloop says, with its defaults."""
    with TemporaryDirectory() as folder:
        SpanLearner().train(known, Path(folder))
        return SpanLearner().load(Path(folder)).predict(asked.inputs)


def by_spacy(python: str, known: Examples, asked: Examples, seed: int) -> list[Predicted]:
    """What spaCy says, after every few epochs."""
    job = {
        "seed": seed,
        "known": [(item.text, spans) for item, spans in zip(known.inputs.items, known.answers, strict=True)],
        "asked": [item.text for item in asked.inputs.items],
        "epochs": EPOCHS,
        "every": EVERY,
        "dropout": DROPOUT,
    }
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [python, str(Path(__file__).with_name("spacy_ner.py"))]
    done = subprocess.run(command, input=json.dumps(job).encode(), stdout=subprocess.PIPE, check=True, env=one_thread)
    sure = np.ones(len(asked), np.float32)
    return [
        Predicted([tuple((start, end, label) for start, end, label in spans) for spans in said], sure, 1 - sure)
        for said in json.loads(done.stdout)["spans"]
    ]


def keep(path: Path, row: dict[str, object]) -> None:
    """Add a row, and show it."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(*row.values(), flush=True)


def table(path: Path) -> str:
    """Mean F1 with twice its standard error, a line per corpus and size."""
    found: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["corpus"], int(row["texts"])][row["learner"]].append(float(row["f1"]))
    lines = ["| corpus | texts | labelloop | spaCy, best epoch |", "|---|---|---|---|"]
    for (name, size), scores in sorted(found.items()):
        lines.append(f"| {name} | {size} | {interval(scores['labelloop'])} | {interval(scores['spacy'])} |")
    return "\n".join(lines)


def interval(scores: Sequence[float]) -> str:
    """Mean, and twice the standard error of it."""
    if not scores:
        return "-"
    if len(scores) == 1:
        return f"{scores[0]:.3f} (1 seed)"
    error = 2 * np.std(scores, ddof=1) / np.sqrt(len(scores))
    return f"{np.mean(scores):.3f} ± {error:.3f} ({len(scores)} seeds)"


if __name__ == "__main__":
    main()
