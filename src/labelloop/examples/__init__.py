"""Runnable example projects, which lie beside this file and are copied out of the installed package."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from labelloop.config import STATE, load
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.registry import unknown
from labelloop.stack import Stack

PROJECTS: Mapping[str, str] = {
    "label_studio_annotation": "two pipelines, training and inference, with a PyTorch learner; local, AWS, GCP, Azure",
    "own_step_learner_selector": "a step, a learner and a selector of your own in one Python file",
}
"""Name of an example -> what it shows."""

FOLDER = "labelloop_examples"
"""Where examples are put."""

HERE = Path(__file__).resolve().parent


def pull(name: str, into: Path, *, force: bool = False) -> Path:
    """Copy an example into the folder `into`; where it is now. A pull that was killed leaves nothing, or the whole.

    Args:
        force: Write the files of an example that is there anew, one by one; files of your own, and what labelloop keeps
            there, stay.

    Raises:
        NotFoundError: There is no such example.
        ConfigError: It is there, and `force` is not.
        BackendError: The folder cannot be written.
    """
    target = into / _known(name)
    if target.exists() and not force:
        raise ConfigError(
            f"{target} exists already", f"labelloop example pull {name} --force writes the example's files anew"
        )
    with _explained(into):
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=f".{name}-") as aside:
            whole = Path(aside) / name
            shutil.copytree(HERE / name, whole, ignore=shutil.ignore_patterns("__pycache__", STATE))
            if target.exists():
                _overwrite(whole, target)
            else:
                whole.rename(target)
    return target


def find(name: str, into: Path) -> Path:
    """The folder of an example that was pulled into `into`.

    Raises:
        NotFoundError: There is no such example, or it is not there.
        ConfigError: Its Label Studio is running.
    """
    target = into / _known(name)
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
    with _explained(target.parent), tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as aside:
        target.rename(Path(aside) / target.name)


def pulled(into: Path) -> Sequence[str]:
    """The names of the examples that lie in `into`."""
    return [name for name in PROJECTS if (into / name).is_dir()]


def _known(name: str) -> str:
    if name not in PROJECTS:
        raise unknown("example", name, PROJECTS)
    return name


def _is_up(target: Path) -> bool:
    return Stack(load(target.resolve(), {})).annotator.describe().state != "down"


def _overwrite(whole: Path, target: Path) -> None:
    for path in sorted(whole.rglob("*")):
        there = target / path.relative_to(whole)
        if path.is_dir():
            there.mkdir(exist_ok=True)
        else:
            path.replace(there)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackendError(
            f"{folder} cannot be written: {error.strerror or error}", "choose another folder: --path DIR"
        ) from error
