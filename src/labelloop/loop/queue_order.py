"""When people get which of the open questions: as the selector ranks them, those left to chance among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelloop.kinds import LabelSchema
from labelloop.kinds.predicted import Predicted
from labelloop.ledger.answers import Asking
from labelloop.loop import queue, round_steps
from labelloop.loop.features import Features
from labelloop.loop.round_steps import BatchOptions, Snapshot
from labelloop.loop.snapshots import Snapshots
from labelloop.selection import RANDOM
from labelloop.types import Turn
from labelloop.workspace.config import Config


@dataclass(frozen=True)
class Scored:
    """Every item, with what a model says about it.

    Attributes:
        said: None while there is no model.
        version: Of that model; empty while there is none.
    """

    known: Snapshot
    features: Features
    said: Predicted | None
    version: str

    @property
    def probabilities(self) -> np.ndarray | None:
        """(n, k) float32; None while there is no model, or where what is asked are no choices."""
        return None if self.said is None else self.said.probabilities


class QueueOrder:
    """The order of one dataset's open questions."""

    def __init__(self, config: Config, schema: LabelSchema, snapshots: Snapshots) -> None:
        self._config = config
        self._schema = schema
        self._snapshots = snapshots

    def by_chance(self, asked: Sequence[Asking], version: str) -> list[Asking]:
        """Blind questions with turns that the selector has no say in; without any where people get none."""
        found = self.turns_by_chance([one.item_id for one in asked], version)
        return [replace(one, turn=found.get(one.item_id)) for one in asked]

    def turns_by_chance(self, questions: Sequence[str], version: str, waited: int = 0) -> dict[str, Turn]:
        """A turn for each question that the selector has no say in; none where people get none.

        Args:
            version: Of the model in use; empty while there is none.
            waited: Rounds that they count as having waited.
        """
        if not version or self._config.loop.queue == "asked":
            return {}
        at = queue.by_chance(dict.fromkeys(questions, waited), self._snapshots.salt)
        return {question: Turn(place, version) for question, place in at.items()}

    def turns(
        self, scored: Scored, moved: Sequence[Asking], staying: Sequence[Asking], number: int, selector: str
    ) -> dict[str, float]:
        """Item id -> when people get the question, of `moved` ones: by the selector among all that are open.

        Those for the honest score, those asked at random, and those nobody has a guess about, come by chance.

        Args:
            staying: Open questions whose turns hold, as they were found with the same model.
        """
        useful = [one for one in moved if (one.prediction or one.hidden) and not _is_by_chance(one)]
        order = [one.item_id for one in useful]
        fixed = {one.item_id: one.turn.at for one in staying if one.turn and not _is_by_chance(one)}
        if fixed or any(one.state == "asked" for one in useful):  # else the batch alone, which is in order
            rng = np.random.default_rng([self._config.loop.seed, number, 1])
            order = self._ranked(scored, [*sorted(fixed, key=lambda item: fixed[item]), *order], selector, rng)
        places = queue.placed(order, fixed)
        waited = {one.item_id: _waited(one, number) for one in moved if one.item_id not in places}
        return {**places, **queue.by_chance(waited, self._snapshots.salt)}

    def _ranked(self, scored: Scored, items: Sequence[str], selector: str, rng: np.random.Generator) -> list[str]:
        """The items that can be read, in the order in which the selector would ask them now."""
        assert scored.said is not None
        known = scored.known
        row_of = {str(item): row for row, item in enumerate(known.columns.ids)}
        rows = [row_of[item] for item in items if item in row_of and known.columns.readable[row_of[item]]]
        seen = (scored.features.chosen_by, scored.said)
        taste = BatchOptions(selector or self._config.loop.selector, min(len(rows), round_steps.RANKED), 0.0)
        order = round_steps.ranked(known, np.asarray(rows, np.intp), seen, taste, rng, schema=self._schema)
        return [str(item) for item in known.columns.ids[order]]


def _waited(one: Asking, number: int) -> int:
    """Rounds that a question has been open when round `number` begins; all of them for one that belongs to none."""
    return 0 if one.state == "planned" else number - one.round


def _is_by_chance(one: Asking) -> bool:
    """Whether nothing but chance may decide when people get a question."""
    return one.purpose not in ("train", "blind") or one.why == RANDOM
