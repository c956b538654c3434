"""One replay: a loop over labelled data, with people who answer from what is known. Pure but for a scratch folder."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from labelloop.errors import ConfigError
from labelloop.evaluation import answers
from labelloop.evaluation.halving import answered
from labelloop.kinds.kind import Kind
from labelloop.kinds.predicted import Predicted
from labelloop.protocols import Learner, Predictor
from labelloop.selection import select, selector_of
from labelloop.selection.effort import LENGTH_COST, per_effort
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
        answers: Where what is asked are no labels of the whole item: n answers, None for one that people would skip.
        kind: What an answer is; None where the targets say all.
        apart: (n, s) float32 embeddings that items are chosen by, where another backbone makes them; else None.

    Raises:
        ConfigError: The columns do not fit each other, or nobody could learn from them.
    """

    embeddings: np.ndarray
    targets: np.ndarray
    labels: tuple[str, ...]
    groups: np.ndarray
    items: Sequence[Item] = ()
    answers: Sequence[Any] = ()
    kind: Kind | None = None
    apart: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.embeddings)
        if self.kind is not None and len(self.answers) != n:
            raise ConfigError(f"there are {len(self.answers)} answers to {n} items", "give one per item, or None")
        if self.items and len(self.items) != n:
            raise ConfigError(f"there are {len(self.items)} items to {n} embeddings", "give one item per row")
        if self.embeddings.ndim != 2 or self.targets.shape != (n, len(self.labels)) or self.groups.shape != (n,):
            raise ConfigError(
                f"embeddings {self.embeddings.shape}, targets {self.targets.shape} and groups {self.groups.shape} "
                f"do not fit {len(self.labels)} labels",
                "give one row per item and one column per label",
            )
        if len(self.chosen_by) != n:
            raise ConfigError(f"there are {len(self.chosen_by)} embeddings to choose {n} items by", "give one per row")
        wrong = np.flatnonzero(~np.isfinite(self.embeddings).all(axis=1) | ~np.isfinite(self.chosen_by).all(axis=1))
        if len(wrong):
            raise ConfigError(f"the embedding of item {wrong[0]} has values that are not numbers", "leave it out")
        if self.kind is None:
            self._refuse_few()

    def _refuse_few(self) -> None:
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

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def chosen_by(self) -> np.ndarray:
        """(n, s) float32: the embeddings that items are chosen by."""
        return self.embeddings if self.apart is None else self.apart

    @property
    def answerable(self) -> np.ndarray:
        """(n,) bool: the items that people would not skip."""
        if self.kind is not None:
            return np.array([one is not None for one in self.answers], np.bool_)
        return np.asarray(self.targets.any(axis=1))

    @cached_property
    def lengths(self) -> np.ndarray:
        """(n,) words of each text; 1 of what is no text, or is not known."""
        if not self.items:
            return np.ones(len(self), np.int64)
        return np.array([max(1, len(one.text.split())) for one in self.items], np.int64)

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
        length_cost: How much the length of a text counts as effort where spans are asked for, see `selection.effort`.

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
    length_cost: float = LENGTH_COST

    def __post_init__(self) -> None:
        if not self.selectors:
            raise ConfigError("no selector to replay", "name one: --selector uherding")
        for name in (*self.selectors, self.cold_start):
            selector_of(name)
        for what, count in {"seeds": self.seeds, "batch": self.batch, "budget": self.budget}.items():
            if count < 1:
                raise ConfigError(f"{what} is {count}, not at least 1", f"--{what} 5")
        for what, share in {
            "noise": self.noise,
            "random-share": self.random_share,
            "length-cost": self.length_cost,
        }.items():
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
        read: Words of the items asked, after each round; where items are texts that the learner reads.
    """

    selector: str
    seed: int
    labels: tuple[int, ...]
    scores: tuple[float, ...]
    full: float
    seconds: tuple[float, ...] = field(default=(), compare=False)
    read: tuple[int, ...] = ()


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

    def said(self, rows: np.ndarray) -> Predicted:
        """What the model says about the items at these positions, where that are no labels of the whole item."""
        assert self.labelled.kind is not None
        return answered(self.predictor, self.labelled.inputs(rows), self.labelled.kind)


@dataclass(frozen=True)
class World:
    """The data as one seed sees it.

    Attributes:
        pool: Positions people may be asked about.
        test: Positions the score comes from.
        said: (n, k) bool, what people would say.
        answers: The same where that are no labels of the whole item.
    """

    labelled: Labelled
    pool: np.ndarray
    test: np.ndarray
    said: np.ndarray
    answers: Sequence[Any] = ()

    @property
    def answerable(self) -> np.ndarray:
        """(n,) bool, what people would not skip."""
        return self.labelled.answerable


@dataclass(frozen=True)
class ReplayState:
    """Where a replay stands when a batch is chosen.

    Attributes:
        asked: Positions in the data that were asked, in order.
        left: Positions that can be asked.
        predict: The model, once there is one.
        length_cost: See `selection.effort`.
    """

    made: World
    asked: np.ndarray
    left: np.ndarray
    predict: Fitted | None
    length_cost: float = LENGTH_COST

    def pool(self) -> Pool:
        """What a selector sees."""
        embeddings = self.made.labelled.chosen_by
        left, asked = embeddings[self.left], embeddings[self.asked]
        if self.predict is None:
            return Pool(left, None, asked)
        if self.made.labelled.kind is None:
            return Pool(left, self.predict.at(self.left), asked)
        lengths = self.made.labelled.lengths[self.left]
        worth = per_effort(self.predict.said(self.left).uncertainty, lengths, self.length_cost)
        return Pool(left, None, asked, multiple=True, uncertainty=worth)


Choose = Callable[[ReplayState, int, np.random.Generator], np.ndarray]
"""(where it stands, n, generator) -> n positions in `Standing.left`."""


def world(labelled: Labelled, plan: ReplayPlan, seed: int) -> World:
    """Draw the test set, by groups, and the wrong answers of a seed. Every selector meets the same."""
    rng = np.random.default_rng([seed, 1])
    answerable = labelled.answerable
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
    parts = np.flatnonzero(~inside), np.flatnonzero(inside & answerable)
    if labelled.kind is not None:
        given = list(labelled.answers)
        for row in wrong:
            given[row] = _without_a_part(given[row], rng)
        return World(labelled, *parts, said, given)
    moved = rng.integers(1, said.shape[1], len(wrong))
    for row, steps in zip(wrong, moved, strict=True):
        said[row] = np.roll(said[row], steps)
    return World(labelled, *parts, said)


def _without_a_part(answer: Any, rng: np.random.Generator) -> Any:
    """What somebody says who overlooks something: an answer of parts without one of them; any other as it is."""
    if not isinstance(answer, tuple) or not answer:
        return answer
    lost = int(rng.integers(len(answer)))
    return answer[:lost] + answer[lost + 1 :]


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
    labels, scores, seconds, read = zip(*turns(made, plan, player, learner, choose), strict=True)
    words = read if made.labelled.items else ()
    return Curve(player.selector, player.seed, labels, scores, player.full, seconds, words)


def turns(
    made: World, plan: ReplayPlan, player: Player, learner: Learner, choose: Choose | None = None
) -> Iterator[tuple[int, float, float, int]]:
    """The rounds of a replay, as they are played: (answers so far, score, seconds of choosing, words read so far)."""
    if choose is None and isinstance(form := selector_of(player.selector), Relabelling):
        from labelloop.simulate import relabelled

        played = relabelled.turns(made, plan, player.seed, learner, (ours(plan, player.selector), form.share))
        yield from ((*turn, 0) for turn in played)
        return
    rng = np.random.default_rng([player.seed, 2])
    choose = choose or ours(plan, player.selector)
    asked, lengths = np.empty(0, np.intp), made.labelled.lengths
    predict: Fitted | None = None
    for size in sizes(len(made.pool), plan):
        now = ReplayState(made, asked, np.setdiff1d(made.pool, asked), predict, plan.length_cost)
        began = time.perf_counter()
        chosen = now.left[choose(now, size, rng)]
        took = time.perf_counter() - began
        asked = np.concatenate([asked, chosen])
        predict = learned(made, asked, learner)
        yield len(asked), score(made, predict, plan.measure) if predict else 0.0, took, int(lengths[asked].sum())


def sizes(pool: int, plan: ReplayPlan) -> Iterator[int]:
    budget = min(plan.budget, pool)
    for start in range(0, budget, plan.batch):
        yield min(plan.batch, budget - start)


def ours(plan: ReplayPlan, name: str) -> Choose:
    """As a loop with this selector in its configuration chooses."""
    first = name if name in SELF_STARTING else plan.cold_start

    def choose(now: ReplayState, n: int, rng: np.random.Generator) -> np.ndarray:
        pool = now.pool()
        wanted = name if pool.has_model else first
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
    there, free = made.labelled, np.zeros(len(rows), np.bool_)
    examples = Examples(there.inputs(rows), made.said[rows], there.labels, there.kind is not None, free)
    if there.kind is None:
        return examples
    return replace(examples, answers=tuple(made.answers[int(row)] for row in rows), kind=there.kind)


def score_name(labelled: Labelled, plan: ReplayPlan) -> str:
    """What the score of a replay is called."""
    return plan.measure if labelled.kind is None else answers.score_name(labelled.kind)


def score(made: World, predict: Fitted, measure: Measure) -> float:
    kind = made.labelled.kind
    if kind is not None:
        said, true = predict.said(made.test), [made.labelled.answers[int(row)] for row in made.test]
        counts, statistic = answers.counted(kind, said.answers, true)
        return float(statistic(counts.sum(axis=0, keepdims=True))[0])
    wanted = made.labelled.targets[made.test].argmax(axis=1)
    given = predict.at(made.test).argmax(axis=1)
    if measure == "accuracy":
        return float((given == wanted).mean())
    from sklearn.metrics import f1_score

    return float(f1_score(wanted, given, average="macro", labels=np.unique(wanted), zero_division=0.0))
