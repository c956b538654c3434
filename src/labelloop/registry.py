"""Name -> component: flavors are entry points (ours too) or `module:attribute`; the constructor is the schema."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Literal, get_args

from labelloop.errors import ConfigError, NotFoundError

Kind = Literal["artifact-store", "secrets-manager", "annotator", "orchestrator"]
"""The kinds of component a stack has."""

Point = Literal["artifact-store", "secrets-manager", "annotator", "orchestrator", "learner", "selector"]
"""Everything that is found by name."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@cache
def flavors(point: Point) -> Mapping[str, str]:
    """The installed flavors of one extension point: name -> `module:attribute`."""
    from importlib.metadata import entry_points

    found = entry_points(group=f"labelloop.{point}")
    return {entry.name: entry.value for entry in sorted(found, key=lambda entry: entry.name)}


def resolve(point: Point, name: str) -> Any:
    """The class or function behind a flavor name or a `module:attribute`.

    Raises:
        NotFoundError: No flavor of this name.
        ConfigError: The module cannot be imported, or misses the attribute.
    """
    target = name if ":" in name else flavors(point).get(name)
    if target is None:
        raise unknown(point, name, flavors(point))
    module_name, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{point} {name!r} cannot be loaded: {error}",
            "check the spelling module:attribute, and that the module is installed where labelloop runs",
        ) from error


def options_of(component: Any) -> Mapping[str, inspect.Parameter]:
    """The options a flavor takes: its constructor's parameters."""
    parameters = inspect.signature(component).parameters.values()
    return {p.name: p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}


def build(point: Point, flavor: str, options: Mapping[str, Any], surroundings: Mapping[str, Any]) -> Any:
    """A component of `flavor` from its options, each checked against the constructor's annotation.

    Args:
        point: What is built.
        flavor: A flavor name or `module:attribute`.
        options: What the user wrote.
        surroundings: What the workspace offers by name (`home`, `secrets`); given only where the constructor asks.

    Raises:
        ConfigError: An option is unknown, missing, or of the wrong type.
    """
    component = resolve(point, flavor)
    known = options_of(component)
    configurable = [name for name in known if name not in surroundings]
    for name in options:
        if name not in configurable:
            raise unknown(f"option of {point} flavor {flavor!r}", name, configurable)
    missing = [n for n in configurable if n not in options and known[n].default is inspect.Parameter.empty]
    if missing:
        raise ConfigError(f"{point} flavor {flavor!r} needs the option {missing[0]!r}", f"set {missing[0]} = ...")
    checked = {name: _checked(component, name, value, f"{point} flavor {flavor!r}") for name, value in options.items()}
    offered = {name: thing for name, thing in surroundings.items() if name in known}
    return component(**checked, **offered)


def unknown(what: str, name: str, known: Mapping[str, Any] | list[str]) -> NotFoundError:
    """The error for a name that is none of the known ones, with the nearest one suggested."""
    near = difflib.get_close_matches(name, list(known), n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return NotFoundError(f"unknown {what}: {name!r}", f"{meant}known: {', '.join(known) or 'none'}")


def _checked(component: Any, name: str, value: Any, where: str) -> Any:
    from typing import get_type_hints

    from pydantic import TypeAdapter, ValidationError

    hints = get_type_hints(component.__init__ if inspect.isclass(component) else component)
    if name not in hints:
        return value
    try:
        return TypeAdapter(hints[name]).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise ConfigError(
            f"option {name!r} of {where} is {value!r}: {reason}", f"correct {name} and try again"
        ) from None
