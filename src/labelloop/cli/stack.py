"""stack list, up, down."""

from __future__ import annotations

import click

from labelloop.cli.app import App, pass_app


@click.group()
def stack() -> None:
    """List the stacks, start and stop what labelloop manages."""


@stack.command(name="list")
@pass_app
def list_(app: App) -> None:
    """List the stacks and their components."""
    from labelloop.cli.render import show_json, table

    config = app.workspace.config
    stacks = {name: config.stack(name).model_dump() for name in config.stack_names()}
    if app.as_json:
        show_json({name: {**parts, "active": name == config.active_stack} for name, parts in stacks.items()})
        return
    rows = [["*" if name == config.active_stack else "", name, *parts.values()] for name, parts in stacks.items()]
    table(rows, ["", "stack", "artifact store", "secrets manager", "annotator", "orchestrator"])


@stack.command()
@pass_app
def up(app: App) -> int:
    """Start what labelloop manages, check what it does not. Safe to repeat."""
    from labelloop.checks import bring_up
    from labelloop.cli.output import working
    from labelloop.cli.render import show_json, table

    with working(as_json=app.as_json) as progress:
        found = list(bring_up(app.stack, progress))
    if app.as_json:
        show_json([finding.as_dict() for finding in found])
    else:
        table(
            [["ok" if one.ok else "FAILED", one.what, one.detail, one.hint] for one in found],
            ["", "component", "found", "what to do"],
        )
    return max((one.exit_code for one in found), default=0)


@stack.command()
@pass_app
def down(app: App) -> None:
    """Stop what labelloop started. Safe to repeat; nothing is deleted."""
    from labelloop.checks import bring_down
    from labelloop.cli.output import show

    stopped = bring_down(app.stack)
    show(
        {"stopped": stopped}, f"stopped {', '.join(stopped)}" if stopped else "nothing was running", as_json=app.as_json
    )
