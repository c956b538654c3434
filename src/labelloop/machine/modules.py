"""Code that a workspace names, `module:attribute`: loaded by its path, once a person has allowed it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from labelloop.errors import ConfigError

folders: list[Path] = []
"""Where a labelloop.toml was read; names in it are looked up beside the last one."""

_ours: dict[str, Path] = {}
"""Top-level module -> the folder it was loaded from."""

_wanted: ContextVar[tuple[Path, str] | None] = ContextVar("wanted", default=None)
"""The one name that is being looked up, and where."""


class _Beside:
    """Finds a module beside labelloop.toml: the one that is named there, and what modules from there import.

    It is asked last, so that no file hides an installed or a standard module; and it answers nobody else, so that an
    optional import of some library finds nothing among the data.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As importlib's finders."""
        del target
        if path is not None:
            return None  # a part of a package, which knows its own folder
        folder = _folder_for(name)
        found = _beside(folder, name) if folder else None
        if folder and found:
            _ours[name] = folder
        return found


def look_in(folder: Path) -> None:
    """From now on, `module:attribute` is what a labelloop.toml in this folder says."""
    folder = folder.resolve()
    if folder in folders:
        folders.remove(folder)
    folders.append(folder)
    if not any(isinstance(one, _Beside) for one in sys.meta_path):
        sys.meta_path.append(_Beside())


def load(target: str) -> Any:
    """What `module:attribute` names: of an installed module, or of one that lies beside labelloop.toml.

    Raises:
        ConfigError: A labelloop.toml names it, and nobody has allowed that folder's code to run.
        ImportError, AttributeError: It is not there.
    """
    from labelloop.machine.trust import is_trusted

    folder = folders[-1] if folders else None
    name, _, attribute = target.partition(":")
    if folder is None:
        return getattr(importlib.import_module(name), attribute)
    if not is_trusted(folder):
        import shlex

        raise ConfigError(
            f"{folder} names {target!r}, code that nobody has allowed to run",
            f"read it; if you know who wrote it: labelloop -C {shlex.quote(str(folder))} trust",
        )
    return getattr(_imported(name, folder), attribute)


@dataclass(frozen=True, slots=True)
class Carried:
    """An object on its way to another process, which finds its class where this one did."""

    folder: Path | None
    module: str
    body: bytes

    @classmethod
    def of(cls, thing: object) -> Carried:
        """Pack it."""
        import pickle

        return cls(folders[-1] if folders else None, type(thing).__module__, pickle.dumps(thing))

    def unpacked(self) -> Any:
        """The object."""
        import pickle

        from labelloop.machine.trust import is_trusted

        if self.folder:
            look_in(self.folder)
            if is_trusted(self.folder):
                _imported(self.module, self.folder)
        return pickle.loads(self.body)  # noqa: S301 - our own bytes, from the process that started this one


def _imported(name: str, folder: Path) -> ModuleType:
    top = name.partition(".")[0]
    if _is_elsewhere(top):
        return importlib.import_module(name)
    if _ours.get(top, folder) != folder:
        forget(top)
    token = _wanted.set((folder, top))
    try:
        return importlib.import_module(name)
    finally:
        _wanted.reset(token)


def _is_elsewhere(top: str) -> bool:
    """Whether a module is installed, of the standard library, or loaded by somebody else."""
    if top in sys.modules:
        return top not in _ours
    return find_spec(top) is not None


def forget(top: str) -> None:
    """Make room for the module of this name of another workspace."""
    for name in [one for one in sys.modules if one == top or one.startswith(f"{top}.")]:
        del sys.modules[name]
    _ours.pop(top, None)


def _beside(folder: Path, name: str) -> ModuleSpec | None:
    found = PathFinder.find_spec(name, [str(folder)])
    if found is None:
        importlib.invalidate_caches()  # a file that was written a moment ago
        found = PathFinder.find_spec(name, [str(folder)])
    return found


def _folder_for(name: str) -> Path | None:
    """The folder that a name is looked up in, if it is asked for by us or by a module from there."""
    wanted = _wanted.get()
    if wanted and wanted[1] == name:
        return wanted[0]
    return _ours.get(_importer(sys._getframe(1)).partition(".")[0])


def _importer(frame: FrameType | None) -> str:
    """The name of the module that has the import statement."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name != __name__ and not name.startswith("importlib") and "importlib" not in frame.f_code.co_filename:
            return name
        frame = frame.f_back
    return ""
