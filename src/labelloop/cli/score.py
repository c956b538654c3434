"""score and rollback: how good the model in use is, and an earlier one in its place."""

from __future__ import annotations

import click

from labelloop.cli.app import App, pass_app


@click.command()
@click.option("--to", default="", metavar="ROUND|VERSION", help="The model of this round, or version [the one before].")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and what else could; change nothing.")
@pass_app
def rollback(app: App, to: str, dry_run: bool) -> None:
    """Put the model back to use that was in use before, or any earlier one.

    A round of its own records it, and open questions get the older model's guesses. The newer models do not come back
    by themselves: only when answers have changed is there another model, and it has to pass the gate. A rollback that
    was interrupted is completed by the next one, or by the next tick.

    Example:  labelloop rollback --dry-run, labelloop rollback --to 3
    """
    from labelloop.cli.output import show, working
    from labelloop.rollback import in_words, plan, roll_back

    if dry_run:
        history = app.loop().ledger.rounds.all()
        planned = plan(history, to)
        known = {"version": planned.to.version, "of_round": planned.to.number, "replaces": planned.before.version}
        show({**known, "changes": planned.changes}, in_words(history, planned), as_json=app.as_json)
        return
    with working(as_json=app.as_json) as progress:
        done = roll_back(app.loop(progress), to)
    show(done.as_dict(), done.words, as_json=app.as_json)
