"""completion: a script that completes commands, options and registered names; and what that script asks."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stderr, suppress
from pathlib import Path

import click
from click.shell_completion import BashComplete, ShellComplete, get_completion_class, split_arg_string

VARIABLE = "_LABELLOOP_COMPLETE"
"""Set by the script when it asks."""

WHERE = {
    "bash": 'add to ~/.bashrc:  eval "$(labelloop completion bash)"',
    "zsh": 'add to ~/.zshrc, after compinit:  eval "$(labelloop completion zsh)"',
    "fish": "labelloop completion fish > ~/.config/fish/completions/labelloop.fish",
}


class _Bash(BashComplete):
    """Bash breaks `--flavor=s3` into three words; the sign is none of them."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is completed, and that one."""
        words, place = split_arg_string(os.environ["COMP_WORDS"]), int(os.environ["COMP_CWORD"])
        last = words[place] if place < len(words) else ""
        return [word for word in words[1:place] if word != "="], "" if last == "=" else last

    def source(self) -> str:
        """The script, without asking which bash there is."""
        return ShellComplete.source(self)


@click.command()
@click.argument("shell", type=click.Choice(list(WHERE)))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and registered names in bash, zsh or fish.

    Example:  eval "$(labelloop completion bash)"
    """
    click.echo(f"# {WHERE[shell]}\n{_of(shell).source()}", nl=False)


def answer(instruction: str) -> int:
    """Answer what a shell's script asks. A shell is no place for an error: what fails completes nothing."""
    shell, _, what = instruction.partition("_")
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere), suppress(Exception, SystemExit):
        said = _of(shell).complete() if what == "complete" else _of(shell).source()
        sys.stdout.write(f"{said}\n" if what == "complete" else said)
    return 0


def _of(shell: str) -> ShellComplete:
    from labelloop.cli import cli

    kind = _Bash if shell == "bash" else get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell!r}")
    return kind(cli, {}, "labelloop", VARIABLE)
