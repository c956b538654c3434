"""Run the pipelines of this example: python run.py [local|aws|gcp|azure] --train | --inference [--rerun]"""

from __future__ import annotations

from pathlib import Path

import click

import labelloop
from labelloop.cli import main as run_command
from labelloop.cli.output import working
from labelloop.errors import ConfigError
from labelloop.loop.gatekeeper import Judged
from labelloop.loop.loop import Loop
from labelloop.steps import in_words

from pipelines.inference import inference
from pipelines.training import training

HERE = Path(__file__).resolve().parent
FLAVORS = {"local": "local", "aws": "s3", "gcp": "gcp", "azure": "azure"}
"""Where you run -> the flavor of artifact store that the active stack must have."""
PATHS = {"local": "images", "aws": "s3://BUCKET", "gcp": "gs://BUCKET", "azure": "az://CONTAINER"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("where", type=click.Choice(list(FLAVORS)), required=False)
@click.option("--train", is_flag=True, help="Learn from the annotations so far; deploy the model if it is not worse.")
@click.option("--inference", "infer", is_flag=True, help="Bring new images to the annotators, with predictions.")
@click.option(
    "--rerun",
    is_flag=True,
    help="The second lap: --inference brings data/batch_2, --train continues from the model before.",
)
def main(where: str | None, train: bool, infer: bool, rerun: bool) -> None:
    """Continuous annotation of handwritten digits.

    WHERE says what the active stack stores in: local (the default stack), aws, gcp or azure.

    \b
    python run.py --inference           batch 1 to Label Studio; then annotate
    python run.py --train               learn from your annotations, deploy
    python run.py --inference --rerun   batch 2, pre-annotated; then correct
    python run.py --train --rerun       learn on, from everything so far
    """
    if not train and not infer:
        raise click.UsageError("say what to run: --train or --inference")
    with working(as_json=False) as progress, labelloop.open(HERE, tell=print, progress=progress) as loop:
        _check_stack(loop, where)
        if train:
            _show_training(loop, training(loop, rerun=rerun))
        if infer:
            new = inference(loop, HERE / "data" / ("batch_2" if rerun else "batch_1"))
            print(f"\n{new} new images to annotate at {loop.dataset.url()}")
            print("in the browser, signed in: labelloop annotator open")


def _check_stack(loop: Loop, where: str | None) -> None:
    """Refuse to run somewhere else than the active stack is."""
    stack = loop.stack
    store = loop.workspace.config.component("artifact-store", stack.config.artifact_store)
    if where is None or FLAVORS[where] == store.flavor:
        return
    wanted = FLAVORS[where]
    if where == "local":
        raise ConfigError(f"the active stack {stack.name!r} stores in {store.flavor}", "labelloop stack set default")
    commands = (
        f"labelloop artifact-store register images --flavor={wanted} --path={PATHS[where]} --authentication_secret=S",
        f"labelloop stack copy default {where}",
        f"labelloop stack update {where} -a images",
        f"labelloop stack set {where}",
        "labelloop stack up",
    )
    raise ConfigError(
        f"{where} needs an artifact store of flavor {wanted}; the active stack {stack.name!r} has {store.flavor}",
        "; ".join(commands),
    )


def _show_training(loop: Loop, judged: Judged | None) -> None:
    if judged is None:
        print("\nno annotations to learn from yet")
        print(f"first: python run.py --inference, then annotate at {loop.dataset.url()}")
        return
    print(f"\nmodel {judged.version} is in use: {judged.gate}")
    print(f"score: {in_words(judged.metrics)}")
    print(f"annotate at {loop.dataset.url()}")


if __name__ == "__main__":
    run_command(command=main)
