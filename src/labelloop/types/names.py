"""What our own classes are called in the keys of steps: a name that stays when they move or are rewritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field
from typing import Any, TypeVar

C = TypeVar("C", bound=type)

_NAME = "__labelloop_name__"

LATER: Mapping[str, bool] = {"labelloop.later": True}
"""Metadata of a field that came later: it is left out of keys while it has its default, so that older ones hold."""


def named(name: str) -> Callable[[C], C]:
    """Have a class count in keys by this name alone, in place of its module and source; not its subclasses.

    Change the name, such as to `Examples 2`, when the same fields mean something else.
    """

    def marked(cls: C) -> C:
        setattr(cls, _NAME, name)
        return cls

    return marked


def name_of(cls: type) -> str:
    """The name a class was given; empty without one."""
    name: str = vars(cls).get(_NAME, "")
    return name


def counts(field: Field[Any], value: Any) -> bool:
    """Whether a field of a dataclass is part of its key."""
    return field.compare and not (field.metadata.get("labelloop.later") and value == field.default)
