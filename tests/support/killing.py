"""Kills between two changes: what nothing catches, raised after the given number of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Killed(BaseException):
    """What a process that is killed sees."""


class Moment:
    """The moment of a kill: after so many changes."""

    def __init__(self, after: int) -> None:
        self._left = after

    @property
    def is_survived(self) -> bool:
        """Whether there were fewer changes."""
        return self._left > 0

    def counting(self, act: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, each call of which is a change."""

        def acting(*arguments: Any, **named: Any) -> Any:
            result = act(*arguments, **named)
            self._left -= 1
            if self._left == 0:
                raise Killed
            return result

        return acting
