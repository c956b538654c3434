"""Items whose import has an unknown outcome: it may have arrived, or arrive while we ask again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from labelloop.errors import BackendError
from labelloop.machine.clocks import elapsed_seconds

_SETTLED_AFTER = 900.0


class UnconfirmedImports:
    """A small file of item ids, written before an import and cleared by its answer, so that a kill leaves it.

    Args:
        path: The file.
        clock: Seconds since the epoch.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock

    def ids(self) -> set[str]:
        """The items in doubt; after a quarter of an hour no request can be in flight any more."""
        return set(self._read())

    def add(self, items: Iterable[str]) -> None:
        """These items are about to be sent (once more)."""
        now, kept = self._clock(), self._read()
        self._write(kept | {item: (now, kept.get(item, (now, 0))[1] + 1) for item in items})

    def settle(self, items: Iterable[str]) -> None:
        """These items are certain again."""
        self._drop(items)

    def found(self, items: Collection[str]) -> None:
        """These items are there: certain now if sent once, else a second one may be on its way."""
        self._drop(item for item, (_, sent) in self._read().items() if sent == 1 and item in items)

    def _drop(self, items: Iterable[str]) -> None:
        dropped = set(items)
        if dropped:
            self._write({item: state for item, state in self._read().items() if item not in dropped})

    def _read(self) -> dict[str, tuple[float, int]]:
        now = self._clock()
        try:
            kept = json.loads(self._path.read_text()).items()
            return {
                str(item): (since, sent)
                for item, (since, sent) in kept
                if elapsed_seconds(now - since) < _SETTLED_AFTER
            }
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _write(self, items: Mapping[str, tuple[float, int]]) -> None:
        try:
            if not items:
                self._path.unlink(missing_ok=True)
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_suffix(".new")
            draft.write_text(json.dumps(items))
            draft.replace(self._path)
        except OSError as error:
            raise BackendError(
                f"{self._path} cannot be written: {error.strerror or error}", "free some disk space, then try again"
            ) from error
