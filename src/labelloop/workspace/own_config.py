"""What follows for a workspace from a label config that people brought."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelloop.errors import ConfigError, NotFoundError
from labelloop.kinds.label_config import LONGEST, ControlTag, LabelConfig, read_label_config
from labelloop.machine.registry import classes

if TYPE_CHECKING:
    from labelloop.workspace.config import Config

_SAID = ("modality", "task", "labels", "show", "instruction")
"""Settings of a dataset that a label config says itself."""


def file_of(root: Path, name: str) -> Path:
    """The file of a label config, whose content the annotator is sent: in the workspace, also where links lead.

    Raises:
        ConfigError: It lies elsewhere, or is too large.
        NotFoundError: There is no such file.
    """
    file = root / name
    if not file.resolve().is_relative_to(root.resolve()):
        raise ConfigError(
            f"dataset.config = {name!r} leads out of the workspace {root}", "labelloop init --config FILE copies it"
        )
    if not file.is_file():
        raise NotFoundError(f"no label config in {file}", "labelloop init --config FILE brings one")
    if file.stat().st_size > 4 * LONGEST:
        raise ConfigError(f"{file} has {file.stat().st_size:,} bytes", "name a label config, which is shorter")
    return file


def read(xml: str, source: Path | str, main: str = "") -> LabelConfig:
    """A label config as the installed kinds read it.

    Args:
        source: Where it is from, for the words of an error.
        main: The control that is learned from; empty is the first that can be.

    Raises:
        ConfigError: It is none, or has no such control.
    """
    try:
        own = read_label_config(xml, classes("kind"))
        own.main(main)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error.message}", error.hint) from error
    return own


def said_twice(config: Config) -> str:
    """A setting that says what the label config says, too; empty if there is none."""
    doubled = [f"dataset.{name}" for name in _SAID if name in config.dataset.model_fields_set]
    return doubled[0] if doubled else "controls" if config.controls else ""


def implied(config: Config, main: ControlTag) -> dict[str, Any]:
    """The sections of a configuration as a label config wants them.

    Args:
        main: The control that is learned from.
    """
    dataset, schema = config.dataset, config.schema_of()
    said: dict[str, Any] = {"modality": schema.modality, "task": schema.task}
    if schema.asked is None:
        said["labels"] = schema.labels
    if not main.sees and "duplicates" not in dataset.model_fields_set:
        said["duplicates"] = "exact"  # addresses of what nobody reads are alike without meaning
    changed: dict[str, Any] = {"dataset": dataset.model_copy(update=said)}
    if not main.sees and "cold_start" not in config.loop.model_fields_set:
        changed["loop"] = config.loop.model_copy(update={"cold_start": "random"})
    return changed
