"""Items, questions, holdout and consensus in one order, and as a learner takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from labelloop.errors import ConfigError
from labelloop.evaluation import holdout
from labelloop.evaluation.holdout import Draw
from labelloop.ledger.items import ItemColumns
from labelloop.loop import round_steps
from labelloop.loop.bench import Bench
from labelloop.loop.features import Features
from labelloop.loop.round_steps import Snapshot
from labelloop.types import Examples, Inputs


class Snapshots:
    """What is known of one dataset at a time."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._config = bench.config
        self._ledger = bench.ledger
        self._schema = bench.schema

    @property
    def reads_items(self) -> bool:
        """Whether the learner reads the items itself, and has no use for embeddings."""
        return self._bench.learner().backbone is None

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

    def know(self, columns: ItemColumns, beliefs: round_steps.ConsensusLabels | None = None) -> Snapshot:
        """Items, questions, holdout and beliefs in one order; beliefs by the configured policy unless given."""
        asked = [one.item_id for one in self._ledger.answers.questions()]
        if beliefs is None:
            beliefs = round_steps.believed(self._schema, self._ledger.said(self._schema), self._config.loop.belief)
        return round_steps.know(columns, self.draw().of(columns.groups, columns.ids), asked, beliefs)

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

    @cached_property
    def salt(self) -> str:
        """What the draw of the holdout is seeded with: fixed before the first round, for good."""
        fixed: str = self._ledger.rounds.fix("holdout_salt", str(self._config.loop.seed))
        return fixed

    def groups(self, examples: Examples) -> list[str]:
        """The group of near duplicates of each example."""
        items = self._ledger.items.get([str(item_id) for item_id in examples.inputs.ids])
        return [items[str(item_id)].group for item_id in examples.inputs.ids]
