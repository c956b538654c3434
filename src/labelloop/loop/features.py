"""The items with their embeddings, to learn from and to choose by: what is new is computed, what is lost tried anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np

from labelloop.errors import UnreadableError
from labelloop.ledger.items import ItemColumns
from labelloop.loop import embedding
from labelloop.loop.bench import Bench
from labelloop.loop.embedding import Blind
from labelloop.loop.notices import SIGHT, look, some_rows
from labelloop.loop.pool import EmbeddedPool, chooser, embedder
from labelloop.protocols import Backbone, Progress
from labelloop.storage.artifacts import Ref
from labelloop.types import Item
from labelloop.types.names import LATER, named


@named("labelloop.Features")
@dataclass(frozen=True)
class Features:
    """The embeddings of all items: as artifacts, and as one matrix.

    Attributes:
        matrix: (n, d) float32; a row of NaN where an item could not be read.
        apart: Those that items are chosen by, where another backbone than the learner's makes them; else None.
    """

    refs: Sequence[Ref]
    matrix: np.ndarray
    apart: Features | None = field(default=None, metadata=LATER)

    @property
    def chosen_by(self) -> np.ndarray:
        """(n, s) float32: the embeddings that items are chosen by."""
        return self.matrix if self.apart is None else self.apart.matrix

    @property
    def unreadable(self) -> np.ndarray:
        """(n,) bool: the items that could not be read, to learn from or to choose by."""
        lost: np.ndarray = np.isnan(self.matrix[:, 0]) | np.isnan(self.chosen_by[:, 0])
        return lost


class Embeddings:
    """The embeddings of one dataset's items: by the learner's backbone, and by the one that they are chosen by.

    Args:
        read: The content of an item, wherever it lies.
    """

    def __init__(self, bench: Bench, read: Callable[[Item], bytes | str], progress: Progress) -> None:
        self._bench = bench
        self._ledger = bench.ledger
        self._run = bench.run
        self.read = read
        self._progress = progress

    @cached_property
    def backbone(self) -> Backbone:
        """What embeds the items to learn from: see `labelloop.loop.pool.embedder`."""
        return embedder(self._bench.learner(), self._bench.schema, self._wanted)

    @cached_property
    def chooser(self) -> Backbone:
        """What embeds the items to choose by: see `labelloop.loop.pool.chooser`."""
        return chooser(self._bench.learner(), self._bench.schema, self._wanted) if self._wanted else self.backbone

    @property
    def backbones(self) -> tuple[Backbone, ...]:
        """Both, the learner's first; one, where they are the same."""
        is_one = self.chooser.fingerprint == self.backbone.fingerprint
        return (self.backbone,) if is_one else (self.backbone, self.chooser)

    @property
    def _wanted(self) -> str:
        return self._bench.config.selection.backbone

    @cached_property
    def _pools(self) -> tuple[EmbeddedPool, ...]:
        bench = self._bench
        return tuple(
            EmbeddedPool(bench.ledger, bench.run, one, self.read, self._progress, bench.clock) for one in self.backbones
        )

    def embedded(self) -> tuple[ItemColumns, Features]:
        """Every item as columns, with its embedding; only items that are new are computed, or due to be tried again.

        Raises:
            UnreadableError: Most of them cannot be read, or all that there are.
        """
        for pool in self._pools:
            pool.complete()
        columns, features = self._ledger.items.columns(), self._features()
        columns = replace(columns, readable=columns.readable & ~features.unreadable)
        if len(columns.ids) and not columns.readable.any():
            raise self.nothing_left()
        return columns, features

    def look(self, columns: ItemColumns, features: Features) -> None:
        """Keep what the backbone does not see of the items; looked at again when there are twice as many."""
        backbone, before = self.backbone, self._ledger.answers.recall(SIGHT) or {}
        if isinstance(backbone, Blind):
            return
        is_same = before.get("backbone") == backbone.fingerprint and before.get("is_embedded")
        if is_same and len(columns.ids) < 2 * before["size"]:
            return
        rows = some_rows(columns)
        seen = look(self._ledger, backbone, columns.ids[rows])
        apart = rows[np.sort(np.unique(columns.groups[rows], return_index=True)[1])]
        seen = replace(seen, equal=embedding.count_equal(features.matrix[apart]))
        kept = {**asdict(seen), "backbone": backbone.fingerprint, "is_embedded": True}
        self._ledger.answers.remember(SIGHT, kept)

    def retry(self) -> int:
        """Try the items that are due to be tried again, if some are; how many can be read now.

        The learner's backbone tries; what it can read now is embedded to choose by when everything else is.
        """
        return self._pools[0].retry()

    def nothing_left(self) -> UnreadableError:
        """What is to be said where so many items cannot be read that nothing is left to ask."""
        return self._pools[0].nothing_left()

    def stored(self, ref: str) -> np.ndarray:
        """(n, d) float32: the embeddings of one chunk of items."""
        matrix: np.ndarray = self._run.artifact(Ref.parse(ref)).value
        return matrix

    def _features(self) -> Features:
        own, *apart = (self._stored_by(one) for one in self.backbones)
        return replace(own, apart=apart[0]) if apart else own

    def _stored_by(self, backbone: Backbone) -> Features:
        refs = [Ref.parse(chunk.ref) for chunk in self._ledger.items.chunks(backbone.fingerprint)]
        parts = [self._run.artifact(ref).value for ref in refs]
        return Features(refs, np.concatenate(parts) if parts else np.empty((0, backbone.dimension), np.float32))
