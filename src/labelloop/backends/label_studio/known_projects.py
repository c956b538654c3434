"""Which project a dataset is, by Label Studio's number: people rename projects, and they stay the same."""

from __future__ import annotations

import json
from pathlib import Path


class KnownProjects:
    """A small file of dataset names and the numbers of their projects; without it, a project is found by its title.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, name: str) -> int | None:
        """The project that this dataset was when it was opened last."""
        number = self._read().get(name)
        return number if isinstance(number, int) else None

    def remember(self, name: str, number: int) -> None:
        """This dataset is that project."""
        kept = self._read()
        if kept.get(name) == number:
            return
        temporary = self._path.with_suffix(".tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({**kept, name: number}))
            temporary.replace(self._path)
        except OSError:
            return  # it will be found by its title

    def _read(self) -> dict[str, object]:
        try:
            kept = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}
