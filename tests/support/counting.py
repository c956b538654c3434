"""An orchestrator that keeps what it executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labelloop.backends.local_orchestrator import LocalOrchestrator


class Counting(LocalOrchestrator):
    """Executes, and keeps what."""

    def __init__(self) -> None:
        super().__init__()
        self.executed: list[str] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.executed.append(args[0].__name__)
        return super().submit(fn, *args, **kwargs)
