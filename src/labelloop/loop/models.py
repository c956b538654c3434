"""Trained models of one dataset: which is in use, and what each says about items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelloop.errors import StepError
from labelloop.evaluation import metrics
from labelloop.kinds import LabelSchema, labels
from labelloop.kinds.predicted import Predicted, by_probabilities, joined, nothing_said, read_back
from labelloop.ledger import Ledger
from labelloop.loop import round_steps, withdrawn
from labelloop.loop.bench import Bench
from labelloop.loop.features import Features
from labelloop.loop.pool import MANY
from labelloop.loop.snapshots import Snapshots
from labelloop.protocols import Predictor
from labelloop.storage.artifacts import Ref
from labelloop.storage.runs import Artifact, Run
from labelloop.types import Examples, Inputs, Item, Missing, only


@dataclass(frozen=True)
class Some:
    """Some of the items.

    Attributes:
        rows: (m,) their positions among all items, ascending.
        ids: (m,) their ids.
    """

    rows: np.ndarray
    ids: np.ndarray


@dataclass(frozen=True)
class _Piece:
    """Items that are judged in one step.

    Attributes:
        features: Their embeddings: a chunk as it is stored, or an array.
        start: The position of the first of a chunk.
        ids: Theirs, where they are no chunk.
    """

    features: Artifact[Any] | np.ndarray
    start: int = 0
    ids: Sequence[str] = ()

    @property
    def matrix(self) -> np.ndarray:
        """(n, d) float32; a row of NaN where an item could not be read."""
        made: np.ndarray = self.features.value if isinstance(self.features, Artifact) else self.features
        return made

    def items(self, ledger: Ledger) -> Sequence[Item]:
        """The n items."""
        if not self.ids:
            return ledger.items.between(self.start, self.start + len(self.matrix))
        found = ledger.items.get(self.ids)
        return [found[one] for one in self.ids]


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
        if last is None or (last.model and not last.matches(self._schema.labels)):
            return "", ""
        return self.champion(), last.version

    def blocked(self) -> tuple[str, ...]:
        """References of models that were rolled back: they come back only when somebody says so."""
        last = self._ledger.rounds.last()
        return withdrawn.blocked(last) if last else ()

    def is_stored(self, ref: str) -> bool:
        """Whether an artifact is still in the store, which people may have emptied: then it is made anew."""
        if not ref:
            return False
        handle = self._run.artifact(Ref.parse(ref))
        return handle.artifacts.has(handle.ref)

    def predictor(self, model: str) -> Predictor:
        """The model of this reference, loaded."""
        return self._bench.learner().load(self._run.artifact(Ref.parse(model)).value)

    def said(self, model: str, features: Features, some: Some | None = None) -> Predicted:
        """What a model says about every embedded item, or about some; nothing about unreadable ones, and the others."""
        handle = self._run.artifact(Ref.parse(model))
        failed: list[StepError] = []
        pieces = _chunks(self._run, features.refs) if some is None else _cut(features.matrix, some)
        parts = [self._said(handle, one, failed) for one in pieces]
        said = joined(parts) if parts else _nothing(self._schema, 0)
        looked = ~features.unreadable
        if some is not None:
            said = _spread(self._schema, said, some.rows, len(looked))
            looked &= np.isin(np.arange(len(looked)), some.rows)
        if failed and not said.known.any():
            raise failed[0]
        lost = np.flatnonzero(~said.known & looked)
        known = {one.item_id for one in self._ledger.aside.all()} if len(lost) else set()
        names = [one.id for row in map(int, lost) for one in self._ledger.items.between(row, row + 1)]
        self.leave_out({one: f"item {one!r} cannot be judged by the model in use" for one in names if one not in known})
        return said

    def _said(self, model: Artifact[Any], piece: _Piece, failed: list[StepError]) -> Predicted:
        """What a model says about a piece; nothing about a small one, of which all may be items that it fails on."""
        try:
            items = piece.items(self._ledger)
            if self._snapshots.reads_items:
                return self._said_of_readable(model, piece.matrix, items)
            ids = np.asarray([one.id for one in items], np.str_)
            return _read(self._schema, self._predict(model, piece.features, ids))
        except StepError as error:
            if len(piece.matrix) >= MANY:
                raise
            failed.append(error)
            return _nothing(self._schema, len(piece.matrix))

    def _said_of_readable(self, model: Artifact[Any], features: np.ndarray, items: Sequence[Item]) -> Predicted:
        """What a model says about those of the items that could be read; nothing about the others."""
        rows = np.flatnonzero(~np.isnan(features[:, 0]))
        if not len(rows):
            return _nothing(self._schema, len(features))
        readable = tuple(items[int(row)] for row in rows)
        said = self.predicted(model, Inputs(np.asarray([one.id for one in readable]), None, readable))
        return _spread(self._schema, said, rows, len(features))

    def predicted(self, model: Artifact[Any], inputs: Inputs) -> Predicted:
        """What a model says about items; computed once for the same model and the same items."""
        return _read(self._schema, self.stored(model, inputs))

    def stored(self, model: Artifact[Any], inputs: Inputs) -> Artifact[Any]:
        """The same as it is stored: (n, k) float32 probabilities of choices, else a table."""
        if not self._snapshots.reads_items:
            return self._predict(model, inputs.features, inputs.ids)
        learner, kind = self._bench.learner(), self._schema.asked
        if kind is not None:
            return self._run(round_steps.predict_answers_of_items, learner, model, inputs, kind)
        return self._run(round_steps.predict_items, learner, model, inputs)

    def _predict(self, model: Artifact[Any], features: Any, ids: np.ndarray) -> Artifact[Any]:
        learner, kind = self._bench.learner(), self._schema.asked
        if kind is not None:
            return self._run(round_steps.predict_answers, learner, model, features, ids, kind)
        return self._run(round_steps.predict, learner, model, features, ids)

    def decided(self, model: str, inputs: Inputs) -> np.ndarray:
        """(n, k) bool: the labels that a model gives to items; computed once for the same ones."""
        said = self.predicted(self._run.artifact(Ref.parse(model)), inputs)
        if said.probabilities is not None:
            return metrics.decide(said.probabilities, self._schema.multiple)
        return labels.targets(self._schema, [labels.labels_in(self._schema, one) for one in said.answers])

    def judgeable(self, model: Artifact[Any], judging: Examples) -> Examples:
        """The examples that a model says something about."""
        if not len(judging):
            return judging
        return only(judging, np.flatnonzero(self.predicted(model, judging.inputs).known))

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        """Set items aside by name, each for its reason, to be tried again later."""
        self._ledger.aside.put({one: Missing(why) for one, why in reasons.items()}, self._bench.clock())


def _chunks(run: Run, refs: Sequence[Ref]) -> Iterator[_Piece]:
    """All items, as their embeddings are stored."""
    start = 0
    for ref in refs:
        chunk = run.artifact(ref)
        yield _Piece(chunk, start)
        start += len(chunk.value)


def _cut(matrix: np.ndarray, some: Some) -> Iterator[_Piece]:
    """Some items, as many at a time as a chunk has."""
    for start in range(0, len(some.rows), round_steps.CHUNK):
        part = slice(start, start + round_steps.CHUNK)
        yield _Piece(np.ascontiguousarray(matrix[some.rows[part]]), ids=some.ids[part].tolist())


def _spread(schema: LabelSchema, said: Predicted, rows: np.ndarray, n: int) -> Predicted:
    """What is said of the items at these positions, among n; nothing about the others. Pure."""
    if said.probabilities is None:
        return round_steps.spread(said, rows, n)
    likely = np.full((n, len(schema.labels)), np.nan, np.float32)
    likely[rows] = said.probabilities
    return by_probabilities(schema, likely)


def _nothing(schema: LabelSchema, n: int) -> Predicted:
    if schema.asked is not None:
        return nothing_said(n)
    return by_probabilities(schema, np.full((n, len(schema.labels)), np.nan, np.float32))


def _read(schema: LabelSchema, stored: Artifact[Any]) -> Predicted:
    if schema.asked is not None:
        return read_back(stored.value, schema.asked)
    return by_probabilities(schema, stored.value)


def version_in_use(ledger: Ledger, schema: LabelSchema) -> str:
    """The version of the model in use; empty before there is one for these labels."""
    last = ledger.rounds.last()
    return last.version if last is not None and last.matches(schema.labels) else ""


def version_of(model: Ref) -> str:
    """The version of a model, as people see it beside its predictions."""
    return model.digest[:12]
