"""Name -> component: flavors are entry points (ours too) or `module:attribute`; the constructor is the schema."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal, get_args

from labelloop.errors import ConfigError, NotFoundError, OptionError

ComponentKind = Literal["artifact-store", "secrets-manager", "annotator", "orchestrator"]
"""The kinds of component a stack has."""

Point = Literal["artifact-store", "secrets-manager", "annotator", "orchestrator", "learner", "selector", "kind"]
"""Everything that is found by name."""

KINDS: tuple[ComponentKind, ...] = get_args(ComponentKind)

OFFERED: Mapping[Point, tuple[str, ...]] = {
    "artifact-store": ("home", "secrets", "component"),
    "secrets-manager": ("home",),
    "annotator": ("home", "secrets", "store"),
    "orchestrator": ("home",),
    "learner": ("schema",),
    "selector": (),
    "kind": (),
}
"""Parameters of a constructor that the workspace fills in; every other one is an option."""


BUILT_IN: Mapping[ComponentKind, str] = {
    "artifact-store": "local",
    "secrets-manager": "local",
    "annotator": "label_studio",
    "orchestrator": "local",
}
"""The flavor of the component `default` that there is of each kind from the beginning."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a flavor, as its constructor says.

    Attributes:
        name: Its name in labelloop.toml and, after `--`, on the command line.
        type: Its type in words.
        required: Whether it has no default.
        default: The default; None for a required one.
        meaning: What the constructor's docstring says about it.
    """

    name: str
    type: str
    required: bool
    default: Any
    meaning: str


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
        ConfigError: The module cannot be imported, or misses the attribute; or it is named by a workspace that nobody
            trusts.
    """
    from labelloop.machine.modules import load

    try:
        return load(name) if ":" in name else _installed(point, name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{point} {name!r} cannot be loaded: {error}",
            "check the spelling module:attribute, and that the module is installed where labelloop runs",
        ) from error


def classes(point: Point) -> Mapping[str, Any]:
    """What is installed of one extension point: name -> the class or function."""
    return {name: resolve(point, name) for name in flavors(point)}


def _installed(point: Point, name: str) -> Any:
    target = flavors(point).get(name)
    if target is None:
        raise unknown(f"{point} flavor" if point in KINDS else point, name, flavors(point))
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def options_of(component: Any) -> Mapping[str, inspect.Parameter]:
    """What a flavor's constructor takes by name."""
    parameters = inspect.signature(component).parameters.values()
    return {p.name: p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}


def options(point: Point, flavor: str) -> Sequence[Option]:
    """The options of a flavor, in the order of its constructor.

    Raises:
        NotFoundError: No flavor of this name.
    """
    component = resolve(point, flavor)
    meanings = _meanings(component)
    return [
        Option(
            name,
            _in_words(parameter.annotation),
            parameter.default is parameter.empty,
            None if parameter.default is parameter.empty else parameter.default,
            meanings.get(name, ""),
        )
        for name, parameter in options_of(component).items()
        if name not in OFFERED[point]
    ]


def summary(point: Point, flavor: str) -> str:
    """What a flavor is, in the first words of its docstring."""
    return " ".join(inspect.cleandoc(resolve(point, flavor).__doc__ or "").partition("\n\n")[0].split())


def build(point: Point, flavor: str, options: Mapping[str, Any], surroundings: Mapping[str, Any]) -> Any:
    """A component of `flavor` from its options, each checked against the constructor's annotation.

    Args:
        point: What is built.
        flavor: A flavor name or `module:attribute`.
        options: What the user wrote.
        surroundings: What the workspace offers by name (`home`, `secrets`); given only where the constructor asks.

    Raises:
        OptionError: An option is unknown, missing, or of the wrong type.
        ConfigError: The constructor refuses them.
    """
    component = resolve(point, flavor)
    known = options_of(component)
    checked = convert(point, flavor, options, surroundings)
    offered = {name: thing for name, thing in surroundings.items() if name in known}
    return component(**checked, **offered)


def convert(
    point: Point, flavor: str, options: Mapping[str, Any], surroundings: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The options as the constructor's annotations want them; text is read as what it should be.

    Raises:
        OptionError: An option is unknown, missing, or of the wrong type.
    """
    component = resolve(point, flavor)
    known = options_of(component)
    where = f"{point} flavor {flavor!r}"
    configurable = [name for name in known if name not in surroundings]
    for name in options:
        if name not in configurable:
            refused = unknown(f"option of {where}", name, configurable)
            raise OptionError(refused.message, refused.hint, name)
    missing = [n for n in configurable if n not in options and known[n].default is inspect.Parameter.empty]
    if missing:
        raise OptionError(f"{where} needs the option {missing[0]!r}", f"set {missing[0]} = ...", missing[0])
    return {name: _checked(component, name, value, where) for name, value in options.items()}


def unknown(what: str, name: str, known: Mapping[str, Any] | Sequence[str]) -> NotFoundError:
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
    adapter: TypeAdapter[Any] = TypeAdapter(hints[name])
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        for reading in _readings(value):
            try:
                return adapter.validate_python(reading)
            except ValidationError:
                continue
        reason = error.errors()[0]["msg"]
        raise OptionError(
            f"option {name!r} of {where} is {value!r}: {reason}", f"correct {name} and try again", name
        ) from None


def _in_words(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}.get(name, name)


def _readings(value: Any) -> list[Any]:
    """What else a text may mean: a list with commas."""
    return [[part.strip() for part in value.split(",") if part.strip()]] if isinstance(value, str) else []


def _meanings(component: Any) -> dict[str, str]:
    """Name -> meaning, from the `Args` or `Attributes` of a docstring."""
    found: dict[str, str] = {}
    name, inside = "", False
    for line in inspect.cleandoc(component.__doc__ or "").splitlines():
        if line and not line.startswith(" "):
            inside = line in ("Args:", "Attributes:")
        elif inside and (start := re.match(r" {4}(\w+): (.*)", line)):
            name = start[1]
            found[name] = start[2]
        elif inside and line.strip():
            found[name] += f" {line.strip()}"
    return found
