"""annotator: the verbs of every component, the live state of the active one, and the datasets it holds."""

from __future__ import annotations

from dataclasses import asdict

import click

from labelloop.cli.app import App, pass_app
from labelloop.cli.component import add_verbs, show_component
from labelloop.cli.names import component_name


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
    return 0 if state.state == "up" else 3


@annotator.group()
def dataset() -> None:
    """List the datasets, and count one."""


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
@click.argument("name", default="")
@pass_app
def stats(app: App, name: str) -> None:
    """Count one dataset (the workspace's own by default) without downloading it."""
    from labelloop.cli.output import show

    wanted = name or app.workspace.config.dataset.name
    counts = app.stack.annotator.stats(wanted)
    numbers = {**asdict(counts), "unlabeled": counts.unlabeled}
    lines = [f"{key.replace('_', ' '):<17} {value}" for key, value in numbers.items() if value not in ("", {})]
    show(numbers, "\n".join([wanted, *lines]), as_json=app.as_json)


@annotator.command(name="open")
@click.argument("item", default="")
@click.option("--print", "print_only", is_flag=True, help="Print the address, open no browser.")
@pass_app
def open_(app: App, item: str, print_only: bool) -> None:
    """Open the dataset, or one ITEM of it, in your browser; signed in where labelloop manages the server."""
    from labelloop.cli.visit import visit

    visit(app.stack.annotator, app.loop().dataset.url(item or None), print_only=print_only)
