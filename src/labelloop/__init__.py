"""Continuous annotation: a model and its annotators in one loop, around Label Studio."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from pathlib import Path

    from labelloop.loop.loop import Loop
    from labelloop.protocols import Progress
    from labelloop.storage.runs import Line

__version__ = "0.1.0"

SILENCED = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")
"""Variables that keep libraries from reporting to their makers; onnxruntime reads its own when it is loaded."""

os.environ.update(dict.fromkeys(SILENCED, "1"))


class _Earlier:
    """Finds modules under the documented names that they had before they moved into rooms."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith("labelloop."):
            return None
        from labelloop._moved import spec_of

        return spec_of(name)


sys.meta_path.append(_Earlier)


def open(
    root: str | Path = ".",
    *,
    stack: str = "",
    settings: dict[str, Any] | None = None,
    tell: Callable[[Line], None] | None = None,
    progress: Progress | None = None,
) -> Loop:
    """The loop of a workspace, for `with labelloop.open() as loop:`.

    Args:
        root: A folder with a labelloop.toml, or one below it.
        stack: The stack; the active one if empty.
        settings: Dotted names to values, such as `{"loop.batch": 20}`.
        tell: Told each step of a pipeline when it has ended: `print` prints a line for each.
        progress: Told about long work.

    Raises:
        NotFoundError: There is no labelloop.toml, or no such stack.
        ConfigError: The file has a mistake.
    """
    from pathlib import Path

    from labelloop.loop.loop import Loop
    from labelloop.protocols import silent
    from labelloop.storage.runs import nobody
    from labelloop.workspace.init import enter
    from labelloop.workspace.root import find_root
    from labelloop.workspace.stack import Stack

    workspace = enter(find_root(Path(root).resolve()), settings or {})
    return Loop(workspace, Stack(workspace, stack), progress or silent, tell=tell or nobody)
