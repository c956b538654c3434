"""The command line: parse, call one library function, show. Commands are imported when they are called."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

import click

import labelloop
from labelloop.errors import LabelLoopError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "demo": ("demo", "Watch the whole loop run on real data, with nothing to set up."),
    "init": ("setup", "Make this folder a workspace."),
    "template": ("template", "List and read label configs to begin with."),
    "add": ("setup", "Add items to be labelled: images, texts, a table, a URL."),
    "check": ("setup", "Prove that every component answers."),
    "doctor": ("doctor", "Find what is wrong between ledger, store and annotator, and repair it."),
    "trust": ("trust", "Allow the code that a workspace names to run, or take that back."),
    "config": ("setup", "Show every setting and where its value comes from."),
    "tick": ("loop", "Do the next thing once: hear, learn, ask."),
    "watch": ("loop", "Keep the loop going, and say why it waits."),
    "status": ("loop", "Show where the loop stands and what comes next."),
    "forecast": ("forecast", "Show where the score is going, what a target needs, and when to stop."),
    "auto-label": ("auto_label", "Take the model's labels where its error is certified, and audit them."),
    "train": ("loop", "Learn from the answers so far, without asking for more."),
    "infer": ("loop", "Write what the current model says about every item."),
    "export": ("loop", "Write the labels that are believed: JSONL, CSV, Parquet or JSON."),
    "report": ("loop", "Write a self-contained HTML report of the loop."),
    "score": ("score", "Show how good the model in use is, and how sure that is."),
    "agreement": ("agreement", "Show how much people agree, beyond chance and two by two."),
    "rollback": ("score", "Put an earlier model back to use."),
    "reopen": ("reopen", "Open questions that were closed with fewer people than now."),
    "simulate": ("simulate", "Replay labelled data: how many labels would each selector need?"),
    "label-errors": ("label_errors", "Find labels that are likely wrong, have others look, count who was right."),
    "labels": ("labels", "Rename, add, remove, merge or split labels, with a plan and a way back."),
    "ml-backend": ("ml_backend", "Let Label Studio ask the model in use for predictions."),
    "annotator": ("annotator", "Register annotators, look at the active one and its datasets."),
    "secret": ("secret", "Register, list, show, update and delete secrets."),
    "stack": ("stack", "Choose, start, stop, share: where bytes, secrets, people and computation live."),
    "artifact-store": ("component", "Register artifact stores: where artifacts live."),
    "secrets-manager": ("component", "Register secrets managers: where secrets live."),
    "orchestrator": ("component", "Register orchestrators: where steps execute."),
    "cloud": ("cloud", "Set up a bucket in AWS, GCP or Azure, or take it away again."),
    "integration": ("integration", "Install what labelloop can work with: clouds, PyTorch, Label Studio."),
    "completion": ("completion", "Print the script that completes names in bash, zsh or fish."),
    "example": ("example", "List, pull and remove runnable example projects."),
}
"""Command -> (module of `labelloop.cli`, the line that `--help` shows)."""


class LazyGroup(click.Group):
    """A group whose commands are imported only when they run, so that `--help` stays instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"labelloop.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin so, without importing them, and the options."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=line) for name, (_, line) in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or name the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            from labelloop.machine.registry import unknown

            raise unknown("command", args[0], list(COMMANDS))
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "auto_envvar_prefix": None},
)
@click.version_option(labelloop.__version__, "-V", "--version", prog_name="labelloop")
@click.option(
    "-C",
    "--workspace",
    type=click.Path(file_okay=False),
    help="Folder of the workspace [here, or above].",
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Override a setting: --set loop.batch=20")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def cli(ctx: click.Context, workspace: str | None, settings: tuple[str, ...], as_json: bool, debug: bool) -> None:
    """Continuous annotation: a model and its annotators in one loop.

    A first look:    labelloop demo

    Your own data:   labelloop init, labelloop add FOLDER, labelloop watch
    """
    from pathlib import Path

    from labelloop.cli.app import App

    ctx.obj = App(Path(workspace) if workspace is not None else None, settings, as_json)


def main(arguments: list[str] | None = None, command: click.Command | None = None) -> None:
    """Run the command line and exit: 0 done, 2 your move, 3 a service's fault, 4 a step raised,
    70 nobody foresaw it, 75 try again.

    Args:
        command: One of your own instead of ours, with the same errors, signals and codes.
    """
    raise SystemExit(run(arguments, command))


def run(arguments: list[str] | None = None, command: click.Command | None = None) -> int:
    """Run the command line; returns the exit code."""
    from labelloop.cli.signals import terminable

    if arguments is None and (asked := os.environ.get("_LABELLOOP_COMPLETE")):
        from labelloop.cli.completion import answer

        return answer(asked)
    words = arguments if arguments is not None else sys.argv[1:]
    debug = "--debug" in words
    _print_anything()
    try:
        with terminable():
            name = "labelloop" if command is None else None
            result: Any = (command or cli).main(arguments, prog_name=name, standalone_mode=False)
            sys.stdout.flush()  # here, where a full disk or a reader that went away is still told in words
    except click.exceptions.Abort:
        return _interrupted()
    except KeyboardInterrupt:
        return _interrupted()
    except click.ClickException as error:
        _show_usage(error)
        return error.exit_code
    except LabelLoopError as error:
        from labelloop.cli.render import error as show_error

        show_error(error)
        if debug:
            raise
        return error.exit_code
    except BrokenPipeError:
        _print_no_more()
        return 141
    except Exception as error:  # noqa: BLE001 - the last resort: a traceback is for us, not for users
        from labelloop.cli.last_resort import told
        from labelloop.cli.render import error as show_error

        if isinstance(error, OSError) and error.filename is None:
            _print_no_more()
        instead = told(error, words, command or cli, debug=debug)
        show_error(instead)
        return instead.exit_code
    return result if isinstance(result, int) else 0


def _show_usage(error: click.ClickException) -> None:
    """What click says of words that do not fit; it quotes them, and one may be an address with a password."""
    from io import StringIO

    from labelloop.errors.masking import masked

    said = StringIO()
    error.show(said)
    click.echo(masked(said.getvalue()), err=True, nl=False)


def _print_no_more() -> None:
    """What is still to be printed goes nowhere: at its end Python would fail on it once more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_anything() -> None:
    """Escape what the terminal's encoding does not have, instead of failing in the middle of a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _interrupted() -> int:
    click.echo("\ninterrupted; nothing is lost: run the same command again to continue", err=True)
    return 130
