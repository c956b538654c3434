"""Labels that each selector needs on eight real tasks, ours beside those of the peers that are installed.

Run: python benchmarks/bench_selectors.py [--seeds 3] [--task mnist] [--strategy uherding] [--output curves.csv]
     python benchmarks/bench_selectors.py --scale 100000 [--strategy uherding]      the time of choosing 100 items
     python benchmarks/bench_selectors.py --read curves.csv --read more.csv         the tables again

Everybody gets the same embeddings, test sets, wrong answers and head: logistic regression of one fixed strength. Tasks
are those of tasks.py. The peers, scikit-activeml, small-text and modAL, are no dependencies: where they are not
installed they are left out. An environment of their own:

    uv venv peers && uv pip install --python peers/bin/python -e '.[image,text,report]' scikit-activeml small-text \\
        modAL-python
"""

from __future__ import annotations

import argparse
import csv
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.learners.frozen import Frozen
from labelloop.protocols import Learner
from labelloop.simulate.labelled import labelled
from labelloop.simulate.replay import (
    Choose,
    Curve,
    Labelled,
    Plan,
    Player,
    Standing,
    World,
    full_score,
    ours,
    replay,
    world,
)
from labelloop.simulate.verdict import labels_to
from labelloop.types import LabelSchema

from tasks import Task, tasks

OURS = (
    "random",
    "margin",
    "entropy",
    "uherding",
    "auto",
    "badge",
    "dropquery",
    "typiclust",
    "probcover",
    "coreset",
    "diverse(margin)",
    "balanced(uherding)",
    "mix(uherding, typiclust, 0.5)",
)
STRENGTH = 30.0
TAILED = ("fashion tail", "reuters", "clipart")
"""Tasks that are scored by macro-F1: accuracy would hide the rare labels."""
TARGET = 0.95


def main() -> None:
    """Replay, write every curve, print the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--first-seed", type=int, default=0)
    options.add_argument("--batch", type=int, default=25)
    options.add_argument("--budget", type=int, default=400)
    options.add_argument("--task", action="append", help="this one only; may be repeated")
    options.add_argument("--strategy", action="append", help="this one only; may be repeated")
    options.add_argument("--output", type=Path, default=Path("selectors.csv"))
    options.add_argument("--read", type=Path, action="append", help="replay nothing, print the tables of these curves")
    options.add_argument("--scale", type=int, metavar="ITEMS", help="only time the choice of 100 from so many items")
    given = options.parse_args()
    if given.read:
        report(read(given.read))
        return
    strategies: dict[str, Choose | None] = {**dict.fromkeys(OURS), **peers()}
    if given.strategy:
        strategies = {name: strategies.get(name) for name in given.strategy}
    if given.scale:
        scale(given.scale, strategies)
        return
    with given.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("task", "strategy", "seed", "labels", "score", "full", "seconds"))
        for task in tasks():
            if given.task and task.name not in given.task:
                continue
            for curve in played(task, strategies, given):
                for row in zip(curve.labels, curve.scores, curve.seconds, strict=True):
                    labels, score, seconds = row
                    writer.writerow((task.name, curve.selector, curve.seed, labels, score, curve.full, seconds))
                file.flush()
    report(read([given.output]))


def played(task: Task, strategies: Mapping[str, Choose | None], given: argparse.Namespace) -> Iterator[Curve]:
    """Every strategy with every seed on one task."""
    data = labelled(task.embeddings, task.answers, task.groups, fewest=2)
    named = tuple(name for name, choose in strategies.items() if choose is None) or ("random",)
    plan = Plan(
        selectors=named,
        batch=given.batch,
        budget=given.budget,
        noise=task.noise,
        random_share=0.0,
        measure="macro-f1" if task.name in TAILED else "accuracy",
    )
    learner: Learner = Frozen(schema=LabelSchema("image", data.labels), strengths=(STRENGTH,), folds=2, calibrate=False)
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        made = world(data, plan, seed)
        full = full_score(made, learner, plan.measure)
        for name, choose in strategies.items():
            began = time.perf_counter()
            curve = replay(made, plan, Player(name, seed, full), learner, choose)
            told = f"{task.name} {seed} {name}: {labels_to(curve, TARGET):.0f} to 95 % of {full:.3f}"
            print(f"{told}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            yield curve


def read(paths: list[Path]) -> dict[str, dict[str, list[Curve]]]:
    """Task -> strategy -> curves."""
    rows: dict[tuple[str, str, int], list[dict[str, str]]] = {}
    for path in paths:
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

    def predict(features: np.ndarray) -> np.ndarray:
        likely = np.exp(2 * features @ head)
        shares: np.ndarray = likely / likely.sum(axis=1, keepdims=True)
        return shares

    now = Standing(made, np.arange(500), np.arange(500, len(points)), predict)
    print(f"100 of {items:,} x 384; peak memory is of this process so far, the data included")
    for name, choose in strategies.items():
        plays = choose or ours(Plan(selectors=(name,), random_share=0.0), name)
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
    """Print median labels to 95 %, the area under the curve over random's, and the milliseconds of choosing a batch.

    A number in parentheses says that there are fewer seeds than of random. Areas are compared on the same seeds.
    """
    strategies = list(dict.fromkeys(name for by_name in found.values() for name in by_name))
    print(f"\nMedian labels to {TARGET:.0%} of the full score (- is beyond the budget)\n")
    _table(found, strategies, lambda curves, random: _labels(curves) + _fewer(curves, random))
    print("\nMean score over the whole budget, over that of random\n")
    _table(found, strategies, _gained)
    print("\nMilliseconds to choose a batch, median\n")
    _table(
        found, strategies, lambda curves, _: f"{1e3 * np.median([s for one in curves for s in one.seconds[1:]]):.0f}"
    )


def _table(
    found: Mapping[str, Mapping[str, list[Curve]]],
    strategies: list[str],
    cell: Callable[[list[Curve], list[Curve]], str],
) -> None:
    print("| |" + "|".join(f" {task} " for task in found) + "|\n|" + "---|" * (len(found) + 1))
    for name in strategies:
        cells = [cell(one[name], one.get("random", [])) if name in one else "" for one in found.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")


def _seconds(curves: list[Curve]) -> float:
    return float(np.median([taken for one in curves for taken in one.seconds[1:]]))


def _labels(curves: list[Curve]) -> str:
    labels = np.median([labels_to(one, TARGET) for one in curves])
    return f"{labels:.0f}" if np.isfinite(labels) else "-"


def _fewer(curves: list[Curve], random: list[Curve]) -> str:
    return "" if len(curves) >= len(random) else f" ({len(curves)})"


def _gained(curves: list[Curve], random: list[Curve]) -> str:
    theirs = {one.seed: np.mean(one.scores) for one in random}
    both = [(np.mean(one.scores), theirs[one.seed]) for one in curves if one.seed in theirs]
    if not both:
        return ""
    ours, random_scores = np.mean(both, axis=0)
    return f"{ours / random_scores:.3f}"


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
        def choose(now: Standing, n: int, rng: np.random.Generator) -> np.ndarray:
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

        def __init__(self, now: Standing) -> None:
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
        def choose(now: Standing, n: int, rng: np.random.Generator) -> np.ndarray:
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

        def __init__(self, now: Standing) -> None:
            self.X_training = now.made.labelled.embeddings[now.asked]
            self.predict_proba = now.predict
            self.estimator = self
            self.on_transformed = False

        def transform_without_estimating(self, features: Any) -> Any:
            return features

    def strategy(query: Callable[..., Any]) -> Choose:
        def choose(now: Standing, n: int, rng: np.random.Generator) -> np.ndarray:
            if now.predict is None:
                return rng.choice(len(now.left), n, replace=False)
            features = now.made.labelled.embeddings[now.left]
            found = query(Given(now), features, n_instances=n)
            return np.asarray(found[0] if isinstance(found, tuple) else found)

        return choose

    return {"modAL margin": strategy(margin_sampling), "modAL ranked batch": strategy(uncertainty_batch_sampling)}


if __name__ == "__main__":
    main()
