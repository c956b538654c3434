"""Runnable example projects, which lie beside this file and are copied out of the installed package."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.machine.registry import unknown
from labelloop.workspace.config import load
from labelloop.workspace.root import STATE
from labelloop.workspace.stack import Stack

PROJECTS: Mapping[str, str] = {
    "label_studio_annotation": "two pipelines, training and inference, with a PyTorch learner; local, AWS, GCP, Azure",
    "own_step_learner_selector": "a step, a learner and a selector of your own in one Python file",
}
"""Name of an example -> what it shows."""

FOLDER = "labelloop_examples"
"""Where examples are put."""

HERE = Path(__file__).resolve().parent
NEW, OLD = "new", "old"


def pull(name: str, into: Path, *, force: bool = False) -> Path:
    """Copy an example into the folder `into`; where it is now.

    Killed anywhere, it leaves the example as it was or the whole new one; the next puts in order what it left beside.

    Args:
        force: Write an example that is there anew; files of your own, and what labelloop keeps there, stay.

    Raises:
        NotFoundError: There is no such example.
        ConfigError: It is there, and `force` is not.
        BackendError: The folder cannot be written.
    """
    target = into / _known(name)
    with _explained(into):
        into.mkdir(parents=True, exist_ok=True)
        with _alone_in(into):
            _put_in_order(target)
            if target.exists() and not force:
                hint = f"labelloop example pull {name} --force writes the example's files anew"
                raise ConfigError(f"{target} exists already", hint)
            _exchange(target, HERE / name)
    return target


def find(name: str, into: Path) -> Path:
    """The folder of an example that was pulled into `into`.

    Raises:
        NotFoundError: There is no such example, or it is not there.
        ConfigError: Its Label Studio is running.
        BackendError: The folder cannot be written.
    """
    target = into / _known(name)
    if into.is_dir():
        with _explained(into), _alone_in(into):
            _put_in_order(target)
    if not target.is_dir():
        raise NotFoundError(f"there is no example at {target}", f"labelloop example pull {name}")
    if (target / STATE / "label-studio" / "server.json").exists() and _is_up(target):
        raise ConfigError(f"the Label Studio of {target} is running", f"labelloop -C {target} stack down")
    return target


def remove(target: Path) -> None:
    """Delete the folder of an example with everything in it; gone at once, even if killed while it is deleted.

    Raises:
        BackendError: The folder cannot be written.
    """
    with _explained(target.parent), _alone_in(target.parent):
        target.rename(_aside(target) / "removed")
        _put_in_order(target)


def pulled(into: Path) -> Sequence[str]:
    """The names of the examples that lie in `into`."""
    return [name for name in PROJECTS if (into / name).is_dir()]


def _known(name: str) -> str:
    if name not in PROJECTS:
        raise unknown("example", name, PROJECTS)
    return name


def _is_up(target: Path) -> bool:
    return Stack(load(target.resolve(), {})).annotator.describe().state != "down"


def _exchange(target: Path, source: Path) -> None:
    """Put a copy of `source` where `target` is; renames alone come between the old and the new."""
    aside = _aside(target)
    try:
        shutil.copytree(source, aside / NEW, ignore=shutil.ignore_patterns("__pycache__", STATE))
        if target.exists():
            target.rename(aside / OLD)
        else:
            (aside / NEW).rename(target)
    finally:
        _put_in_order(target)


def _put_in_order(target: Path) -> None:
    """Complete an exchange that has begun, and delete what whoever was killed left beside."""
    for aside in target.parent.glob(f".{target.name}-*"):
        if (aside / OLD).exists() and (aside / NEW).exists():
            if target.exists():
                continue  # somebody put it there since; what is aside may be all that is left of the user's
            _bring_over(aside / OLD, aside / NEW)
            (aside / NEW).rename(target)
        shutil.rmtree(aside)


def _bring_over(old: Path, new: Path) -> None:
    """Move what only the old folder has: files of the user, and what labelloop keeps."""
    for path in list(old.iterdir()):
        there = new / path.name
        if not there.exists():
            path.rename(there)
        elif path.is_dir() and not path.is_symlink():
            _bring_over(path, there)


def _aside(target: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time; whoever is killed lets go."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackendError(
            f"{folder} cannot be written: {error.strerror or error}", "choose another folder: --path DIR"
        ) from error
