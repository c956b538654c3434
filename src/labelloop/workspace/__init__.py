"""A workspace: labelloop.toml and everything that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelloop.workspace.init import enter as enter


def __getattr__(name: str) -> Any:
    """What is documented as `labelloop.workspace.enter`, read when it is asked for."""
    if name == "enter":
        from labelloop.workspace import init

        return getattr(init, name)
    raise AttributeError(name)
