"""demo: the main job on the embedded default; no account, no cloud, no click."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from labelloop.cli.app import App, pass_app

if TYPE_CHECKING:
    from labelloop.demo.run import Sort


@click.command()
@click.option("--text", is_flag=True, help="Texts (names of industries) instead of images (handwritten digits).")
@click.option(
    "--kind",
    type=click.Choice(["choices", "spans"]),
    default="choices",
    show_default=True,
    help="What is asked: a label, or spans: the names of airports, cities and regions in a text.",
)
@click.option("--me", is_flag=True, help="You annotate, in the browser; the loop follows your answers.")
@click.option("--items", default=0, type=click.IntRange(min=0), help="How many items [1000 images, 900 texts].")
@click.option("--rounds", default=10, show_default=True, type=click.IntRange(1, 50), help="Rounds that ask.")
@click.option("--batch", default=0, type=click.IntRange(0, 500), help="Items asked per round [15 images, 10 texts].")
@click.option(
    "--error-rate",
    default=0.03,
    show_default=True,
    type=click.FloatRange(0, 0.5),
    help="How often the simulated annotator errs.",
)
@click.option("--seed", default=0, show_default=True, help="Of the data, the errors and the selection.")
@click.option(
    "--folder",
    default=Path("labelloop-demo"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Workspace of the demo.",
)
@pass_app
def demo(
    app: App,
    text: bool,
    kind: str,
    me: bool,
    items: int,
    rounds: int,
    batch: int,
    error_rate: float,
    seed: int,
    folder: Path,
) -> None:
    """Watch the whole loop run on real data, with nothing to set up.

    Installs and starts a real Label Studio, asks it about real items, answers through its REST API with a simulated
    annotator who errs now and then, learns, asks again; ends with a learning curve and an HTML report.
    """
    from labelloop.cli.curve import curve
    from labelloop.cli.render import live_rounds
    from labelloop.cli.visit import visiting
    from labelloop.demo.run import Demo, play

    sort: Sort = "spans" if kind == "spans" else "text" if text else "image"
    wanted = Demo(folder, sort, items, rounds, batch, error_rate, seed, me)
    with live_rounds(as_json=app.as_json) as view:
        shown = play(wanted, view, visiting)
    if app.as_json:
        return
    click.echo(curve(shown.rounds))
    click.echo(f"report        {folder / shown.report.name}")
    click.echo(f"Label Studio  {shown.url}")
    click.echo(f"signed in     labelloop -C {folder} annotator open")
    click.echo(f"stop it       labelloop -C {folder} stack down")
