"""forecast: how good will it get, and when to stop?"""

from __future__ import annotations

from pathlib import Path

import click

from labelloop.cli.app import App, pass_app


@click.command()
@click.option("--target", type=float, help="A score to reach, such as 0.9.")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: FILE.svg.")
@pass_app
def forecast(app: App, target: float | None, picture: Path | None) -> None:
    """Show where the score is going: after more answers, at the end of the budget, and how many a target needs.

    Reads the ledger only. A band of 90 % stands behind each number; the last line advises whether to stop, and why.
    With `loop.stop_on_advice` the loop follows the advice by itself.

    Example:  labelloop forecast --target 0.9 --plot forecast.svg
    """
    from labelloop.cli.output import show
    from labelloop.commands.forecast import outlook, plot
    from labelloop.report.files import replace_file

    found = outlook(app.loop(), target)
    words = found.in_words()
    if picture:
        words += f"\nwritten {replace_file(picture, plot(found))}"
    show(found.as_dict(), words, as_json=app.as_json)
