"""Documented modules under the names that they had before they moved into rooms: to go with the next minor version."""

from __future__ import annotations

from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "labelloop.config": "labelloop.workspace.config",
    "labelloop.decide": "labelloop.loop.decide",
    "labelloop.harvest": "labelloop.commands.export",
    "labelloop.intake": "labelloop.commands.add",
    "labelloop.intervals": "labelloop.evaluation.intervals",
    "labelloop.runs": "labelloop.storage.runs",
    "labelloop.stack": "labelloop.workspace.stack",
    "labelloop.watch": "labelloop.commands.watch",
}


class _Same(Loader):
    """Gives the module of today."""

    def __init__(self, name: str) -> None:
        self._module = import_module(name)
        self._spec = self._module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # which the import has overwritten


def spec_of(name: str) -> ModuleSpec | None:
    """What to import for an earlier name; None for any other."""
    return ModuleSpec(name, _Same(MOVED[name])) if name in MOVED else None
