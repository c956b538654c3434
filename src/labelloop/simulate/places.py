"""From what a user names to what is replayed: the labelled data, and the learner that learns from it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from labelloop.data.conll import ENDINGS
from labelloop.data.sources import Columns
from labelloop.data.wheels import cache_dir
from labelloop.errors import ConfigError, NotFoundError
from labelloop.loop.loop import Loop
from labelloop.protocols import Learner, Progress, silent
from labelloop.simulate import labelled
from labelloop.simulate.replay import Labelled
from labelloop.types import Modality
from labelloop.workspace.config import Config, ControlConfig, DatasetConfig, Workspace
from labelloop.workspace.stack import Stack

NAME = "simulation"


@dataclass(frozen=True, slots=True)
class NamedPlaces:
    """What a user names.

    Attributes:
        place: A folder of class folders, a table, or an .npz.
        modality: None takes what is there.
        label_column: Empty takes the one with a usual name.
        columns: Of the text, or of the path or URL.
        fewest: Labels with fewer items are left out.
    """

    place: str
    modality: Modality | None = None
    label_column: str = ""
    columns: Columns = field(default_factory=Columns)
    fewest: int = 0


@dataclass(frozen=True)
class Ready:
    """What is replayed.

    Attributes:
        unreadable: How many items were skipped because they cannot be read.
    """

    labelled: Labelled
    learner: Learner
    unreadable: int = 0


def of_workspace(loop: Loop, fewest: int = 0) -> Ready:
    """What people have answered in a workspace, and its learner.

    Raises:
        ConfigError: Nothing is answered, or items may have several labels.
    """
    return Ready(labelled.from_loop(loop, fewest), loop.learner)


def of_place(wanted: NamedPlaces, config: Config, progress: Progress = silent) -> Ready:
    """Labelled data from elsewhere, with the learner of this configuration.

    Embeddings and everything else are kept in the user's cache folder, by content: a second replay embeds nothing.

    Raises:
        NotFoundError: There is no such place.
        ConfigError: There are no labels in it, or too few items.
    """
    if wanted.place.lower().endswith(".npz"):
        if not Path(wanted.place).is_file():
            raise NotFoundError(f"there is no file {wanted.place}", "check the path")
        there = labelled.from_npz(Path(wanted.place), wanted.fewest)
        with _scratch(wanted.modality or "image", there.labels, config, progress) as loop:
            if loop.learning.snapshots.reads_items:
                raise ConfigError(
                    f"{wanted.place} has embeddings, and learner {config.learner.flavor!r} reads the items themselves",
                    "name a folder of class folders, or a table with a column of labels",
                )
            return Ready(there, loop.learner)
    if wanted.place.lower().endswith(ENDINGS):
        return _of_conll(wanted.place, config, progress)
    found = labelled.read_labelled(
        wanted.place, wanted.modality, wanted.columns, wanted.label_column, progress=progress
    )
    names = tuple(sorted({answer for answer in found.answers if answer}))
    if len(names) < 2:
        raise ConfigError(
            f"every item of {wanted.place} has the label {names[0]!r}; a replay needs at least 2 labels",
            "put each label's items into a folder of its name, or name a table with --label-column",
        )
    with _scratch(found.items[0].modality, names, config, progress) as loop:
        learning = loop.learning
        backbone, *apart = learning.embeddings.backbones
        made = labelled.embedded(
            found,
            loop.run,
            backbone,
            wanted.fewest,
            progress,
            keep_items=learning.snapshots.reads_items,
            chooser=apart[0] if apart else None,
        )
        return Ready(made, loop.learner, len(found.unreadable) + len(found.items) - len(made))


def _of_conll(place: str, config: Config, progress: Progress) -> Ready:
    """The sentences of a CoNLL file; by the learner of spans, unless the configuration names one."""
    found, kind = labelled.read_conll(place, progress)
    control = ControlConfig.model_validate({"kind": "spans", "labels": list(kind.labels)})
    dataset = DatasetConfig(name=NAME, modality="text")
    wanted = Config(dataset=dataset, controls={"spans": control}, learner=config.learner, selection=config.selection)
    with _opened(wanted, progress) as loop:
        matrix = labelled.embeddings_of(found, loop.run, loop.learning.embeddings.chooser, progress)
        made = labelled.of_kind(matrix, found, kind)
        return Ready(made, loop.learner, len(found.items) - len(made))


def _scratch(modality: Modality, labels: tuple[str, ...], config: Config, progress: Progress) -> Loop:
    dataset = DatasetConfig(name=NAME, modality=modality, labels=labels)
    return _opened(Config(dataset=dataset, learner=config.learner, selection=config.selection), progress)


def _opened(config: Config, progress: Progress) -> Loop:
    workspace = Workspace(cache_dir(os.environ) / NAME, config, {})
    workspace.home.mkdir(parents=True, exist_ok=True)
    return Loop(workspace, Stack(workspace), progress)
