"""reopen: questions that were closed with fewer people than one is for now."""

from __future__ import annotations

import click

from labelloop.cli.app import App, pass_app


@click.command()
@click.option("--dry-run", is_flag=True, help="Show how many questions and answers that is, change nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@pass_app
def reopen(app: App, dry_run: bool, yes: bool) -> None:
    """Open the questions that were closed with fewer people than dataset.people_per_item asks for now.

    A number that is raised counts for questions that are open, and for those to come; what had its answers stays closed
    until this opens it. Says first how many answers people are asked for. Safe to repeat and to kill: the next tick
    completes it.

    Example:  labelloop reopen --dry-run
    """
    from labelloop.cli.output import confirm, show, working
    from labelloop.commands.reopen import plan
    from labelloop.commands.reopen import reopen as open_again

    planned = plan(app.loop())
    if dry_run or not app.as_json:
        show(planned.as_dict(), planned.in_words(), as_json=app.as_json)
    if dry_run or not (planned.questions or app.as_json):
        return
    if planned.questions:
        confirm("open them?", yes=yes)
    with working(as_json=app.as_json) as progress:
        done = open_again(app.loop(progress))
    words = f"done: {done.questions} question(s) are open again; labelloop tick goes on"
    show(done.as_dict(), words, as_json=app.as_json)
