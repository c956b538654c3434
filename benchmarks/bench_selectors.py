"""Labels that each selector needs on real tasks, ours beside those of the peers that are installed.

Run: python benchmarks/bench_selectors.py [--seeds 10] [--task mnist] [--strategy uherding] [--output curves.csv]
     python benchmarks/bench_selectors.py --scale 100000 [--strategy uherding]      the time of choosing 100 items
     python benchmarks/bench_selectors.py --read curves.csv                         the tables and the plot again

Everybody gets the same embeddings, test sets, wrong answers and head: logistic regression of one fixed strength. Each
replay ends when it reaches 95 % of the score with everything answered, or when everything is asked. What the output
file has already is not replayed again: a run that was interrupted is taken up by the same command. Tasks are those of
tasks.py. The peers, scikit-activeml, small-text and modAL, are no dependencies: where they are not installed they are
left out. An environment of their own:

    uv venv peers && uv pip install --python peers/bin/python -e '.[image,text,report]' scikit-activeml small-text \\
        modAL-python
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from labelloop.kinds import LabelSchema
from labelloop.learners.frozen import Frozen
from labelloop.protocols import Learner
from labelloop.simulate.labelled import labelled
from labelloop.simulate.replay import (
    Choose,
    Curve,
    Fitted,
    Labelled,
    Player,
    ReplayPlan,
    ReplayState,
    World,
    full_score,
    ours,
    turns,
    world,
)
from labelloop.simulate.verdict import labels_to
from labelloop.types import Inputs

from tasks import tasks

OURS = ("random", "auto", "uherding", "balanced(uherding)", "badge")
STRENGTH = 30.0
TAILED = ("fashion tail", "reuters", "clipart", "stamps")
"""Tasks that are scored by macro-F1: accuracy would hide the rare labels."""
TARGET = 0.95
COLUMNS = ("task", "strategy", "seed", "labels", "score", "full", "seconds")


def main() -> None:
    """Replay what is missing, write every curve, print the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--first-seed", type=int, default=0)
    options.add_argument("--task", action="append", help="this one only; may be repeated")
    options.add_argument("--strategy", action="append", help="this one only; may be repeated")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options.add_argument("--output", type=Path, default=Path("selectors.csv"))
    options.add_argument("--read", type=Path, help="replay nothing, show these curves")
    options.add_argument("--plot", type=Path, help="an .svg of the labels each strategy needs")
    options.add_argument("--scale", type=int, metavar="ITEMS", help="only time the choice of 100 from so many items")
    given = options.parse_args()
    named = given.strategy or [*OURS, *peers()]
    if given.scale:
        scale(given.scale, {name: peers().get(name) for name in named})
        return
    if not given.read:
        play(given, named)
    found = read(given.read or given.output)
    report(found)
    if given.plot:
        plot(found, given.plot)


def play(given: argparse.Namespace, strategies: Iterable[str]) -> None:
    """Replay what the output lacks, seed by seed, on all cores."""
    wanted = [
        (task, name, seed)
        for seed in range(given.first_seed, given.first_seed + given.seeds)
        for task in given.task or [one.name for one in tasks()]
        for name in strategies
    ]
    there = {(task, name, one.seed) for task, by in read(given.output).items() for name in by for one in by[name]}
    left = [one for one in wanted if one not in there]
    fresh = not given.output.exists()
    context = multiprocessing.get_context("spawn")
    with given.output.open("a", newline="") as file, ProcessPoolExecutor(given.jobs, context, _one_thread) as pool:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(COLUMNS)
        for done, future in enumerate(as_completed([pool.submit(replayed, *one) for one in left]), 1):
            task, curve, took = future.result()
            reached = f"{labels_to(curve, TARGET):.0f} to 95 % of {curve.full:.3f}, {took:.0f} s"
            print(f"{done}/{len(left)} {task} {curve.seed} {curve.selector}: {reached}", file=sys.stderr, flush=True)
            for labels, score, seconds in zip(curve.labels, curve.scores, curve.seconds, strict=True):
                row = (f"{score:.4f}", f"{curve.full:.4f}", f"{seconds:.4f}")
                writer.writerow((task, curve.selector, curve.seed, labels, *row))
            file.flush()


def _one_thread() -> None:
    import sklearn.linear_model  # noqa: F401 - only libraries that are loaded can be limited
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def replayed(task: str, strategy: str, seed: int) -> tuple[str, Curve, float]:
    """One strategy with one seed on one task, until it reaches the target: (task, curve, seconds)."""
    began = time.perf_counter()
    made, plan, learner, full = _world(task, seed)
    choose = peers().get(strategy)
    played = []
    for turn in turns(made, plan, Player(strategy, seed, full), learner, choose or ours(plan, strategy)):
        played.append(turn)
        if round(turn[1], 4) >= TARGET * round(full, 4):
            break
    labels, scores, seconds, _ = zip(*played, strict=True)
    return task, Curve(strategy, seed, labels, scores, full, seconds), time.perf_counter() - began


@cache
def _world(name: str, seed: int) -> tuple[World, ReplayPlan, Learner, float]:
    task = next(one for one in tasks() if one.name == name)
    data = labelled(task.embeddings, task.answers, task.groups, fewest=2)
    measure: Literal["accuracy", "macro-f1"] = "macro-f1" if name in TAILED else "accuracy"
    plan = ReplayPlan(
        selectors=("random",), batch=task.batch, budget=len(data), noise=task.noise, random_share=0.0, measure=measure
    )
    learner = Frozen(schema=LabelSchema("image", data.labels), strengths=(STRENGTH,), folds=2, calibrate=False)
    made = world(data, plan, seed)
    return made, plan, learner, full_score(made, learner, plan.measure)


def read(path: Path) -> dict[str, dict[str, list[Curve]]]:
    """Task -> strategy -> curves."""
    rows: dict[tuple[str, str, int], list[dict[str, str]]] = {}
    if path.exists():
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                rows.setdefault((row["task"], row["strategy"], int(row["seed"])), []).append(row)
    found: dict[str, dict[str, list[Curve]]] = {}
    for (task, strategy, seed), parts in rows.items():
        columns = zip(*((int(one["labels"]), float(one["score"]), float(one["seconds"])) for one in parts), strict=True)
        labels, scores, seconds = columns
        curve = Curve(strategy, seed, labels, scores, float(parts[0]["full"]), seconds)
        found.setdefault(task, {}).setdefault(strategy, []).append(curve)
    return found


def scale(items: int, strategies: Mapping[str, Choose | None]) -> None:
    """Seconds of choosing 100 of so many items x 384, ten labels, 500 answered; the median of three."""
    rng = np.random.default_rng(0)
    middles, head = rng.standard_normal((200, 384), np.float32), rng.standard_normal((384, 10), np.float32)
    points = middles[rng.integers(200, size=items + 500)] + rng.standard_normal((items + 500, 384), np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    targets = np.eye(10, dtype=bool)[(points @ head).argmax(axis=1)]
    data = Labelled(points, targets, tuple("abcdefghij"), np.arange(len(points)))
    made = World(data, np.arange(len(points)), np.arange(1), targets)

    class Given:
        """A head that is known."""

        labels = data.labels

        def predict(self, inputs: Inputs) -> np.ndarray:
            assert inputs.features is not None
            likely = np.exp(2 * inputs.features @ head)
            shares: np.ndarray = likely / likely.sum(axis=1, keepdims=True)
            return shares

    now = ReplayState(made, np.arange(500), np.arange(500, len(points)), Fitted(Given(), data))
    print(f"100 of {items:,} x 384; peak memory is of this process so far, the data included")
    for name, choose in strategies.items():
        plays = choose or ours(ReplayPlan(selectors=(name,), random_share=0.0), name)
        taken = []
        for seed in range(3):
            began = time.perf_counter()
            plays(now, 100, np.random.default_rng(seed))
            taken.append(time.perf_counter() - began)
            if taken[-1] > 20:
                break
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{name:32}{np.median(taken):9.2f} s{peak:8.1f} GiB", flush=True)


def report(found: Mapping[str, Mapping[str, list[Curve]]]) -> None:
    """Print median labels to the target, what that is over random's, and the milliseconds of choosing a batch.

    A number in parentheses says that there are fewer seeds than of random.
    """
    print(f"\nMedian labels to {TARGET:.0%} of the full score (- is beyond the pool)\n")
    _table(found, lambda curves, random: _labels(curves) + _fewer(curves, random))
    print("\nMedian labels over random's on the same seeds: the median task, the worst, and by task\n")
    strategies = _strategies(found)
    print("| | median | worst |" + "|".join(f" {task} " for task in found) + "|\n|" + "---|" * (len(found) + 3))
    for name in strategies:
        there = ratios(found, name)
        summary = [np.median(list(there.values())), max(there.values())] if there else []
        cells = [f"{one:.2f}" for one in summary] + [f"{there[task]:.2f}" if task in there else "" for task in found]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\nMilliseconds to choose a batch, median\n")
    _table(found, lambda curves, _: f"{1e3 * np.median([s for one in curves for s in one.seconds[1:] or [0.0]]):.0f}")


def ratios(found: Mapping[str, Mapping[str, list[Curve]]], name: str) -> dict[str, float]:
    """Task -> median labels of this strategy over the median of random on the same seeds."""
    there = {}
    for task, by_name in found.items():
        seeds = {one.seed for one in by_name.get(name, [])}
        random = [one for one in by_name.get("random", []) if one.seed in seeds]
        if random:
            there[task] = _median_labels(by_name[name]) / _median_labels(random)
    return there


def plot(found: Mapping[str, Mapping[str, list[Curve]]], path: Path) -> None:
    """A dot per task for each strategy, a bar at the median: labels over random's."""
    from matplotlib.figure import Figure

    every = {name: ratios(found, name) for name in _strategies(found) if name != "random"}
    named = sorted(every, key=lambda name: -float(np.median(list(every[name].values()))))
    figure = Figure(figsize=(8, 0.34 * len(named) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    for row, name in enumerate(named):
        values = np.minimum(list(every[name].values()), 2.0)
        colour = "tab:blue" if name in OURS else "tab:gray"
        axes.plot(values, np.full(len(values), row), "o", ms=4, alpha=0.5, color=colour)
        axes.plot([np.median(values)] * 2, [row - 0.35, row + 0.35], lw=3, color=colour)
    axes.axvline(1.0, lw=1, ls="--", color="black")
    axes.set_yticks(range(len(named)), named)
    axes.set_xlim(0, 2.05)
    axes.set_xlabel("labels over those of random: a dot a task, a bar their median; 2 is 2 or more")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def _table(found: Mapping[str, Mapping[str, list[Curve]]], cell: Callable[[list[Curve], list[Curve]], str]) -> None:
    print("| |" + "|".join(f" {task} " for task in found) + "|\n|" + "---|" * (len(found) + 1))
    for name in _strategies(found):
        cells = [cell(one[name], one.get("random", [])) if name in one else "" for one in found.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")


def _strategies(found: Mapping[str, Mapping[str, list[Curve]]]) -> list[str]:
    """Ours, then the peers, as listed."""
    there = list(dict.fromkeys(name for by_name in found.values() for name in by_name))
    return sorted(there, key=lambda name: OURS.index(name) if name in OURS else len(OURS))


def _median_labels(curves: list[Curve]) -> float:
    return float(np.median([labels_to(one, TARGET) for one in curves]))


def _labels(curves: list[Curve]) -> str:
    labels = _median_labels(curves)
    return f"{labels:.0f}" if np.isfinite(labels) else "-"


def _fewer(curves: list[Curve], random: list[Curve]) -> str:
    return "" if len(curves) >= len(random) else f" ({len(curves)})"


@cache
def peers() -> dict[str, Choose | None]:
    """The strategies of the peers that are installed, by name."""
    found: dict[str, Choose | None] = {}
    if find_spec("skactiveml"):
        found.update(_skactiveml())
    if find_spec("small_text"):
        found.update(_small_text())
    if find_spec("modAL"):
        found.update(_modal())
    return found


def _skactiveml() -> dict[str, Choose]:
    from skactiveml import pool
    from skactiveml.base import SkactivemlClassifier

    class Given(SkactivemlClassifier):
        """The model of the replay."""

        def __init__(self, predict: Any = None, classes: Any = None) -> None:
            super().__init__(classes=classes, random_state=0)
            self.predict_ = predict
            self.classes_ = np.asarray(classes)

        def fit(self, *_: Any, **__: Any) -> Any:
            return self

        def predict_proba(self, features: Any) -> Any:
            return self.predict_(np.asarray(features, np.float32))

        def predict(self, features: Any, **_: Any) -> Any:
            return self.predict_proba(features).argmax(axis=1)

    def strategy(make: Callable[..., Any], *, model: bool) -> Choose:
        def choose(now: ReplayState, n: int, rng: np.random.Generator) -> np.ndarray:
            if now.predict is None and model:
                return rng.choice(len(now.left), n, replace=False)
            answered = now.asked[now.made.answerable[now.asked]]
            rows = np.concatenate([answered, now.left])
            answers = np.full(len(rows), np.nan)
            answers[: len(answered)] = now.made.said[answered].argmax(axis=1)
            given: dict[str, Any] = {}
            if model:
                given = {"clf": Given(now.predict, np.arange(now.made.said.shape[1])), "fit_clf": False}
            query = make(random_state=int(rng.integers(2**31)))
            features = now.made.labelled.embeddings[rows].astype(np.float64)
            chosen = query.query(features, answers, batch_size=n, **given)
            return np.asarray(chosen) - len(answered)

        return choose

    margin = partial(pool.UncertaintySampling, "margin_sampling")
    models = {"margin": margin, "Badge": pool.Badge, "DropQuery": pool.DropQuery}
    without = {"TypiClust": pool.TypiClust, "CoreSet": pool.CoreSet, "MaxHerding": pool.MaxHerding}
    named = {f"skactiveml {name}": strategy(make, model=True) for name, make in models.items()}
    return named | {f"skactiveml {name}": strategy(make, model=False) for name, make in without.items()}


def _small_text() -> dict[str, Choose]:
    from small_text import BreakingTies, EmbeddingKMeans

    class Given:
        """The model of the replay, on rows of the data."""

        def __init__(self, now: ReplayState) -> None:
            self._now = now

        def predict_proba(self, dataset: Any) -> Any:
            assert self._now.predict is not None
            return self._now.predict(np.asarray(dataset.x, np.float32))

    class Rows:
        """What small-text calls a dataset."""

        is_multi_label = False

        def __init__(self, x: np.ndarray) -> None:
            self.x = x

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, rows: Any) -> Rows:
            return Rows(self.x[rows])

    def strategy(make: Callable[[], Any], **more: Any) -> Choose:
        def choose(now: ReplayState, n: int, rng: np.random.Generator) -> np.ndarray:
            if now.predict is None:
                return rng.choice(len(now.left), n, replace=False)
            np.random.seed(int(rng.integers(2**31)))
            answered = now.asked[now.made.answerable[now.asked]]
            rows = np.concatenate([answered, now.left])
            features = now.made.labelled.embeddings[rows]
            given = {"embeddings": features} if more else {}
            left, known = np.arange(len(answered), len(rows)), np.arange(len(answered))
            answers = now.made.said[answered].argmax(axis=1)
            chosen = make().query(Given(now), Rows(features), left, known, answers, n=n, **given)
            return np.asarray(chosen) - len(answered)

        return choose

    return {
        "small-text BreakingTies": strategy(BreakingTies),
        "small-text EmbeddingKMeans": strategy(EmbeddingKMeans, embeddings=True),
    }


def _modal() -> dict[str, Choose]:
    from modAL.batch import uncertainty_batch_sampling
    from modAL.uncertainty import margin_sampling

    class Given:
        """The model of the replay, as an estimator that is fitted."""

        def __init__(self, now: ReplayState) -> None:
            self.X_training = now.made.labelled.embeddings[now.asked]
            self.predict_proba = now.predict
            self.estimator = self
            self.on_transformed = False

        def transform_without_estimating(self, features: Any) -> Any:
            return features

    def strategy(query: Callable[..., Any]) -> Choose:
        def choose(now: ReplayState, n: int, rng: np.random.Generator) -> np.ndarray:
            if now.predict is None:
                return rng.choice(len(now.left), n, replace=False)
            features = now.made.labelled.embeddings[now.left]
            found = query(Given(now), features, n_instances=n)
            return np.asarray(found[0] if isinstance(found, tuple) else found)

        return choose

    return {"modAL margin": strategy(margin_sampling), "modAL ranked batch": strategy(uncertainty_batch_sampling)}


if __name__ == "__main__":
    main()
