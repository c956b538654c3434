"""Labelled data from where people have it: class folders, a table, an .npz of embeddings, the ledger of a workspace."""

from __future__ import annotations

import posixpath
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.data import conll
from labelloop.data.duplicates import Leaders
from labelloop.data.sources import Columns, Unreadable, content_id, read_content, read_items
from labelloop.data.tables import READERS
from labelloop.errors import ConfigError, UnreadableError
from labelloop.kinds.spans import TextSpans
from labelloop.loop import round_steps
from labelloop.loop.embedding import digests_of
from labelloop.loop.loop import Loop
from labelloop.protocols import Backbone, Progress, silent
from labelloop.simulate.replay import Labelled
from labelloop.storage.runs import Run
from labelloop.types import Item, Modality, NewItem

LABEL_COLUMNS = ("label", "class", "category", "target", "labels", "intent", "topic")


@dataclass(frozen=True)
class LabeledItems:
    """Items with their labels, not embedded yet.

    Attributes:
        answers: The label of each item; empty where there is none. Or an answer of another kind.
        unreadable: What was skipped.
    """

    items: tuple[Item, ...]
    answers: tuple[Any, ...]
    groups: np.ndarray
    unreadable: tuple[Unreadable, ...] = ()


def read_labelled(
    where: str, modality: Modality | None, columns: Columns, label_column: str = "", *, progress: Progress = silent
) -> LabeledItems:
    """The items of a folder of class folders, or of a table with a column of labels.

    Args:
        modality: None takes what is there: images, else texts.
        label_column: Empty is the only column with a name of `LABEL_COLUMNS`.

    Raises:
        NotFoundError: There is no such place.
        ConfigError: There is nothing readable, or no labels.
    """
    is_table = where.lower().endswith(tuple(READERS))
    found = list(_read(where, modality, columns, progress, is_table=is_table))
    news = [one for one in found if isinstance(one, NewItem)]
    if not news:
        first = next((f"; {one.where}: {one.reason}" for one in found if isinstance(one, Unreadable)), "")
        raise ConfigError(f"nothing in {where} can be read{first}", "name a folder of class folders, or a table")
    # The same content twice is one item.
    unique = {one.item.id: one for one in news}
    items = tuple(one.item for one in unique.values())
    column = _label_column(where, items, label_column) if is_table else ""
    answers = tuple(_cell(one.meta.get(column)) if is_table else _folder(one) for one in items)
    if not any(answers):
        raise ConfigError(
            f"no item of {where} has a label", "put each label's items into a folder of its name, or use a table"
        )
    texts = {item.id: item.text for item in items}
    leaders = Leaders(lambda ids: {one: texts[one] for one in ids}).group(
        [(one.item.id, one.fingerprint) for one in unique.values()]
    )
    groups = np.unique([leaders[item.id] for item in items], return_inverse=True)[1]
    return LabeledItems(items, answers, groups, tuple(one for one in found if isinstance(one, Unreadable)))


def embedded(
    found: LabeledItems,
    run: Run,
    backbone: Backbone,
    fewest: int = 0,
    progress: Progress = silent,
    *,
    keep_items: bool = False,
    chooser: Backbone | None = None,
) -> Labelled:
    """Found items with their embeddings, which are computed once per content and kept as artifacts.

    Args:
        fewest: Labels with fewer items are left out.
        keep_items: Whether the learner reads the items itself.
        chooser: What embeds them to choose by, if it is another backbone.
    """
    matrix = embeddings_of(found, run, backbone, progress)
    apart = None if chooser is None else embeddings_of(found, run, chooser, progress)
    readable = np.isfinite(matrix).all(axis=1)
    if apart is not None:
        readable &= np.isfinite(apart).all(axis=1)
        apart = apart[readable]
    answers = np.asarray(found.answers)
    items = [found.items[int(row)] for row in np.flatnonzero(readable)] if keep_items else ()
    return labelled(matrix[readable], answers[readable], found.groups[readable], fewest, items, apart=apart)


def embeddings_of(found: LabeledItems, run: Run, backbone: Backbone, progress: Progress = silent) -> np.ndarray:
    """(n, d) float32 embeddings of found items; a row of NaN for one that cannot be read.

    Raises:
        UnreadableError: None can be read.
    """
    parts = []
    for start in range(0, len(found.items), round_steps.CHUNK):
        chunk = found.items[start : start + round_steps.CHUNK]
        digests = digests_of(backbone, chunk)

        def told(what: str, done: int, _: int | None, start: int = start) -> None:
            progress(what, start + done, len(found.items))

        parts.append(run(round_steps.embed, backbone, digests, chunk, read_content, told).value)
    matrix = np.concatenate(parts)
    if not np.isfinite(matrix).all(axis=1).any():
        raise UnreadableError(
            f"none of {len(found.items)} items could be read, such as {found.items[0].uri or found.items[0].id}",
            "is their disk, bucket or network there? run again when it is",
            retryable=True,
        )
    return matrix


def labelled(
    embeddings: np.ndarray,
    answers: np.ndarray,
    groups: np.ndarray,
    fewest: int = 0,
    items: Sequence[Item] = (),
    *,
    apart: np.ndarray | None = None,
) -> Labelled:
    """Columns from one answer per item; an empty answer is none.

    Args:
        items: Of the learner that reads them; else none.
        apart: Embeddings to choose by, if others.

    Raises:
        ConfigError: There are fewer than two labels, or one has a single item.
    """
    counts = Counter(str(one) for one in answers if str(one))
    names = tuple(sorted(name for name, count in counts.items() if count >= fewest))
    position = {name: place for place, name in enumerate(names)}
    left = np.asarray([not str(one) or str(one) in position for one in answers], np.bool_)
    targets = np.zeros((len(answers), len(names)), np.bool_)
    for row, one in enumerate(answers):
        if str(one) in position:
            targets[row, position[str(one)]] = True
    kept = [items[int(row)] for row in np.flatnonzero(left)] if items else ()
    chosen_by = None if apart is None else apart[left]
    return Labelled(embeddings[left], targets[left], names, groups[left], kept, apart=chosen_by)


def read_conll(where: str, progress: Progress = silent) -> tuple[LabeledItems, TextSpans]:
    """The sentences of a CoNLL file, with their spans as answers.

    Raises:
        NotFoundError: There is no such file.
        ConfigError: It is no such file, or no sentence has a span.
    """
    progress("reading", 0, None)
    found = {content_id(one.text): one for one in conll.read(where)}  # the same content twice is one item
    labels = tuple(sorted({label for one in found.values() for _, _, label in one.spans}))
    if not labels:
        raise ConfigError(f"no sentence of {where} has a span", "name a file with tags such as B-PER")
    items = tuple(Item(one, "text", text=sentence.text, digest=one) for one, sentence in found.items())
    answers = tuple(tuple(one.spans) for one in found.values())
    return LabeledItems(items, answers, np.arange(len(items))), TextSpans(labels)


def of_kind(embeddings: np.ndarray, found: LabeledItems, kind: TextSpans) -> Labelled:
    """Columns from one answer of a kind per item; items that cannot be read are left out."""
    kept = np.flatnonzero(np.isfinite(embeddings).all(axis=1))
    answers = [found.answers[int(row)] for row in kept]
    targets = np.array([[label in kind.labels_in(one) for label in kind.labels] for one in answers], np.bool_)
    items = [found.items[int(row)] for row in kept]
    return Labelled(embeddings[kept], targets, kind.labels, found.groups[kept], items, answers, kind)


def from_npz(path: Path, fewest: int = 0) -> Labelled:
    """Embeddings `X` (n, d) and labels `y` (n,) of an .npz, with `groups` (n,) if there are; rows are set to length 1.

    Raises:
        ConfigError: It is no such file.
    """
    hint = "np.savez(file, X=embeddings, y=labels)"
    try:
        with np.load(path, allow_pickle=False) as kept:
            there = {name: kept[name] for name in kept.files if name in ("X", "y", "groups")}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is not an .npz of embeddings: {error}", hint) from error
    missing = {"X", "y"} - set(there)
    if missing:
        raise ConfigError(f"{path} has no array {min(missing)!r}", hint)
    embeddings, answers = there["X"], there["y"]
    groups = there.get("groups", np.arange(len(answers)))
    if embeddings.ndim != 2 or answers.ndim != 1 or not len(embeddings) == len(answers) == len(groups):
        raise ConfigError(f"{path} has X of {embeddings.shape} and y of {answers.shape}, which do not fit", hint)
    if not np.issubdtype(embeddings.dtype, np.number) or not np.isfinite(embeddings).all():
        raise ConfigError(f"{path}: X has values that are not numbers", "leave such rows out")
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return labelled((embeddings / np.maximum(lengths, 1e-12)).astype(np.float32), answers, groups, fewest)


def from_loop(loop: Loop, fewest: int = 0) -> Labelled:
    """What people have answered in a workspace, with the embeddings that are there.

    Raises:
        ConfigError: Nobody has answered anything, or items may have several labels.
    """
    if loop.schema.multiple:
        raise ConfigError(
            "a replay of items with several labels is not there yet", "simulate a dataset whose task is single-choice"
        )
    columns, features = loop.learning.embeddings.embedded()
    known = loop.learning.snapshots.know(columns)
    rows = np.flatnonzero(known.believed & columns.readable)
    if not len(rows):
        raise ConfigError("nothing is answered yet, so there is nothing to replay", "labelloop simulate FOLDER")
    names = np.asarray([*loop.schema.labels, ""])
    targets = known.targets[rows]
    answers = names[np.where(targets.any(axis=1), targets.argmax(axis=1), len(names) - 1)]
    groups = np.unique(columns.groups[rows], return_inverse=True)[1]
    items = loop.learning.snapshots.inputs(columns.ids[rows], features.matrix[rows]).items
    apart = None if features.apart is None else np.ascontiguousarray(features.apart.matrix[rows])
    return labelled(np.ascontiguousarray(features.matrix[rows]), answers, groups, fewest, items, apart=apart)


def _read(
    where: str, modality: Modality | None, columns: Columns, progress: Progress, *, is_table: bool
) -> Iterable[NewItem | Unreadable]:
    """What is there, of the modality, or of the first one of which something is there."""
    if modality is not None:
        return read_items(where, modality, columns, progress=progress)
    first: tuple[Modality, Modality] = ("text", "image") if is_table else ("image", "text")
    try:
        return list(read_items(where, first[0], columns, progress=progress))
    except ConfigError as failure:
        try:
            return list(read_items(where, first[1], columns, progress=progress))
        except ConfigError:
            raise failure from None


def _folder(item: Item) -> str:
    """The folder of a file; the nearest one, where they are nested."""
    return posixpath.basename(posixpath.dirname(str(item.meta.get("file", ""))))


def _cell(value: object) -> str:
    return "" if value is None else str(value).strip()


def _label_column(where: str, items: Sequence[Item], wanted: str) -> str:
    """The column with the labels.

    Raises:
        ConfigError: There is none, or several may be.
    """
    there: Mapping[str, Any] = dict.fromkeys(key for item in items for key in item.meta)
    if wanted:
        if wanted not in there:
            raise ConfigError(f"{where} has no column {wanted!r}", f"its other columns are: {', '.join(there)}")
        return wanted
    known = [name for name in there if name.strip().lower() in LABEL_COLUMNS]
    if len(known) != 1:
        which = f"any of {', '.join(known)} may be" if known else "none of its columns is known to be"
        raise ConfigError(
            f"{where}: {which} the label; its other columns are: {', '.join(there) or 'none'}",
            "say which one with --label-column NAME",
        )
    return known[0]
