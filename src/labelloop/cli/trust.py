"""trust: whose code may run here."""

from __future__ import annotations

from pathlib import Path

import click

from labelloop.cli.app import App, pass_app


@click.command()
@click.option("--list", "listed", is_flag=True, help="Show the folders that are trusted, and change nothing.")
@click.option("--revoke", is_flag=True, help="Take it back.")
@pass_app
def trust(app: App, listed: bool, revoke: bool) -> None:
    """Allow the code that this workspace names to run: its own learner, selector, components.

    Until then, a labelloop.toml that you were given is only read. What you made with init or example pull is trusted.
    It is kept with you, not in the folder: a copy of the folder, or another one in its place, is not trusted.

    Examples:  labelloop -C project trust   labelloop trust --list   labelloop -C project trust --revoke
    """
    from labelloop.cli.output import show

    if listed:
        _list(app)
        return
    if revoke:
        _revoke(app)
        return
    from labelloop.machine.trust import trust as allow
    from labelloop.workspace.init import code_named

    code = code_named(app.root, app.workspace.config)
    allow(app.root, "trust")
    words = [f"  {one.setting}  {one.target}  {one.file or 'a module that is not beside it'}" for one in code]
    named = "\n".join(["it names:", *words]) if code else "it names no code now"
    show(
        {"folder": str(app.root), "trusted": True, "code": [one.as_dict() for one in code]},
        f"the code that {app.root} names may run from now on; {named}",
        as_json=app.as_json,
    )


def _list(app: App) -> None:
    from labelloop.cli.render import show_json, table
    from labelloop.machine.trust import trusted

    found = trusted()
    if app.as_json:
        show_json([one.as_dict() for one in found])
        return
    rows = [
        [str(one.folder), one.since, one.by, "" if one.stands else "another folder now: not trusted"] for one in found
    ]
    table(rows, ["folder", "since", "by", ""])


def _revoke(app: App) -> None:
    from labelloop.cli.output import show
    from labelloop.machine.trust import revoke

    folder = app.folder.resolve() if app.folder else _nearest()
    was = revoke(folder)
    words = f"the code of {folder} may not run any more" if was else f"{folder} was not trusted"
    show({"folder": str(folder), "trusted": False, "was": was}, words, as_json=app.as_json)


def _nearest() -> Path:
    """The workspace we are in, or this folder, which may have been one."""
    from labelloop.errors import NotFoundError
    from labelloop.workspace.root import find_root

    try:
        return find_root(Path.cwd())
    except NotFoundError:
        return Path.cwd()
