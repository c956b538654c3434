"""stack: list, describe, register, copy, set, update, rename, delete, export, import, up, down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labelloop.cli.app import App, pass_app
from labelloop.cli.names import component_name, equals_apart, stack_name

if TYPE_CHECKING:
    from labelloop.workspace.stacks import Parts


class _ShortOptions(click.Command):
    """A command whose `-a=NAME` is `-a NAME`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's, with the sign taken apart."""
        return super().parse_args(ctx, equals_apart(args))


def _components(command: Callable[..., Any]) -> Callable[..., Any]:
    """The four options that name components."""
    for letters, long, kind in (
        ("-o", "--orchestrator", "orchestrator"),
        ("-an", "--annotator", "annotator"),
        ("-x", "--secrets-manager", "secrets-manager"),
        ("-a", "--artifact-store", "artifact-store"),
    ):
        command = click.option(
            letters,
            long,
            metavar="NAME",
            shell_complete=component_name(kind),  # type: ignore[arg-type]
            help=f"Registered {kind.replace('-', ' ')}.",
        )(command)
    return command


@click.group()
def stack() -> None:
    """Choose where bytes, secrets, people and computation live: one component of each kind."""


@stack.command(name="list")
@pass_app
def list_(app: App) -> None:
    """List the stacks and their components; * is the active one."""
    from labelloop.cli.render import show_json, table
    from labelloop.workspace.root import plain_stacks

    active, stacks = plain_stacks(app.root, app.settings) or _checked_stacks(app)
    if app.as_json:
        show_json({name: {**parts, "active": name == active} for name, parts in stacks.items()})
        return
    rows = [["*" if name == active else "", name, *parts.values()] for name, parts in stacks.items()]
    table(rows, ["", "stack", "artifact store", "secrets manager", "annotator", "orchestrator"])


def _checked_stacks(app: App) -> tuple[str, Mapping[str, Mapping[str, str]]]:
    config = app.workspace.config
    return config.active_stack, {name: config.stack(name).model_dump() for name in config.stack_names()}


@stack.command()
@click.argument("name", default="", shell_complete=stack_name)
@pass_app
def describe(app: App, name: str) -> None:
    """Show the components of a stack, each with its flavor and what is set; the active stack without a NAME."""
    from labelloop.cli.output import show
    from labelloop.workspace.stacks import described, described_in_words

    found = described(app.workspace.config, name)
    show(found, described_in_words(found), as_json=app.as_json)


@stack.command()
@pass_app
def get(app: App) -> None:
    """Print the name of the active stack."""
    from labelloop.cli.output import show

    active = app.workspace.config.active_stack
    show({"active": active}, active, as_json=app.as_json)


@stack.command(cls=_ShortOptions)
@click.argument("name")
@_components
@click.option("--set", "activate", is_flag=True, help="Make it the active stack.")
@pass_app
def register(app: App, /, name: str, activate: bool, **parts: str | None) -> None:
    """Register a stack of components; a kind that is left out is `default`.

    Example:  labelloop stack register cloud -a bucket -x vault -an team --set
    """
    from labelloop.cli.output import show
    from labelloop.workspace.stacks import register as add

    add(app.root, name, _named(parts), activate=activate)
    told = "" if activate else f"\nnext: labelloop stack set {name}"
    show({"registered": name, "active": activate}, f"registered the stack {name!r}{told}", as_json=app.as_json)


@stack.command()
@click.argument("source", shell_complete=stack_name)
@click.argument("name")
@pass_app
def copy(app: App, source: str, name: str) -> None:
    """Register a stack NAME with the components of SOURCE.

    Example:  labelloop stack copy default mine && labelloop stack set mine
    """
    from labelloop.cli.output import show
    from labelloop.workspace.stacks import copy as add

    add(app.root, source, name)
    show(
        {"copied": source, "to": name},
        f"the stack {name!r} has the components of {source!r}\nnext: labelloop stack set {name}",
        as_json=app.as_json,
    )


@stack.command(name="set")
@click.argument("name", shell_complete=stack_name)
@pass_app
def set_(app: App, name: str) -> None:
    """Make a stack the active one, that every command uses."""
    from labelloop.cli.output import show
    from labelloop.workspace.stacks import activate

    activate(app.root, name)
    show({"active": name}, f"the active stack is {name!r}", as_json=app.as_json)


@stack.command(cls=_ShortOptions)
@click.argument("name", metavar="[STACK]", default="", shell_complete=stack_name)
@_components
@pass_app
def update(app: App, /, name: str, **parts: str | None) -> None:
    """Replace components of a stack; of the active one without STACK.

    Example:  labelloop stack update mine -x vault -a bucket -an team
    """
    from labelloop.cli.output import show
    from labelloop.workspace.stacks import update as change

    chosen = _named(parts)
    updated = change(app.root, name, chosen)
    words = ", ".join(f"{kind} {component}" for kind, component in chosen.items())
    show({"updated": updated, **chosen}, f"the stack {updated!r} has: {words}", as_json=app.as_json)


@stack.command()
@click.argument("old", shell_complete=stack_name)
@click.argument("new")
@pass_app
def rename(app: App, old: str, new: str) -> None:
    """Rename a stack; the active one stays active."""
    from labelloop.cli.output import show
    from labelloop.workspace.stacks import rename as change

    change(app.root, old, new)
    show({"renamed": old, "to": new}, f"the stack {old!r} is now {new!r}", as_json=app.as_json)


@stack.command()
@click.argument("name", shell_complete=stack_name)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_app
def delete(app: App, name: str, yes: bool) -> None:
    """Remove a stack that is not the active one. Its components stay."""
    from labelloop.cli.output import confirm, show
    from labelloop.workspace.stacks import delete as remove
    from labelloop.workspace.stacks import refuse_to_delete

    refuse_to_delete(app.workspace.config, name)
    confirm(f"Remove the stack {name!r} from labelloop.toml?", yes=yes)
    remove(app.root, name)
    show({"deleted": name}, f"the stack {name!r} is gone; its components stay", as_json=app.as_json)


@stack.command()
@click.argument("name", default="", shell_complete=stack_name)
@click.option("-o", "--output", default="-", show_default=True, help="FILE.toml; - is stdout.")
@pass_app
def export(app: App, name: str, output: str) -> None:
    """Write a stack with its components, for another workspace. It names secrets, it holds none of their values.

    Example:  labelloop stack export team -o team.toml
    """
    from labelloop.errors.masking import masked
    from labelloop.workspace.stacks import exported, write_file

    text = exported(app.workspace.config, name)
    if output == "-":
        click.echo(text, nl=False)
        return
    write_file(text, Path(output))
    click.echo(masked(f"written {output}"), err=True)


@stack.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="", help="What the stack is called here [its own name].")
@click.option("--force", is_flag=True, help="Replace a stack or a component of the same name that differs.")
@click.option("--rename", "beside", is_flag=True, help="Call a component whose name is taken STACK-COMPONENT.")
@click.option("--trust", "trusted", is_flag=True, help="Take components that are code, module:attribute, too.")
@pass_app
def import_(app: App, file: Path, name: str, force: bool, beside: bool, trusted: bool) -> None:
    """Register the stack of an exported FILE, with those of its components that are not here yet. Safe to repeat.

    The file is data: nothing in it is run. A component that is somebody's code is refused and shown, without --trust.

    Example:  labelloop stack import team.toml --name staging
    """
    from labelloop.cli.output import show
    from labelloop.workspace.stacks import import_file, imported_in_words

    brought = import_file(app.root, file, name, force=force, beside=beside, trusted=trusted)
    show(brought.as_dict(), imported_in_words(brought), as_json=app.as_json)


@stack.command()
@pass_app
def up(app: App) -> int:
    """Start what labelloop manages, check what it does not. Safe to repeat."""
    from labelloop.cli.output import working
    from labelloop.cli.render import show_json, table
    from labelloop.commands.check import bring_up

    with working(as_json=app.as_json) as progress:
        found = list(bring_up(app.stack, progress, app.workspace.config.dataset.name))
    if app.as_json:
        show_json([finding.as_dict() for finding in found])
    else:
        table(
            [[one.verdict, one.what, one.detail, one.hint] for one in found],
            ["", "component", "found", "what to do"],
        )
    return max((one.exit_code for one in found), default=0)


@stack.command()
@pass_app
def down(app: App) -> None:
    """Stop what labelloop started. Safe to repeat; nothing is deleted."""
    from labelloop.cli.output import show
    from labelloop.commands.check import bring_down

    stopped = bring_down(app.stack)
    show(
        {"stopped": stopped}, f"stopped {', '.join(stopped)}" if stopped else "nothing was running", as_json=app.as_json
    )


def _named(parts: dict[str, str | None]) -> Parts:
    from labelloop.machine.registry import KINDS

    return {kind: name for kind in KINDS if (name := parts[kind.replace("-", "_")])}
