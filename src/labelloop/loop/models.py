"""Trained models of one dataset: which is in use, and what each says about items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labelloop.errors import StepError
from labelloop.evaluation import metrics
from labelloop.loop import round_steps
from labelloop.loop.bench import Bench
from labelloop.loop.embeddings import Features
from labelloop.loop.pool import MANY
from labelloop.loop.snapshots import Snapshots
from labelloop.protocols import Predictor
from labelloop.storage.artifacts import Ref
from labelloop.storage.runs import Artifact
from labelloop.types import Examples, Inputs, Missing, only


class Models:
    """The models of one dataset."""

    def __init__(self, bench: Bench, snapshots: Snapshots) -> None:
        self._bench = bench
        self._ledger = bench.ledger
        self._run = bench.run
        self._schema = bench.schema
        self._snapshots = snapshots

    def champion(self) -> str:
        """Reference of the model in use; empty while there is none, or when it is gone from the store."""
        last = self._ledger.rounds.last()
        return last.model if last and self.is_stored(last.model) else ""

    def usable(self) -> tuple[str, str]:
        """Reference and version of the model in use; empty without one, or when it speaks other labels."""
        last = self._ledger.rounds.last()
        if last is None or (last.model and not last.speaks(self._schema.labels)):
            return "", ""
        return self.champion(), last.version

    def barred(self) -> tuple[str, ...]:
        """References of models that were rolled back: they come back only when somebody says so."""
        last = self._ledger.rounds.last()
        return last.barred if last else ()

    def is_stored(self, ref: str) -> bool:
        """Whether an artifact is still in the store, which people may have emptied: then it is made anew."""
        if not ref:
            return False
        handle = self._run.artifact(Ref.parse(ref))
        return handle.artifacts.has(handle.ref)

    def predictor(self, model: str) -> Predictor:
        """The model of this reference, loaded."""
        return self._bench.learner().load(self._run.artifact(Ref.parse(model)).value)

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
        self.leave_out({one: f"item {one!r} cannot be judged by the model in use" for one in names if one not in known})
        return said

    def _said(self, model: Artifact[Any], chunk: Artifact[Any], start: int, failed: list[StepError]) -> np.ndarray:
        """What a model says about a chunk; nothing about a small one, of which all may be items that it fails on."""
        try:
            if self._snapshots.reads_items:
                return self._said_of_readable(model, chunk.value, start)
            items = self._ledger.items.between(start, start + len(chunk.value))
            ids = np.asarray([one.id for one in items], np.str_)
            said: np.ndarray = self._run(round_steps.predict, self._bench.learner(), model, chunk, ids).value
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
            said[rows] = self.predicted(model, Inputs(np.asarray([one.id for one in readable]), None, readable))
        return said

    def predicted(self, model: Artifact[Any], inputs: Inputs) -> np.ndarray:
        """(n, k) float32 probabilities; computed once for the same model and the same items."""
        if self._snapshots.reads_items:
            said: np.ndarray = self._run(round_steps.predict_items, self._bench.learner(), model, inputs).value
        else:
            said = self._run(round_steps.predict, self._bench.learner(), model, inputs.features, inputs.ids).value
        return said

    def decided(self, model: str, inputs: Inputs) -> np.ndarray:
        """(n, k) bool: the labels that a model gives to items; computed once for the same ones."""
        likely = self.predicted(self._run.artifact(Ref.parse(model)), inputs)
        return metrics.decide(likely, self._schema.multiple)

    def judgeable(self, model: Artifact[Any], judging: Examples) -> Examples:
        """The examples that a model says something about."""
        if not len(judging):
            return judging
        said = self.predicted(model, judging.inputs)
        return only(judging, np.flatnonzero(~np.isnan(said[:, 0])))

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        """Set items aside by name, each for its reason, to be tried again later."""
        self._ledger.aside.put({one: Missing(why) for one, why in reasons.items()}, self._bench.clock())


def version_of(model: Ref) -> str:
    """The version of a model, as people see it beside its predictions."""
    return model.digest[:12]
