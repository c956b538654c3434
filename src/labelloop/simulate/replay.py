"""One replay: a loop over labelled data, with people who answer from what is known. Pure but for a scratch folder."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from labelloop.errors import ConfigError
from labelloop.protocols import Learner, Predictor
from labelloop.selection import select, selector_of
from labelloop.selection.relabel import Relabelling
from labelloop.types import Examples, Inputs, Item, Pool

Measure = Literal["accuracy", "macro-f1"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
SELF_STARTING = ("random", "auto")
"""Selectors that choose the first batch themselves; for the others the cold start does, as in a loop."""
LARGEST_TEST = 2000


@dataclass(frozen=True)
class Labelled:
    """Items whose labels are known, as columns.

    Attributes:
        embeddings: (n, d) float32, L2-normalised.
        targets: (n, k) bool; a row without a label is one that people would skip.
        labels: The k names.
        groups: (n,) numbers; items of one group are near-duplicates and stay on one side of the test.
        items: The n items themselves, for a learner that reads them; else none.

    Raises:
        ConfigError: The columns do not fit each other, or nobody could learn from them.
    """

    embeddings: np.ndarray
    targets: np.ndarray
    labels: tuple[str, ...]
    groups: np.ndarray
    items: Sequence[Item] = ()

    def __post_init__(self) -> None:
        n = len(self.embeddings)
        if self.items and len(self.items) != n:
            raise ConfigError(f"there are {len(self.items)} items to {n} embeddings", "give one item per row")
        if self.embeddings.ndim != 2 or self.targets.shape != (n, len(self.labels)) or self.groups.shape != (n,):
            raise ConfigError(
                f"embeddings {self.embeddings.shape}, targets {self.targets.shape} and groups {self.groups.shape} "
                f"do not fit {len(self.labels)} labels",
                "give one row per item and one column per label",
            )
        counts = self.targets.sum(axis=0)
        if np.count_nonzero(counts) < 2:
            known = ", ".join(self.labels) or "none"
            raise ConfigError(
                f"a replay needs at least 2 labels with items, there is: {known}", "add items of another label"
            )
        if counts.min() < 2:
            rare = self.labels[int(counts.argmin())]
            raise ConfigError(
                f"label {rare!r} has {counts.min()} item(s); a replay needs 2, one to learn from and one to test on",
                "add items of it, or leave such labels out: --fewest 2",
            )
        wrong = np.flatnonzero(~np.isfinite(self.embeddings).all(axis=1))
        if len(wrong):
            raise ConfigError(f"the embedding of item {wrong[0]} has values that are not numbers", "leave it out")

    def __len__(self) -> int:
        return len(self.embeddings)

    def inputs(self, rows: np.ndarray) -> Inputs:
        """The items at these positions: themselves where they are known, else their embeddings."""
        if not self.items:
            return Inputs(rows.astype(np.str_), self.embeddings[rows])
        items = tuple(self.items[int(row)] for row in rows)
        return Inputs(np.asarray([one.id for one in items], np.str_), None, items)


@dataclass(frozen=True)
class ReplayPlan:
    """What is replayed.

    Attributes:
        selectors: Names or forms that `labelloop.selection.selector_of` reads.
        seeds: Replays of each; every seed has a test set, a first batch and wrong answers of its own.
        batch: Items asked per round.
        budget: Items asked in all, or as many as there are.
        noise: Share of answers that are wrong, another label drawn at random.
        test_share: Share of the labelled items that is only tested on, at most `LARGEST_TEST` items.
        random_share: Share of each batch drawn at random, as in a loop.
        cold_start: Selector of the first batch, except for those of `SELF_STARTING`.
        measure: The score.

    Raises:
        ConfigError: A value cannot be, or a selector is unknown.
    """

    selectors: tuple[str, ...] = ("random", "margin", "auto")
    seeds: int = 5
    batch: int = 20
    budget: int = 300
    noise: float = 0.0
    test_share: float = 0.3
    random_share: float = 0.1
    cold_start: str = "centroids"
    measure: Measure = "accuracy"

    def __post_init__(self) -> None:
        if not self.selectors:
            raise ConfigError("no selector to replay", "name one: --selector uherding")
        for name in (*self.selectors, self.cold_start):
            selector_of(name)
        for what, count in {"seeds": self.seeds, "batch": self.batch, "budget": self.budget}.items():
            if count < 1:
                raise ConfigError(f"{what} is {count}, not at least 1", f"--{what} 5")
        for what, share in {"noise": self.noise, "random-share": self.random_share}.items():
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"{what} is {share:g}, not between 0 and 1", f"--{what} 0.1")
        if not 0.0 < self.test_share < 1.0:
            raise ConfigError(f"test-share is {self.test_share:g}, not between 0 and 1", "--test-share 0.3")
        if self.measure not in MEASURES:
            raise ConfigError(f"measure is {self.measure!r}", f"known: {', '.join(MEASURES)}")


@dataclass(frozen=True)
class Curve:
    """What one selector reached with one seed.

    Attributes:
        labels: Items asked, after each round.
        scores: The score on the test set then.
        full: The score with everything but the test set answered by the same people.
        seconds: Seconds each round's choosing took.
    """

    selector: str
    seed: int
    labels: tuple[int, ...]
    scores: tuple[float, ...]
    full: float
    seconds: tuple[float, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Fitted:
    """The model of a replay."""

    predictor: Predictor
    labelled: Labelled

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """(n, d) embeddings -> (n, k) probabilities, where the learner takes embeddings."""
        return self.predictor.predict(Inputs(np.arange(len(embeddings)).astype(np.str_), embeddings))

    def at(self, rows: np.ndarray) -> np.ndarray:
        """(n, k) probabilities of the items at these positions."""
        return self.predictor.predict(self.labelled.inputs(rows))


@dataclass(frozen=True)
class World:
    """The data as one seed sees it.

    Attributes:
        pool: Positions people may be asked about.
        test: Positions the score comes from.
        said: (n, k) bool, what people would say.
    """

    labelled: Labelled
    pool: np.ndarray
    test: np.ndarray
    said: np.ndarray

    @property
    def answerable(self) -> np.ndarray:
        """(n,) bool, what people would not skip."""
        there: np.ndarray = np.asarray(self.said.any(axis=1))
        return there


@dataclass(frozen=True)
class ReplayState:
    """Where a replay stands when a batch is chosen.

    Attributes:
        asked: Positions in the data that were asked, in order.
        left: Positions that can be asked.
        predict: The model, once there is one.
    """

    made: World
    asked: np.ndarray
    left: np.ndarray
    predict: Fitted | None

    def pool(self) -> Pool:
        """What a selector sees."""
        embeddings = self.made.labelled.embeddings
        left = embeddings[self.left]
        return Pool(left, self.predict.at(self.left) if self.predict else None, embeddings[self.asked])


Choose = Callable[[ReplayState, int, np.random.Generator], np.ndarray]
"""(where it stands, n, generator) -> n positions in `Standing.left`."""


def world(labelled: Labelled, plan: ReplayPlan, seed: int) -> World:
    """Draw the test set, by groups, and the wrong answers of a seed. Every selector meets the same."""
    rng = np.random.default_rng([seed, 1])
    answerable = np.asarray(labelled.targets.any(axis=1))
    wanted = min(LARGEST_TEST, max(1, round(plan.test_share * np.count_nonzero(answerable))))
    names, group = np.unique(labelled.groups, return_inverse=True)
    turn = rng.permutation(len(names))[group]
    ordered = np.argsort(turn, kind="stable")
    tested = np.cumsum(answerable[ordered])
    last = turn[ordered[min(int(np.searchsorted(tested, wanted)), len(ordered) - 1)]]
    inside = turn <= last
    if inside.all():
        raise ConfigError(
            f"{len(labelled)} items in {len(names)} group(s) cannot be parted into a test set and a pool",
            "add items, or lower --test-share",
        )
    said = labelled.targets.copy()
    wrong = np.flatnonzero((rng.random(len(said)) < plan.noise) & answerable)
    moved = rng.integers(1, said.shape[1], len(wrong))
    for row, steps in zip(wrong, moved, strict=True):
        said[row] = np.roll(said[row], steps)
    return World(labelled, np.flatnonzero(~inside), np.flatnonzero(inside & answerable), said)


def full_score(made: World, learner: Learner, measure: Measure) -> float:
    """The score when everything in the pool is answered."""
    predict = learned(made, made.pool, learner)
    return score(made, predict, measure) if predict else 0.0


@dataclass(frozen=True)
class Player:
    """Who plays.

    Attributes:
        selector: What chooses; only a name where `replay` is given something else.
        full: What `full_score` says of the same world.
    """

    selector: str
    seed: int
    full: float = 0.0


def replay(made: World, plan: ReplayPlan, player: Player, learner: Learner, choose: Choose | None = None) -> Curve:
    """Play a loop to the end of its budget.

    Args:
        choose: Chooses every batch instead of the selector, for comparing with what is not one of ours.
    """
    labels, scores, seconds = zip(*turns(made, plan, player, learner, choose), strict=True)
    return Curve(player.selector, player.seed, labels, scores, player.full, seconds)


def turns(
    made: World, plan: ReplayPlan, player: Player, learner: Learner, choose: Choose | None = None
) -> Iterator[tuple[int, float, float]]:
    """The rounds of a replay, as they are played: (answers so far, score, seconds of choosing)."""
    if choose is None and isinstance(form := selector_of(player.selector), Relabelling):
        from labelloop.simulate import relabelled

        played = relabelled.turns(made, plan, player.seed, learner, (ours(plan, player.selector), form.share))
        yield from played
        return
    rng = np.random.default_rng([player.seed, 2])
    choose = choose or ours(plan, player.selector)
    asked = np.empty(0, np.intp)
    predict: Fitted | None = None
    for size in sizes(len(made.pool), plan):
        now = ReplayState(made, asked, np.setdiff1d(made.pool, asked), predict)
        began = time.perf_counter()
        chosen = now.left[choose(now, size, rng)]
        took = time.perf_counter() - began
        asked = np.concatenate([asked, chosen])
        predict = learned(made, asked, learner)
        yield len(asked), score(made, predict, plan.measure) if predict else 0.0, took


def sizes(pool: int, plan: ReplayPlan) -> Iterator[int]:
    budget = min(plan.budget, pool)
    for start in range(0, budget, plan.batch):
        yield min(plan.batch, budget - start)


def ours(plan: ReplayPlan, name: str) -> Choose:
    """As a loop with this selector in its configuration chooses."""
    first = name if name in SELF_STARTING else plan.cold_start

    def choose(now: ReplayState, n: int, rng: np.random.Generator) -> np.ndarray:
        pool = now.pool()
        wanted = first if pool.probabilities is None else name
        return select(pool, n, wanted, rng, random_share=plan.random_share).positions

    return choose


def learned(made: World, rows: np.ndarray, learner: Learner) -> Fitted | None:
    """A model of what people said about these items; None where they skipped them all."""
    rows = np.sort(rows[made.answerable[rows]])
    if not len(rows):
        return None
    with tempfile.TemporaryDirectory(prefix="labelloop-") as folder, warnings.catch_warnings():
        # Every other answer being a new label is no surprise in a first round.
        warnings.filterwarnings("ignore", module="sklearn")
        learner.train(examples_of(made, rows), Path(folder))
        predictor = learner.load(Path(folder))
    return Fitted(predictor, made.labelled)


def examples_of(made: World, rows: np.ndarray) -> Examples:
    """What people said about these items."""
    return Examples(
        made.labelled.inputs(rows), made.said[rows], made.labelled.labels, False, np.zeros(len(rows), np.bool_)
    )


def score(made: World, predict: Fitted, measure: Measure) -> float:
    wanted = made.labelled.targets[made.test].argmax(axis=1)
    given = predict.at(made.test).argmax(axis=1)
    if measure == "accuracy":
        return float((given == wanted).mean())
    from sklearn.metrics import f1_score

    return float(f1_score(wanted, given, average="macro", labels=np.unique(wanted), zero_division=0.0))
