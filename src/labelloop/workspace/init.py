"""Making a workspace: labelloop.toml for people to edit, a git-ignored folder for everything else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelloop.errors import BackendError, ConfigError
from labelloop.errors.masking import masked
from labelloop.kinds.label_config import ControlTag, LabelConfig
from labelloop.machine.privacy import make_private
from labelloop.machine.registry import KINDS
from labelloop.machine.trust import trust
from labelloop.workspace import own_config
from labelloop.workspace.config import (
    NO_LEARNER,
    Config,
    Workspace,
    editing,
    load,
    make,
    parse,
    read_text,
    replace_text,
    table_of,
)
from labelloop.workspace.root import FILE, STATE

TEMPLATE = """\
# What labelloop does in this folder. Every setting there is, with its value: labelloop config
version = 1                  # of this file's format

[dataset]
name = "{name}"
modality = "image"           # image | text
task = "single-choice"       # single-choice | multiple-choice
labels = []                  # for example ["cat", "dog"]

[loop]
batch = 50                   # items asked per round to learn from
selector = "auto"            # auto | uherding | margin | random | ... | module:function
random_share = 0.1           # share of each batch drawn at random

[holdout]                    # never selected, never trained on: the honest score comes from here
share = 0.1
size = 200

[learner]
flavor = "frozen"            # a frozen backbone with a linear head
backbone = "auto"
"""


def create(root: Path, chosen: Mapping[str, Any]) -> bool:
    """Make `root` a workspace, or update the chosen `[dataset]` settings of one that is there.

    Returns:
        Whether the labelloop.toml is new.

    Raises:
        ConfigError: The settings would not be valid; an existing file is untouched.
    """
    furnish(root)
    is_new = make(root, TEMPLATE.replace("{name}", _safe_name(root)))
    if is_new:
        with suppress(BackendError):  # asked later, should it ever name code
            trust(root, "init")
    if chosen:
        with editing(root) as document:
            section = document.setdefault("dataset", {})
            for key, value in chosen.items():
                section[key] = value
    return is_new


DEFAULT_FLAVOR = "frozen"
LABEL_CONFIG = "label_config.xml"
"""Where a template is written to, or a label config from outside of the workspace."""


def bring(root: Path, xml: str, source: Path | None, main: str = "") -> LabelConfig:
    """Have a workspace ask what a label config says; it stays as it was written.

    Args:
        root: The workspace, which is there.
        xml: The label config.
        source: Its file; used where it lies where it is inside of the workspace. None for one that has none.
        main: The control that is learned from; empty is the first that can be.

    Raises:
        ConfigError: It is none, another one is there, or the workspace asks for labels or controls already.
    """
    own = own_config.read(xml, source or "the template", main)
    _refuse_another_question(root)
    inside = source is not None and source.resolve().is_relative_to(root.resolve())
    name = source.resolve().relative_to(root.resolve()).as_posix() if source and inside else LABEL_CONFIG
    path = root / name
    if not inside:
        if path.exists() and read_text(path) != xml:
            raise ConfigError(f"{path} is there, and another label config", "move it away, or name it with --config")
        replace_text(path, xml)
    with editing(root) as document:
        section = document.setdefault("dataset", {})
        for key in ("modality", "task", "labels", "instruction", "show", "main"):
            section.pop(key, None)
        section.update({"config": name, **({"main": main} if main else {})})
        if document.get("learner", {}).get("flavor") == DEFAULT_FLAVOR:  # as `create` writes it
            document["learner"].pop("flavor")
    return own


def _refuse_another_question(root: Path) -> None:
    """What somebody has set to be asked is not thrown away."""
    path = root / FILE
    written = parse(read_text(path), path)
    asked = ["controls"] if written.controls else []
    if not written.label_config:
        asked += [f"dataset.{key}" for key in ("labels", "instruction", "show") if getattr(written.dataset, key)]
    if asked:
        raise ConfigError(
            f"{path} has {asked[0]} already, and a label config says what is asked",
            f"take {' and '.join(asked)} out of it first, or make another folder",
        )


@dataclass(frozen=True, slots=True)
class Treatment:
    """What becomes of the answers in one control of a label config.

    Attributes:
        name: The control.
        tag: What it is.
        about: What it asks about.
        becomes: What becomes of its answers, in words.
    """

    name: str
    tag: str
    about: str
    becomes: str

    def as_dict(self) -> Mapping[str, str]:
        """For scripts."""
        return {"name": self.name, "tag": self.tag, "about": self.about, "becomes": self.becomes}


def treatments(config: Config) -> list[Treatment]:
    """What becomes of each control of the label config that people brought."""
    own, main = config.label_config, config.schema_of().control
    return [
        Treatment(one.name, one.tag, ", ".join(shown.name for shown in one.shown), _becomes(config, one, main))
        for one in (own.asked if own else ())
    ]


def _becomes(config: Config, asked: ControlTag, main: str) -> str:
    learner = config.learner_of().flavor
    if asked.name == main and learner != NO_LEARNER:
        return f"learned from by {learner!r}"
    if asked.name == main:
        return "the main question; asked, heard and exported, not learned from"
    if asked.kind is not None:
        return "asked, compared, scored and exported, not learned from"
    return "asked, heard and exported as it is"


def enter(root: Path, flags: Mapping[str, Any]) -> Workspace:
    """The workspace in a folder with every setting, and its git-ignored folder."""
    found = load(root, flags=flags)
    if (root / FILE).exists():
        furnish(root)
    return found


@dataclass(frozen=True, slots=True)
class Code:
    """Code that a labelloop.toml names.

    Attributes:
        setting: Where it is named.
        target: `module:attribute`.
        file: The file beside labelloop.toml; None for a module from elsewhere.
    """

    setting: str
    target: str
    file: Path | None

    def as_dict(self) -> Mapping[str, Any]:
        """The code for scripts."""
        return {"setting": self.setting, "target": self.target, "file": str(self.file) if self.file else None}


def code_named(root: Path, config: Config) -> list[Code]:
    """The code that the settings of a workspace name; nothing is loaded."""
    return [
        Code(setting, target, _file_of(root, target.partition(":")[0]))
        for setting, value in _may_name_code(config)
        for target in _TARGET.findall(masked(value) if "://" in value else value)  # user:password of an address is none
    ]


_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _may_name_code(config: Config) -> Iterator[tuple[str, str]]:
    yield "learner.flavor", config.learner.flavor
    yield from ((f"learner.{name}", value) for name, value in config.learner.options.items() if isinstance(value, str))
    if not config.selection.backbone.startswith("hf:"):
        yield "selection.backbone", config.selection.backbone
    if "://" not in config.dataset.address:
        yield "dataset.address", config.dataset.address
    yield "loop.cold_start", config.loop.cold_start
    yield "loop.selector", config.loop.selector
    for kind in KINDS:
        for name, one in config.components(kind).items():
            yield f"{table_of(kind)}.{name}.flavor", one.flavor


def _file_of(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)


def furnish(root: Path) -> None:
    """Make the git-ignored folder of a workspace, which a fresh clone of one does not have; its owner's alone."""
    state = root / STATE
    if not state.exists() or os.access(state, os.W_OK):
        make_private(state)
        if not (state / ".gitignore").exists():
            replace_text(state / ".gitignore", "*\n")


def _safe_name(root: Path) -> str:
    """The folder's name as the name of a dataset: what cannot stand in a line of TOML, or be seen, is left out."""
    # where Python takes names for ASCII, others come as lone surrogates, which no file can hold
    spoken = os.fsencode(root.resolve().name).decode("utf-8", "ignore")
    name = "".join(one for one in spoken if one.isprintable() and one not in '"\\').strip() or "dataset"
    return name if len(name) >= 3 else f"{name}-dataset"
