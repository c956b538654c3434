"""template: the label configs that the annotator ships, to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from labelloop.cli.app import App, pass_app
from labelloop.cli.names import template_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.protocols import Progress
    from labelloop.types import Template


@click.group()
def template() -> None:
    """List and read the label configs that come with Label Studio, to begin with: `init --template NAME`."""


@template.command("list")
@pass_app
def list_(app: App) -> None:
    """List the templates by group, with their title and what each of their controls asks.

    A control with a star can be learned from. Installs Label Studio where it is not there yet.
    """
    from labelloop.cli.output import working
    from labelloop.cli.render import show_json, table
    from labelloop.workspace.templates import described

    with working(as_json=app.as_json) as progress:
        found = [described(one) for one in shipped(app, progress)]
    if app.as_json:
        show_json([one.as_dict() for one in found])
        return
    rows = [[one.group, one.name, one.title, one.in_words()] for one in found]
    table(rows, ["group", "name", "for", "controls (* is learned from)"])


@template.command()
@click.argument("name", shell_complete=template_name)
@pass_app
def show(app: App, name: str) -> None:
    """Print the label config of the template NAME.

    Example:  labelloop template show response-grading > label_config.xml
    """
    from labelloop.cli.output import show as printed
    from labelloop.cli.output import working

    with working(as_json=app.as_json) as progress:
        found = named_template(app, name, progress)
    printed({"name": found.name, "title": found.title, "config": found.config}, found.config, as_json=app.as_json)


def shipped(app: App, progress: Progress) -> Sequence[Template]:
    """The templates of the annotator in use.

    Raises:
        ConfigError: It has none.
    """
    from labelloop.errors import ConfigError
    from labelloop.machine.registry import resolve
    from labelloop.protocols import Templating

    config = app.config()
    flavor = config.component("annotator", config.stack().annotator).flavor
    annotator = resolve("annotator", flavor)
    if not isinstance(annotator, Templating):
        raise ConfigError(f"the annotator {flavor!r} has no templates", "labelloop init --config FILE")
    return annotator.templates(progress)


def named_template(app: App, name: str, progress: Progress) -> Template:
    """The template of this name.

    Raises:
        NotFoundError: There is none.
    """
    from labelloop.machine.registry import unknown

    found = {one.name: one for one in shipped(app, progress)}
    if name not in found:
        raise unknown("template", name, found)
    return found[name]
