"""simulate: would it pay on my data?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from labelloop.cli.app import App, pass_app

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("place", required=False, default="")
@click.option("--selector", "selectors", multiple=True, help="Replay this one; repeatable. [random, margin, auto]")
@click.option("--seeds", default=5, show_default=True, help="Replays of each selector.")
@click.option("--batch", default=20, show_default=True, help="Items asked per round.")
@click.option("--budget", default=300, show_default=True, help="Items asked in all.")
@click.option("--noise", default=0.0, show_default=True, help="Share of answers that are wrong.")
@click.option("--random-share", default=0.1, show_default=True, help="Share of each batch drawn at random.")
@click.option("--cold-start", default="centroids", show_default=True, help="Selector of the first batch.")
@click.option("--test-share", default=0.3, show_default=True, help="Share of the items that the score comes from.")
@click.option(
    "--measure", default="accuracy", show_default=True, type=click.Choice(["accuracy", "macro-f1"]), help="The score."
)
@click.option(
    "--length-cost", default=0.0, show_default=True, help="How much the length of a text counts as effort: 0 to 1."
)
@click.option("--fewest", default=0, type=click.IntRange(min=0), help="Leave labels with fewer items out.")
@click.option("--modality", type=click.Choice(["image", "text"]), help="What the items are [what is there].")
@click.option("--label-column", default="", help="Column of a table that holds the label.")
@click.option("--text-column", default="", help="Column of a table that holds the text.")
@click.option("--uri-column", default="", help="Column of a table that holds a path or URL.")
@click.option("--workers", default=0, type=click.IntRange(min=0), help="Processes [one per core].")
@click.option(
    "-o", "--output", default=Path("simulation"), show_default=True, type=_FOLDER, help="Folder of what is written."
)
@pass_app
def simulate(app: App, /, place: str, fewest: int, workers: int, output: Path, **given: Any) -> None:
    """Replay labelled data as a loop: how many labels would each selector have needed?

    PLACE is a folder of class folders, a table with a column of labels, a CoNLL file with tags of spans, or an .npz
    with embeddings X and labels y.
    Without it, what people have answered in this workspace is replayed. What is embedded once is not embedded again.
    Writes every curve as CSV, a plot, and the verdict as JSON.

    Examples:  labelloop simulate photos/   labelloop simulate mails.csv --selector random --selector auto --noise 0.1
    """
    from labelloop.cli.output import show, working
    from labelloop.cli.render import table
    from labelloop.data.sources import Columns
    from labelloop.simulate.engine import simulate as play
    from labelloop.simulate.files import write
    from labelloop.simulate.places import NamedPlaces, of_place, of_workspace
    from labelloop.simulate.replay import ReplayPlan, score_name
    from labelloop.simulate.verdict import COLUMNS, by_words, judge, rows

    columns = Columns(given.pop("text_column"), given.pop("uri_column"))
    wanted = NamedPlaces(place, given.pop("modality"), given.pop("label_column"), columns, fewest)
    plan = ReplayPlan(**{**given, "selectors": given["selectors"] or ReplayPlan.selectors})
    with working(as_json=app.as_json) as progress:
        ready = of_place(wanted, app.config(), progress) if place else of_workspace(app.loop(progress), fewest)
        curves = play(ready.labelled, plan, ready.learner, workers=workers, progress=progress)
    verdict = judge(curves, len(ready.labelled), ready.unreadable)
    written = write(curves, verdict, output, score_name(ready.labelled, plan))
    read = judge(by_words(curves), len(ready.labelled), ready.unreadable) if ready.labelled.kind is not None else None
    if not app.as_json:
        table(rows(verdict), COLUMNS)
    if not app.as_json and read:
        click.echo("\nthe same, counted in words that people read:")
        table(rows(read), COLUMNS)
    show(
        {
            **verdict.to_json(),
            **({"in_words_read": read.to_json()} if read else {}),
            "files": {what: str(path) for what, path in written.items()},
        },
        "\n".join([*verdict.words, *(f"written {path}" for path in written.values())]),
        as_json=app.as_json,
    )
