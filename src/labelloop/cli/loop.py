"""tick, watch, status, train, infer, export, report: the loop from day to day."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labelloop.cli.app import App, pass_app
from labelloop.errors import LabelLoopError

if TYPE_CHECKING:
    from labelloop.cli.logs import Format
    from labelloop.report.rows import Format as RowFormat


@click.command()
@click.option("--reconcile", is_flag=True, help="First compare everything with the annotator, and repair the ledger.")
@click.option("--take-over", is_flag=True, help="Make the dataset this workspace's, whosever it was; the other stops.")
@click.option("--believe-losses", is_flag=True, help="Go on however many questions and answers are gone at once.")
@pass_app
def tick(app: App, reconcile: bool, take_over: bool, believe_losses: bool) -> None:
    """Do the next thing once: hear, then wait, learn and ask, or finish what was interrupted.

    Safe to repeat and to kill at any moment, so cron, CI or a cluster can drive the loop. Exits with 75 when another
    process holds the round. With --reconcile, which happens by itself once a day [loop.reconcile_every], every question
    and answer is compared, and what was different is said.

    A dataset that another ledger asks, that has gone on without this one, or that has lost much at once is refused
    before anything is asked or believed.
    """
    from labelloop.cli.output import show, working
    from labelloop.commands.tick import outcome_as_dict, outcome_in_words

    with working(as_json=app.as_json) as progress:
        outcome = app.loop(progress).tick(reconcile=reconcile, take_over=take_over, believe_losses=believe_losses)
    show(outcome_as_dict(outcome), outcome_in_words(outcome), as_json=app.as_json)


@click.command()
@click.option("--every", default=5.0, show_default=True, type=click.FloatRange(min=0.2), help="Seconds between looks.")
@click.option("--until-done", is_flag=True, help="End when nothing is left to ask, instead of waiting for more.")
@click.option("--port", type=click.IntRange(0, 65535), help="Serve /metrics, /health and hints here [watch.port].")
@click.option("--certificate", default="", metavar="FILE", help="Serve them with TLS [watch.certificate].")
@click.option("--key", default="", metavar="FILE", help="The key, where it is in another file [watch.key].")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="A line with the time per event, on stderr.")
@pass_app
def watch(
    app: App,
    every: float,
    until_done: bool,
    port: int | None,
    certificate: str,
    key: str,
    log_format: Format | None,
) -> int:
    """Keep the loop going: start what labelloop manages, tick, wait, and say why.

    Looks less often while nothing happens, backs off while the annotator is away, and starts it again where labelloop
    manages it; ends in order on Ctrl-C or SIGTERM, in the middle of anything. With a port, Label Studio's webhooks wake
    it, and Prometheus can measure it.
    """
    from labelloop.cli.logs import LoggedRounds
    from labelloop.cli.ml_backend import listening
    from labelloop.cli.render import live_rounds
    from labelloop.cli.service import keep_watching

    app = listening(app, "watch", port, certificate, key)
    if log_format is None:
        with live_rounds(as_json=app.as_json) as view:
            keep_watching(app, view, every=every, until_done=until_done)
        return 0
    log = LoggedRounds(sys.stderr, log_format)
    try:
        keep_watching(app, log, every=every, until_done=until_done)
    except LabelLoopError as error:
        log.fail(error)
        return error.exit_code
    return 0


@click.command()
@pass_app
def status(app: App) -> None:
    """Show where the loop stands and what the next tick would do. Reads the ledger only."""
    from labelloop.cli.output import show
    from labelloop.commands.status import status_as_dict, status_in_words

    loop = app.loop()
    show(status_as_dict(loop), status_in_words(loop), as_json=app.as_json)


@click.command()
@pass_app
def train(app: App) -> None:
    """Learn from the answers so far and print the honest score; asks nothing, promotes nothing."""
    from labelloop.cli.output import show, working
    from labelloop.commands.tick import learned_as_dict, learned_in_words

    with working(as_json=app.as_json) as progress:
        learned = app.loop(progress).study()
    show(learned_as_dict(learned), learned_in_words(learned), as_json=app.as_json)


@click.command()
@click.option("-o", "--output", default="-", show_default=True, help="FILE.jsonl, .csv or .parquet; - is stdout.")
@pass_app
def infer(app: App, output: str) -> None:
    """Write what the model in use says about every item: labels, confidence, a probability per label."""
    from labelloop.cli.output import working
    from labelloop.commands.infer import write_predictions

    with working(as_json=True) as progress:
        count = write_predictions(app.loop(progress), output)
    _note_readers(app, output)
    click.echo(f"{count} prediction(s) written to {output}", err=True)


@click.command()
@click.option(
    "-o",
    "--output",
    default="-",
    show_default=True,
    help="FILE.jsonl, .json (Label Studio's), .csv, .parquet or .conll; - is stdout.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["jsonl", "json", "csv", "parquet", "conll"]),
    help="What to write [by the ending of FILE; jsonl to stdout].",
)
@click.option("--only-human", is_flag=True, help="Leave labels out that were taken from the model.")
@click.option("--control", default="", metavar="NAME", help="Whose spans CoNLL holds [the only control of spans].")
@click.option("--comments", is_flag=True, help="In CoNLL, say above each text its item and whether it is held out.")
@pass_app
def export(
    app: App, output: str, file_format: RowFormat | None, only_human: bool, control: str, comments: bool
) -> None:
    """Write the labels that are believed, one line per item, with who said so and whether it is held out.

    Labels that were taken from the model (labelloop auto-label) have the source "model" instead of "human". CoNLL holds
    the spans of one control instead: a token and its BIO tag a line.
    """
    from labelloop.commands.export import Exported, write

    words = write(app.loop(), output, Exported(file_format, only_human, control, comments))
    _note_readers(app, output)
    click.echo(words, err=True)


@click.command()
@click.option(
    "-o", "--output", default=Path("report.html"), show_default=True, type=click.Path(dir_okay=False, path_type=Path)
)
@pass_app
def report(app: App, output: Path) -> None:
    """Write a self-contained HTML report: learning curve, labels, the last batch and why it was asked."""
    from labelloop.cli.output import show
    from labelloop.commands.report import report_view
    from labelloop.report.files import write

    write(report_view(app.loop()), output)
    _note_readers(app, str(output))
    show({"report": str(output)}, f"written {output}", as_json=app.as_json)


def _note_readers(app: App, output: str) -> None:
    """What holds texts and answers is written as the umask says; that others read it is said once."""
    from labelloop.machine.privacy import note_readers

    if output != "-":
        note_readers(Path(output), app.workspace.home)
