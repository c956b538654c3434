"""Whether asking again pays where people err: replays with second opinions by ActiveLab, beside those without.

Run: python benchmarks/bench_relabel.py                     news with a fifth of the answers wrong, five seeds
     python benchmarks/bench_relabel.py --noise 0.4 --items 900 --budget 900       few items, many errors

Both spend the same number of answers. With second opinions, part of a batch asks about items that have an answer,
another of five people answers, and the believed label is what Dawid and Skene's model finds most probable.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from labelloop.kinds import LabelSchema
from labelloop.learners.frozen import Frozen
from labelloop.simulate.labelled import labelled
from labelloop.simulate.replay import Curve, Player, ReplayPlan, full_score, replay, world

from tasks import tasks

STRENGTH = 30.0
PLAIN = ("auto", "random")


def main() -> None:
    """Replay, write every curve, print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--task", default="news")
    options.add_argument("--noise", type=float, default=0.2)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--batch", type=int, default=50)
    options.add_argument("--budget", type=int, default=600)
    options.add_argument("--items", type=int, default=0, help="of the task only so many [all]")
    options.add_argument("--share", type=float, default=0.2, help="the largest part of a batch that may ask again")
    options.add_argument("--output", type=Path, default=Path("relabel.csv"))
    options.add_argument("--read", type=Path, help="replay nothing, print the table of these curves")
    given = options.parse_args()
    if given.read:
        report(read(given.read))
        return
    curves = []
    with given.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("task", "noise", "selector", "seed", "answers", "score", "full"))
        for curve in played(given):
            curves.append(curve)
            for answers, score in zip(curve.labels, curve.scores, strict=True):
                writer.writerow(
                    (given.task, given.noise, curve.selector, curve.seed, answers, f"{score:.4f}", f"{curve.full:.4f}")
                )
            file.flush()
    report(curves)


def played(given: argparse.Namespace) -> Iterator[Curve]:
    """Every selector with every seed."""
    task = next(one for one in tasks() if one.name == given.task)
    rows = np.random.default_rng(0).permutation(len(task.answers))[: given.items or None]
    data = labelled(task.embeddings[rows], task.answers[rows], task.groups[rows], fewest=2)
    selectors = tuple(name for one in PLAIN for name in (one, f"relabel({one}, {given.share:g})"))
    plan = ReplayPlan(selectors, batch=given.batch, budget=given.budget, noise=given.noise, random_share=0.0)
    learner = Frozen(schema=LabelSchema("image", data.labels), strengths=(STRENGTH,), folds=2, calibrate=False)
    for seed in range(given.seeds):
        made = world(data, plan, seed)
        full = full_score(made, learner, plan.measure)
        for name in selectors:
            began = time.perf_counter()
            curve = replay(made, plan, Player(name, seed, full), learner)
            told = f"{name} {seed}: {curve.scores[-1]:.3f} of {full:.3f}, mean {np.mean(curve.scores):.3f}"
            print(f"{told}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            yield curve


def read(path: Path) -> list[Curve]:
    """The curves of a file."""
    found: dict[tuple[str, int], list[dict[str, str]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["selector"], int(row["seed"])), []).append(row)
    return [
        Curve(*key, tuple(int(one["answers"]) for one in rows), tuple(float(one["score"]) for one in rows), 0.0)
        for key, rows in found.items()
    ]


def report(curves: list[Curve]) -> None:
    """Print the score at the end and the mean over the budget, and both less those without, seed by seed."""
    print("| selector | score at the end | without | mean over the budget | without |\n|---|---|---|---|---|")
    ends = {(one.selector, one.seed): one.scores[-1] for one in curves}
    means = {(one.selector, one.seed): float(np.mean(one.scores)) for one in curves}
    for name in dict.fromkeys(one.selector for one in curves):
        seeds = [one.seed for one in curves if one.selector == name]
        plain = name.removeprefix("relabel(").split(",")[0]
        cells = []
        for values in (ends, means):
            cells.append(_spread([values[name, seed] for seed in seeds]))
            cells.append("" if plain == name else _spread([values[name, s] - values[plain, s] for s in seeds], "+"))
        print(f"| {name} | " + " | ".join(cells) + " |")


def _spread(values: list[float], sign: str = "") -> str:
    low, middle, high = (format(one, f"{sign}.3f") for one in (min(values), np.median(values), max(values)))
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
