"""annotator: the verbs of every component, the live state of the active one, and the datasets it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click

from labelloop.cli.app import App, pass_app
from labelloop.cli.component import add_verbs, show_component
from labelloop.cli.names import component_name, dataset_name


@click.group()
def annotator() -> None:
    """Register annotators, look at the active one and its datasets."""


add_verbs(annotator, "annotator")


@annotator.command()
@click.argument("name", default="", shell_complete=component_name("annotator"))
@pass_app
def describe(app: App, name: str) -> int:
    """Show the active annotator: flavor, URL, version, state, datasets. With a NAME: what is registered under it."""
    from labelloop.cli.output import show

    if name:
        show_component(app, "annotator", name)
        return 0
    state = app.stack.annotator.describe()
    lines = [f"{key:<9} {value}" for key, value in asdict(state).items() if value != ""]
    show(asdict(state), "\n".join(lines), as_json=app.as_json)
    return {"up": 0, "down": 3}.get(state.state, 2)


class _EitherOrder(click.Group):
    """A group whose commands may follow the name: `dataset stats NAME` and `dataset NAME stats` are the same."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Bring the command to the front. A first word that is a command is one, except before another without NAME."""
        if not args or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        nameless = args[0] == "list"
        if args[1:2] and args[1] in self.commands and (nameless or args[0] not in self.commands):
            args = [args[1], args[0], *args[2:]]
        if args[0] not in self.commands:
            from labelloop.machine.registry import unknown

            raise unknown("command of annotator dataset", args[0], list(self.commands))
        return super().resolve_command(ctx, args)


@annotator.group(cls=_EitherOrder, subcommand_metavar="COMMAND [NAME] | NAME COMMAND")
def dataset() -> None:
    """List the datasets, count one, annotate it, delete it.

    Example:  labelloop annotator dataset pets stats
    """


@dataset.command(name="list")
@pass_app
def list_(app: App) -> None:
    """List the datasets with their URL and progress."""
    from labelloop.cli.render import show_json, table

    found = app.stack.annotator.datasets()
    if app.as_json:
        show_json([asdict(one) for one in found])
        return
    table(
        [[one.name, f"{one.labeled} of {one.total}", one.url] for one in found],
        ["dataset", "labeled", "url"],
    )


@dataset.command()
@click.argument("name", default="", shell_complete=dataset_name)
@pass_app
def stats(app: App, name: str) -> None:
    """Count one dataset (the workspace's own by default) without downloading it."""
    from labelloop.cli.output import show

    wanted = name or app.workspace.config.dataset.name
    counts = app.stack.annotator.stats(wanted)
    numbers = {**asdict(counts), "unlabeled": counts.unlabeled}
    show({"name": wanted, **numbers}, "\n".join([wanted, *_lines(numbers)]), as_json=app.as_json)


@dataset.command()
@click.argument("name", default="", shell_complete=dataset_name)
@click.option("--print", "print_only", is_flag=True, help="Print the address, open no browser.")
@pass_app
def annotate(app: App, name: str, print_only: bool) -> None:
    """Open one dataset (the workspace's own by default) in your browser, to annotate it."""
    from labelloop.cli.visit import visit

    visit(
        app.stack.annotator, app.stack.annotator.page(name or app.workspace.config.dataset.name), print_only=print_only
    )


@dataset.command()
@click.argument("name", shell_complete=dataset_name)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_app
def delete(app: App, name: str, yes: bool) -> None:
    """Delete one dataset with everything that people answered there."""
    from labelloop.cli.output import confirm, show

    counts = app.stack.annotator.stats(name)
    lost = f"{counts.total} task(s) and {counts.annotations} annotation(s)"
    confirm(f"Delete the dataset {name!r} with {lost} from the annotator? They cannot be brought back.", yes=yes)
    app.stack.annotator.delete(name)
    gone = {"deleted": name, "tasks": counts.total, "annotations": counts.annotations}
    show(gone, f"deleted {name!r}: {lost}", as_json=app.as_json)


def _lines(numbers: Mapping[str, Any]) -> Iterator[str]:
    """One line per count; a count of several things is a heading with a line for each."""
    for key, value in numbers.items():
        title = key.replace("_", " ")
        if isinstance(value, Mapping):
            yield from [title, *(f"  {name:<26} {count}" for name, count in value.items())] if value else []
        elif value != "":
            yield f"{title:<28} {value}"


@annotator.command()
@pass_app
def disagreements(app: App) -> None:
    """List the items about which people differ, who says what, and what is believed; * is a tie.

    Reads the ledger only: it knows what the last tick has heard.
    """
    from labelloop.cli.render import show_json, table
    from labelloop.commands.history import disagreements_as_dict

    found = disagreements_as_dict(app.loop())
    if app.as_json:
        show_json(found)
        return
    rows = [
        [
            "*" if one["tied"] else "",
            one["item_id"],
            "; ".join(f"{who}: {', '.join(said) or 'none of them'}" for who, said in one["votes"].items()),
            "nothing" if one["believed"] is None else ", ".join(one["believed"]) or "none of them",
        ]
        for one in found
    ]
    table(rows, ["", "item", "people say", "believed"])


@annotator.command()
@pass_app
def bias(app: App) -> None:
    """Compare answers that saw the model's guess with blind ones: accepted, edited, rejected, agreement, seconds.

    Chance draws the blind questions (loop.blind_share), so that a difference in agreement is what the guess does to
    people. Reads the ledger only: it knows what the last tick has heard.
    """
    from labelloop.cli.output import show
    from labelloop.commands.bias import bias as bias_of

    found = bias_of(app.loop())
    show(found.as_dict(), found.in_words(), as_json=app.as_json)


@annotator.command()
@click.argument("item")
@pass_app
def history(app: App, item: str) -> None:
    """Show who said what about one ITEM, when that was heard, and what it was before.

    Removed annotations are shown, too. Reads the ledger only. `labelloop export` lists the items with their ids.
    """
    from labelloop.cli.render import show_json, table
    from labelloop.commands.history import history_as_dict

    found = history_as_dict(app.loop(), item)
    if app.as_json:
        show_json(found)
        return
    rows = [
        [
            one["heard_at"],
            one["annotator"],
            one["change"],
            (one["says"] or "") + (" (ground truth)" if one["ground_truth"] else ""),
            one["before"] or "",
        ]
        for one in found
    ]
    table(rows, ["heard", "who", "change", "says", "before"])


@annotator.command(name="open")
@click.argument("item", default="")
@click.option("--print", "print_only", is_flag=True, help="Print the address, open no browser.")
@pass_app
def open_(app: App, item: str, print_only: bool) -> None:
    """Open the dataset, or one ITEM of it, in your browser; signed in where labelloop manages the server."""
    from labelloop.cli.visit import visit

    visit(app.stack.annotator, app.loop().dataset.url(item or None), print_only=print_only)
