"""How many wrong labels are found by looking at few: 5 % of the labels of real tasks are made wrong, then searched.

Run: python benchmarks/bench_label_errors.py --plot label_errors.png      twelve tasks, five seeds, some forty minutes
     python benchmarks/bench_label_errors.py --seeds 1 --task mnist
     python benchmarks/bench_label_errors.py --read label_errors.csv --plot label_errors.png      table and plot again

Tasks are those of tasks.py; needs `pip install 'labelloop[quality,demo]'`. Wrong labels are of two kinds: any other
label, or one that a model finds likely, which is harder. A curve says which share of the errors is among the first so
many labels of a ranking. All rankings see the same out-of-sample probabilities, but for "in sample".
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from labelloop.evaluation.label_errors import out_of_sample, self_confidence, suspects
from labelloop.kinds import LabelSchema
from labelloop.learners.frozen import Frozen
from labelloop.learners.head import Fitting, fit
from labelloop.simulate.labelled import labelled
from labelloop.types import Examples, Inputs

from tasks import Task, tasks

NOISE = 0.05
COLUMNS = 4
REVIEWED = 0.10
SHARES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10, 0.15, 0.20)
STRENGTH = 30.0
KINDS = ("any", "likely")
OURS = "labelloop"
LISTED, RIGHTLY = "of the errors listed", "of the list wrong"
"""Not rankings: what `label-errors find` lists by itself, and the share of it that is wrong."""

Row = tuple[str, str, int, str, float, float]
"""Task, kind of error, seed, ranking, share of the labels reviewed, share of the errors found among them."""


def main() -> None:
    """Search, write every curve, print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--task", action="append", help="this one only; may be repeated")
    options.add_argument("--output", type=Path, default=Path("label_errors.csv"))
    options.add_argument("--read", type=Path, help="search nothing, show these curves")
    options.add_argument("--plot", type=Path, help="draw them, too")
    given = options.parse_args()
    if not given.read:
        with given.output.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("task", "errors", "seed", "ranking", "reviewed", "found"))
            for row in searched(given.seeds, given.task):
                writer.writerow((*row[:4], f"{row[4]:.4f}", f"{row[5]:.4f}"))
                file.flush()
    rows = read(given.read or given.output)
    report(rows)
    if given.plot:
        draw(rows, given.plot)


def searched(seeds: int, wanted: list[str] | None) -> Iterator[Row]:
    """Every curve of every task."""
    chosen = [one for one in tasks() if not one.noise and (not wanted or one.name in wanted)]  # the noisy one is a copy
    for kind in KINDS:
        for task in chosen:
            for seed in range(seeds):
                began = time.perf_counter()
                rows = list(curves(task, kind, seed))
                yield from rows
                found = next(row[5] for row in rows if row[3] == OURS and row[4] == REVIEWED)
                told = f"{task.name}, {kind}, {seed}: {found:.3f} found in {REVIEWED:.0%}"
                print(f"{told}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


def curves(task: Task, kind: str, seed: int) -> Iterator[Row]:
    """What every ranking finds of the errors of one seed."""
    data = labelled(task.embeddings, task.answers, task.groups, fewest=2)
    rows = np.flatnonzero(data.targets.any(axis=1))
    features, truth, groups = data.embeddings[rows], data.targets[rows].argmax(axis=1), data.groups[rows]
    rng = np.random.default_rng([seed, 5])
    learner = Frozen(schema=LabelSchema("image", data.labels), strengths=(STRENGTH,), folds=2, calibrate=False)

    def examples(said: np.ndarray) -> Examples:
        ids = np.arange(len(said)).astype(np.str_)
        targets = np.eye(len(data.labels), dtype=np.bool_)[said]
        return Examples(Inputs(ids, features), targets, data.labels, False, np.zeros(len(said), np.bool_))

    wrong = rng.random(len(truth)) < NOISE
    said = truth.copy()
    if kind == "any":
        said[wrong] = (truth[wrong] + rng.integers(1, len(data.labels), wrong.sum())) % len(data.labels)
    else:
        said[wrong] = _likely(out_of_sample(learner, examples(truth), groups)[wrong], truth[wrong], rng)
    made = examples(said)
    probabilities = out_of_sample(learner, made, groups)
    for name, order in rankings(made, probabilities, rng).items():
        for share in SHARES:
            found = wrong[order[: round(share * len(said))]].sum() / wrong.sum()
            yield task.name, kind, seed, name, share, float(found)
    listed = suspects(made.targets, probabilities)
    hits = int(wrong[listed.rows].sum())
    yield task.name, kind, seed, LISTED, len(listed) / len(said), hits / int(wrong.sum())
    yield task.name, kind, seed, RIGHTLY, len(listed) / len(said), hits / max(1, len(listed))


def _likely(probabilities: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A wrong label for each row, drawn as probable as a model finds it."""
    shares = np.nan_to_num(probabilities.astype(float), nan=1.0) + 1e-6
    shares[np.arange(len(truth)), truth] = 0.0
    shares /= shares.sum(axis=1, keepdims=True)
    drawn: np.ndarray = (shares.cumsum(axis=1) < rng.random((len(truth), 1))).sum(axis=1)
    return np.minimum(drawn, shares.shape[1] - 1)


def rankings(examples: Examples, probabilities: np.ndarray, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
    """Ranking -> every position, the most suspicious first."""
    from cleanlab.filter import find_label_issues

    known = np.where(np.isnan(probabilities), 1.0, probabilities).astype(float)
    confidence = self_confidence(examples.targets, known)
    said = examples.targets.argmax(axis=1)
    shares = known / known.sum(axis=1, keepdims=True)
    flagged = find_label_issues(said, shares, return_indices_ranked_by="normalized_margin", n_jobs=1)
    margin = confidence - np.where(examples.targets, -1.0, known).max(axis=1)
    assert examples.inputs.features is not None
    head = fit(examples.inputs.features, examples.targets, False, Fitting((STRENGTH,), 2, False))
    fitted = self_confidence(examples.targets, head.probabilities(examples.inputs.features))
    rest = np.setdiff1d(np.argsort(confidence, kind="stable"), flagged, assume_unique=True)
    rest = rest[np.argsort(confidence[rest], kind="stable")]
    return {
        OURS: np.argsort(confidence, kind="stable"),
        "cleanlab's default": np.concatenate([flagged, rest]),
        "margin": np.argsort(margin, kind="stable"),
        "in sample": np.argsort(fitted, kind="stable"),
        "random": rng.permutation(len(said)),
    }


def read(path: Path) -> list[Row]:
    """The curves of a file."""
    with path.open(newline="") as file:
        return [
            (row["task"], row["errors"], int(row["seed"]), row["ranking"], float(row["reviewed"]), float(row["found"]))
            for row in csv.DictReader(file)
        ]


def report(rows: list[Row]) -> None:
    """Print what is found in 10 % of the labels, median and range over the seeds, and the list that is shown."""
    names = _rankings(rows)
    for kind in KINDS:
        print(f"\n5 % wrong labels, each {'any other' if kind == 'any' else 'one that a model finds likely'}\n")
        head = [*names, "labels listed", LISTED, RIGHTLY]
        print("| found in 10 % of the labels | " + " | ".join(head) + " |\n|" + "---|" * (len(head) + 1))
        for task in dict.fromkeys(row[0] for row in rows):
            mine = [row for row in rows if row[0] == task and row[1] == kind]
            cells = [_spread([row[5] for row in mine if row[3] == name and row[4] == REVIEWED]) for name in names]
            cells += [_median([row[4] for row in mine if row[3] == LISTED])]
            cells += [_median([row[5] for row in mine if row[3] == one]) for one in (LISTED, RIGHTLY)]
            print(f"| {task} | " + " | ".join(cells) + " |")


def _rankings(rows: list[Row]) -> list[str]:
    return [name for name in dict.fromkeys(row[3] for row in rows) if name not in (LISTED, RIGHTLY)]


def _spread(values: list[float]) -> str:
    return f"{np.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def _median(values: list[float]) -> str:
    return f"{np.median(values):.2f}" if values else ""


def draw(rows: list[Row], path: Path) -> None:
    """Found over reviewed, a panel per task, for errors of any kind."""
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row[0] for row in rows))
    lines = -(-len(names) // COLUMNS)
    figure, panels = plt.subplots(
        lines, COLUMNS, figsize=(10, 0.5 + 2.1 * lines), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for panel, task in zip(panels.flat, names, strict=False):
        for ranking in _rankings(rows):
            mine = [row for row in rows if row[:2] == (task, "any") and row[3] == ranking]
            found = [np.median([row[5] for row in mine if row[4] == share]) for share in SHARES]
            style = {"linewidth": 2.2} if ranking == OURS else {"linewidth": 1.0}
            panel.plot([0, *SHARES], [0, *found], label=ranking, **style)
        panel.axvline(REVIEWED, color="0.7", linewidth=0.8)
        panel.axhline(0.7, color="0.7", linewidth=0.8)
        panel.set_title(task, fontsize=9)
    for panel in panels.flat[len(names) :]:
        panel.axis("off")
    figure.legend(*panels.flat[0].get_legend_handles_labels(), fontsize=8, loc="outside upper center", ncols=5)
    figure.supxlabel("share of the labels reviewed", fontsize=9)
    figure.supylabel("share of the errors found", fontsize=9)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", module="sklearn")
    main()
