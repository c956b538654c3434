"""From answers to a model: embed what is new, learn, judge. Records nothing, asks nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from labelloop.data.addresses import Addressing
from labelloop.data.locations import ALONE, Access
from labelloop.data.sources import read_content
from labelloop.errors import BadItemError, StepError
from labelloop.evaluation import answers
from labelloop.kinds import LabelSchema
from labelloop.kinds.predicted import Predicted, by_probabilities, read_back
from labelloop.ledger import Ledger
from labelloop.loop import round_steps, warm_start
from labelloop.loop.bench import Bench
from labelloop.loop.features import Embeddings, Features
from labelloop.loop.gatekeeper import Gatekeeper, Judged
from labelloop.loop.models import Models, version_of
from labelloop.loop.round_steps import OutOfSample, Snapshot
from labelloop.loop.snapshots import Snapshots
from labelloop.protocols import Learner, Progress, WarmLearner
from labelloop.storage.artifacts import Ref
from labelloop.storage.runs import Artifact, Run, fingerprint
from labelloop.types import Examples, Item, only
from labelloop.workspace.config import NO_LEARNER, Config

T = TypeVar("T")


@dataclass(frozen=True)
class Learned:
    """What learning brought.

    Attributes:
        learned_from: Examples the model was trained on.
        seconds: Seconds by stage so far; grows with the stages that follow.
    """

    known: Snapshot
    features: Features
    judged: Judged
    learned_from: int
    watch: Stopwatch


class Learning:
    """The thinking part of a loop, over its ledger and its artifacts.

    Attributes:
        embeddings: The items with their embeddings.
        snapshots: What is known about the items.
        models: Trained models, and what they say.
        gate: Who judges them.
    """

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        run: Run,
        learner: Callable[[], Learner],
        progress: Progress,
        *,
        access: Access = ALONE,
        address: Addressing = Addressing(),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._run = run
        self._made = learner
        self._schema: LabelSchema = config.schema_of()
        bench = Bench(config, ledger, run, self._schema, lambda: self._learner, clock)
        self.embeddings = Embeddings(bench, partial(_read_now, address, access), progress)
        self.snapshots = Snapshots(bench)
        self.models = Models(bench, self.snapshots)
        self.gate = Gatekeeper(bench, self.embeddings, self.snapshots, self.models)

    @cached_property
    def _learner(self) -> Learner:
        """Made when it is first needed: it may be code of the workspace, which looking at the loop does not need."""
        return self._made()

    def learn(self) -> Learned:
        """Learn from every answer heard so far, and judge the model on the holdout."""
        watch = Stopwatch()
        with watch.stage("embed"):
            columns, features = self.embeddings.embedded()
        self.embeddings.look(columns, features)
        known = self.snapshots.know(columns)
        training, judging = (self.snapshots.examples(known, features, held_out=side) for side in (False, True))
        idle = self._config.learner_of().flavor == NO_LEARNER
        if idle or not len(training):
            why = "nothing is learned: there is no learner" if idle else "no answers to learn from yet"
            judged = Judged(*self.models.usable(), False, why, self.gate.no_score())
            return Learned(known, features, judged, 0, watch)
        with watch.stage("train"):
            training, (model, beginning) = self.sparing(training, partial(self._trained, known))
        with watch.stage("evaluate"):
            judged = self.gate.judge(model, judging)
        judged = replace(judged, gate=f"{judged.gate}{beginning}")
        return Learned(known, features, judged, len(training), watch)

    @cached_property
    def recipe(self) -> str:
        """A digest of a learner that can begin from an earlier model, with its options; empty for any other."""
        if not isinstance(self._learner, WarmLearner):
            return ""
        said = repr(fingerprint(self._learner, "the learner"))
        return blake2b(said.encode(), digest_size=6).hexdigest()

    def sparing(self, training: Examples, train: Callable[[Examples], T]) -> tuple[Examples, T]:
        """Train on those examples that the learner can take, and which these are; the others are set aside by name.

        Raises:
            StepError, BadItemError: The learner fails, and no few of the examples are to blame.
        """
        try:
            return training, train(training)
        except (StepError, BadItemError) as error:
            if isinstance(error.__cause__, MemoryError | ImportError):
                raise
            lost = self._run(round_steps.spoiling, self._learner, training).value
            if not lost:
                raise
            rest = only(training, np.setdiff1d(np.arange(len(training)), lost))
            found = rest, train(rest)
            why = f"{type(error.__cause__).__name__}: {error.__cause__}" if error.__cause__ else error.message
            names = [str(training.inputs.ids[row]) for row in lost]
            self.models.leave_out({one: f"item {one!r} cannot be learned from: {_first_line(why)}" for one in names})
            return found

    def _trained(self, known: Snapshot, training: Examples) -> tuple[Artifact[Path], str]:
        """A model of these examples, and what it begins from in words, if there was a choice."""
        history, order = (self._ledger.rounds.all(), self._order()) if self.recipe else ([], [])
        one = warm_start.beginning(history, order, set(map(str, training.inputs.ids)))
        fits = one is not None and warm_start.recipe_in(one.notes) == self.recipe and one.matches(self._schema.labels)
        if one is None or not fits or not self.models.is_stored(one.model):
            return self._run(round_steps.train, self._learner, training), ""
        earlier = self._run.artifact(Ref.parse(one.model))
        learned = set(known.columns.groups[np.isin(known.columns.ids, order[: one.changes])])
        compared = self._compared(earlier, training, learned)
        words = f"; asked whether to begin from {one.version}: {compared.reason}"
        if compared.warm:
            return self._run(round_steps.train_from, self._learner, training, earlier), words
        return self._run(round_steps.train, self._learner, training), words

    def _compared(self, earlier: Artifact[Any], training: Examples, learned: set[str]) -> warm_start.Compared:
        """Whether training on from an earlier model is better on answers that are kept back from both ways."""
        groups = np.asarray(self.snapshots.groups(training), np.str_)
        kept = warm_start.kept_back(groups, learned, f"{self.snapshots.salt}/{version_of(earlier.ref)}")
        few = warm_start.too_few(groups[kept])
        if few:
            return few
        rest, judging = only(training, ~kept), only(training, kept)
        cold = self._run(round_steps.train, self._learner, rest)
        warm = self._run(round_steps.train_from, self._learner, rest, earlier)
        ours, theirs = (self.models.predicted(one, judging.inputs) for one in (cold, warm))
        if ours.probabilities is None or theirs.probabilities is None:
            wrong = [1.0 - answers.right(one, judging) for one in (ours, theirs)]
            return warm_start.compare_losses(wrong[0], wrong[1], groups[kept], "share of mistakes")
        both = ours.probabilities, theirs.probabilities
        return warm_start.compare(*both, judging.targets, groups[kept], multiple=training.multiple)

    def _order(self) -> list[str]:
        """The item of every change of an answer, as they were heard."""
        about = self._ledger.opinions.about()
        return [about.get(question, question) for question in self._ledger.answers.order()]

    def out_of_sample(self) -> OutOfSample:
        """What models say about every believed answer outside the holdout that did not learn from it.

        Raises:
            ConfigError: There are too few answers.
        """
        columns, features = self.embeddings.embedded()
        return self.out_of_sample_of(self.snapshots.know(columns), features)

    def out_of_sample_of(self, known: Snapshot, features: Features) -> OutOfSample:
        examples = self.snapshots.examples(known, features, held_out=False)
        return OutOfSample(*self.sparing(examples, partial(self._said_out_of_sample, known)))

    def _said_out_of_sample(self, known: Snapshot, examples: Examples) -> Predicted:
        rows = np.flatnonzero(np.isin(known.columns.ids, examples.inputs.ids))
        groups = np.unique(known.columns.groups[rows], return_inverse=True)[1]
        if self._schema.asked is not None:
            told = self._run(round_steps.answered_out_of_sample, self._learner, examples, groups).value
            return read_back(told, self._schema.asked)
        said: np.ndarray = self._run(round_steps.out_of_sample, self._learner, examples, groups).value
        return by_probabilities(self._schema, said)

    @property
    def batch(self) -> int:
        """Items to learn from that a round asks."""
        return self._config.loop.batch


def _read_now(address: Addressing, access: Access, item: Item) -> bytes | str:
    return read_content(address(item), access)


def _first_line(said: str) -> str:
    return (said.splitlines() or [""])[0][:300]


class Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the seconds of the block under `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - began, 3)
