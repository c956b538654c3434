"""What most commands end with, a few words or JSON, and the progress they show on the way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from labelloop.protocols import Progress, silent


def show(value: Any, words: str, *, as_json: bool) -> None:
    """Print the result of a command: for people, or as JSON for scripts. Credentials in addresses are masked."""
    from labelloop.cli.render import show_json
    from labelloop.errors.masking import masked_tree
    from labelloop.report.clean import clean

    if as_json:
        show_json(masked_tree(value))
    else:
        print(clean(words, keep="\n"))  # noqa: T201


def confirm(question: str, *, yes: bool) -> None:
    """Go on if a person, or `--yes`, agrees; otherwise end.

    Raises:
        ConfigError: Nobody is there to answer.
        Abort: She said no.
    """
    import click

    from labelloop.errors import ConfigError

    if yes:
        return
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise ConfigError("nothing was done: nobody agreed", "add --yes where nobody can answer") from None


@contextmanager
def working(*, as_json: bool) -> Iterator[Progress]:
    """Progress of long work on stderr: a bar on a terminal, a line now and then when piped, nothing with --json."""
    from labelloop.cli.render import live_rounds

    if as_json:
        yield silent
        return
    with live_rounds(stream=sys.stderr) as view:
        yield view.progress
