"""Opening pages of the annotator in a browser, signed in where labelloop owns the account."""

from __future__ import annotations

import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager

import click

from labelloop.protocols import SigningIn

PATIENCE_SECONDS = 120.0


def visit(annotator: object, page: str, *, print_only: bool) -> None:
    """Open a page, and stay until the browser has come for it."""
    if not isinstance(annotator, SigningIn):
        _lead(page, print_only=print_only)
        return
    with annotator.signed_in(page) as (link, used):
        _lead(link, print_only=print_only)
        used.wait(PATIENCE_SECONDS)


@contextmanager
def visiting(annotator: object, page: str) -> Iterator[None]:
    """Open a page; the link that signs in works while the block lasts."""
    if not isinstance(annotator, SigningIn):
        _lead(page, print_only=False)
        yield
        return
    with annotator.signed_in(page) as (link, _):
        _lead(link, print_only=False)
        yield


def _lead(link: str, *, print_only: bool) -> None:
    if print_only or not webbrowser.open(link):
        click.echo(f"open this in your browser: {link}", err=True)
