"""Does the certified error hold for spans? Real models, whose answers to a pool are taken and compared with people's.

Run: python benchmarks/bench_certify_spans.py [--models 20] [--draws 10] [--output results/certify-spans.csv]
     python benchmarks/bench_certify_spans.py --read benchmarks/results/certify-spans.csv       the table again

Each model learns from 400 texts of a corpus, half at random and half those that a model of the first half is least sure
of for their length, as a loop asks. Each draw parts 2,400 other texts into a holdout of 400, which certifies, and a
pool. An answer is wrong that differs from people's in any span. Promised is an error of 5, 10 or 20 %, with 95 %. The
learner has no network, which makes it many times as fast.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from corpora import WHEELS, corpus

from labelloop.evaluation.answers import right
from labelloop.evaluation.certify import Column, bound
from labelloop.evaluation.intervals import exact
from labelloop.kinds.predicted import Predicted
from labelloop.learners.spans import SpanLearner
from labelloop.selection.effort import per_effort
from labelloop.types import Examples, only

ERRORS, DELTA = (0.05, 0.1, 0.2), 0.05
LEARNED, OTHERS, HOLDOUT, LENGTH_COST = 400, 2400, 400, 0.5
RESULTS = Path(__file__).parent / "results" / "certify-spans.csv"
FIELDS = ("corpus", "model", "draw", "promised", "taken", "pool", "error", "right")


def said(learned: Examples, asked: Examples) -> Predicted:
    """What a model of some texts says about others."""
    learner = SpanLearner(network="none")
    with TemporaryDirectory() as folder:
        learner.train(learned, Path(folder))
        return learner.load(Path(folder)).predict(asked.inputs)


def model(known: Examples, seed: int) -> tuple[Predicted, np.ndarray]:
    """What one model says about texts that it has not seen, and whether it is right about each."""
    order = np.random.default_rng(seed).permutation(len(known))
    first, rest = order[: LEARNED // 2], order[LEARNED // 2 :]
    candidates = only(known, rest[:OTHERS])
    lengths = np.array([len(item.text) for item in candidates.inputs.items])
    doubt = per_effort(said(only(known, first), candidates).uncertainty, lengths, LENGTH_COST)
    chosen = rest[:OTHERS][np.argsort(-doubt, kind="stable")[: LEARNED // 2]]
    others = only(known, np.setdiff1d(rest[: OTHERS + LEARNED // 2], chosen)[:OTHERS])
    found = said(only(known, np.concatenate([first, chosen])), others)
    return found, right(found, others)


def rows(name: str, models: int, draws: int) -> list[dict[str, object]]:
    """A row for each model, draw and promise."""
    known, _ = corpus(name)
    if len(known) < OTHERS + LEARNED:
        raise SystemExit(f"{name} has {len(known)} texts, and {OTHERS + LEARNED} are needed: --corpus news")
    made: list[dict[str, object]] = []
    for seed in range(models):
        found, is_right = model(known, seed)
        for draw in range(draws):
            order = np.random.default_rng([seed, draw]).permutation(len(is_right))
            held, pool = order[:HOLDOUT], order[HOLDOUT:]
            for promised in ERRORS:
                everything = np.ones(len(pool), np.bool_)
                one = bound(
                    Column(found.confidence[held], is_right[held], found.confidence[pool], everything), promised, DELTA
                )
                taken = pool[found.confidence[pool] >= one.threshold]
                error = float(1.0 - is_right[taken].mean()) if len(taken) else 0.0
                values = (name, seed, draw, promised, len(taken), len(pool), round(error, 4), round(is_right.mean(), 4))
                made.append(dict(zip(FIELDS, values, strict=True)))
        print(f"model {seed + 1} of {models}", flush=True)
    return made


def table(path: Path) -> str:
    """A line for each promise: how often it was exceeded, and how much was taken."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["corpus"], row["promised"]].append((float(row["error"]), int(row["taken"]) / int(row["pool"])))
    lines = ["| corpus | promised | exceeded | 95 % | taken, mean | error, mean |", "|---|---|---|---|---|---|"]
    for (name, promised), pairs in found.items():
        over = sum(error > float(promised) for error, _ in pairs)
        low, high = exact(over, len(pairs))
        taken, error = (np.mean([pair[i] for pair in pairs]) for i in (1, 0))
        told = f"{over} of {len(pairs)} | {low:.1%} to {high:.1%} | {taken:.1%} | {error:.1%}"
        lines.append(f"| {name} | {float(promised):.0%} | {told} |")
    return "\n".join(lines)


def main() -> None:
    """Carry out what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", default="news", choices=list(WHEELS))
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--read", type=Path)
    wanted = parser.parse_args()
    if not wanted.read:
        with wanted.output.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows(wanted.corpus, wanted.models, wanted.draws))
    print(table(wanted.read or wanted.output))


if __name__ == "__main__":
    main()
