"""What a model says of the items that a round looks at: of all, or of a sample where there are very many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labelloop.kinds.predicted import Predicted
from labelloop.ledger import Ledger
from labelloop.ledger.rounds import Round
from labelloop.loop import round_steps
from labelloop.loop.features import Features
from labelloop.loop.models import Models, Some
from labelloop.loop.round_steps import Snapshot
from labelloop.loop.snapshots import Snapshots
from labelloop.selection.effort import per_effort
from labelloop.workspace.config import Config

STRUCTURES = 50_000
"""The most items that a round scores, unless told, where a learner reads them anew for answers that are no choices."""

SCORED = "scored"
"""Under which name a round notes that it scored a sample."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """That a round scored a sample of the items that can be asked.

    Attributes:
        scored: How many it drew.
        pool: How many there were.
    """

    scored: int
    pool: int

    def noted(self) -> Mapping[str, Any]:
        """What a round notes of it."""
        return {SCORED: [self.scored, self.pool]}

    def in_words(self) -> str:
        """For people."""
        return f"{self.scored:,} of {self.pool:,} items that can be asked, drawn at random; all with loop.scored = 0"


def sampled_in(one: Round) -> Sampled | None:
    """The sample that a round notes; None where it scored everything."""
    return Sampled(*one.notes[SCORED]) if one.notes.get(SCORED) else None


def carried_on(one: Round) -> Round:
    """The notes of a round for the next one, which draws its own sample."""
    return replace(one, notes={name: said for name, said in one.notes.items() if name != SCORED})


@dataclass(frozen=True)
class Looked:
    """What a model says of the items that a round looks at.

    Attributes:
        known: The items, without those of which it says nothing: they cannot be chosen.
        said: In the order of the items; nothing about those that it was not asked about.
        sampled: None where it was asked about all.
    """

    known: Snapshot
    said: Predicted
    sampled: Sampled | None = None


class Scorer:
    """What the models of one dataset say to choose by."""

    def __init__(self, config: Config, ledger: Ledger, models: Models, snapshots: Snapshots) -> None:
        self._config = config
        self._schema = config.schema_of()
        self._ledger = ledger
        self._models = models
        self._snapshots = snapshots

    def look(self, model: str, known: Snapshot, features: Features, number: int) -> Looked:
        """What round `number` is to know of a model: about every item, or about a sample and the open questions."""
        pool = np.flatnonzero(~known.asked & ~known.held_out & known.columns.readable)
        most = self._most()
        if not most or len(pool) <= most:
            return self._all(model, known, features)
        rng = np.random.default_rng([self._config.loop.seed, number, 2])
        drawn = rng.choice(pool, most, replace=False)
        return replace(self._some(model, known, features, drawn), sampled=Sampled(most, len(pool)))

    def look_at_questions(self, model: str, known: Snapshot, features: Features) -> Looked:
        """The same where nothing is to be chosen: the open questions alone, if a round would draw a sample."""
        most = self._most()
        if not most or len(known.columns.ids) <= most:
            return self._all(model, known, features)
        return self._some(model, known, features, np.empty(0, np.intp))

    def _most(self) -> int:
        return most_scored(
            self._config, reads_structures=self._schema.asked is not None and self._snapshots.reads_items
        )

    def _all(self, model: str, known: Snapshot, features: Features) -> Looked:
        said = self._per_effort(self._models.said(model, features))
        return Looked(round_steps.judgeable(known, said), said)

    def _some(self, model: str, known: Snapshot, features: Features, drawn: np.ndarray) -> Looked:
        """What a model says about these items and the open questions."""
        waiting = [one.item_id for one in self._ledger.answers.questions(["asked"])]
        looked = np.isin(known.columns.ids, waiting) & known.columns.readable
        looked[drawn] = True
        rows = np.flatnonzero(looked)
        said = self._per_effort(self._models.said(model, features, Some(rows, known.columns.ids[rows])))
        return Looked(round_steps.judgeable(known, said, looked), said)

    def _per_effort(self, said: Predicted) -> Predicted:
        """The same with uncertainty per effort, where long texts take longer to answer."""
        power = self._config.loop.length_cost
        if not power or said.probabilities is not None or self._schema.modality != "text":
            return said
        worth = per_effort(said.uncertainty, self._ledger.items.lengths()[: len(said)], power)
        return replace(said, uncertainty=worth)


def most_scored(config: Config, *, reads_structures: bool) -> int:
    """The most items that a round scores to choose from; 0 is all.

    Args:
        reads_structures: Whether the learner reads the items themselves, for answers that are no choices.
    """
    if config.loop.scored is not None:
        return config.loop.scored
    return STRUCTURES if reads_structures else 0
