"""label-errors: find, ask, report."""

from __future__ import annotations

from dataclasses import asdict

import click

from labelloop.cli.app import App, pass_app


@click.group(name="label-errors")
def label_errors() -> None:
    """Find labels that are likely wrong, have somebody else look without a hint, and count who was right.

    Needs cleanlab:  pip install 'labelloop[quality]'
    """


@label_errors.command()
@click.option("-n", "most", type=click.IntRange(min=1), default=50, show_default=True, help="List at most so many.")
@pass_app
def find(app: App, most: int) -> None:
    """List the answers that are likely wrong, likeliest first: what people said, what the model says instead.

    Each answer is judged by a model that has not learned from it or its near-duplicates. Answers of the holdout are
    left out: correcting only those that the model doubts would flatter the score. Reads the ledger only.
    """
    from labelloop.cli.output import working
    from labelloop.cli.render import show_json, table
    from labelloop.commands.label_errors import find as found_in

    with working(as_json=app.as_json) as progress:
        found = found_in(app.loop(progress))
    if app.as_json:
        show_json([asdict(one) for one in found[:most]])
        return
    rows = [
        [one.item_id, _told(one.given), f"{one.probability:.3f}", _told(one.suggested), ", ".join(one.by), one.opinion]
        for one in found[:most]
    ]
    table(rows, ["item", "people say", "with probability", "model says", "by", "second opinion"])
    click.echo(f"{len(found)} suspect(s), {min(most, len(found))} shown; labelloop label-errors ask", err=True)


@label_errors.command()
@click.option("-n", "most", type=click.IntRange(min=1), default=20, show_default=True, help="So many open at most.")
@pass_app
def ask(app: App, most: int) -> None:
    """Ask about the likeliest suspects again, blind, so that at most N such questions are open. Safe to repeat.

    Each becomes a task of its own, without the earlier answer and without a guess. The community edition of Label
    Studio cannot assign tasks: let somebody else take them. A verdict on one's own answer is kept, and not counted as
    independent.
    """
    from labelloop.cli.output import show, working
    from labelloop.commands.label_errors import ask as ask_for

    with working(as_json=app.as_json) as progress:
        done = ask_for(app.loop(progress), most)
    words = f"{done.asked} second opinion(s) asked for, {done.open} open, {done.left} suspect(s) left"
    if len(done.people) == 1:
        words += f"\nonly {done.people[0]} has answered so far: an answer of hers will not count as independent"
    show(asdict(done), words, as_json=app.as_json)


@label_errors.command()
@pass_app
def report(app: App) -> None:
    """Show the verdicts, and the detector's precision: the share of suspects that others overturned, with its interval.

    Reads the ledger only: it knows what the last tick has heard.
    """
    from labelloop.cli.output import show
    from labelloop.commands.label_errors import report as report_on

    told = report_on(app.loop())
    show(told.as_dict(), told.in_words(), as_json=app.as_json)


def _told(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none of them"
