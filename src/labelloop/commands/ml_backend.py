"""The model in use answers about single items: embeddings that are stored are looked up, others are made on the fly."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from labelloop.data.sources import content_id
from labelloop.errors import BadItemError, ConfigError, LabelLoopError, NotFoundError, OtherLabelsError
from labelloop.evaluation import halving
from labelloop.kinds import LabelSchema, labels
from labelloop.kinds.predicted import Predicted, by_probabilities
from labelloop.ledger.rounds import Round
from labelloop.loop import round_steps
from labelloop.loop.embedding import embed_items
from labelloop.loop.loop import Loop
from labelloop.loop.notices import held_out
from labelloop.protocols import Predictor
from labelloop.types import Inputs, Item, Prediction, Question, Turn
from labelloop.workspace.root import FILE

CHUNKS_KEPT = 32
ROWS_KEPT = 4096

Fetch = Callable[[Item], bytes]
"""Reads the picture of an item that is not one of ours."""


class PredictionService:
    """Predictions of the model in use, whatever that and its labels are by now. Threads are answered in turn.

    Args:
        open_loop: Opens the loop whose model it is; again after a change of the labels. Nothing is trained or asked.
        fetch: Reads the picture of an item that the ledger does not know.
    """

    def __init__(self, open_loop: Callable[[], Loop], fetch: Fetch) -> None:
        self._open_loop = open_loop
        self._loop = open_loop()
        self._inputs = _Inputs(self._loop, fetch)
        self._one_at_a_time = threading.Lock()
        self._model: tuple[str, Predictor] | None = None

    @property
    def schema(self) -> LabelSchema:
        """What is asked for."""
        return self._loop.schema

    def version(self) -> str:
        """The version of the model in use; empty before the first one.

        Raises:
            ConfigError: Its labels are not those of this workspace.
        """
        with self._one_at_a_time:
            last = self._in_use()
        return last.version if last else ""

    def versions(self) -> list[str]:
        """Every version that was in use, the newest first."""
        return list(dict.fromkeys(one.version for one in reversed(self._loop.ledger.rounds.all()) if one.version))

    def warm(self) -> None:
        """Load what the first answer would have to wait for."""
        if last := self._in_use():
            self._predictor(last.model)

    def answer(self, items: Sequence[Item]) -> list[Question | None]:
        """Each item with its prediction; None before there is a model, for an unreadable item, and for one asked blind.

        A question of the loop has the turn that the loop gave it; all others come after those.

        Args:
            items: With the ids of the ledger where they have one, else with an empty id and their content.

        Raises:
            ConfigError: Its labels are not those of this workspace.
            BadItemError: The model fails on every one of them; about a few of many it says nothing.
        """
        with self._one_at_a_time:
            return self._answer(items)

    def _answer(self, items: Sequence[Item]) -> list[Question | None]:
        last = self._in_use()
        if last is None or not items:
            return [None] * len(items)
        asked = [item.id for item in items if item.id]
        known = self._loop.ledger.items.get(asked)
        blind = self._held_out(list(known.values())) | self._loop.ledger.answers.blind(asked)
        given = [self._shown(item, known.get(item.id)) for item in items]
        rows, inputs = self._inputs.of(given, np.array([item.id not in blind for item in items]))
        answers: list[Question | None] = [None] * len(items)
        if not rows:
            return answers
        turns = self._turns([items[row].id for row in rows], last.version)
        guesses = round_steps.guesses_of(self._loop.schema, self._said(last.model, inputs))
        for row, turn, (answer, score) in zip(rows, turns, guesses, strict=True):
            if answer is None or math.isnan(score):
                continue
            regions = labels.regions_saying(self._loop.schema.main, answer)
            guess = Prediction(items[row].id or str(row), regions, score, last.version)
            answers[row] = Question(items[row], guess, turn)
        return answers

    def _shown(self, item: Item, known: Item | None) -> Item:
        """What is to be judged: the item of ours, unless people see another text, in which other words stand there."""
        if known is None or (self._loop.learning.snapshots.reads_items and known.text != item.text):
            return replace(item, id="")
        return known

    def _turns(self, ids: Sequence[str], version: str) -> list[Turn | None]:
        if self._loop.workspace.config.loop.queue == "asked":
            return [None] * len(ids)
        known = self._loop.ledger.answers.turns([item for item in ids if item])
        last = Turn(1.0, version)
        return [known[item] if item in known and known[item].version == version else last for item in ids]

    def _in_use(self) -> Round | None:
        """The round whose model is in use; None where there is none that speaks the labels of now."""
        try:
            self._loop.preconditions.refuse_other_labels()
        except OtherLabelsError as error:
            if not error.begin_again:
                raise
            self._begin_again()
        if self._is_behind():
            self._begin_again()
        last, here = self._loop.ledger.rounds.last(), self._loop.schema.labels
        if last is not None and self._is_behind():
            raise ConfigError(
                f"the model in use speaks {', '.join(last.labels)}, and {FILE} here says {', '.join(here)}",
                f"bring the {FILE} here up to date: the labels were changed on another machine",
            )
        return last if last is not None and last.matches(here) else None

    def _is_behind(self) -> bool:
        """Whether the labels here are older than those that the model in use has learned."""
        last, changes = self._loop.ledger.rounds.last(), self._loop.ledger.labels.changes()
        learned = last.labels if last is not None and last.model else ()
        return bool(changes) and learned == changes[-1].after != self._loop.schema.labels

    def _begin_again(self) -> None:
        loop = self._open_loop()
        self._inputs.follow(loop)
        self._loop.ledger.close()
        self._loop, self._model = loop, None

    def _held_out(self, items: Sequence[Item]) -> set[str]:
        """The ids of those that are asked blind."""
        protected = held_out(self._loop.ledger, [item.group or item.id for item in items])
        return {item.id for item, blind in zip(items, protected, strict=True) if blind}

    def _said(self, model: str, inputs: Inputs) -> Predicted:
        predictor, schema = self._predictor(model), self._loop.schema
        try:
            if schema.asked is not None:
                return halving.answered(predictor, inputs, schema.asked)
            return by_probabilities(schema, halving.predicted(predictor, inputs))
        except LabelLoopError:
            raise
        except Exception as error:
            raise BadItemError(
                f"the model in use fails on each of these {len(inputs)} items: {type(error).__name__}: {error}",
                "ask about others; where it fails on all of them, correct the learner",
            ) from error

    def _predictor(self, model: str) -> Predictor:
        if self._model is None or self._model[0] != model:
            self._model = model, self._loop.learning.models.predictor(model)
        return self._model[1]


class _Inputs:
    """What a learner gets of single items: embeddings that a round has stored, that are kept here, or made on the fly.

    Args:
        loop: Whose items and embeddings they are.
        fetch: Reads the picture of an item that the ledger does not know.
    """

    def __init__(self, loop: Loop, fetch: Fetch) -> None:
        self._loop = loop
        self._fetch = fetch
        self._backbone = loop.learning.embeddings.backbone
        self._chunks: OrderedDict[str, np.ndarray] = OrderedDict()
        self._rows: OrderedDict[str, np.ndarray] = OrderedDict()

    def follow(self, loop: Loop) -> None:
        """Take another loop for the one it was, after a change of the labels."""
        self._backbone = loop.learning.embeddings.backbone
        self._loop = loop
        self._rows.clear()

    def of(self, items: Sequence[Item], shown: np.ndarray) -> tuple[list[int], Inputs]:
        """(positions of the items that can be judged, these as the learner takes them), of those that are `shown`.

        A picture that is not one of ours has no address at which a learner could read it itself.
        """
        if self._loop.learning.snapshots.reads_items:
            rows = [row for row, item in enumerate(items) if shown[row] and (item.id or item.modality == "text")]
            return rows, Inputs(_ids(items, rows), None, tuple(items[row] for row in rows))
        features = self._features(items)
        rows = [int(row) for row in np.flatnonzero(shown & ~np.isnan(features[:, 0]))]
        return rows, Inputs(_ids(items, rows), np.ascontiguousarray(features[rows]))

    def _features(self, items: Sequence[Item]) -> np.ndarray:
        """(n, d) float32; a row of NaN for an item that cannot be read."""
        features = np.full((len(items), self._backbone.dimension), np.nan, np.float32)
        missing = []
        stored = self._stored([item.id for item in items if item.id])
        for row, item in enumerate(items):
            found = stored.get(item.id) if item.id else self._kept(item)
            if found is None:
                missing.append(row)
            else:
                features[row] = found
        if missing:
            made = embed_items(self._backbone, [items[row] for row in missing], self._read)
            features[missing] = made
            self._keep([items[row] for row in missing], made)
        return features

    def _stored(self, ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        """The embeddings that a round has computed, by item id."""
        if not ids:
            return {}
        chunks = self._loop.ledger.items.chunks(self._backbone.fingerprint)
        found: dict[str, np.ndarray] = {}
        for item_id, position in self._loop.ledger.items.positions(ids).items():
            chunk = next((one for one in chunks if one.start <= position < one.stop), None)
            if chunk is not None:
                found[item_id] = self._chunk(chunk.ref)[position - chunk.start]
        return found

    def _chunk(self, ref: str) -> np.ndarray:
        if ref not in self._chunks:
            self._chunks[ref] = self._loop.learning.embeddings.stored(ref)
        self._chunks.move_to_end(ref)
        while len(self._chunks) > CHUNKS_KEPT:
            self._chunks.popitem(last=False)
        return self._chunks[ref]

    def _kept(self, item: Item) -> np.ndarray | None:
        return self._rows.get(_key(item))

    def _keep(self, items: Sequence[Item], rows: np.ndarray) -> None:
        for item, row in zip(items, rows, strict=True):
            if not item.id and not np.isnan(row[0]):
                self._rows[_key(item)] = row
        while len(self._rows) > ROWS_KEPT:
            self._rows.popitem(last=False)

    def _read(self, item: Item) -> bytes | str:
        if item.modality == "text":
            return item.text
        if item.id:
            return self._loop.learning.embeddings.read(item)
        try:
            return self._fetch(item)
        except NotFoundError as error:
            raise BadItemError(error.message, error.hint) from error


def _ids(items: Sequence[Item], rows: Sequence[int]) -> np.ndarray:
    return np.array([items[row].id or str(row) for row in rows], dtype=np.str_)


def _key(item: Item) -> str:
    return content_id(f"{item.text}\n{item.uri}")
