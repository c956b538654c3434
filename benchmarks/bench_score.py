"""Whether the score is honest and the gate keeps its word: 200 simulated loops on eight real tasks.

Run: python benchmarks/bench_score.py [--seeds 25] [--task mnist]     an hour on one core; what was played is kept

A loop asks 12 rounds of 25 with the selector `uherding` and learns a linear head of one fixed strength. 400 items are
held out, of which the first 50, 100, 200 and 400 are looked at; the truth is the score on the items that are left, 360
to 2,400; or, so that the chance error of that is left out, the score on all judged items, of which some are drawn anew.
In every round two new models are judged: the one that learned from all answers, and one after an accident:
most of the newest answers wrong, or a share of all of them. What is asked next follows the newest model, whatever the
gate says, so that every rule of the gate is tried on the same loops. Tasks are those of tasks.py, answers of the noisy
one are as people give them, also on the test.

Prints the tables of docs/explanation/the-honest-score.md, writes results/score-*.csv and results/score.png.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from labelloop.evaluation.gate import LEVEL, Judging, judge, sign_test
from labelloop.evaluation.intervals import wilson
from labelloop.evaluation.metrics import Metrics, evaluate, summed
from labelloop.evaluation.savings import random_curve, savings
from labelloop.kinds import LabelSchema
from labelloop.learners.frozen import Frozen
from labelloop.selection import RANDOM, select
from labelloop.simulate.labelled import labelled
from labelloop.simulate.replay import Fitted, Labelled, ReplayState, World, learned
from labelloop.types import Examples, Gate, Inputs, Metric

from tasks import CACHE, Task, tasks

RESULTS = Path(__file__).with_name("results")
STRENGTH = 30.0
ROUNDS, BATCH, HELD, POOL = 12, 25, 400, 1200
SIZES = (50, 100, 200)
FOLDS = 5
TASKS = 8
"""The first ones of tasks.py: of the later ones, some are too small to hold 400 out."""

STUDIED = 3
"""Seeds of each task for which the naive estimate, and what choosing saved, are compared with the truth."""

RANDOM_SIZES = (50, 100, 200, 300, 500, 800)
WORSE = 0.01
"""A loss that people would notice; smaller ones are about what the test itself cannot tell."""


@dataclass(frozen=True)
class Played:
    """One loop, as far as scores and gates can see it.

    Attributes:
        natural, spoiled: (rounds, n) the label each model gives to the held-out items, then to the test.
        said: (n,) what people say about them.
        held: How many of the n are held out.
        groups: (n,) near duplicates have the same one.
    """

    task: str
    seed: int
    labels: int
    natural: np.ndarray
    spoiled: np.ndarray
    said: np.ndarray
    held: int
    groups: np.ndarray


def main() -> None:
    """Play what is not there yet, print the tables, write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=25)
    options.add_argument("--task", action="append", help="this one only; may be repeated")
    options.add_argument("--macro-f1", action="store_true", help="only the gate, judging by macro-F1; writes nothing")
    given = options.parse_args()
    wanted = [task for task in islice(tasks(), TASKS) if not given.task or task.name in given.task]
    loops = [one for task in wanted for one in play_all(task, given.seeds)]
    if given.macro_f1:
        show_gates([row for loop in loops for row in gates(loop, "macro-f1")])
        return
    covered = [row for loop in loops for row in coverage(loop)]
    judged = [row for loop in loops for row in gates(loop)]
    studied = [row for task in wanted for row in study_all(task, min(given.seeds, STUDIED))]
    show_coverage(covered)
    show_gates(judged)
    show_studied(studied)
    write_csv(RESULTS / "score-studied.csv", studied)
    write_csv(RESULTS / "score-coverage.csv", covered)
    write_csv(RESULTS / "score-gates.csv", summed_up(judged))
    (RESULTS / "score.png").write_bytes(plot(studied, summed_up(judged)))


def play_all(task: Task, seeds: int) -> Iterator[Played]:
    """Every seed of a task."""
    data = labelled(task.embeddings, task.answers, task.groups, fewest=2)
    for seed in range(seeds):
        columns = kept(f"{task.name}-{seed}", lambda seed=seed: play(task, data, seed))
        columns |= {"held": int(columns["held"])}
        yield Played(task=task.name, seed=seed, labels=len(data.labels), **columns)


def kept(name: str, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Columns, read where they were made before."""
    path = CACHE / "score" / f"{name.replace(' ', '-')}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, **make())
        part.replace(path)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    with np.load(path) as there:
        return {column: there[column] for column in there.files}


@dataclass(frozen=True)
class Course:
    """What one loop asks, round by round.

    Attributes:
        asked: The positions asked, in order.
        drawn: Which of them at random.
        models: The model after each round.
    """

    asked: np.ndarray
    drawn: np.ndarray
    models: Sequence[Fitted]


def course(data: Labelled, seed: int, pool: np.ndarray, said: np.ndarray, learn: Learn) -> Course:
    """A loop with the selector `uherding`."""
    made, rng = World(data, pool, pool, said), np.random.default_rng([seed, 2])
    asked, drawn = np.empty(0, np.intp), np.empty(0, np.bool_)
    models: list[Fitted] = []
    for _ in range(ROUNDS):
        now = ReplayState(made, asked, np.setdiff1d(pool, asked), models[-1] if models else None)
        chosen = select(now.pool(), BATCH, "uherding" if models else "centroids", rng)
        asked = np.concatenate([asked, now.left[chosen.positions]])
        drawn = np.concatenate([drawn, np.array([why == RANDOM for why in chosen.why])])
        models.append(learn(asked, said))
    return Course(asked, drawn, models)


def play(task: Task, data: Labelled, seed: int) -> Mapping[str, Any]:
    """The columns of one loop."""
    pool, held, test = parted(data, seed)
    said = answered(data.targets, task.noise, np.random.default_rng([seed, 8]))
    learn, accidents = learner(data), np.random.default_rng([seed, 3])
    judged = np.concatenate([held, test])
    run = course(data, seed, pool, said, learn)
    spoiled = [learn(run.asked[:stop], spoilt(said, run.asked[:stop], accidents)) for stop in _stops()]
    natural, after = (
        np.asarray([predict(data.embeddings[judged]).argmax(axis=1) for predict in models], np.uint8)
        for models in (run.models, spoiled)
    )
    return {
        "natural": natural,
        "spoiled": after,
        "said": said[judged].argmax(axis=1).astype(np.uint8),
        "held": len(held),
        "groups": data.groups[judged],
    }


def _stops() -> range:
    """How many were asked after each round."""
    return range(BATCH, ROUNDS * BATCH + 1, BATCH)


Learn = Callable[[np.ndarray, np.ndarray], Fitted]


def learner(data: Labelled) -> Learn:
    """(positions, what is said about all) -> a model."""
    head = Frozen(schema=LabelSchema("image", data.labels), strengths=(STRENGTH,), folds=2, calibrate=False)

    def learn(rows: np.ndarray, said: np.ndarray) -> Fitted:
        predict = learned(World(data, rows, rows, said), rows, head)
        assert predict is not None
        return predict

    return learn


def parted(data: Labelled, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pool, held out, test): whole groups on one side, what people would skip only in the pool."""
    rng = np.random.default_rng([seed, 7])
    group = np.unique(data.groups, return_inverse=True)[1]
    turn = rng.permutation(group.max() + 1)[group]
    order = np.argsort(turn, kind="stable")
    answerable = data.targets.any(axis=1)
    cut = turn[order[len(order) - min(POOL, int(0.45 * len(order))) - 1]]
    pool = order[turn[order] > cut]
    rest = order[(turn[order] <= cut) & answerable[order]]
    held = rest[turn[rest] <= turn[rest[HELD - 1]]][:HELD]
    return np.sort(pool), held, rest[turn[rest] > turn[held[-1]]]


def answered(targets: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """What people say: a share of the answers is another label."""
    said = targets.copy()
    for row in np.flatnonzero((rng.random(len(said)) < noise) & said.any(axis=1)):
        said[row] = np.roll(said[row], rng.integers(1, said.shape[1]))
    return said


def spoilt(said: np.ndarray, asked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An accident: nine tenths of the newest answers wrong, or a tenth, a fifth or two fifths of all."""
    bad, share = said.copy(), (0.1, 0.2, 0.4)[rng.integers(3)]
    hit = asked[rng.random(len(asked)) < share] if rng.random() < 0.5 else asked[-BATCH:][rng.random(BATCH) < 0.9]
    for row in hit:
        bad[row] = np.roll(bad[row], rng.integers(1, bad.shape[1]))
    return bad


def cross_validated(
    data: Labelled, rows: np.ndarray, said: np.ndarray, learn: Learn, rng: np.random.Generator
) -> float:
    """Accuracy out of fold, over the items that were learned from: what people without a holdout report."""
    fold = rng.permutation(np.arange(len(rows)) % FOLDS)
    right = []
    for part in range(FOLDS):
        inside = rows[fold == part]
        guessed = learn(rows[fold != part], said)(data.embeddings[inside]).argmax(axis=1)
        right.append(guessed == said[inside].argmax(axis=1))
    return float(np.concatenate(right).mean())


def coverage(loop: Played) -> Iterator[dict[str, Any]]:
    """Whether the intervals of the last model hold its true score: that on other items, or of all it is drawn from."""
    everything = np.arange(len(loop.said))
    for of, truly, drawn in (
        ("other items", everything[loop.held :], lambda size: everything[:size]),
        ("all", everything, lambda size: redrawn(loop.groups, size, np.random.default_rng([loop.seed, size]))),
    ):
        for metric in ("accuracy", "macro-f1"):
            truth = scored(loop, truly, loop.groups, metric).score or 0.0
            for size in SIZES:
                yield from covered(loop, of, metric, truth, drawn(size))


def covered(loop: Played, of: str, metric: Metric, truth: float, rows: np.ndarray) -> Iterator[dict[str, Any]]:
    """A row for each interval of the score on some items."""
    now = scored(loop, rows, loop.groups, metric)
    intervals = dict(now.intervals)
    if metric == "accuracy":
        intervals["wilson, groups ignored"] = wilson(round(len(rows) * (now.score or 0)), len(rows))
    for name, (low, high) in intervals.items():
        yield {
            "task": loop.task,
            "seed": loop.seed,
            "of": of,
            "score": metric,
            "held": len(rows),
            "interval": name,
            "truth": truth,
            "estimate": now.score,
            "low": low,
            "high": high,
            "covers": int(low <= truth <= high),
        }


def redrawn(groups: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """(size,) items in groups drawn at random, one perhaps more than once."""
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    return np.concatenate([members[one] for one in rng.integers(len(members), size=size)])[:size]


def scored(loop: Played, rows: np.ndarray, groups: np.ndarray, metric: Metric) -> Metrics:
    """The last model on some of the judged items."""
    given, said = one_hot(loop, loop.natural[-1, rows]), one_hot(loop, loop.said[rows])
    names = tuple(map(str, range(loop.labels)))
    return evaluate(given.astype(float), said, names, metric=metric, groups=groups[rows])


def one_hot(loop: Played, columns: np.ndarray) -> np.ndarray:
    """(n, k) bool."""
    return np.eye(loop.labels, dtype=np.bool_)[columns]


def unless_worse(champion: np.ndarray, challenger: np.ndarray) -> bool:
    """The first rule there was: promoted unless McNemar's test at 5 % shows it worse."""
    return sign_test(int((champion & ~challenger).sum()), int((challenger & ~champion).sum())) >= LEVEL


RULES_OF_F1 = ("not-worse", "better")
RULES = ("always", "unless shown worse", "not lower", "not-worse", "better")


def passes(
    rule: str, loop: Played, champion: np.ndarray, challenger: np.ndarray, size: int, metric: Metric = "accuracy"
) -> bool:
    """Whether a rule promotes the challenger by the first `size` held-out items."""
    said = loop.said[:size]
    old, new = champion[:size] == said, challenger[:size] == said
    if rule == "unless shown worse":
        return unless_worse(old, new)
    if rule == "not lower":
        return bool(new.sum() >= old.sum())
    groups = loop.groups[:size]
    how = Judging(metric=metric, rule=cast(Gate, rule), groups=groups if len(np.unique(groups)) < size else None)
    before, after = (one_hot(loop, one[:size]).astype(float) for one in (champion, challenger))
    return judge(before, after, one_hot(loop, said), how).promoted


def gates(loop: Played, metric: Metric = "accuracy") -> Iterator[dict[str, Any]]:
    """Every decision of every rule: what was decided, how much better the model truly is, what that left in use."""
    true = {kind: true_scores(loop, models, metric) for kind, models in _kinds(loop).items()}
    for size in (*SIZES, HELD):
        for rule in RULES if metric == "accuracy" else RULES_OF_F1:
            use = 0
            for number in range(1, ROUNDS):
                promoted = {
                    kind: passes(rule, loop, loop.natural[use], models[number], size, metric)
                    for kind, models in _kinds(loop).items()
                }
                for kind, yes in promoted.items():
                    yield {
                        "task": loop.task,
                        "seed": loop.seed,
                        "held": size,
                        "rule": rule,
                        "round": number + 1,
                        "kind": kind,
                        "gain": round(float(true[kind][number] - true["natural"][use]), 5),
                        "promoted": int(yes),
                        "behind": round(
                            float(true["natural"][number if promoted["natural"] else use])
                            - float(true["natural"][number]),
                            5,
                        ),
                    }
                use = number if promoted["natural"] else use


def true_scores(loop: Played, models: np.ndarray, metric: Metric) -> np.ndarray:
    """(rounds,) the score of each model on the items that are not held out."""
    said = one_hot(loop, loop.said[loop.held :])
    scores = []
    for given in models[:, loop.held :]:
        counts, statistic = summed(one_hot(loop, given), said, metric, False)
        scores.append(float(statistic(counts.sum(axis=0, keepdims=True))[0]))
    return np.array(scores)


def _kinds(loop: Played) -> dict[str, np.ndarray]:
    return {"natural": loop.natural, "accident": loop.spoiled}


def show_coverage(rows: Sequence[Mapping[str, Any]]) -> None:
    """How often the truth lies within, over all loops and for the worst task."""
    print("\nThe 95 % interval of the last model's score holds the true one\n")
    print(
        "| the true one is of | score | interval | "
        + " | ".join(f"{size} held out" for size in SIZES)
        + " | worst task |"
    )
    print("|---|---|---|" + "---|" * (len(SIZES) + 1))
    for of, metric, name in dict.fromkeys((row["of"], row["score"], row["interval"]) for row in rows):
        ours = [row for row in rows if (row["of"], row["score"], row["interval"]) == (of, metric, name)]
        shares = [_mean([row["covers"] for row in ours if row["held"] == size]) for size in SIZES]
        tasks_ = {
            task: _mean([row["covers"] for row in ours if row["task"] == task]) for task in {r["task"] for r in ours}
        }
        worst = min(tasks_, key=lambda task: tasks_[task])
        cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
        print(f"| {of} | {metric} | {name} | {cells} | {worst} {100 * tasks_[worst]:.0f} % |")


def show_gates(rows: Sequence[Mapping[str, Any]]) -> None:
    """How often each rule lets worse models through, keeps better ones out, and what that costs."""
    print("\nThe gate; a worse model is one that the test shows worse\n")
    print(
        "| held out | rule | worse let through | worse by a point | without an accident | better refused "
        "| better by a point refused | behind the newest |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for size, rule in dict.fromkeys((row["held"], row["rule"]) for row in rows):
        ours = [row for row in rows if (row["held"], row["rule"]) == (size, rule)]
        natural = [row for row in ours if row["kind"] == "natural"]
        cells = [
            _rate([row["promoted"] for row in ours if row["gain"] < 0]),
            _rate([row["promoted"] for row in ours if row["gain"] < -WORSE]),
            _rate([row["promoted"] for row in natural if row["gain"] < 0]),
            _rate([1 - row["promoted"] for row in natural if row["gain"] > 0]),
            _rate([1 - row["promoted"] for row in natural if row["gain"] > WORSE]),
            f"{-100 * _mean([row['behind'] for row in natural]):.1f} points",
        ]
        print(f"| {size} | {rule} | " + " | ".join(cells) + " |")


def summed_up(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Counts per task, size, rule and kind of new model."""
    keys = ("task", "held", "rule", "kind")
    parts: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        parts.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [
        {
            **dict(zip(keys, key, strict=True)),
            "worse": sum(row["gain"] < 0 for row in ours),
            "worse_promoted": sum(row["promoted"] for row in ours if row["gain"] < 0),
            "worse_by_a_point": sum(row["gain"] < -WORSE for row in ours),
            "worse_by_a_point_promoted": sum(row["promoted"] for row in ours if row["gain"] < -WORSE),
            "better": sum(row["gain"] > 0 for row in ours),
            "better_promoted": sum(row["promoted"] for row in ours if row["gain"] > 0),
            "mean_behind_the_newest": round(_mean([row["behind"] for row in ours]), 5),
        }
        for key, ours in parts.items()
    ]


def _rate(hits: Sequence[int]) -> str:
    return f"{100 * _mean(hits):.1f} % of {len(hits)}" if hits else "-"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def study_all(task: Task, seeds: int) -> Iterator[dict[str, Any]]:
    """The naive estimate and the savings at the end of some loops, beside the truth."""
    data = labelled(task.embeddings, task.answers, task.groups, fewest=2)
    for seed in range(seeds):
        columns = kept(f"{task.name}-{seed}-study", lambda seed=seed: study(task, data, seed))
        yield {"task": task.name, "seed": seed, **{name: value.item() for name, value in columns.items()}}


def study(task: Task, data: Labelled, seed: int) -> Mapping[str, Any]:
    """One loop of 300 answers with 200 held-out ones."""
    pool, held, test = parted(data, seed)
    said = answered(data.targets, task.noise, np.random.default_rng([seed, 8]))
    learn, there, rng = learner(data), data.targets.any(axis=1), np.random.default_rng([seed, 9])
    run = course(data, seed, pool, said, learn)
    asked, held = run.asked[there[run.asked]], held[: SIZES[-1]]

    def right(predict: Fitted, rows: np.ndarray) -> np.ndarray:
        hits: np.ndarray = predict(data.embeddings[rows]).argmax(axis=1) == said[rows].argmax(axis=1)
        return hits

    known = np.concatenate([held, asked[run.drawn[there[run.asked]]]])
    known = known[np.sort(np.unique(data.groups[known], return_index=True)[1])]
    inputs = Inputs(known.astype(np.str_), data.embeddings[known])
    examples = Examples(inputs, said[known], data.labels, False, np.isin(known, held))
    head = Frozen(schema=LabelSchema("image", data.labels), strengths=(STRENGTH,), folds=2, calibrate=False)
    curve = random_curve(head, examples, examples.held_out)
    found = savings(curve, right(run.models[-1], known), len(asked))
    true = float(right(run.models[-1], test).mean())
    return {
        "true": true,
        "honest": float(right(run.models[-1], held).mean()),
        "naive": cross_validated(data, asked, said, learn, rng),
        "answers": len(asked),
        "random_answers": len(known),
        "needed": _number(found.needed),
        "low": _number(found.low),
        "high": _number(found.high),
        "most": found.most,
        "truly_needed": needed_at_random(
            data, pool[there[pool]], true, lambda rows: right(learn(rows, said), test).mean(), rng
        ),
    }


def needed_at_random(
    data: Labelled, pool: np.ndarray, true: float, score: Callable[[np.ndarray], float], rng: np.random.Generator
) -> float:
    """Random answers after which the mean of three models is this good; infinite where the pool does not get there."""
    there = [size for size in RANDOM_SIZES if size <= len(pool)]
    scores = np.maximum.accumulate([np.mean([score(rng.permutation(pool)[:size]) for _ in range(3)]) for size in there])
    return float(np.interp(true, scores, there)) if true <= scores[-1] else float("inf")


def _number(count: int | None) -> float:
    return float("inf") if count is None else float(count)


def show_studied(rows: Sequence[Mapping[str, Any]]) -> None:
    """The naive estimate beside the honest one, and whether the interval of the savings holds the truth."""
    print("\nAccuracy after 300 answers: naive is cross-validation over them, honest the score on 200 held-out items\n")
    print("| task | true | honest | naive | random answers truly needed | estimate | covered |")
    print("|---|---|---|---|---|---|---|")
    for task in dict.fromkeys(row["task"] for row in rows):
        ours = [row for row in rows if row["task"] == task]
        means = " | ".join(f"{100 * _mean([row[name] for row in ours]):.1f} %" for name in ("true", "honest", "naive"))
        needed = " | ".join(_median([row[name] for row in ours]) for name in ("truly_needed", "needed"))
        print(f"| {task} | {means} | {needed} | {sum(map(_is_covered, ours))} of {len(ours)} |")
    print(f"\nThe interval holds what random truly needed in {sum(map(_is_covered, rows))} of {len(rows)} loops;")
    wrong = sum(row["low"] > row["answers"] >= row["truly_needed"] for row in rows)
    said = sum(row["low"] > row["answers"] for row in rows)
    print(f"a saving is claimed in {said}, wrongly in {wrong}")


def _is_covered(row: Mapping[str, Any]) -> bool:
    """More than the estimate speaks about counts as that."""
    truth = row["truly_needed"] if row["truly_needed"] <= row["most"] else float("inf")
    return bool(row["low"] <= truth <= row["high"])


def _median(values: Sequence[float]) -> str:
    middle = float(np.quantile(values, 0.5, method="inverted_cdf"))
    return "more" if np.isinf(middle) else f"{middle:.0f}"


def plot(studied: Sequence[Mapping[str, Any]], judged: Sequence[Mapping[str, Any]]) -> bytes:
    """A PNG: the naive and the honest score beside the true one, and how many worse models each rule lets through."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    names = list(dict.fromkeys(row["task"] for row in studied))
    for name, mark, colour in (("true", "|", "#222222"), ("honest", "o", "#3457d5"), ("naive", "x", "#d5732a")):
        means = [100 * _mean([row[name] for row in studied if row["task"] == task]) for task in names]
        left.scatter(means, names, marker=mark, color=colour, label=name, s=120 if mark == "|" else 36, zorder=3)
    left.set_title("Accuracy after 300 answers, %", loc="left", fontsize=10)
    left.invert_yaxis()
    for rule, colour in (
        ("unless shown worse", "#8a90a0"),
        ("not lower", "#2a8f5b"),
        ("not-worse", "#3457d5"),
        ("better", "#d5732a"),
    ):
        ours = [row for row in judged if row["rule"] == rule]
        held = sorted({int(row["held"]) for row in ours})
        right.plot(held, [100 * _through(ours, size) for size in held], color=colour, marker="o", label=rule)
    right.axhline(5, color="#222222", linewidth=0.8, linestyle=(0, (4, 3)))
    right.set_title("Worse models let through, %, by items held out", loc="left", fontsize=10)
    right.set_ylim(0)
    for axes in (left, right):
        axes.grid(color="#e3e5ea")
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0, labelsize=8)
        axes.legend(frameon=False, fontsize=8)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _through(rows: Sequence[Mapping[str, Any]], size: int) -> float:
    ours = [row for row in rows if int(row["held"]) == size]
    return sum(int(row["worse_promoted"]) for row in ours) / sum(int(row["worse"]) for row in ours)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Every row."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
