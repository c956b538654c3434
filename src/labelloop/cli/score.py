"""score and rollback: how good the model in use is, and an earlier one in its place."""

from __future__ import annotations

import click

from labelloop.cli.app import App, pass_app


@click.command()
@pass_app
def score(app: App) -> None:
    """Show how good the model in use is: with every interval, label by label, and how sure it may be of itself.

    Beside it: the naive estimate that people without a holdout report, whether older and newer held-out answers differ,
    and how many answers drawn at random a model like this would have needed. Asks and records nothing; the first call
    after new answers trains some fifty small models, which are thrown away.
    """
    from labelloop.cli.output import show, working
    from labelloop.cli.render import table
    from labelloop.commands.score import bin_rows, in_words, label_rows, scorecard

    with working(as_json=app.as_json) as progress:
        card = scorecard(app.loop(progress))
    show(card.as_dict(), in_words(card), as_json=app.as_json)
    if not app.as_json:
        table(label_rows(card.metrics), ["label", "F1", "precision", "recall", "held out"])
        table(bin_rows(card.metrics), ["confidence", "right", "answers"])


@click.command()
@click.option("--to", default="", metavar="ROUND|VERSION", help="The model of this round, or version [the one before].")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and what else could; change nothing.")
@pass_app
def rollback(app: App, to: str, dry_run: bool) -> None:
    """Put the model back to use that was in use before, or any earlier one.

    A round of its own records it, and open questions get the older model's guesses. The newer models do not come back
    by themselves: only when answers have changed is there another model, and it has to pass the gate. A rollback that
    was interrupted is completed by the next one, or by the next tick; repeated, it goes no further back without --to.

    Example:  labelloop rollback --dry-run, labelloop rollback --to 3
    """
    from labelloop.cli.output import show, working
    from labelloop.commands.rollback import in_words, plan, roll_back

    if dry_run:
        history = app.loop().ledger.rounds.all()
        planned = plan(history, to)
        known = {"version": planned.to.version, "of_round": planned.to.number, "replaces": planned.before.version}
        show({**known, "changes": planned.changes}, in_words(history, planned), as_json=app.as_json)
        return
    with working(as_json=app.as_json) as progress:
        done = roll_back(app.loop(progress), to)
    show(done.as_dict(), done.words, as_json=app.as_json)
