"""example: list, pull and remove the example projects that come with labelloop."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from labelloop.cli.app import App, pass_app
from labelloop.cli.names import example_name

_INTO = click.option(
    "--path",
    "into",
    default=Path("labelloop_examples"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the examples.",
)


@click.group()
def example() -> None:
    """Pull a runnable project to learn from and to begin with."""


@example.command("list")
@_INTO
@pass_app
def list_(app: App, into: Path) -> None:
    """List the examples there are, and where they lie."""
    from labelloop.cli.render import show_json, table
    from labelloop.examples import PROJECTS, pulled

    there = pulled(into)
    if app.as_json:
        show_json([{"name": n, "shows": words, "pulled": n in there} for n, words in PROJECTS.items()])
        return
    rows = [[name, words, str(into / name) if name in there else ""] for name, words in PROJECTS.items()]
    table(rows, ["name", "shows", "pulled"])


@example.command()
@click.argument("name", shell_complete=example_name)
@click.option("--force", is_flag=True, help="Write the example's files anew over those that are there.")
@_INTO
@pass_app
def pull(app: App, name: str, force: bool, into: Path) -> None:
    """Write the example NAME into labelloop_examples/NAME. Works offline.

    What is there is not touched without --force. With it, the files of the example are written anew, your changes to
    them are lost; other files, and the loop's state, stay.
    """
    from labelloop.cli.output import show
    from labelloop.errors import BackendError
    from labelloop.examples import pull as pull_example
    from labelloop.machine.trust import trust

    where = pull_example(name, into, force=force)
    with suppress(BackendError):  # asked when it is first used
        trust(where, "example pull")
    show({"example": name, "path": str(where)}, f"{where}\nnext: cd {where}, and read README.md", as_json=app.as_json)


@example.command()
@click.argument("name", shell_complete=example_name)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_INTO
@pass_app
def remove(app: App, name: str, yes: bool, into: Path) -> None:
    """Delete labelloop_examples/NAME with everything in it, your changes and annotations included."""
    from labelloop.cli.output import confirm, show
    from labelloop.examples import find
    from labelloop.examples import remove as remove_example

    where = find(name, into)
    confirm(f"Delete {where} with everything in it, the annotations too?", yes=yes)
    remove_example(where)
    show({"removed": str(where)}, f"removed {where}", as_json=app.as_json)
