"""The items as embeddings: what is new is computed, what cannot be read is set aside and tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from labelloop.errors import ConfigError, UnreadableError
from labelloop.kinds import LabelSchema
from labelloop.ledger import Ledger
from labelloop.ledger.items import Chunk
from labelloop.loop import round_steps
from labelloop.loop.embedding import Blind, digests_of
from labelloop.machine.registry import build
from labelloop.protocols import Backbone, Learner, Progress
from labelloop.selection.names import needs_embeddings
from labelloop.storage.artifacts import Ref
from labelloop.storage.runs import Artifact, Run
from labelloop.types import Item, Missing

DEFAULT_LEARNER = "frozen"
"""The flavor whose backbone embeds for a learner that reads the items itself."""

BY_NAME = "frozen"
"""The flavor of learner that knows backbones by their names."""

READ = "long texts are read in windows"

MANY = 10
"""Items of which most should be readable: if they are not, their source is away, not they."""


@dataclass(frozen=True)
class EmbeddedPool:
    """The items of a ledger with their embeddings by one backbone.

    Args:
        backbone: What embeds.
        clock: When what cannot be read is tried again is reckoned from.
    """

    ledger: Ledger
    run: Run
    backbone: Backbone
    read: Callable[[Item], bytes | str]
    progress: Progress
    clock: Callable[[], datetime]

    def complete(self) -> None:
        """Embed what is new, and what was set aside and is due to be tried again.

        Raises:
            UnreadableError: Most of what is new cannot be read; nothing was given up.
        """
        self._read_anew()
        total, chunks = self.ledger.items.count(), self._chunks()
        for start in range(chunks[-1].stop if chunks else 0, total, round_steps.CHUNK):
            stop = min(start + round_steps.CHUNK, total)
            items = self.ledger.items.between(start, stop)
            made = self._embed(items, start, total)
            self.ledger.items.add_chunk(self.backbone.fingerprint, Chunk(start, stop, str(made.ref)))
        self.retry()

    def _read_anew(self) -> None:
        """Embed what was embedded before long texts and unknown words were read as they are now; once per backbone."""
        fact = f"{READ} {self.backbone.fingerprint}"
        if not hasattr(self.backbone, "way_of_reading") or self.ledger.answers.recall(fact):
            return
        total = self.ledger.items.count()
        for chunk in self._chunks():
            items = self.ledger.items.between(chunk.start, chunk.stop)
            if any(self.backbone.way_of_reading(item.text) for item in items):
                made = self._embed(items, chunk.start, total)
                self.ledger.items.add_chunk(self.backbone.fingerprint, Chunk(chunk.start, chunk.stop, str(made.ref)))
        self.ledger.answers.remember(fact, True)

    def retry(self) -> int:
        """Try the items that are due to be tried again, if some are; how many can be read now."""
        due = self.ledger.aside.due(self.clock())
        there = sorted((position, item_id) for item_id, position in self.ledger.items.positions(due).items())
        found = 0
        for chunk in self._chunks() if there else []:
            inside = [(position - chunk.start, one) for position, one in there if chunk.start <= position < chunk.stop]
            if inside:
                found += self._retry(chunk, dict(inside))
        return found

    def nothing_left(self) -> UnreadableError:
        """What is to be said where no item that is left can be read."""
        found, total = self.ledger.aside.all(), self.ledger.items.count() - self.ledger.changed.count()
        reason = f", such as {found[0].missing.reason}" if found else ""
        count = "none" if len(found) in (0, total) else f"{len(found)}"
        return UnreadableError(
            f"{count} of the {total} items can{'' if count == 'none' else 'not'} be read{reason}",
            "make them readable, or labelloop add them from where they are now: they are tried again at the next tick",
            retryable=True,
        )

    def _chunks(self) -> list[Chunk]:
        chunks = self.ledger.items.chunks(self.backbone.fingerprint)
        if all(self._is_stored(chunk.ref) for chunk in chunks):
            return chunks
        self.ledger.items.forget_chunks(self.backbone.fingerprint)
        return []

    def _is_stored(self, ref: str) -> bool:
        handle = self.run.artifact(Ref.parse(ref))
        return handle.artifacts.has(handle.ref)

    def _embed(self, items: Sequence[Item], start: int, total: int) -> Artifact[np.ndarray]:
        digests = digests_of(self.backbone, items)
        progress = _within(self.progress, start, total)
        made = self.run(round_steps.embed, self.backbone, digests, items, self.read, progress)
        set_aside = {one.item_id for one in self.ledger.aside.all()}
        unread = map(int, np.flatnonzero(np.isnan(made.value[:, 0])))
        lost = [row for row in unread if items[row].id not in set_aside]
        if not lost:
            return made
        again = self.run(round_steps.embed_again, self.backbone, [items[row] for row in lost], self.read).value
        missing = {items[lost[int(row)]].id: Missing(*why) for row, why in again["missing"].items()}
        refuse_most(len(items), list(missing.values()))
        self.ledger.aside.put(missing, self.clock())
        return self._patched(made, [lost[row] for row in again["rows"]], again)

    def _retry(self, chunk: Chunk, rows: Mapping[int, str]) -> int:
        """Try items of a chunk again, row -> item id; how many can be read now."""
        places, items = list(rows), self.ledger.items.get(list(rows.values()))
        made = self.run(round_steps.embed_again, self.backbone, [items[rows[row]] for row in places], self.read).value
        handle = self.run.artifact(Ref.parse(chunk.ref))
        patched = self._patched(handle, [places[row] for row in made["rows"]], made)
        self.ledger.items.add_chunk(self.backbone.fingerprint, Chunk(chunk.start, chunk.stop, str(patched.ref)))
        self.ledger.items.forget_other_chunks(self.backbone.fingerprint, chunk.start)
        self.ledger.aside.release([rows[places[row]] for row in made["rows"]])
        missing = {rows[places[int(row)]]: Missing(*why) for row, why in made["missing"].items()}
        self.ledger.aside.put(missing, self.clock())
        return len(made["rows"])

    def _patched(self, chunk: Artifact[Any], rows: Sequence[int], made: Mapping[str, Any]) -> Artifact[Any]:
        return self.run(round_steps.patched, chunk, list(rows), made["values"]) if rows else chunk


def embedder(learner: Learner, schema: LabelSchema, wanted: str = "") -> Backbone:
    """What embeds the items to learn from: the learner's own backbone; where it has none, what they are chosen by.

    Args:
        wanted: The name under [selection].
    """
    return learner.backbone if learner.backbone is not None else chooser(learner, schema, wanted)


def chooser(learner: Learner, schema: LabelSchema, wanted: str = "") -> Backbone:
    """What embeds the items to choose by: the backbone under [selection]; else the learner's; else the default one's.

    Where none of these can be had, one that sees nothing.

    Args:
        wanted: The name under [selection]; empty where there is none.

    Raises:
        NotFoundError, ConfigError: No backbone of that name can be had.
    """
    if wanted:
        return named_backbone(wanted, schema)
    if learner.backbone is not None:
        return learner.backbone
    try:
        usual: Learner = build("learner", DEFAULT_LEARNER, {}, {"schema": _choices(schema)})
        found = usual.backbone
    except ConfigError as error:
        return Blind(schema.modality, error.message, error.hint)
    assert found is not None
    return found


def named_backbone(name: str, schema: LabelSchema) -> Backbone:
    """The backbone of this name under [selection].

    Raises:
        NotFoundError: There is none.
        ConfigError: It cannot be loaded, or embeds something else.
    """
    with _under_selection():
        found = _knowing(name, schema).backbone
    assert found is not None
    return found


def refuse_unknown_backbone(name: str, schema: LabelSchema) -> None:
    """Choosing by the backbone of this name may be fine; nothing is imported, opened or downloaded.

    Raises:
        NotFoundError: It cannot: no backbone has such a name.
    """
    with _under_selection():
        _knowing(name, schema)


def _knowing(name: str, schema: LabelSchema) -> Learner:
    """A learner with the backbone of this name, which is made when it is asked for."""
    made: Learner = build("learner", BY_NAME, {"backbone": name}, {"schema": _choices(schema)})
    return made


def _choices(schema: LabelSchema) -> LabelSchema:
    """Some labels of the same modality, for a learner that is only asked for its backbone."""
    return schema if schema.asked is None else LabelSchema(schema.modality, ("yes", "no"))


@contextmanager
def _under_selection() -> Iterator[None]:
    """Errors inside say where the name stands."""
    try:
        yield
    except ConfigError as error:
        raise type(error)(f"[selection] {error.message}", error.hint) from error


def refuse_blind(backbone: Backbone, selector: str) -> None:
    """Choosing by this selector is fine.

    Raises:
        ConfigError: It looks at embeddings, and there are none that tell items apart.
    """
    if isinstance(backbone, Blind) and needs_embeddings(selector):
        raise ConfigError(
            f"selector {selector!r} looks at embeddings, and the learner has no backbone that makes some: "
            f"{backbone.why}",
            f'{backbone.way}; or choose without: selector = "margin" and cold_start = "random" under [loop]',
        )


def refuse_most(tried: int, missing: Sequence[Missing]) -> None:
    """Going on is fine.

    Raises:
        UnreadableError: Most of those that were tried did not answer, or none can be read.
    """
    away = [one for one in missing if one.away]
    if tried < MANY or (2 * len(away) <= tried and len(missing) < tried):
        return
    first = (away or missing)[0]
    raise UnreadableError(
        f"{len(missing)} of {tried} items could not be read, such as {first.reason}",
        "is their disk, bucket or network there? run again when it is: nothing was given up",
        retryable=True,
    )


def _within(progress: Progress, start: int, total: int) -> Progress:
    """Progress of a part, told as progress of the whole."""
    return lambda what, done, _: progress(what, start + done, total)
