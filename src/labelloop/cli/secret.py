"""secret register, list, get, update, delete, schema list."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from labelloop.cli.app import App, pass_app
from labelloop.cli.names import secret_name

if TYPE_CHECKING:
    from labelloop.workspace.secrets import SecretSummary

_FREE = {"ignore_unknown_options": True}
"""Every other option of these commands is a key of the secret."""

_WORDS = click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="NAME [--KEY=VALUE]...", required=True)
_KNOWN_WORDS = click.argument(
    "words",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="NAME [--KEY=VALUE]...",
    required=True,
    shell_complete=secret_name,
)
_SCHEMA = click.option("--schema", default="", help="Check the keys: aws, aws_label_studio, azure, gcp, label_studio.")
_INTERACTIVE = click.option("--interactive", is_flag=True, help="Ask for the values, unseen.")


@click.group()
def secret() -> None:
    """Register, list, show, update and delete secrets, in the secrets manager of the active stack."""


@secret.command(context_settings=_FREE)
@_WORDS
@_SCHEMA
@_INTERACTIVE
@pass_app
def register(app: App, words: tuple[str, ...], schema: str, interactive: bool) -> None:
    """Keep a new secret: a name, and values by key.

    Best, have the values asked for: on a terminal, a key without a value and what the schema still needs are, unseen. A
    VALUE of @PATH reads a file, and - reads standard input. One typed into the command itself stays in the history of
    the shell, and the list of processes shows it while the command runs.

    Examples:  labelloop secret register s3 --schema=aws   labelloop secret register gcs --schema=gcp --token=@key.json
    """
    from labelloop.cli.secret_values import parsed, read
    from labelloop.workspace import secrets

    typed = parsed(words)
    values = _completed(read(typed.words), schema, interactive)
    _say(app, "registered", secrets.register(app.stack.secrets_manager, typed.name, values, schema))


@secret.command(name="list")
@pass_app
def list_(app: App) -> None:
    """List the secrets with their keys and the schema these fit; no values."""
    from labelloop.cli.render import show_json, table
    from labelloop.workspace import secrets

    found = secrets.summaries(app.stack.secrets_manager)
    if app.as_json:
        show_json([{"name": one.name, "keys": list(one.keys), "schema": one.schema} for one in found])
        return
    table([[one.name, ", ".join(one.keys), one.schema] for one in found], ["secret", "keys", "schema"])


@secret.command()
@click.argument("name", shell_complete=secret_name)
@click.option("--key", default="", help="Only this value; with --show, nothing else is printed.")
@click.option("--show", "shown", is_flag=True, help="Print the values themselves.")
@pass_app
def get(app: App, name: str, key: str, shown: bool) -> None:
    """Show one secret: its keys, and its values masked unless --show asks for them.

    Example:  labelloop secret get ls --key=api_key --show
    """
    from labelloop.cli.output import show
    from labelloop.cli.render import show_json
    from labelloop.workspace.secrets import MASK, values_of

    values = values_of(app.stack.secrets_manager, name, key)
    if shown:  # as it is, were it an address with a password in it
        lines = [values[key]] if key else [f"{one}: {value}" for one, value in values.items()]
        show_json(dict(values)) if app.as_json else click.echo("\n".join(lines))
        return
    visible = dict.fromkeys(values, MASK)
    show(dict(visible), "\n".join(f"{one}: {value}" for one, value in visible.items()), as_json=app.as_json)


@secret.command(context_settings=_FREE)
@_KNOWN_WORDS
@click.option("--remove", "removed", multiple=True, metavar="KEY", help="Take a key out; may be repeated.")
@_SCHEMA
@_INTERACTIVE
@pass_app
def update(app: App, words: tuple[str, ...], removed: tuple[str, ...], schema: str, interactive: bool) -> None:
    """Replace or add single values of a secret; the others stay. Values are given as for register.

    Examples:  labelloop secret update ls --api_key   labelloop secret update s3 --remove=aws_session_token
    """
    from labelloop.cli.secret_values import asked, parsed, read
    from labelloop.workspace import secrets

    typed = parsed(words)
    manager = app.stack.secrets_manager
    values = read(typed.words)
    if interactive:
        values = {**values, **asked([], [key for key in manager.get(typed.name) if key not in (*values, *removed)])}
    _say(app, "updated", secrets.update(manager, typed.name, values, removed, schema))


@secret.command()
@click.argument("name", shell_complete=secret_name)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_app
def delete(app: App, name: str, yes: bool) -> None:
    """Delete a secret. Asks first; what asks nobody needs --yes."""
    from labelloop.cli.output import show
    from labelloop.cli.secret_values import on_terminal
    from labelloop.errors import ConfigError

    app.stack.secrets_manager.get(name)
    if not yes and not on_terminal():
        raise ConfigError(f"secret {name!r} is not deleted unasked", f"labelloop secret delete {name} --yes")
    if not yes:
        click.confirm(f"delete secret {name!r}?", abort=True, err=True)
    app.stack.secrets_manager.delete(name)
    show({"deleted": name}, f"deleted secret {name}", as_json=app.as_json)


@secret.group()
def schema() -> None:
    """Look at the kinds of secret there are."""


@schema.command(name="list")
@pass_app
def list_schemas(app: App) -> None:
    """List the schemas with their keys; those in [] may be left out."""
    from labelloop.cli.render import show_json, table
    from labelloop.workspace.secret_schemas import SCHEMAS

    if app.as_json:
        show_json(
            {
                one.name: {"required": one.required, "optional": one.optional, "for": one.purpose}
                for one in SCHEMAS.values()
            }
        )
        return
    rows = [
        [one.name, ", ".join([*one.required, *(f"[{key}]" for key in one.optional)]), one.purpose]
        for one in SCHEMAS.values()
    ]
    table(rows, ["schema", "keys", "for"])


create = copy.copy(register)
create.name, create.hidden, create.help = "create", True, "The same as `labelloop secret register`."
secret.add_command(create)


def _completed(values: Mapping[str, str], schema: str, interactive: bool) -> Mapping[str, str]:
    """The values with those that a person at the terminal adds to them."""
    from labelloop.cli.secret_values import asked, asked_freely, on_terminal
    from labelloop.workspace.secret_schemas import schema_named

    if not interactive and not (schema and on_terminal()):
        return values
    if not schema:
        return {**values, **asked_freely()}
    wanted = schema_named(schema)
    optional = [key for key in wanted.optional if interactive and key not in values]
    return {**values, **asked(wanted.missing(values), optional)}


def _say(app: App, done: str, summary: SecretSummary) -> None:
    from labelloop.cli.output import show

    kind = f" (schema {summary.schema})" if summary.schema else ""
    found = {"name": summary.name, "keys": list(summary.keys), "schema": summary.schema}
    show(found, f"{done} secret {summary.name}: {', '.join(summary.keys)}{kind}", as_json=app.as_json)
