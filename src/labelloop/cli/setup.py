"""init, add, check, config: from an empty folder to a loop that can run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click

from labelloop.cli.app import App, pass_app, spoken
from labelloop.cli.names import template_name


@click.command()
@click.option("--name", help="Name of the dataset [the folder's name].")
@click.option("--modality", type=click.Choice(["image", "text"]), help="What people see [image].")
@click.option(
    "--task",
    type=click.Choice(["single-choice", "multiple-choice"]),
    help="One label or several per item [single-choice].",
)
@click.option("--labels", help="The labels, comma-separated: cat,dog,bird")
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A label config of your own (XML), which people see as it is.",
)
@click.option("--template", shell_complete=template_name, help="A label config from `labelloop template list`.")
@click.option("--main", help="With --config or --template: the control to learn from [the first that can be].")
@pass_app
def init(
    app: App,
    name: str | None,
    modality: str | None,
    task: str | None,
    labels: str | None,
    config_file: Path | None,
    template: str | None,
    main: str | None,
) -> None:
    """Make this folder a workspace.

    Writes labelloop.toml, which you may edit by hand, and a git-ignored .labelloop folder. Safe to repeat: what is
    there stays, and options given again are updated. A label config of your own says by itself what is asked; each
    $name in it is a column of the table that you add.

    Example:  labelloop init --labels cat,dog && labelloop add photos/ && labelloop watch

    Example:  labelloop init --template response-grading && labelloop add answers.jsonl
    """
    from labelloop.cli.output import show
    from labelloop.workspace.config import load
    from labelloop.workspace.init import create
    from labelloop.workspace.root import FILE

    root = app.folder.resolve() if app.folder else Path.cwd()
    if config_file or template:
        _refuse_both(config_file, template, (modality, task, labels))
        _bring(app, root, name, config_file, template, main or "")
        return
    chosen = {"name": spoken(name), "modality": modality, "task": task, "labels": _split(spoken(labels))}
    given = {key: value for key, value in chosen.items() if value}
    created = create(root, given)
    done = "created" if created else f"set {', '.join(given)} in" if given else "kept"
    has_labels = bool(load(root).config.dataset.labels)
    show(
        {"workspace": str(root), "created": created},
        f"{done} {root / FILE}\nnext: {'' if has_labels else f'set the labels in {FILE}, then '}labelloop add FOLDER",
        as_json=app.as_json,
    )


def _refuse_both(config_file: Path | None, template: str | None, others: Sequence[str | None]) -> None:
    if config_file and template:
        raise click.UsageError("--config and --template each say what is asked: give one of them.")
    if any(others):
        raise click.UsageError("a label config says what is asked: leave out --modality, --task and --labels.")


def _bring(app: App, root: Path, name: str | None, config_file: Path | None, template: str | None, main: str) -> None:
    """Make a workspace around a label config, and say what becomes of each of its controls."""
    from labelloop.cli.output import show, working
    from labelloop.cli.template import named_template
    from labelloop.workspace.config import load, read_text
    from labelloop.workspace.init import bring, create, treatments

    if template:
        with working(as_json=app.as_json) as progress:
            xml = named_template(app, template, progress).config
    else:
        assert config_file is not None
        xml = read_text(config_file)
    given = {"name": spoken(name)} if name else {}
    created = create(root, given)
    bring(root, xml, config_file, main)
    config = load(root).config
    seen, own = treatments(config), config.label_config
    assert own is not None
    lines = [f"people see {root / config.dataset.config}, as it is"]
    lines += [
        f"the page of Label Studio's open edition does not know {tag}: people see an error there" for tag in own.unseen
    ]
    lines += [f"{one.name}: {one.tag} about {one.about}, {one.becomes}" for one in seen]
    lines += [f"next: labelloop add TABLE, with the column(s) {', '.join(own.columns)}"]
    told = {
        "workspace": str(root),
        "created": created,
        "config": str(root / config.dataset.config),
        "controls": [one.as_dict() for one in seen],
        "columns": list(own.columns),
        "not_on_the_page": list(own.unseen),
    }
    show(told, "\n".join(lines), as_json=app.as_json)


@click.command()
@click.argument("places", nargs=-1, required=True)
@click.option("--text-column", default="", help="Column of a table that holds the text, or a path to it: data.text.")
@click.option("--uri-column", default="", help="Column of a table that holds a path or URL.")
@click.option("--id-column", default="", help="Column of a table that holds your own item id.")
@click.option("--encoding", default="", help="Encoding of tables and texts that are not UTF-8 [guessed, and said].")
@click.option("--lines", is_flag=True, help="Take every line of a text file as a text of its own.")
@click.option("--conll", is_flag=True, help="Take every line of a .txt as a token with its tag, as in a .conll file.")
@click.option(
    "--changed",
    type=click.Choice(["replace", "keep"]),
    default="replace",
    help="What becomes of known items whose source holds other content [replace].",
)
@click.option("--dry-run", is_flag=True, help="Count what would be added, add nothing.")
@pass_app
def add(
    app: App,
    places: tuple[str, ...],
    text_column: str,
    uri_column: str,
    id_column: str,
    encoding: str,
    lines: bool,
    conll: bool,
    changed: Literal["replace", "keep"],
    dry_run: bool,
) -> None:
    """Add items to be labelled, and look at those that are known.

    PLACES are folders, globs, tables (CSV, JSONL, JSON, Parquet, Excel, CoNLL), or any URL that fsspec reads. An item
    is known by its id or its content: adding twice changes nothing, and reads only files that are new or have changed.
    What is known and lies elsewhere now takes its new address; what holds other content now takes the place of the old
    one, whose answers are set aside. A table is read as a whole or not at all; what cannot be read, or is passed over,
    is counted and said.

    Examples:  labelloop add photos/   labelloop add 'data/*.jsonl' --text-column data.body
    """
    from labelloop.cli.output import show, working
    from labelloop.commands.add import add_items
    from labelloop.data.sources import Columns
    from labelloop.ledger import open_ledger
    from labelloop.loop.notices import look_ahead, noticed

    dataset, own = app.workspace.config.dataset, app.workspace.config.brought
    shown, item, parts = (own.columns, own.item, own.parts) if own else ((), (), ())
    with (
        closing(open_ledger(app.workspace.ledger_url, dataset.name)) as ledger,
        working(as_json=app.as_json) as progress,
    ):
        taken = add_items(
            ledger,
            places,
            dataset.modality,
            Columns(text_column, uri_column, id_column, encoding, lines, conll, shown, item, parts),
            store=app.stack.artifact_store,
            hosts=dataset.hosts,
            labels=dataset.labels,
            ca_bundle=dataset.ca_bundle,
            changed=changed,
            rule=dataset.duplicates,
            dry_run=dry_run,
            progress=progress,
        )
        if taken.new and not dry_run:
            look_ahead(ledger, app.workspace.config)
        taken = replace(taken, warnings=tuple(noticed(ledger, app.workspace.config)))
    show(taken.as_dict(), taken.in_words(dry_run), as_json=app.as_json)


@click.command()
@pass_app
def check(app: App) -> int:
    """Prove that every component answers: configuration, ledger, stack, learner, annotator."""
    from labelloop.cli.render import show_json, table
    from labelloop.commands.check import checks

    found = list(checks(app.workspace, app.stack))
    if app.as_json:
        show_json([finding.as_dict() for finding in found])
    else:
        rows = [[one.verdict, one.what, one.detail, one.hint] for one in found]
        table(rows, ["", "what", "found", "what to do"], title=f"stack {app.stack.name}")
    return max((one.exit_code for one in found), default=0)


@click.command()
@pass_app
def config(app: App) -> None:
    """Show every setting and where its value comes from: default, file, environment or flag."""
    from labelloop.cli.render import show_json, table
    from labelloop.errors.masking import setting
    from labelloop.workspace.config import values

    rows: list[list[Any]] = [[name, setting(name, value), origin] for name, value, origin in values(app.workspace)]
    if app.as_json:
        show_json({name: {"value": value, "source": origin} for name, value, origin in rows})
        return
    table([[name, str(value), origin] for name, value, origin in rows], ["setting", "value", "source"])


def _split(labels: str | None) -> list[str]:
    return [label.strip() for label in labels.split(",") if label.strip()] if labels else []
