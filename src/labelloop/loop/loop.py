"""The loop: hear what people said, decide what to do, do it once. Idempotent, so that anything can drive it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Self

from labelloop.data.addresses import Addressing
from labelloop.data.locations import access_of
from labelloop.errors import ConfigError
from labelloop.evaluation.budget import Budget
from labelloop.kinds import LabelSchema, labels
from labelloop.kinds.kind import answer_in
from labelloop.kinds.label_changes import translated
from labelloop.ledger import Ledger, open_ledger
from labelloop.ledger.answers import Changes
from labelloop.loop.asker import Asker
from labelloop.loop.auto_labels import TakenLabels
from labelloop.loop.batch import Choosing
from labelloop.loop.beside import Controls
from labelloop.loop.decide import Policy, Situation
from labelloop.loop.listener import Listener
from labelloop.loop.models import version_in_use
from labelloop.loop.open_dataset import OpenDataset
from labelloop.loop.overlap import Overlap
from labelloop.loop.ownership import Ownership
from labelloop.loop.planner import Planner
from labelloop.loop.preconditions import Preconditions
from labelloop.loop.renewal import Renewal
from labelloop.loop.situation import situation
from labelloop.loop.stages import STAGES, Outcome, Tick
from labelloop.loop.training import Learned, Learning
from labelloop.loop.unusable import Unusable, unusable
from labelloop.loop.vanished import Losses
from labelloop.machine.registry import build
from labelloop.protocols import Dataset, Learner, Progress, silent
from labelloop.storage.artifacts import Artifacts
from labelloop.storage.runs import Line, Run, nobody
from labelloop.types import Region
from labelloop.workspace.config import Workspace
from labelloop.workspace.stack import Stack


class Loop:
    """One dataset, its people, and its model.

    Args:
        workspace: Configuration and folder.
        stack: The components.
        progress: Told about long work.
        clock: The time, for tests.
        tell: Told each step of a pipeline when it has ended.
    """

    def __init__(
        self,
        workspace: Workspace,
        stack: Stack,
        progress: Progress = silent,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        tell: Callable[[Line], None] = nobody,
    ) -> None:
        config = workspace.config
        if not config.dataset.name:
            raise ConfigError("the dataset has no name", "labelloop init, or set name = ... under [dataset]")
        self.schema: LabelSchema = config.schema_of()
        self.policy = Policy(**{one.name: getattr(config.loop, one.name) for one in fields(Policy)})
        self.budget = Budget(**config.budget.model_dump())
        self._config = config
        if ":" not in config.learner_of().flavor:
            _ = self.learner  # a mistake in its options is said at once
        self.ledger: Ledger = open_ledger(workspace.ledger_url, config.dataset.name)
        self.artifacts = Artifacts(stack.artifact_store, workspace.home / "cache")
        self.run = Run(self.artifacts, self.ledger.steps, stack.orchestrator, progress, tell)
        self.access = access_of(stack.artifact_store, config.dataset.hosts, config.dataset.ca_bundle)
        self.address = Addressing(config.dataset.address)
        self.learning = Learning(
            config,
            self.ledger,
            self.run,
            lambda: self.learner,
            progress,
            access=self.access,
            address=self.address,
            clock=clock,
        )
        self.choosing = Choosing(config, self.ledger, self.learning)
        self.taken = TakenLabels(config, self.ledger, self.learning, clock)
        self.belief = config.loop.belief
        self.workspace = workspace
        self.stack = stack
        self.progress = progress
        self._clock = clock
        self.preconditions = Preconditions(self.ledger, self.learning.embeddings)
        self.opened = OpenDataset(stack.annotator, self.ledger, config.dataset.name, self.schema)
        self.controls = Controls(stack, self.ledger, config.dataset.name, self.schema, self.belief, clock)
        self.ownership = Ownership(self.ledger.answers, config.dataset.name)
        self.overlap = Overlap(self.ledger, config.dataset.people_per_item)
        self.asker = Asker(lambda: self.dataset, self.ledger, self.ownership, self.address, self.access, clock)
        self.planner = Planner(
            config,
            self.ledger,
            self.learning,
            self.choosing,
            self.taken,
            self.asker,
            self.preconditions,
            self.policy,
            self.budget,
            clock,
        )
        self.prunes = config.loop.old_predictions == "prune"
        renewal = Renewal(
            self.ledger, lambda: self.dataset, self.asker.questions_of, lambda: self.ownership.claim(self.dataset)
        )
        self.listener = Listener(
            lambda: self.dataset, self.ledger, config, self.ownership, self.address, renewal, self.overlap, clock
        )

    @cached_property
    def learner(self) -> Learner:
        """The learner; code of the workspace is loaded when it is first needed, not when somebody looks at the loop.

        Raises:
            ConfigError: It cannot be loaded, or nobody has allowed the workspace's code to run.
        """
        chosen = self._config.learner_of()
        made: Learner = build("learner", chosen.flavor, chosen.options, {"schema": self.schema})
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    @property
    def dataset(self) -> Dataset:
        """The dataset in the annotator; see `labelloop.loop.open_dataset.OpenDataset.dataset`."""
        return self.opened.dataset

    def reconnect(self) -> None:
        """Forget the connection to the annotator, which may be elsewhere after an outage."""
        self.opened.forget()
        self.listener.agreed = False

    def tick(self, *, reconcile: bool = False, take_over: bool = False, believe_losses: bool = False) -> Outcome:
        """Hear, decide, act once. Idempotent: killed anywhere and called again, it continues where it stopped.

        Args:
            reconcile: Compare everything with the annotator first, which is done once in `loop.reconcile_every` anyway.
            take_over: Make the dataset this ledger's, whosever it was.
            believe_losses: Go on however many questions and answers are gone at once.

        Raises:
            BackendError: The annotator is away; nothing was computed.
            BusyError: Another process is at it.
            OtherOwnerError: The dataset is another ledger's, or not as this one left it; nothing was believed.
            VanishedError: Much of what was there is gone; nothing of that was believed.
            ConfigError: There are no items.
        """
        tick = Tick(reconcile, take_over, believe_losses)
        with self.ledger.lease.held():
            for stage in STAGES:
                stage(self, tick)
            return tick.outcome(self)

    def hear(self, *, believe_losses: bool = False) -> tuple[Changes, int]:
        """Take in what people said since the last time: (what changed, questions that have vanished)."""
        self.listener.losses = Losses(believed=believe_losses)
        changes = self.listener.hear()
        return changes, self.listener.notice_lost(self.look())

    def unusable(self) -> Unusable:
        """What people said that is not learned from, from the ledger alone."""
        return unusable(self.ledger, self.schema, self.belief)

    def study(self) -> Learned:
        """Hear, learn and judge, without asking or promoting anything; a tick that follows reuses the result."""
        with self.ledger.lease.held():
            self.preconditions.refuse_other_labels()
            self.hear()
            return self.learning.learn()

    def look(self) -> Situation:
        """Where the loop stands, from the ledger and the clock alone."""
        return situation(self.ledger, self.schema, self.policy, self.budget, self._clock())

    def names_in(self, regions: Sequence[Region]) -> tuple[str, ...] | None:
        """What regions say, part by part, in the labels of now; None where these cannot say it."""
        now = translated(self.schema, self.preconditions.label_changes, regions)
        try:
            if self.schema.asked is None:
                return labels.names_of(self.schema, now)
            answer = answer_in(self.schema.asked, [one for one in now if one.get("from_name") == self.schema.control])
            return None if answer is None else labels.words_in(self.schema, answer)
        except ConfigError:
            return None

    @property
    def version(self) -> str:
        """The model version whose guesses and turns hold; empty before there is one for the labels of now."""
        return version_in_use(self.ledger, self.schema)

    def now(self) -> datetime:
        """The time."""
        return self._clock()
