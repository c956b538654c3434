"""The stacks of a workspace: the verbs that a person edits labelloop.toml with, and stacks as files."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from labelloop.errors import ConfigError, NotFoundError
from labelloop.machine.registry import KINDS, ComponentKind, unknown
from labelloop.workspace.components import BUILT_IN, by_signature, check_name, refuse_passwords
from labelloop.workspace.config import (
    VERSION,
    ComponentConfig,
    Config,
    StackConfig,
    parse,
    part_of,
    read_text,
    replace_text,
    rewrite,
    table_of,
)
from labelloop.workspace.root import FILE
from labelloop.workspace.toml_edits import add_table, drop_table, put, rename_table

Parts = Mapping[ComponentKind, str]
"""ComponentKind -> name of a component; a kind that is left out is not spoken of."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought."""

    stack: str
    components: Mapping[str, str]
    """`kind name` of each component that was added or replaced -> the name it has now."""

    def as_dict(self) -> Mapping[str, Any]:
        """The import for scripts."""
        return {"stack": self.stack, "components": dict(self.components)}


def register(root: Path, name: str, parts: Parts, *, activate: bool = False) -> None:
    """Add a stack; a kind that is left out is `default`.

    Raises:
        NotFoundError: A component does not exist.
        ConfigError: The name is taken or impossible.
    """
    check_name(name, "stack")

    def change(text: str, config: Config) -> str:
        _free(config, name)
        text = _written(text, name, _named(config, StackConfig(), parts))
        return put(text, ("active_stack",), name) if activate else text

    rewrite(root, change)


def copy(root: Path, source: str, name: str) -> None:
    """Add a stack with the components of another one.

    Raises:
        NotFoundError: The source does not exist.
        ConfigError: The name is taken or impossible.
    """
    check_name(name, "stack")

    def change(text: str, config: Config) -> str:
        found = _existing(config, source)
        _free(config, name)
        return _written(text, name, found)

    rewrite(root, change)


def activate(root: Path, name: str) -> None:
    """Make a stack the one that every command uses.

    Raises:
        NotFoundError: It does not exist.
    """

    def change(text: str, config: Config) -> str:
        _existing(config, name)
        return text if config.active_stack == name else put(text, ("active_stack",), name)

    rewrite(root, change)


def update(root: Path, name: str, parts: Parts) -> str:
    """Replace components of a stack, the active one if `name` is empty; returns its name.

    Raises:
        NotFoundError: The stack or a component does not exist.
        ConfigError: No component was given.
    """
    if not parts:
        raise ConfigError("no component to replace was given", "labelloop stack update [STACK] -a NAME -x NAME ...")
    updated: list[str] = []

    def change(text: str, config: Config) -> str:
        wanted = name or config.active_stack
        updated.append(wanted)
        now = _existing(config, wanted)
        after = _named(config, now, parts)
        if wanted not in config.stacks:
            return _written(text, wanted, after)
        for kind in parts:
            text = put(text, ("stacks", wanted, part_of(kind)), getattr(after, part_of(kind)))
        return text

    rewrite(root, change)
    return updated[0]


def rename(root: Path, name: str, new: str) -> None:
    """Rename a stack; the active one stays active.

    Raises:
        NotFoundError: It does not exist.
        ConfigError: The new name is taken or impossible, or the stack is `default`.
    """
    check_name(new, "stack")
    _not_built_in(name, "renamed")

    def change(text: str, config: Config) -> str:
        _existing(config, name)
        _free(config, new)
        text = rename_table(text, ("stacks", name), new)
        return put(text, ("active_stack",), new) if config.active_stack == name else text

    rewrite(root, change)


def delete(root: Path, name: str) -> None:
    """Remove a stack; its components stay.

    Raises:
        NotFoundError: It does not exist.
        ConfigError: It is the active one, or `default`.
    """

    def change(text: str, config: Config) -> str:
        refuse_to_delete(config, name)
        return drop_table(text, ("stacks", name))

    rewrite(root, change)


def refuse_to_delete(config: Config, name: str) -> None:
    """Refuse before anybody is asked.

    Raises:
        NotFoundError, ConfigError: As `delete`.
    """
    _not_built_in(name, "deleted")
    _existing(config, name)
    if config.active_stack == name:
        raise ConfigError(f"the stack {name!r} is the active one", "labelloop stack set ANOTHER, then delete it")


def described(config: Config, name: str = "") -> Mapping[str, Any]:
    """A stack and its components, each with its flavor and what is set.

    Raises:
        NotFoundError: It does not exist.
    """
    stack = config.stack(name)
    parts: dict[str, Any] = {}
    for kind in KINDS:
        component = getattr(stack, part_of(kind))
        one = config.component(kind, component)
        parts[kind] = {"name": component, "flavor": one.flavor, "options": dict(one.options)}
    wanted = name or config.active_stack
    return {"stack": wanted, "active": wanted == config.active_stack, "components": parts}


def described_in_words(found: Mapping[str, Any]) -> str:
    """What `described` found, a line per component."""
    lines = [f"stack {found['stack']}{' (active)' if found['active'] else ''}"]
    for kind, one in found["components"].items():
        options = "".join(f"  {name}={value}" for name, value in one["options"].items())
        lines.append(f"  {kind:<15}  {one['name']}, flavor {one['flavor']}{options}")
    return "\n".join(lines)


def imported_in_words(brought: Imported) -> str:
    """What an import brought, a line per component."""
    lines = [f"{what} is here as {name!r}" for what, name in brought.components.items()]
    return "\n".join([*lines, f"the stack {brought.stack!r} is here\nnext: labelloop stack set {brought.stack}"])


def exported(config: Config, name: str = "") -> str:
    """A stack with its components as the text of a file. It holds names of secrets, never their values.

    Raises:
        NotFoundError: It does not exist.
    """
    stack = config.stack(name)
    text = (
        f"# A stack of labelloop {version('labelloop')}: labelloop stack import FILE\n"
        "# It names secrets, it does not hold them.\n"
        f"version = {VERSION}\n"
    )
    text = _written(text, name or config.active_stack, stack)
    for kind in KINDS:
        component = getattr(stack, part_of(kind))
        one = config.component(kind, component)
        refuse_passwords(kind, one.flavor, one.options)
        text = add_table(text, (table_of(kind), component), {"flavor": one.flavor, **one.options})
    return text


def import_file(
    root: Path, file: Path, name: str = "", *, force: bool = False, beside: bool = False, trusted: bool = False
) -> Imported:
    """Add the stack of an exported file, and those of its components that are not here yet.

    Args:
        root: The folder of the workspace.
        file: What `exported` wrote.
        name: What the stack is called here; empty is its own name.
        force: Replace a stack or a component of the same name that differs.
        beside: Give a component whose name is taken by a different one the name `STACK-COMPONENT`.
        trusted: Take a flavor `module:attribute`, which is code that using the stack runs. Reading the file runs none.

    Raises:
        NotFoundError: The file does not exist.
        ConfigError: It is of a newer labelloop or not a stack, names code, or clashes with what is here.
    """
    there, own = _read_file(file)
    wanted = name or own
    check_name(wanted, "stack")
    if not trusted:
        _refuse_code(there, own, file)
    brought: dict[str, str] = {}

    def change(text: str, config: Config) -> str:
        parts: dict[ComponentKind, str] = {}
        for kind in KINDS:
            component = getattr(there.stacks[own], part_of(kind))
            theirs = there.component(kind, component)
            check_name(component, kind)
            called, is_new = _called(config, kind, component, theirs, f"{wanted}-{component}" if beside else "")
            if is_new and not force:
                _refuse_clash(config, kind, called, file)
            if is_new:
                brought[f"{kind} {component}"] = called
                values = {"flavor": theirs.flavor, **_options(root, kind, theirs)}
                text = _replaced(text, config, (table_of(kind), called), values)
            parts[kind] = called
        return _with_stack(text, config, wanted, _with(StackConfig(), parts), file, force=force)

    rewrite(root, change)
    return Imported(wanted, brought)


def write_file(text: str, file: Path) -> None:
    """Write an exported stack.

    Raises:
        ConfigError: The folder does not exist or may not be written; or it is a workspace's own labelloop.toml.
    """
    if file.name == FILE:
        raise ConfigError(f"{file} is a workspace's own file", "choose another name: -o team.toml")
    replace_text(file, text)


def _read_file(file: Path) -> tuple[Config, str]:
    """What an exported file says, and the name of its stack."""
    if not file.is_file():
        raise NotFoundError(f"no file {file}", "labelloop stack export NAME -o FILE writes one")
    there = parse(read_text(file), file)
    if len(there.stacks) != 1:
        raise ConfigError(f"{file} holds {len(there.stacks)} stacks, not one", "labelloop stack export NAME -o FILE")
    return there, next(iter(there.stacks))


def _refuse_code(there: Config, stack: str, file: Path) -> None:
    """Refuse a stack with a component that is code of somebody, and show it."""
    for kind in KINDS:
        component = getattr(there.stacks[stack], part_of(kind))
        one = there.component(kind, component)
        if ":" in one.flavor:
            options = "".join(f" {name}={value!r}" for name, value in one.options.items())
            raise ConfigError(
                f"the {kind} {component!r} in {file} is code: {one.flavor!r}{options}",
                f"if you know what it does: labelloop stack import {shlex.quote(str(file))} --trust",
            )


def _options(root: Path, kind: ComponentKind, theirs: ComponentConfig) -> Mapping[str, Any]:
    """The options of a component of a file: checked by the types of an installed flavor; code is not even loaded."""
    if ":" not in theirs.flavor:
        return by_signature(root, kind, theirs.flavor, theirs.options)
    refuse_passwords(kind, theirs.flavor, theirs.options)
    return theirs.options


def _called(
    config: Config, kind: ComponentKind, component: str, theirs: ComponentConfig, other: str
) -> tuple[str, bool]:
    """What a component of a file is called here, and whether it must be written."""
    here = config.components(kind)
    for name in filter(None, (component, other)):
        if name not in here or here[name] == theirs:
            return name, name not in here
    return other or component, True


def _refuse_clash(config: Config, kind: ComponentKind, name: str, file: Path) -> None:
    if name in config.components(kind):
        raise ConfigError(
            f"the {kind} {name!r} here is not the one in {file}",
            "--rename takes the file's in under another name, --force replaces the one here",
        )


def _replaced(text: str, config: Config, path: tuple[str, str], values: Mapping[str, Any]) -> str:
    table, name = path
    return add_table(drop_table(text, path) if name in getattr(config, table) else text, path, values)


def _with_stack(text: str, config: Config, name: str, after: StackConfig, file: Path, *, force: bool) -> str:
    if name not in config.stack_names():
        return _written(text, name, after)
    if config.stack(name) == after:
        return text
    if not force:
        raise ConfigError(
            f"the stack {name!r} here is not the one in {file}",
            f"labelloop stack import {file} --name OTHER, or --force",
        )
    return _replaced(text, config, ("stacks", name), after.model_dump())


def _existing(config: Config, name: str) -> StackConfig:
    if name in config.stack_names():
        return config.stacks.get(name, StackConfig())
    raise unknown("stack", name, config.stack_names())


def _free(config: Config, name: str) -> None:
    if name in config.stack_names():
        raise ConfigError(f"the stack {name!r} exists already", f"labelloop stack update {name}, or another name")


def _named(config: Config, stack: StackConfig, parts: Parts) -> StackConfig:
    """The stack with other components, each of which exists."""
    for kind, component in parts.items():
        if component not in config.components(kind):
            raise unknown(kind, component, config.components(kind))
    return _with(stack, parts)


def _with(stack: StackConfig, parts: Parts) -> StackConfig:
    return stack.model_copy(update={part_of(kind): component for kind, component in parts.items()})


def _written(text: str, name: str, stack: StackConfig) -> str:
    return add_table(text, ("stacks", name), stack.model_dump())


def _not_built_in(name: str, what: str) -> None:
    if name == BUILT_IN:
        raise ConfigError(
            f"the stack {BUILT_IN!r} cannot be {what}: it is what a workspace begins with",
            f"labelloop stack copy {BUILT_IN} NAME makes one of your own",
        )
