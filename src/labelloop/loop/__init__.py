"""The loop, and the parts of one round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelloop.loop.loop import Loop as Loop
    from labelloop.loop.loop import Outcome as Outcome


def __getattr__(name: str) -> Any:
    """What is documented as `labelloop.loop.Loop`, read when it is asked for."""
    if name in ("Loop", "Outcome"):
        from labelloop.loop import loop

        return getattr(loop, name)
    raise AttributeError(name)
