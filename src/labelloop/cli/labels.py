"""labels: list, rename, add, remove, merge, split, undo, resume, history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from labelloop.cli.app import App, pass_app

if TYPE_CHECKING:
    from labelloop.commands.labels import Making


@click.group()
def labels() -> None:
    """Change what people choose from: with a plan first, nothing lost, and a way back."""


def _agreed(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every change."""
    command = click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)
    return click.option("--dry-run", is_flag=True, help="Show the plan, change nothing.")(command)


_again = click.option(
    "--ask-again/--leave", "again", default=None, help="Ask items again whose answers do not count any more."
)


@labels.command(name="list")
@pass_app
def list_(app: App) -> None:
    """List the labels with their answers, and every earlier label that was said and what it means now."""
    from labelloop.cli.render import show_json, table
    from labelloop.commands.labels import inventory

    found = inventory(app.loop())
    if app.as_json:
        show_json([one.as_dict() for one in found])
        return
    table([[one.label, one.answers, one.meaning] for one in found], ["label", "answers", "means"])


@labels.command()
@click.argument("old")
@click.argument("new")
@_agreed
@pass_app
def rename(app: App, old: str, new: str, dry_run: bool, yes: bool) -> None:
    """Call the label OLD NEW; every answer that says OLD says NEW.

    Example:  labelloop labels rename cat feline
    """
    from labelloop.kinds import label_changes

    _change(app, lambda schema, history: label_changes.rename(schema, history, old, new), dry_run, yes)


@labels.command()
@click.argument("names", nargs=-1, required=True)
@_agreed
@pass_app
def add(app: App, names: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Add labels after the others. One that was removed comes back with its answers."""
    from labelloop.kinds import label_changes

    _change(app, lambda schema, history: label_changes.add(schema, history, names), dry_run, yes)


@labels.command()
@click.argument("names", nargs=-1, required=True)
@_again
@_agreed
@pass_app
def remove(app: App, names: tuple[str, ...], again: bool | None, dry_run: bool, yes: bool) -> None:
    """Remove labels; answers that say one of them are kept in the ledger, and do not count."""
    from labelloop.kinds import label_changes

    _change(app, lambda schema, history: label_changes.remove(schema, history, names), dry_run, yes, again)


@labels.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--into", required=True, help="The label they become: a new one, or one of them.")
@_agreed
@pass_app
def merge(app: App, names: tuple[str, ...], into: str, dry_run: bool, yes: bool) -> None:
    """Make one label of several; answers that say any of them say it.

    Example:  labelloop labels merge cat lion --into feline
    """
    from labelloop.kinds import label_changes

    _change(app, lambda schema, history: label_changes.merge(schema, history, names, into), dry_run, yes)


@labels.command()
@click.argument("name")
@click.option("--into", required=True, help="The labels it becomes, comma-separated: lion,tiger")
@_again
@_agreed
@pass_app
def split(app: App, name: str, into: str, again: bool | None, dry_run: bool, yes: bool) -> None:
    """Make several labels of one. Nobody knows which one earlier answers mean, so their items are asked again.

    Example:  labelloop labels split feline --into lion,tiger
    """
    from labelloop.kinds import label_changes

    parts = [part.strip() for part in into.split(",") if part.strip()]
    _change(app, lambda schema, history: label_changes.split(schema, history, name, parts), dry_run, yes, again)


@labels.command()
@_again
@_agreed
@pass_app
def undo(app: App, again: bool | None, dry_run: bool, yes: bool) -> None:
    """Take the newest change back: earlier answers say again what they said."""
    from labelloop.kinds import label_changes

    _change(app, label_changes.undo, dry_run, yes, again)


@labels.command()
@pass_app
def resume(app: App) -> None:
    """Complete a change that was interrupted. Safe to repeat."""
    from labelloop.cli.output import show
    from labelloop.commands.labels import resume as complete

    done = complete(app.loop())
    words = f"completed: {done.in_words()}" if done else "no change was interrupted"
    show({"completed": done.as_dict() if done else None}, words, as_json=app.as_json)


@labels.command()
@pass_app
def history(app: App) -> None:
    """List every change: when, by whom, and whether it was carried out or undone."""
    from labelloop.cli.render import show_json, table
    from labelloop.kinds.label_changes import active

    changes = app.loop().ledger.labels.changes()
    if app.as_json:
        show_json([one.as_dict() for one in changes])
        return
    counting = {one.number for one in active(changes)}
    rows = [
        [one.number, one.at, one.by, one.in_words(), one.state if one.number in counting else "undone"]
        for one in changes
    ]
    table(rows, ["", "when", "by", "change", "state"])


def _change(app: App, make: Making, dry_run: bool, yes: bool, again: bool | None = None) -> None:
    """Show the plan, ask, carry it out."""
    from labelloop.cli.output import confirm, show
    from labelloop.commands.labels import plan, relabel

    loop = app.loop()
    planned = plan(loop, make, again=again)
    if dry_run or not app.as_json:
        show(planned.as_dict(), planned.in_words(), as_json=app.as_json)
    if dry_run:
        return
    confirm("change the labels?", yes=yes)
    done = relabel(loop, make, again=again)
    show(done.as_dict(), f"done: {done.change.in_words()}; labelloop tick goes on", as_json=app.as_json)
