"""The loop: `decide` what to do next is pure; `Loop.tick` does it, once, and can be repeated at any time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

import labelloop
from labelloop import metrics, rounds
from labelloop.artifacts import Artifacts, Ref
from labelloop.config import Workspace
from labelloop.errors import ConfigError, NotFoundError
from labelloop.ledger import Ledger, open_ledger
from labelloop.ledger.answers import Asking, Changes
from labelloop.ledger.items import Chunk, ItemColumns
from labelloop.ledger.rounds import Round
from labelloop.metrics import Metrics
from labelloop.protocols import Dataset, Learner, Progress, silent
from labelloop.registry import build
from labelloop.rounds import Known
from labelloop.runs import Artifact, Run
from labelloop.sources import read_content
from labelloop.stack import Stack
from labelloop.types import LabelSchema, Prediction, Question


@dataclass(frozen=True, slots=True)
class Situation:
    """Where the loop stands.

    Attributes:
        items: Items there are.
        last: The newest round.
        waiting: Questions of the newest round that are with people.
        closed: Of those, answered or skipped.
        asked: Questions of all rounds that exist.
        asking_rounds: Rounds that asked something.
        changes: Changes of annotations ever heard.
    """

    items: int
    last: Round | None = None
    waiting: int = 0
    closed: int = 0
    asked: int = 0
    asking_rounds: int = 0
    changes: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """When to go on, and how far.

    Attributes:
        batch: Items to learn from asked per round.
        rounds: Rounds that ask; 0 is no limit.
        budget: Questions in total, the holdout's included; 0 is no limit.
        enough: Share of a round's questions that must be answered or skipped before the next one.
    """

    batch: int = 50
    rounds: int = 0
    budget: int = 0
    enough: float = 1.0


@dataclass(frozen=True, slots=True)
class Wait:
    """People are at work."""

    reason: str


@dataclass(frozen=True, slots=True)
class Start:
    """Learn from the answers and ask up to `room` more (None: as many as a round asks)."""

    number: int
    room: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Complete a round that was planned and not confirmed."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing is left to do until something changes."""

    reason: str


Action = Wait | Start | Finish | Stop


def decide(now: Situation, policy: Policy) -> Action:
    """Choose the next action. Pure: same situation, same answer."""
    last = now.last
    if last is None:
        return Start(1, _room(now, policy), "nothing has been asked yet")
    if last.state == "planned":
        return Finish(last.number, f"round {last.number} was interrupted before its questions were confirmed")
    wanted = math.ceil(policy.enough * now.waiting)
    if now.closed < wanted:
        return Wait(f"{now.closed} of {wanted} answers to round {last.number}")
    room = _room(now, policy)
    if last.asked == 0 and (now.changes, now.items, room) == (last.changes, last.items, last.room):
        return Stop(last.stopped)
    return Start(last.number + 1, room, _why_start(now, last, room))


def _room(now: Situation, policy: Policy) -> int | None:
    if policy.rounds and now.asking_rounds >= policy.rounds:
        return 0
    return max(0, policy.budget - now.asked) if policy.budget else None


def _why_start(now: Situation, last: Round, room: int | None) -> str:
    if last.asked and not now.waiting:
        return f"the questions of round {last.number} were deleted"
    if last.asked:
        return f"round {last.number} is answered"
    return "there is room for more questions" if room != last.room else "answers or items have changed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one tick did.

    Attributes:
        action: What was decided, with its reason.
        changes: What people said since the tick before.
        round: The newest round after the tick.
        lost: Questions that have vanished from the annotator.
    """

    action: Action
    changes: Changes
    round: Round | None
    lost: int = 0


class Loop:
    """One dataset, its people, and its model.

    Args:
        workspace: Configuration and folder.
        stack: The components.
        progress: Told about long work.
        clock: The time, for tests.
    """

    def __init__(
        self,
        workspace: Workspace,
        stack: Stack,
        progress: Progress = silent,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        config = workspace.config
        if not config.dataset.name:
            raise ConfigError("the dataset has no name", "labelloop init, or set name = ... under [dataset]")
        self.schema: LabelSchema = config.dataset.schema_of()
        self.policy = Policy(config.loop.batch, config.loop.rounds, config.loop.budget, config.loop.enough)
        self.learner: Learner = build("learner", config.learner.flavor, config.learner.options, {"schema": self.schema})
        self.ledger: Ledger = open_ledger(workspace.ledger_url, config.dataset.name)
        self.artifacts = Artifacts(stack.artifact_store, workspace.home / "cache")
        self._config = config
        self._stack = stack
        self._progress = progress
        self._clock = clock
        self._run = Run(self.artifacts, self.ledger.steps, stack.orchestrator)
        self._dataset: Dataset | None = None

    @property
    def dataset(self) -> Dataset:
        """The dataset in the annotator; created by the first round, never silently created anew.

        Raises:
            NotFoundError: It existed, and is gone.
        """
        if self._dataset is None:
            fresh = self.ledger.rounds.last() is None
            name = self._config.dataset.name
            try:
                self._dataset = self._stack.annotator.open(name, self.schema, create=fresh)
            except NotFoundError as error:
                kept = self.ledger.answers.changes()
                raise NotFoundError(
                    f"dataset {name!r} is gone from the annotator; the ledger still has what people said ({kept} changes)",
                    "restore the annotator's data, or go on under a new name: labelloop tick --set dataset.name=NEW",
                ) from error
        return self._dataset

    def tick(self) -> Outcome:
        """Hear, decide, act once. Idempotent: killed anywhere and called again, it continues where it stopped.

        Raises:
            BusyError: Another process is at it.
            ConfigError: There are no items.
        """
        with self.ledger.lease.held():
            if self.ledger.items.count() == 0:
                raise ConfigError("there are no items to ask about", "labelloop add FOLDER_OR_FILE")
            changes, lost = self.hear()
            action = decide(self.look(), self.policy)
            if isinstance(action, Start):
                self._plan(action)
            if isinstance(action, Start | Finish):
                self._ask()
            return Outcome(action, changes, self.ledger.rounds.last(), lost)

    def hear(self) -> tuple[Changes, int]:
        """Take in what people said since the last time: (what changed, questions that have vanished)."""
        changes = Changes()
        if self.ledger.rounds.last() is None:
            return changes, 0
        for page in self.dataset.answers(self.ledger.answers.cursor()):
            changes += self.ledger.answers.hear(page, self._clock())
        return changes, self._notice_lost()

    def look(self) -> Situation:
        """Where the loop stands, from the ledger alone."""
        last = self.ledger.rounds.last()
        counts = self.ledger.answers.counts()
        there = {key: n for key, n in counts.items() if key[2] != "gone"}
        newest = {key: n for key, n in there.items() if last is not None and key[0] == last.number}
        return Situation(
            items=self.ledger.items.count(),
            last=last,
            waiting=sum(newest.values()),
            closed=sum(n for key, n in newest.items() if key[2] in ("answered", "skipped")),
            asked=sum(there.values()),
            asking_rounds=len({key[0] for key in counts}),
            changes=self.ledger.answers.changes(),
        )

    def _notice_lost(self) -> int:
        expected = sum(n for key, n in self.ledger.answers.counts().items() if key[2] not in ("gone", "planned"))
        if self.dataset.stats().total >= expected:
            return 0
        return len(self.ledger.answers.lose(self.dataset.present(), self._clock()))

    def learn(self) -> Learned:
        """Learn from every answer heard so far and judge the model; asks nothing, records nothing."""
        watch = Stopwatch()
        columns, features = self._embedded(watch)
        with watch.stage("believe"):
            known = self._known(columns)
        training = rounds.examples_of(columns, known, features.matrix, self.schema, held_out=False)
        judging = rounds.examples_of(columns, known, features.matrix, self.schema, held_out=True)
        last = self.ledger.rounds.last()
        champion = Ref.parse(last.model) if last and last.model else None
        if not len(training):
            verdict = Judged(champion, False, "no answers to learn from yet", metrics.evaluate_nothing(self.schema.labels))
            return Learned(columns, known, features, verdict, 0, watch.seconds)
        with watch.stage("train"):
            model = self._run(rounds.train, self.learner, training)
        with watch.stage("evaluate"):
            verdict = self._judge(model.ref, champion, judging)
        return Learned(columns, known, features, verdict, len(training), watch.seconds)

    def probabilities(self, model: Ref, features: Features) -> np.ndarray:
        """(n, k) float32: what a model says about every embedded item; rows of NaN for unreadable ones."""
        handle = self._run.artifact(model)
        parts = [self._run(rounds.predict, self.learner, handle, self._run.artifact(ref)).value for ref in features.refs]
        return np.concatenate(parts) if parts else np.empty((0, len(self.schema.labels)), np.float32)
