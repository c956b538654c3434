"""register, list, describe, update, rename, delete and flavor list, for every kind of component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from labelloop.cli.app import App, pass_app
from labelloop.cli.names import FlavorType, component_name, no_flavor, with_known_options
from labelloop.machine.registry import ComponentKind

if TYPE_CHECKING:
    from labelloop.workspace.components import Described

KINDS_IN_WORDS: Mapping[ComponentKind, str] = {
    "artifact-store": "where artifacts live",
    "secrets-manager": "where secrets live",
    "annotator": "where people annotate",
    "orchestrator": "where steps execute",
}

EXAMPLES: Mapping[ComponentKind, str] = {
    "artifact-store": "--flavor s3 --path s3://my-bucket --authentication_secret aws",
    "secrets-manager": "--flavor aws --region_name eu-central-1",
    "annotator": "--flavor label_studio --authentication_secret team --url https://label.example.com",
    "orchestrator": "--flavor local --workers 2",
}


def group_of(kind: ComponentKind) -> click.Group:
    """The group of all verbs for one kind."""
    group = click.Group(kind, help=f"Register and look at {kind.replace('-', ' ')}s: {KINDS_IN_WORDS[kind]}.")
    add_verbs(group, kind)
    group.add_command(_describe(kind))
    return group


def add_verbs(group: click.Group, kind: ComponentKind) -> None:
    """Give a group every verb but `describe`."""
    for command in (_register(kind), _list(kind), _update(kind), _rename(kind), _delete(kind), _flavor(kind)):
        group.add_command(command)


def show_component(app: App, kind: ComponentKind, name: str) -> None:
    """Print one component; empty is the one of the active stack."""
    from labelloop.cli.output import show
    from labelloop.workspace.components import describe
    from labelloop.workspace.config import part_of

    config = app.workspace.config
    one = describe(config, kind, name or getattr(config.stack(), part_of(kind)))
    show(one.as_dict(), _in_words(one), as_json=app.as_json)


def _register(kind: ComponentKind) -> click.Command:
    def register(app: App, name: str, flavor: str | None, **options: str | None) -> None:
        from labelloop.cli.output import show
        from labelloop.workspace.components import register as add

        if not flavor:
            raise no_flavor(kind)
        app.workspace  # noqa: B018 - modules beside labelloop.toml can be named as flavors
        chosen = _chosen(options)
        add(app.root, kind, name, flavor, chosen)
        show(
            {"registered": name, "kind": kind, "flavor": flavor},
            f"registered the {kind} {name!r} of flavor {flavor}\nnext: labelloop stack update {_flag(kind)} {name}",
            as_json=app.as_json,
        )

    return with_known_options(
        kind,
        "register",
        pass_app(register),
        [
            click.Argument(["name"]),
            click.Option(["--flavor", "-f"], type=FlavorType(kind), help=f"labelloop {kind} flavor list shows them."),
        ],
        f"""Register a component NAME of a flavor, with the options of that flavor.

        Each option of the flavor is an option here: --help after -f FLAVOR lists them. They are checked now, without a
        secret or the network; what a secret holds is read when the component is used.

        Example:  labelloop {kind} register team {EXAMPLES[kind]}
        """,
    )


def _update(kind: ComponentKind) -> click.Command:
    def update(app: App, name: str, remove_attribute: tuple[str, ...], **options: str | None) -> None:
        from labelloop.cli.output import show
        from labelloop.workspace.components import update as change

        app.workspace  # noqa: B018 - modules beside labelloop.toml can be named as flavors
        chosen = _chosen(options)
        given = {key: value for key, value in chosen.items() if value != ""}
        unset = [*(one.replace("-", "_") for one in remove_attribute), *(key for key in chosen if key not in given)]
        if not chosen and not unset:
            raise _nothing_to_change(kind, name)
        change(app.root, kind, name, given, unset)
        words = [*(f"{key} = {value}" for key, value in given.items()), *(f"{key} is the default" for key in unset)]
        show(
            {"updated": name, "set": given, "unset": unset}, f"{kind} {name!r}: {', '.join(words)}", as_json=app.as_json
        )

    return with_known_options(
        kind,
        "update",
        pass_app(update),
        [
            click.Argument(["name"], shell_complete=component_name(kind)),
            click.Option(
                ["--remove-attribute"], multiple=True, metavar="OPTION", help="Back to the default. May be repeated."
            ),
        ],
        f"""Set options of the component NAME; an empty one goes back to its default.

        Each option of its flavor is an option here: --help after NAME lists them.

        Example:  labelloop {kind} update team --{EXAMPLES[kind].split("--")[2].strip()}
        """,
    )


def _list(kind: ComponentKind) -> click.Command:
    @click.command(
        name="list", help="List the components with their flavor, what is set, and the stacks that use them."
    )
    @pass_app
    def list_(app: App) -> None:
        from labelloop.cli.render import show_json, table
        from labelloop.workspace.components import used_by
        from labelloop.workspace.config import part_of

        config = app.workspace.config
        active = getattr(config.stack(), part_of(kind))
        found = config.components(kind)
        if app.as_json:
            show_json(
                {
                    name: {"flavor": one.flavor, **one.options, "stacks": used_by(config, kind, name)}
                    for name, one in found.items()
                }
            )
            return
        table(
            [
                [
                    "*" if name == active else "",
                    name,
                    one.flavor,
                    _set(one.options),
                    ", ".join(used_by(config, kind, name)),
                ]
                for name, one in found.items()
            ],
            ["", kind.replace("-", " "), "flavor", "options", "used by stacks"],
        )

    return list_


def _describe(kind: ComponentKind) -> click.Command:
    @click.command(help="Show one component with every option; the active stack's without a NAME.")
    @click.argument("name", default="", shell_complete=component_name(kind))
    @pass_app
    def describe(app: App, name: str) -> None:
        show_component(app, kind, name)

    return describe


def _rename(kind: ComponentKind) -> click.Command:
    @click.command(help="Rename a component, in every stack that uses it too.")
    @click.argument("old", shell_complete=component_name(kind))
    @click.argument("new")
    @pass_app
    def rename(app: App, old: str, new: str) -> None:
        from labelloop.cli.output import show
        from labelloop.workspace.components import rename as change

        stacks = change(app.root, kind, old, new)
        told = f", also in the stacks {', '.join(stacks)}" if stacks else ""
        show({"renamed": old, "to": new, "stacks": stacks}, f"{kind} {old!r} is now {new!r}{told}", as_json=app.as_json)

    return rename


def _delete(kind: ComponentKind) -> click.Command:
    @click.command(help="Remove a component that no stack uses. What it stands for, a bucket or a server, stays.")
    @click.argument("name", shell_complete=component_name(kind))
    @pass_app
    def delete(app: App, name: str) -> None:
        from labelloop.cli.output import show
        from labelloop.workspace.components import delete as remove

        remove(app.root, kind, name)
        show({"deleted": name}, f"the {kind} {name!r} is gone from labelloop.toml", as_json=app.as_json)

    return delete


def _flavor(kind: ComponentKind) -> click.Group:
    group = click.Group(
        "flavor",
        help=f"Look at the flavors an {kind} can have."
        if kind[0] in "ao"
        else f"Look at the flavors a {kind} can have.",
    )

    @group.command(name="list", help="List the flavors with every option: its type, its default, what it does.")
    @pass_app
    def list_(app: App) -> None:
        from labelloop.cli.render import show_json, table
        from labelloop.machine.registry import flavors

        found = {name: _options_of(kind, name) for name in flavors(kind)}
        if app.as_json:
            show_json(found)
            return
        rows = [[name, "", "", "", parts["summary"]] for name, parts in found.items()]
        shown: list[Sequence[object]] = []
        for row in rows:
            shown.append(row)
            shown += [
                ["", f"--{one['name']}", one["type"], "required" if one["required"] else one["default"], one["meaning"]]
                for one in found[str(row[0])]["options"]
            ]
        table(shown, ["flavor", "option", "type", "default", "meaning"])

    return group


def _options_of(kind: ComponentKind, flavor: str) -> Mapping[str, Any]:
    from dataclasses import asdict

    from labelloop.errors import ConfigError
    from labelloop.machine.registry import options, summary

    try:
        return {"summary": summary(kind, flavor), "options": [asdict(one) for one in options(kind, flavor)]}
    except ConfigError as error:
        return {"summary": error.message, "options": []}


def _chosen(options: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}


def _nothing_to_change(kind: ComponentKind, name: str) -> Exception:
    from labelloop.errors import ConfigError

    return ConfigError("nothing to change was given", f"labelloop {kind} update {name} --help lists the options")


def _flag(kind: ComponentKind) -> str:
    from labelloop.workspace.components import FLAGS

    return FLAGS[kind]


def _set(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


def _in_words(one: Described) -> str:
    lines = [f"{one.kind} {one.name}", f"flavor {one.flavor}: {one.summary}"]
    width = max((len(option.name) for option, _, _ in one.options), default=0)
    lines += [
        f"  {option.name:<{width}}  {value}{'' if is_set else '  (default)'}" for option, value, is_set in one.options
    ]
    lines.append(f"used by the stacks: {', '.join(one.stacks)}" if one.stacks else "used by no stack")
    return "\n".join(lines)


artifact_store = group_of("artifact-store")
secrets_manager = group_of("secrets-manager")
orchestrator = group_of("orchestrator")
