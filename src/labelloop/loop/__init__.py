"""The loop, and the parts of one round."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelloop.loop.loop import Loop as Loop
    from labelloop.loop.stages import Outcome as Outcome

_PUBLIC = {"Loop": "loop", "Outcome": "stages"}


def __getattr__(name: str) -> Any:
    """What is documented as `labelloop.loop.Loop`, read when it is asked for."""
    if name not in _PUBLIC:
        raise AttributeError(name)
    return getattr(import_module(f"labelloop.loop.{_PUBLIC[name]}"), name)
