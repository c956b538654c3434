"""auto-label: plan, apply, audit, revoke, status."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from labelloop.cli.app import App, pass_app

if TYPE_CHECKING:
    from labelloop.loop.auto_label_offer import Offer


@click.group()
def auto_label() -> None:
    """Take the model's labels where its error is certified, and keep checking them."""


def _terms(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of plan and apply."""
    command = click.option(
        "--per-label/--together", "per_label", default=None, help="Promise it of each label. [auto_label.per_label]"
    )(command)
    command = click.option("--confidence", type=float, help="How sure the promise is. [auto_label.confidence: 0.95]")(
        command
    )
    return click.option("--error", type=float, help="The most that may be wrong. [auto_label.error: 0.02]")(command)


@auto_label.command()
@_terms
@pass_app
def plan(app: App, error: float | None, confidence: float | None, per_label: bool | None) -> None:
    """Show which labels could be taken: thresholds, how many, how many errors at most. Changes nothing.

    It rests on the answers of the holdout, which are random and blind. Without an error among them, at least
    ln(delta) / ln(1 - error) confident ones are needed: 59 for 5 %, 149 for 2 %, 299 for 1 %.

    Example:  labelloop auto-label plan --error 0.05
    """
    from labelloop.cli.output import working
    from labelloop.cli.render import show_json, table
    from labelloop.commands.auto_label import plan as planned

    with working(as_json=app.as_json) as progress:
        found = planned(_with(app, error, confidence, per_label).loop(progress))
    if app.as_json:
        show_json(found.as_dict())
        return
    rows = [
        [name, f"{one.threshold:.3f}" if one.taken else "-", found.take(name), one.checked, one.wrong, one.why]
        for name, one in found.bounds.items()
    ]
    table(rows, ["labels", "confidence from", "taken", "checked", "wrong", "why none"])
    click.echo(_in_words(found))


@auto_label.command()
@_terms
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@pass_app
def apply(app: App, error: float | None, confidence: float | None, per_label: bool | None, yes: bool) -> None:
    """Take these labels, and go on with every newly promoted model until they are revoked.

    They are marked in `export`, are no answers of people, and never enter the holdout or what a model learns from.
    A random share of them is asked blind, for good; if people disagree too often, all are revoked.
    """
    from labelloop.cli.output import confirm, show, working
    from labelloop.commands.auto_label import apply as applied
    from labelloop.commands.auto_label import plan as planned

    app = _with(app, error, confidence, per_label)
    with working(as_json=app.as_json) as progress:
        loop = app.loop(progress)
        if not yes:
            click.echo(_in_words(planned(loop)), err=True)
            confirm("take these labels?", yes=yes)
        made = applied(loop)
    words = f"taken: {made.taken} labels of model {made.version}; labelloop auto-label status shows the audit"
    show(made.as_dict(), words, as_json=app.as_json)


@auto_label.command()
@pass_app
def audit(app: App) -> None:
    """Hear the answers to audited labels, and ask about the next ones now. `tick` and `watch` do so by themselves."""
    from labelloop.cli.output import show
    from labelloop.commands.auto_label import audit as audited
    from labelloop.commands.auto_label import standing

    loop = app.loop()
    asked = audited(loop)
    now = standing(loop)
    show({"asked": asked, **now.as_dict()}, f"{now.in_words()}\nasked     {asked} more", as_json=app.as_json)


@auto_label.command()
@click.option("--why", default="a person ended it", show_default=True, help="Kept in the ledger.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@pass_app
def revoke(app: App, why: str, yes: bool) -> None:
    """Let the taken labels count no more; they stay in the ledger, and nothing is asked of anybody."""
    from labelloop.cli.output import confirm, show
    from labelloop.commands.auto_label import revoke as revoked

    confirm("revoke all labels that were taken from the model?", yes=yes)
    ended = revoked(app.loop(), why)
    show(ended.as_dict(), f"revoked: {ended.taken} labels of model {ended.version}", as_json=app.as_json)


@auto_label.command()
@pass_app
def status(app: App) -> None:
    """Show what is promised, how many labels count, and what the audit says. Reads the ledger only."""
    from labelloop.cli.output import show
    from labelloop.commands.auto_label import standing

    now = standing(app.loop())
    show(now.as_dict(), now.in_words(), as_json=app.as_json)


def _with(app: App, error: float | None, confidence: float | None, per_label: bool | None) -> App:
    """The app with these options as settings."""
    given = {"error": error, "confidence": confidence, "per_label": per_label}
    for name, value in given.items():
        app = app if value is None else app.with_setting(f"auto_label.{name}={str(value).lower()}")
    return app


def _in_words(found: Offer) -> str:
    most = int(found.terms.error * len(found.rows))
    if found.why:
        return f"no label of {found.open} open items can be taken: {found.why}"
    return (
        f"{len(found.rows)} of {found.open} open items would get the model's label, at most {most} of them wrong; "
        f"about {round(found.terms.audit * len(found.rows))} of them would be asked blind"
    )
