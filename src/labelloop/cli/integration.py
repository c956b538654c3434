"""integration list, install."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from labelloop.cli.app import App, pass_app


def _names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from labelloop.workspace.integrations import PURPOSES

    return [CompletionItem(name, help=what) for name, what in PURPOSES.items() if name.startswith(incomplete)]


@click.group()
def integration() -> None:
    """Look at and install what labelloop can work with: clouds, vaults, PyTorch, Label Studio."""


@integration.command(name="list")
@pass_app
def list_(app: App) -> None:
    """List the integrations: what is installed, what each is for, how to install it."""
    from labelloop.cli.render import show_json, table
    from labelloop.workspace.integrations import install_line, integrations

    found = integrations()
    if app.as_json:
        show_json({one.name: one.as_dict() for one in found})
        return
    table(
        [
            [
                "installed" if one.installed else "",
                one.name,
                one.purpose,
                "" if one.installed else install_line(one.name),
            ]
            for one in found
        ],
        ["", "integration", "for", "install"],
    )


@integration.command()
@click.argument("names", nargs=-1, required=True, shell_complete=_names)
@click.option("--dry-run", is_flag=True, help="Print what would be run, run nothing.")
@pass_app
def install(app: App, names: tuple[str, ...], dry_run: bool) -> None:
    """Install what integrations need into this environment; Label Studio into one of its own. Safe to repeat.

    Example:  labelloop integration install label_studio s3
    """
    from labelloop.cli.output import show, working
    from labelloop.workspace import integrations

    wanted = integrations.chosen(names)
    if dry_run:
        lines = integrations.dry_run(wanted)
        show({"would_run": lines}, "\n".join(lines), as_json=app.as_json)
        return
    with working(as_json=app.as_json) as progress:
        integrations.install(wanted, progress)
    installed = [one.name for one in wanted]
    show({"installed": installed}, f"installed: {', '.join(installed)}", as_json=app.as_json)
