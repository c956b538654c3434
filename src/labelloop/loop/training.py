"""From answers to a model: embed what is new, learn, judge, score. Records nothing, asks nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from labelloop.data.addresses import Addressing
from labelloop.data.locations import ALONE, Access
from labelloop.data.sources import read_content
from labelloop.errors import BadItemError, ConfigError, LabelLoopError, StepError, UnreadableError
from labelloop.evaluation import gate, holdout, metrics
from labelloop.evaluation.gate import Judging, Verdict
from labelloop.evaluation.holdout import Draw
from labelloop.evaluation.metrics import Metrics
from labelloop.evaluation.savings import Savings, is_enough, savings
from labelloop.kinds import LabelSchema
from labelloop.ledger import Ledger
from labelloop.ledger.items import ItemColumns
from labelloop.loop import embedding, round_steps, warm_start
from labelloop.loop.embedding import Blind, Sight
from labelloop.loop.pool import MANY, EmbeddedPool, embedder
from labelloop.loop.round_steps import OutOfSample, Snapshot
from labelloop.machine.registry import build
from labelloop.protocols import Backbone, Learner, Predictor, Progress, WarmLearner
from labelloop.selection import RANDOM
from labelloop.storage.artifacts import Ref
from labelloop.storage.runs import Artifact, Run, fingerprint
from labelloop.types import Examples, Inputs, Item, Metric, Missing, only
from labelloop.workspace.config import Config

T = TypeVar("T")

SIGHT, TOLD = "what the backbone does not see", "what was said of the items"
"""Under which names the ledger keeps it."""

FEW = 20
"""Items below which nobody expects a score."""


@dataclass(frozen=True)
class Features:
    """The embeddings of all items: as artifacts, and as one matrix.

    Attributes:
        matrix: (n, d) float32; a row of NaN where an item could not be read.
    """

    refs: Sequence[Ref]
    matrix: np.ndarray

    @property
    def unreadable(self) -> np.ndarray:
        """(n,) bool: the items that could not be read."""
        lost: np.ndarray = np.isnan(self.matrix[:, 0])
        return lost


@dataclass(frozen=True, slots=True)
class Judged:
    """The model to use from now on, and why.

    Attributes:
        model: Reference of its folder; empty while there is none.
        promoted: Whether it is a new one.
        gate: Why it was promoted, or not.
        metrics: Its honest score.
        champion: Reference of the model it was judged against; empty if there was none.
    """

    model: str
    version: str
    promoted: bool
    gate: str
    metrics: Metrics
    champion: str = ""


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


@dataclass(frozen=True)
class JudgedModel:
    """A model before everything that is known about items drawn at random.

    Attributes:
        judging: The held-out answers.
        drawn: Answers to learn from whose items were drawn at random.
        right: (n,) bool, whether the model is right about each held-out answer; `right_drawn` about the others.
    """

    model: Artifact[Any]
    judging: Examples
    drawn: Examples
    right: np.ndarray
    right_drawn: np.ndarray


class Learning:
    """The thinking part of a loop, over its ledger and its artifacts."""

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
        self._read = partial(_read_now, address, access)
        self._progress = progress
        self._clock = clock

    @cached_property
    def _learner(self) -> Learner:
        """Made when it is first needed: it may be code of the workspace, which looking at the loop does not need."""
        return self._made()

    @cached_property
    def backbone(self) -> Backbone:
        """What embeds the items: see `labelloop.loop.pool.embedder`."""
        return embedder(self._learner, self._schema)

    @cached_property
    def _pool(self) -> EmbeddedPool:
        return EmbeddedPool(self._ledger, self._run, self.backbone, self._read, self._progress, self._clock)

    @property
    def reads_items(self) -> bool:
        """Whether the learner reads the items itself, and has no use for embeddings."""
        return self._learner.backbone is None

    def inputs(self, ids: Sequence[str] | np.ndarray, features: np.ndarray) -> Inputs:
        """Items as the learner takes them: with their embeddings (n, d), or as they are."""
        names = np.asarray(ids, np.str_)
        if not self.reads_items:
            return Inputs(names, np.ascontiguousarray(features))
        return self._items_themselves(names)

    def examples(self, known: Snapshot, features: Features, *, held_out: bool) -> Examples:
        """The believed items on one side of the holdout, as the learner takes them; unreadable ones left out."""
        made = round_steps.examples_of(known, features.matrix, self._schema, held_out=held_out)
        return replace(made, inputs=self._items_themselves(made.inputs.ids)) if self.reads_items else made

    def _items_themselves(self, ids: np.ndarray) -> Inputs:
        items = self._ledger.items.get(ids.tolist())
        return Inputs(ids, None, tuple(items[one] for one in ids.tolist()))

    def embedded(self) -> tuple[ItemColumns, Features]:
        """Every item as columns, with its embedding; only items that are new are computed, or due to be tried again.

        Raises:
            UnreadableError: Most of them cannot be read, or all that there are.
        """
        self._pool.complete()
        columns, features = self._ledger.items.columns(), self._features()
        columns = replace(columns, readable=columns.readable & ~features.unreadable)
        if len(columns.ids) and not columns.readable.any():
            raise self._pool.nothing_left()
        return columns, features

    def _look(self, columns: ItemColumns, features: Features) -> None:
        """Keep what the backbone does not see of the items; looked at again when there are twice as many."""
        backbone, before = self.backbone, self._ledger.answers.recall(SIGHT) or {}
        if isinstance(backbone, Blind):
            return
        is_same = before.get("backbone") == backbone.fingerprint and before.get("is_embedded")
        if is_same and len(columns.ids) < 2 * before["size"]:
            return
        rows = _some(columns)
        seen = look(self._ledger, backbone, columns.ids[rows])
        apart = rows[np.sort(np.unique(columns.groups[rows], return_index=True)[1])]
        seen = replace(seen, equal=embedding.count_equal(features.matrix[apart]))
        kept = {**asdict(seen), "backbone": backbone.fingerprint, "is_embedded": True}
        self._ledger.answers.remember(SIGHT, kept)

    def retry(self) -> int:
        """Try the items that are due to be tried again, if some are; how many can be read now."""
        return self._pool.retry()

    def nothing_left(self) -> UnreadableError:
        """What is to be said where so many items cannot be read that nothing is left to ask."""
        return self._pool.nothing_left()

    def learn(self) -> Learned:
        """Learn from every answer heard so far, and judge the model on the holdout."""
        watch = Stopwatch()
        with watch.stage("embed"):
            columns, features = self.embedded()
        self._look(columns, features)
        known = self.know(columns)
        training, judging = (self.examples(known, features, held_out=side) for side in (False, True))
        if not len(training):
            judged = Judged(*self._usable(), False, "no answers to learn from yet", self._no_score())
            return Learned(known, features, judged, 0, watch)
        with watch.stage("train"):
            training, (model, beginning) = self.sparing(training, partial(self._trained, known))
        with watch.stage("evaluate"):
            judged = self.judge(model, judging)
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
            self._leave_out({one: f"item {one!r} cannot be learned from: {_first_line(why)}" for one in names})
            return found

    def _judgeable(self, model: Artifact[Any], judging: Examples) -> Examples:
        """The examples that a model says something about."""
        if not len(judging):
            return judging
        said = self._predicted(model, judging.inputs)
        return only(judging, np.flatnonzero(~np.isnan(said[:, 0])))

    def _leave_out(self, reasons: Mapping[str, str]) -> None:
        self._ledger.aside.put({one: Missing(why) for one, why in reasons.items()}, self._clock())

    def _trained(self, known: Snapshot, training: Examples) -> tuple[Artifact[Path], str]:
        """A model of these examples, and what it begins from in words, if there was a choice."""
        history, order = (self._ledger.rounds.all(), self._order()) if self.recipe else ([], [])
        one = warm_start.beginning(history, order, set(map(str, training.inputs.ids)))
        fits = one is not None and one.learner == self.recipe and one.speaks(self._schema.labels)
        if one is None or not fits or not self.is_stored(one.model):
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
        groups = np.asarray(self._groups(training), np.str_)
        kept = warm_start.kept_back(groups, learned, f"{self.salt}/{version_of(earlier.ref)}")
        few = warm_start.too_few(groups[kept])
        if few:
            return few
        rest, judging = only(training, ~kept), only(training, kept)
        cold = self._run(round_steps.train, self._learner, rest)
        warm = self._run(round_steps.train_from, self._learner, rest, earlier)
        ours, theirs = (self._predicted(one, judging.inputs) for one in (cold, warm))
        return warm_start.compare(ours, theirs, judging.targets, groups[kept], multiple=training.multiple)

    def _order(self) -> list[str]:
        """The item of every change of an answer, as they were heard."""
        about = self._ledger.opinions.about()
        return [about.get(question, question) for question in self._ledger.answers.order()]

    def doubt(self) -> OutOfSample:
        """What models say about every believed answer outside the holdout that did not learn from it.

        Raises:
            ConfigError: There are too few answers.
        """
        columns, features = self.embedded()
        return self.doubt_of(self.know(columns), features)

    def doubt_of(self, known: Snapshot, features: Features) -> OutOfSample:
        examples = self.examples(known, features, held_out=False)
        return OutOfSample(*self.sparing(examples, partial(self._out_of_sample, known)))

    def _out_of_sample(self, known: Snapshot, examples: Examples) -> np.ndarray:
        rows = np.flatnonzero(np.isin(known.columns.ids, examples.inputs.ids))
        groups = np.unique(known.columns.groups[rows], return_inverse=True)[1]
        said: np.ndarray = self._run(round_steps.out_of_sample, self._learner, examples, groups).value
        return said

    def champion(self) -> str:
        """Reference of the model in use; empty while there is none, or when it is gone from the store."""
        last = self._ledger.rounds.last()
        return last.model if last and self.is_stored(last.model) else ""

    @property
    def metric(self) -> Metric:
        """What the score is."""
        return self._config.holdout.metric

    def at_random(self) -> set[str]:
        """The items that were asked at random, to learn from."""
        return {one.item_id for one in self._ledger.answers.questions() if one.why == RANDOM}

    def standing(self, model: str) -> JudgedModel:
        """A model before what people said about the holdout, and about items drawn at random."""
        columns, features = self.embedded()
        known = self.know(columns)
        handle = self._run.artifact(Ref.parse(model))
        judging, training = (self.examples(known, features, held_out=side) for side in (True, False))
        drawn = only(training, np.isin(training.inputs.ids, sorted(self.at_random())))
        return JudgedModel(handle, judging, drawn, *(self._right(handle, one) for one in (judging, drawn)))

    def savings(self, now: JudgedModel, learned_from: int) -> Savings:
        """How many random answers a model like this one would have needed; trains small models, once per answers."""
        together, right = round_steps.both(now.judging, now.drawn), np.concatenate([now.right, now.right_drawn])
        alone = np.sort(np.unique(self._groups(together), return_index=True)[1])
        judged = alone < len(now.judging)
        together, right = only(together, alone), right[alone]
        if not is_enough(judged):
            return Savings(learned_from, len(together))
        curve = self._run(round_steps.random_curve, self._learner, together, judged).value
        return savings(curve, right, learned_from)

    def _right(self, model: Artifact[Any], examples: Examples) -> np.ndarray:
        """(n,) bool: whether all labels a model gives to each example are those people gave."""
        if not len(examples):
            return np.empty(0, np.bool_)
        likely = self._predicted(model, examples.inputs)
        right: np.ndarray = (metrics.decide(likely, examples.multiple) == examples.targets).all(axis=1)
        return right

    def barred(self) -> tuple[str, ...]:
        """References of models that were rolled back: they come back only when somebody says so."""
        last = self._ledger.rounds.last()
        return last.barred if last else ()

    def score_now(self, model: str) -> Metrics:
        """The honest score of a model on all held-out answers of now."""
        columns, features = self.embedded()
        judging = self.examples(self.know(columns), features, held_out=True)
        return self.score(self._run.artifact(Ref.parse(model)), judging)

    def _usable(self) -> tuple[str, str]:
        """Reference and version of the model in use; empty without one, or when it speaks other labels."""
        last = self._ledger.rounds.last()
        if last is None or (last.model and not last.speaks(self._schema.labels)):
            return "", ""
        return self.champion(), last.version

    def know(self, columns: ItemColumns, beliefs: round_steps.ConsensusLabels | None = None) -> Snapshot:
        """Items, questions, holdout and beliefs in one order; beliefs by the configured policy unless given."""
        asked = [one.item_id for one in self._ledger.answers.questions()]
        if beliefs is None:
            beliefs = round_steps.believed(self._schema, self._ledger.said(self._schema), self._config.loop.belief)
        return round_steps.know(columns, self.draw().of(columns.groups, columns.ids), asked, beliefs)

    def probabilities(self, model: str, features: Features) -> np.ndarray:
        """(n, k) float32: what a model says about every embedded item; rows of NaN for unreadable ones."""
        handle = self._run.artifact(Ref.parse(model))
        failed: list[StepError] = []
        chunks, start = [], 0
        for ref in features.refs:
            chunk = self._run.artifact(ref)
            chunks.append(self._said(handle, chunk, start, failed))
            start += len(chunk.value)
        if not chunks:
            return np.empty((0, len(self._schema.labels)), np.float32)
        said = np.concatenate(chunks)
        if failed and np.isnan(said[:, 0]).all():
            raise failed[0]
        lost = np.flatnonzero(np.isnan(said[:, 0]) & ~features.unreadable)
        known = {one.item_id for one in self._ledger.aside.all()} if len(lost) else set()
        names = [one.id for row in map(int, lost) for one in self._ledger.items.between(row, row + 1)]
        self._leave_out(
            {one: f"item {one!r} cannot be judged by the model in use" for one in names if one not in known}
        )
        return said

    def _said(self, model: Artifact[Any], chunk: Artifact[Any], start: int, failed: list[StepError]) -> np.ndarray:
        """What a model says about a chunk; nothing about a small one, of which all may be items that it fails on."""
        try:
            if self.reads_items:
                return self._said_of_readable(model, chunk.value, start)
            items = self._ledger.items.between(start, start + len(chunk.value))
            ids = np.asarray([one.id for one in items], np.str_)
            said: np.ndarray = self._run(round_steps.predict, self._learner, model, chunk, ids).value
        except StepError as error:
            if len(chunk.value) >= MANY:
                raise
            failed.append(error)
            return np.full((len(chunk.value), len(self._schema.labels)), np.nan, np.float32)
        return said

    def _said_of_readable(self, model: Artifact[Any], features: np.ndarray, start: int) -> np.ndarray:
        """What a model says about the items from this position on that could be read; rows of NaN for the others."""
        items = self._ledger.items.between(start, start + len(features))
        rows = np.flatnonzero(~np.isnan(features[:, 0]))
        said = np.full((len(features), len(self._schema.labels)), np.nan, np.float32)
        if len(rows):
            readable = tuple(items[row] for row in rows)
            said[rows] = self._predicted(model, Inputs(np.asarray([one.id for one in readable]), None, readable))
        return said

    def _predicted(self, model: Artifact[Any], inputs: Inputs) -> np.ndarray:
        """(n, k) float32 probabilities; computed once for the same model and the same items."""
        if self.reads_items:
            said: np.ndarray = self._run(round_steps.predict_items, self._learner, model, inputs).value
        else:
            said = self._run(round_steps.predict, self._learner, model, inputs.features, inputs.ids).value
        return said

    def decided(self, model: str, inputs: Inputs) -> np.ndarray:
        """(n, k) bool: the labels that a model gives to items; computed once for the same ones."""
        likely = self._predicted(self._run.artifact(Ref.parse(model)), inputs)
        return metrics.decide(likely, self._schema.multiple)

    @cached_property
    def salt(self) -> str:
        """What the draw of the holdout is seeded with: fixed before the first round, for good."""
        fixed: str = self._ledger.rounds.fix("holdout_salt", str(self._config.loop.seed))
        return fixed

    @property
    def batch(self) -> int:
        """Items to learn from that a round asks."""
        return self._config.loop.batch

    def is_stored(self, ref: str) -> bool:
        """Whether an artifact is still in the store, which people may have emptied: then it is made anew."""
        if not ref:
            return False
        handle = self._run.artifact(Ref.parse(ref))
        return handle.artifacts.has(handle.ref)

    def predictor(self, model: str) -> Predictor:
        """The model of this reference, loaded."""
        return self._learner.load(self._run.artifact(Ref.parse(model)).value)

    def stored(self, ref: str) -> np.ndarray:
        """(n, d) float32: the embeddings of one chunk of items."""
        matrix: np.ndarray = self._run.artifact(Ref.parse(ref)).value
        return matrix

    def read(self, item: Item) -> bytes | str:
        """The content of an item of ours, wherever it lies."""
        return self._read(item)

    def judge(self, model: Artifact[Any], judging: Examples) -> Judged:
        """Promote the new model if it passes the gate against the one in use, on the same held-out items."""
        champion = self.champion()
        return replace(self._compare(model, champion, self._judgeable(model, judging)), champion=champion)

    def score(self, model: Artifact[Any], judging: Examples) -> Metrics:
        """The honest score of a model, on the held-out examples that it says something about."""
        judging = self._judgeable(model, judging)
        if not len(judging):
            return self._no_score()
        said = self._predicted(model, judging.inputs)
        groups, metric = self._groups(judging), self._config.holdout.metric
        return self._run(round_steps.evaluate, said, judging, groups, metric).value

    def _compare(self, model: Artifact[Any], champion: str, judging: Examples) -> Judged:
        ref, version = str(model.ref), version_of(model.ref)
        score = self.score(model, judging)
        if champion and ref in self.barred():
            words = f"{version} was rolled back, and comes back by labelloop rollback --to {version}"
            kept = self._run.artifact(Ref.parse(champion))
            return Judged(champion, version_of(kept.ref), False, words, self.score(kept, judging))
        if not len(judging):
            return self._unscored(ref, champion, score)
        if champion in ("", ref):
            return Judged(
                ref, version, not champion, "the same model as before" if champion else "the first model", score
            )
        before = self._run.artifact(Ref.parse(champion))
        if self._learner.load(before.value).labels != self._schema.labels:
            return Judged(ref, version, True, "the labels have changed", score)
        verdict = self._verdict(before, model, judging)
        if verdict.promoted:
            return Judged(ref, version, True, verdict.reason, score)
        return Judged(champion, version_of(before.ref), False, verdict.reason, self.score(before, judging))

    def _unscored(self, ref: str, champion: str, score: Metrics) -> Judged:
        """A model that nothing can be said of: used only where somebody asked for models without a score."""
        version = version_of(Ref.parse(ref))
        if not self._config.holdout.share or not self._config.holdout.size or self._config.loop.gate == "always":
            return Judged(ref, version, ref != champion, "no held-out answers to judge it by yet", score)
        kept = version_of(Ref.parse(champion)) if champion else ""
        why = f"{version} is not used: no held-out answer to judge it by yet"
        return Judged(champion, kept, False, why, score)

    def _verdict(self, before: Artifact[Any], model: Artifact[Any], judging: Examples) -> Verdict:
        theirs, ours = (self._predicted(one, judging.inputs) for one in (before, model))
        groups = np.asarray(self._groups(judging), np.str_)
        how = Judging(judging.multiple, self._config.holdout.metric, self._config.loop.gate, groups)
        return gate.judge(theirs, ours, judging.targets, how)

    def _groups(self, examples: Examples) -> list[str]:
        """The group of near duplicates of each example."""
        items = self._ledger.items.get([str(item_id) for item_id in examples.inputs.ids])
        return [items[str(item_id)].group for item_id in examples.inputs.ids]

    def _no_score(self) -> Metrics:
        schema = self._schema
        return metrics.nothing(schema.labels, multiple=schema.multiple, metric=self._config.holdout.metric)

    def draw(self) -> Draw:
        """How the holdout is drawn, as it was fixed before the first round.

        Raises:
            ConfigError: The configuration asks for another one by now.
        """
        wanted = self._config.holdout.share
        if self._ledger.rounds.fact("holdout_share") is None:
            self._ledger.rounds.fix("holdout_early", holdout.early_of(wanted))
        fixed: float = self._ledger.rounds.fix("holdout_share", wanted)
        if fixed != wanted:
            raise ConfigError(
                f"holdout.share is {wanted}, but this dataset began with {fixed}: "
                "items already trained on would enter the holdout",
                f"set holdout.share = {fixed}, or begin a dataset of another name",
            )
        return Draw(fixed, self.salt, self._ledger.rounds.fact("holdout_early") or 0)

    def _features(self) -> Features:
        backbone = self.backbone
        refs = [Ref.parse(chunk.ref) for chunk in self._ledger.items.chunks(backbone.fingerprint)]
        parts = [self._run.artifact(ref).value for ref in refs]
        return Features(refs, np.concatenate(parts) if parts else np.empty((0, backbone.dimension), np.float32))


def _read_now(address: Addressing, access: Access, item: Item) -> bytes | str:
    return read_content(address(item), access)


def _first_line(said: str) -> str:
    return (said.splitlines() or [""])[0][:300]


def held_out(ledger: Ledger, groups: Sequence[str] | np.ndarray) -> np.ndarray:
    """(n,) bool, whether the items of these groups are held out, as it was fixed; none where nothing is fixed yet."""
    share, salt, early = (ledger.rounds.fact(f"holdout_{name}") for name in ("share", "salt", "early"))
    first = [item.id for item in ledger.items.between(0, early or 0)]
    return Draw(share or 0.0, str(salt), early or 0).of(groups, first)


def without_holdout(ledger: Ledger, config: Config) -> tuple[str, str]:
    """(what is wrong, the way out) where a score is wanted and no item can be held out for it; else empty."""
    wanted, columns = config.holdout, ledger.items.columns()
    fixed = ledger.rounds.fact("holdout_share") is not None
    share = ledger.rounds.fact("holdout_share") if fixed else wanted.share
    if not share or not wanted.size or len(columns.ids) < FEW:
        return "", ""
    drawn = Draw(share, str(config.loop.seed), holdout.early_of(share)).of(columns.groups, columns.ids)
    if (held_out(ledger, columns.groups) if fixed else drawn).any():
        return "", ""
    groups, sizes = np.unique(columns.groups, return_counts=True)
    words = (
        f"no item can be held out for the score: {len(columns.ids)} items are {len(groups)} group(s) of near "
        f"duplicates, the largest of {sizes.max()}, and none of them was drawn"
    )
    way = (
        'add other items; or begin a dataset of another name, with duplicates = "exact" under [dataset] where what is '
        "alike is not the same; or go on without a score: share = 0 under [holdout]"
    )
    return words, way


def noticed(ledger: Ledger, config: Config) -> list[str]:
    """What is wrong with the items as a whole, each with its way out."""
    return [f"{words}: {way}" for words, way in warnings_of(ledger, config)]


def warnings_of(ledger: Ledger, config: Config) -> list[tuple[str, str]]:
    """(what is wrong with the items as a whole, the way out), as far as it was looked at."""
    kept = ledger.answers.recall(SIGHT) or {"items": 0, "size": 0}
    seen = Sight(**{one.name: kept[one.name] for one in fields(Sight) if one.name in kept})
    return [one for one in (without_holdout(ledger, config), *seen.notices()) if one[0]]


def noticed_anew(ledger: Ledger, config: Config) -> list[str]:
    """What of that was not said before; it counts as said now."""
    told, now = ledger.answers.recall(TOLD) or [], noticed(ledger, config)
    if set(now) - set(told):
        ledger.answers.remember(TOLD, now)
    return [one for one in now if one not in told]


def look(ledger: Ledger, backbone: Backbone, ids: Sequence[str] | np.ndarray) -> Sight:
    """What a backbone does not see of these items."""
    items = ledger.items.get([str(one) for one in ids])
    prints = ledger.items.fingerprints(list(items)) if backbone.modality == "image" else []
    return embedding.sight(backbone, list(items.values()), ledger.items.count(), prints)


def look_ahead(ledger: Ledger, config: Config) -> None:
    """Keep what the backbone will not see of the items, where it can be known without code of others or a download."""
    chosen = config.learner
    if any(":" in str(one) for one in (chosen.flavor, *chosen.options.values())):
        return
    try:
        made: Learner = build("learner", chosen.flavor, chosen.options, {"schema": config.schema_of()})
        backbone, columns = made.backbone, ledger.items.columns()
        if backbone is not None and len(columns.ids):
            seen = look(ledger, backbone, columns.ids[_some(columns)])
            ledger.answers.remember(SIGHT, {**asdict(seen), "backbone": backbone.fingerprint})
    except LabelLoopError:  # said by check, and by what needs the learner
        return


def _some(columns: ItemColumns) -> np.ndarray:
    """Rows of items to look at, from the first to the last."""
    n = len(columns.ids)
    rows: np.ndarray = np.linspace(0, n - 1, min(n, embedding.LOOKED_AT)).astype(np.intp)
    return rows


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


def version_of(model: Ref) -> str:
    """The version of a model, as people see it beside its predictions."""
    return model.digest[:12]
