"""A replay in which people may be asked again about an item, and several answers make a belief."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from labelloop.evaluation.label_errors import FEWEST, out_of_sample, suspects
from labelloop.kinds.reliability import Vote, probable
from labelloop.protocols import Learner
from labelloop.selection.relabel import Answered, again
from labelloop.simulate.replay import (
    Choose,
    ReplayPlan,
    ReplayState,
    World,
    examples_of,
    learned,
    score,
    sizes,
)

PEOPLE = 5
"""How many there are; who answers is drawn, and nobody answers an item twice."""


def turns(
    made: World, plan: ReplayPlan, seed: int, learner: Learner, how: tuple[Choose, float]
) -> Iterator[tuple[int, float, float]]:
    """The rounds, as they are played: (answers so far, score, seconds of choosing).

    Everybody errs independently with the probability of the plan. What is believed is what Dawid and Skene's model
    finds most probable, as with `loop.belief = "weighted"`.

    Args:
        how: What chooses the new items, and the largest part of a batch that may be second opinions.
    """
    choose, share = how
    rng, said = np.random.default_rng([seed, 2]), Votes(made, plan.noise, seed)
    asked, predict = np.empty(0, np.intp), None
    for size in sizes(plan.budget, plan):
        began = time.perf_counter()
        now = ReplayState(replace(made, said=said.believed), asked, np.setdiff1d(made.pool, asked), predict)
        rows = _again(said, now, learner, (size, share)) if predict and len(asked) >= FEWEST else np.empty(0, np.intp)
        room = min(size - len(rows), len(now.left))
        new = now.left[choose(now, room, rng)] if room else np.empty(0, np.intp)
        took = time.perf_counter() - began
        for row in [*rows, *new]:
            said.ask(int(row))
        said.consensus_of()
        asked = np.concatenate([asked, new])
        world = replace(made, said=said.believed)
        predict = learned(world, asked, learner)
        yield said.count, score(made, predict, plan.measure) if predict else 0.0, took


class Votes:
    """What people have said so far.

    Attributes:
        believed: (n, k) bool; what nobody was asked about as the first person would answer it.
        votes: (n, `PEOPLE`) float, the class; NaN where a person was not asked.
        count: Answers so far.
    """

    def __init__(self, made: World, noise: float, seed: int) -> None:
        self.believed = made.said.copy()
        self.votes = np.full((len(made.said), PEOPLE), np.nan)
        self.count = 0
        self._made = made
        self._noise = noise
        self._rng = np.random.default_rng([seed, 3])

    def ask(self, row: int) -> None:
        """Have somebody who has not answered this item answer it."""
        who = self._rng.choice(np.flatnonzero(np.isnan(self.votes[row])))
        first = bool(np.isnan(self.votes[row]).all())
        truth = self._made.labelled.targets[row].argmax()
        if first:
            self.votes[row, who] = self._made.said[row].argmax()
        else:
            wrong = self._rng.random() < self._noise
            k = self.believed.shape[1]
            self.votes[row, who] = (truth + wrong * self._rng.integers(1, k)) % k
        self.count += 1

    def consensus_of(self) -> None:
        """Weigh all answers by how reliable people turn out to be."""
        rows, people = np.nonzero(~np.isnan(self.votes))
        known, item = np.unique(rows, return_inverse=True)
        said = self.votes[rows, people].astype(int)
        votes = [Vote(int(i), int(who), int(what)) for i, who, what in zip(item, people, said, strict=True)]
        likely = probable(votes, len(known), self.believed.shape[1])
        self.believed[known] = np.eye(self.believed.shape[1], dtype=np.bool_)[likely.argmax(axis=1)]


def _again(said: Votes, now: ReplayState, learner: Learner, most: tuple[int, float]) -> np.ndarray:
    """The items to ask again."""
    assert now.predict is not None
    rows: np.ndarray = np.sort(now.asked)
    groups = np.unique(now.made.labelled.groups[rows], return_inverse=True)[1]
    likely = out_of_sample(learner, examples_of(now.made, rows), groups)
    suspect = np.isin(np.arange(len(rows)), suspects(now.made.said[rows], likely).rows)
    usable = ~np.isnan(likely).any(axis=1) & np.isnan(said.votes[rows]).any(axis=1)
    if not usable.any():
        return rows[:0]
    answered = Answered(said.votes[rows[usable]], likely[usable], suspect[usable])
    chosen: np.ndarray = rows[usable][again(answered, now.predict.at(now.left), *most)]
    return chosen
