"""The folder that our own Label Studio serves files from: one link for each file that people were asked about."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from labelloop.errors import BackendError


@dataclass(frozen=True, slots=True)
class Root:
    """Below which folder the server may serve files.

    Attributes:
        path: The folder.
        linked: Whether it is the folder of links, and not one that its owner chose.
    """

    path: Path
    linked: bool = False


def link(served: Path, files: Iterable[Path]) -> None:
    """Have a link for each file below the folder, where the file lies below the root: `served/home/ann/cat.png`.

    So a file keeps the address it had when everything below `/` was served, and nothing else can be asked for.

    Raises:
        BackendError: The folder cannot be written.
    """
    made: set[Path] = set()
    for file in files:
        place = served / file.relative_to(file.anchor)
        try:
            if place.parent not in made:
                place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                made.add(place.parent)
            place.symlink_to(file)
        except FileExistsError:
            continue
        except OSError as error:
            hint = "free some disk space" if error.errno == errno.ENOSPC else "check the folder's permissions"
            raise BackendError(f"{place} cannot be made: {error}", f"{hint} and run the command again") from error


def top(served: Path, file: Path) -> Path:
    """The folder right below `served` that a file of this machine is found in."""
    return served / file.relative_to(file.anchor).parts[0]


def in_served(served: Path, path: str) -> Path:
    """Where a storage of another root, or of this one before the workspace was moved, lies now."""
    old = Path(path)
    if old == served or served in old.parents:
        return old
    _, found, rest = path.partition("/label-studio/served/")
    return served / (rest if found else old.relative_to(old.anchor))
