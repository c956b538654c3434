"""Registered components of every kind: the verbs that a person edits labelloop.toml with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelloop.errors import ConfigError
from labelloop.errors.masking import has_any_credentials
from labelloop.machine.registry import OFFERED, ComponentKind, Option, build, convert, options, summary, unknown
from labelloop.workspace.config import Config, part_of, rewrite, table_of
from labelloop.workspace.root import STATE
from labelloop.workspace.toml_edits import add_table, drop, drop_table, put, rename_table

BUILT_IN = "default"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")

FLAGS: Mapping[ComponentKind, str] = {
    "artifact-store": "-a",
    "secrets-manager": "-x",
    "annotator": "-an",
    "orchestrator": "-o",
}
"""The option of the stack commands that names the component of each kind."""


@dataclass(frozen=True, slots=True)
class Described:
    """One component, everything about it.

    Attributes:
        kind: What it is.
        name: Its name.
        flavor: The name of the class behind it.
        summary: What that class is.
        options: Every option of the flavor with its value, and whether it was set.
        stacks: The stacks that use it.
    """

    kind: ComponentKind
    name: str
    flavor: str
    summary: str
    options: Sequence[tuple[Option, Any, bool]]
    stacks: Sequence[str]

    def as_dict(self) -> Mapping[str, Any]:
        """The component for scripts."""
        return {
            "kind": self.kind,
            "name": self.name,
            "flavor": self.flavor,
            "options": {option.name: value for option, value, _ in self.options},
            "set": [option.name for option, _, is_set in self.options if is_set],
            "stacks": list(self.stacks),
        }


def register(root: Path, kind: ComponentKind, name: str, flavor: str, chosen: Mapping[str, Any]) -> None:
    """Add a component to labelloop.toml.

    Args:
        root: The folder of the workspace.
        kind: What it is.
        name: Its name.
        flavor: A flavor name or `module:attribute`.
        chosen: The options, as text or as values; checked against the flavor's constructor.

    Raises:
        ConfigError: The name is taken or impossible, an option is wrong, or the flavor refuses them.
    """
    check_name(name, kind)
    if name == BUILT_IN:
        raise ConfigError(
            f"the {kind} {BUILT_IN!r} is there from the beginning",
            f"choose another name, or: labelloop {kind} update {BUILT_IN} --OPTION=VALUE",
        )
    values = checked(root, kind, flavor, chosen)

    def change(text: str, config: Config) -> str:
        if name in config.components(kind):
            raise ConfigError(f"the {kind} {name!r} exists already", f"labelloop {kind} update {name} --OPTION=VALUE")
        return add_table(text, (table_of(kind), name), {"flavor": flavor, **values})

    rewrite(root, change)


def update(root: Path, kind: ComponentKind, name: str, chosen: Mapping[str, Any], unset: Sequence[str]) -> None:
    """Set and unset options of a component; what is left is checked as a whole.

    Raises:
        NotFoundError: There is no such component, or option.
        ConfigError: An option is wrong, or the flavor refuses them.
    """

    def change(text: str, config: Config) -> str:
        now = config.component(kind, name)
        _known(kind, now.flavor, unset)
        kept = {key: value for key, value in now.options.items() if key not in unset}
        values = checked(root, kind, now.flavor, {**kept, **chosen})
        path = (table_of(kind), name)
        if name not in getattr(config, table_of(kind)):
            text = add_table(text, path, {"flavor": now.flavor})
        for key in unset:
            text = drop(text, (*path, key)) if key in now.options else text
        for key in chosen:
            text = put(text, (*path, key), values[key])
        return text

    rewrite(root, change)


def rename(root: Path, kind: ComponentKind, name: str, new: str) -> Sequence[str]:
    """Rename a component, in every stack that uses it too; returns those stacks.

    Raises:
        NotFoundError: There is no such component.
        ConfigError: The new name is taken or impossible, or the component is built in.
    """
    check_name(new, kind)
    _not_built_in(kind, name, "renamed")
    users: list[str] = []

    def change(text: str, config: Config) -> str:
        known = config.components(kind)
        if name not in known:
            raise unknown(kind, name, known)
        if new in known:
            raise ConfigError(f"the {kind} {new!r} exists already", f"labelloop {kind} list")
        users.extend(used_by(config, kind, name))
        text = rename_table(text, (table_of(kind), name), new)
        for stack in users:
            text = put(text, ("stacks", stack, part_of(kind)), new)
        return text

    rewrite(root, change)
    return users


def delete(root: Path, kind: ComponentKind, name: str) -> None:
    """Remove a component that no stack uses.

    Raises:
        NotFoundError: There is no such component.
        ConfigError: A stack uses it, or it is built in.
    """
    _not_built_in(kind, name, "deleted")

    def change(text: str, config: Config) -> str:
        known = config.components(kind)
        if name not in known:
            raise unknown(kind, name, known)
        if users := used_by(config, kind, name):
            flag = FLAGS[kind]
            raise ConfigError(
                f"the {kind} {name!r} is used by: {', '.join(users)}",
                f"labelloop stack update {users[0]} {flag} ANOTHER, or labelloop stack delete {users[0]}",
            )
        return drop_table(text, (table_of(kind), name))

    rewrite(root, change)


def describe(config: Config, kind: ComponentKind, name: str) -> Described:
    """Everything about one component.

    Raises:
        NotFoundError: There is no such component.
    """
    one = config.component(kind, name)
    values = [
        (option, one.options.get(option.name, option.default), option.name in one.options)
        for option in options(kind, one.flavor)
    ]
    return Described(kind, name, one.flavor, summary(kind, one.flavor), values, used_by(config, kind, name))


def used_by(config: Config, kind: ComponentKind, name: str) -> list[str]:
    """The stacks that use a component."""
    return [stack for stack in config.stack_names() if getattr(config.stack(stack), part_of(kind)) == name]


def checked(root: Path, kind: ComponentKind, flavor: str, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options as labelloop.toml holds them, after the flavor's constructor has taken them.

    Neither secrets nor the network are needed: a component resolves its secret when it is used.

    Raises:
        ConfigError: An option is unknown, missing, of the wrong type, carries a password, or the flavor refuses it.
    """
    fitting = by_signature(root, kind, flavor, chosen)
    build(kind, flavor, chosen, _surroundings(root, kind))
    return fitting


def by_signature(root: Path, kind: ComponentKind, flavor: str, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options as labelloop.toml holds them, checked by their types alone: nothing is called.

    Raises:
        ConfigError: An option is unknown, missing, of the wrong type, or carries a password.
    """
    refuse_passwords(kind, flavor, chosen)
    converted = convert(kind, flavor, chosen, _surroundings(root, kind))
    return {key: _plain(value) for key, value in converted.items()}


def refuse_passwords(kind: ComponentKind, flavor: str, chosen: Mapping[str, Any]) -> None:
    """Refuse an option that holds a password.

    Raises:
        ConfigError: One does.
    """
    for name, value in chosen.items():
        if isinstance(value, str) and "://" in value and has_any_credentials(value):
            raise ConfigError(
                f"option {name!r} of {kind} flavor {flavor!r} carries a password or a token, "
                "which labelloop.toml must not hold",
                "put it into a secret: labelloop secret register --help",
            )


def _surroundings(root: Path, kind: ComponentKind) -> Mapping[str, Any]:
    surroundings = {"home": root / STATE, "secrets": _Unasked(), "store": _Unasked(), "component": "NAME"}
    return {key: surroundings[key] for key in OFFERED[kind]}


def check_name(name: str, what: str) -> None:
    """Refuse a name that could not be typed or written everywhere.

    Raises:
        ConfigError: It is none.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not a name for a {what}",
            "letters, digits, - _ . beginning with a letter or digit, at most 63 of them",
        )


class _Unasked:
    """Stands where a component will find secrets or a store: it is given them only when it is used."""

    def __getattr__(self, name: str) -> Any:
        raise ConfigError(f"a constructor asks for {name!r} of another component", "ask when it is used, not before")


def _known(kind: ComponentKind, flavor: str, names: Sequence[str]) -> None:
    known = [option.name for option in options(kind, flavor)]
    for name in names:
        if name not in known:
            raise unknown(f"option of {kind} flavor {flavor!r}", name, known)


def _not_built_in(kind: ComponentKind, name: str, what: str) -> None:
    if name == BUILT_IN:
        raise ConfigError(
            f"the {kind} {BUILT_IN!r} is built in and cannot be {what}: a stack that names none uses it",
            f"labelloop {kind} register NAME ..., then labelloop stack update {FLAGS[kind]} NAME",
        )


def _plain(value: Any) -> Any:
    """A value as TOML can hold it."""
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return str(value)
