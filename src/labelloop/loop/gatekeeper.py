"""The gate over a loop: the honest score of a model, and whether a new one takes the place of the one in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labelloop.evaluation import answers, gate, metrics
from labelloop.evaluation.gate import Judging, Verdict
from labelloop.evaluation.metrics import Metrics
from labelloop.evaluation.savings import Savings, is_enough, savings
from labelloop.loop import round_steps
from labelloop.loop.bench import Bench
from labelloop.loop.features import Embeddings
from labelloop.loop.models import Models, version_of
from labelloop.loop.snapshots import Snapshots
from labelloop.selection import RANDOM
from labelloop.storage.artifacts import Ref
from labelloop.storage.runs import Artifact
from labelloop.types import Examples, only


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


class Gatekeeper:
    """Who judges the models of one dataset."""

    def __init__(self, bench: Bench, embeddings: Embeddings, snapshots: Snapshots, models: Models) -> None:
        self._bench = bench
        self._config = bench.config
        self._run = bench.run
        self._schema = bench.schema
        self._embeddings = embeddings
        self._snapshots = snapshots
        self._models = models

    def judge(self, model: Artifact[Any], judging: Examples) -> Judged:
        """Promote the new model if it passes the gate against the one in use, on the same held-out items."""
        champion = self._models.champion()
        return replace(self._compare(model, champion, self._models.judgeable(model, judging)), champion=champion)

    def score(self, model: Artifact[Any], judging: Examples) -> Metrics:
        """The honest score of a model, on the held-out examples that it says something about."""
        judging = self._models.judgeable(model, judging)
        if not len(judging):
            return self.no_score()
        told = self._models.stored(model, judging.inputs)
        groups, metric = self._snapshots.groups(judging), self._config.holdout.metric
        if self._schema.asked is not None:
            return self._run(round_steps.evaluate_answers, told, judging, groups).value
        return self._run(round_steps.evaluate, told.value, judging, groups, metric).value

    def beside(self, model: Artifact[Any], judging: Examples) -> Mapping[str, tuple[float, float, float]]:
        """The other scores of the kind, name -> (value, low, high), on what `score` judges; none of choices."""
        judging, kind = self._models.judgeable(model, judging), self._schema.asked
        if kind is None or not len(judging):
            return {}
        groups = np.asarray(self._snapshots.groups(judging), np.str_)
        return answers.beside(self._models.predicted(model, judging.inputs), judging.answers, kind, groups)

    def score_now(self, model: str) -> Metrics:
        """The honest score of a model on all held-out answers of now."""
        columns, features = self._embeddings.embedded()
        judging = self._snapshots.examples(self._snapshots.know(columns), features, held_out=True)
        return self.score(self._run.artifact(Ref.parse(model)), judging)

    def standing(self, model: str) -> JudgedModel:
        """A model before what people said about the holdout, and about items drawn at random."""
        columns, features = self._embeddings.embedded()
        known = self._snapshots.know(columns)
        handle = self._run.artifact(Ref.parse(model))
        judging, training = (self._snapshots.examples(known, features, held_out=side) for side in (True, False))
        drawn = only(training, np.isin(training.inputs.ids, sorted(self.at_random())))
        return JudgedModel(handle, judging, drawn, *(self._right(handle, one) for one in (judging, drawn)))

    def savings(self, now: JudgedModel, learned_from: int) -> Savings:
        """How many random answers a model like this one would have needed; trains small models, once per answers."""
        together, right = round_steps.both(now.judging, now.drawn), np.concatenate([now.right, now.right_drawn])
        alone = np.sort(np.unique(self._snapshots.groups(together), return_index=True)[1])
        judged = alone < len(now.judging)
        together, right = only(together, alone), right[alone]
        if not is_enough(judged):
            return Savings(learned_from, len(together))
        curve = self._run(round_steps.random_curve, self._bench.learner(), together, judged).value
        return savings(curve, right, learned_from)

    def at_random(self) -> set[str]:
        """The items that were asked at random, to learn from."""
        return {one.item_id for one in self._bench.ledger.answers.questions() if one.why == RANDOM}

    def _right(self, model: Artifact[Any], examples: Examples) -> np.ndarray:
        """(n,) bool: whether a model gives to each example just the answer that people gave."""
        if not len(examples):
            return np.empty(0, np.bool_)
        return answers.right(self._models.predicted(model, examples.inputs), examples)

    def _compare(self, model: Artifact[Any], champion: str, judging: Examples) -> Judged:
        ref, version = str(model.ref), version_of(model.ref)
        score = self.score(model, judging)
        if champion and ref in self._models.blocked():
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
        if self._bench.learner().load(before.value).labels != self._schema.labels:
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
        theirs, ours = (self._models.predicted(one, judging.inputs) for one in (before, model))
        groups = np.asarray(self._snapshots.groups(judging), np.str_)
        how = Judging(judging.multiple, self._config.holdout.metric, self._config.loop.gate, groups)
        if theirs.probabilities is None or ours.probabilities is None:
            old, statistic = answers.counted(judging.kind, theirs.answers, judging.answers)
            new, _ = answers.counted(judging.kind, ours.answers, judging.answers)
            return gate.judge_counts(old, new, statistic, how)
        return gate.judge(theirs.probabilities, ours.probabilities, judging.targets, how)

    def no_score(self) -> Metrics:
        """What is said where nothing can be judged."""
        schema = self._schema
        if schema.asked is not None:
            return answers.nothing(schema.asked)
        return metrics.nothing(schema.labels, multiple=schema.multiple, metric=self._config.holdout.metric)
