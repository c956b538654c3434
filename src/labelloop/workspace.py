"""Making a workspace: labelloop.toml for people to edit, a git-ignored folder for everything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelloop.config import Workspace, editing, load, make, replace_text
from labelloop.privacy import make_private
from labelloop.root import FILE, STATE

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
    is_new = make(root, TEMPLATE.format(name=_safe_name(root)))
    if chosen:
        with editing(root) as document:
            section = document.setdefault("dataset", {})
            for key, value in chosen.items():
                section[key] = value
    return is_new


def enter(root: Path, flags: Mapping[str, Any]) -> Workspace:
    """The workspace in a folder with every setting; modules beside its labelloop.toml can be named there."""
    found = load(root, flags=flags)
    if (root / FILE).exists():
        furnish(root)
        if str(root) not in sys.path:
            sys.path.append(str(root))
    return found


def furnish(root: Path) -> None:
    """Make the git-ignored folder of a workspace, which a fresh clone of one does not have; its owner's alone."""
    state = root / STATE
    if not state.exists() or os.access(state, os.W_OK):
        make_private(state)
        if not (state / ".gitignore").exists():
            replace_text(state / ".gitignore", "*\n")


def _safe_name(root: Path) -> str:
    # where Python takes names for ASCII, others come as lone surrogates, which no file can hold
    spoken = os.fsencode(root.resolve().name).decode("utf-8", "ignore")
    name = "".join(one for one in spoken if one.isprintable() and one not in '"\\').strip() or "dataset"
    return name if len(name) >= 3 else f"{name}-dataset"
