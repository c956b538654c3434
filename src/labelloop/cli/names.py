"""Names on the command line: options that a flavor brings, and what a shell can complete. Imports nothing heavy."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from labelloop.machine.registry import BUILT_IN, ComponentKind, flavors

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class FlavorType(click.ParamType[str]):
    """The name of a flavor, or `module:attribute`."""

    name = "flavor"

    def __init__(self, kind: ComponentKind) -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The installed flavors."""
        return items(flavors(self.kind), incomplete)


class FlavorCommand(click.Command):
    """A command that has the options of one flavor besides its own, as soon as the flavor is known."""

    def __init__(self, kind: ComponentKind, verb: str, **settings: Any) -> None:
        super().__init__(name=verb, **settings)
        self.kind = kind
        self.verb = verb

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters and, when the flavor is known, the flavor's."""
        own = super().get_params(ctx)
        return [*own[:-1], *ctx.meta.get("labelloop.options", []), own[-1]]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the flavor first, then parse with its options."""
        args = equals_apart(args)
        flavor = self._flavor(ctx, args)
        ctx.meta["labelloop.options"] = self._options(flavor, lenient=ctx.resilient_parsing) if flavor else []
        try:
            return super().parse_args(ctx, list(args))
        except click.NoSuchOption as error:
            self._explain(error, flavor, ctx, next((word for word in args if not word.startswith("-")), ""))
            raise

    def _flavor(self, ctx: click.Context, args: Sequence[str]) -> str:
        if self.verb == "register":
            return _value_of(("-f", "--flavor"), args)
        known = raw_components(ctx, self.kind)
        name = next((word for word in args if word in known), "")
        return known.get(name, "")

    def _options(self, flavor: str, *, lenient: bool) -> list[click.Parameter]:
        from labelloop.errors import LabelLoopError
        from labelloop.machine.registry import options

        try:
            found = options(self.kind, flavor)
        except LabelLoopError:
            if lenient:
                return []
            raise
        return [
            click.Option(
                [f"--{one.name}", one.name],
                is_flag=False,
                flag_value="true" if one.type == "true or false" else None,
                metavar=(one.type if one.type != "true or false" else "BOOLEAN").upper(),
                help=_help(one.meaning, required=one.required, default=one.default),
                shell_complete=secret_name if one.name.endswith("_secret") else None,
            )
            for one in found
        ]

    def _explain(self, error: click.NoSuchOption, flavor: str, ctx: click.Context, name: str) -> None:
        """Name the flavor and what it knows; without one, say that it, or the component, must be named."""
        from labelloop.machine.registry import unknown

        if flavor:
            known = [one.name or "" for one in ctx.meta["labelloop.options"]]
            raise unknown(f"option of {self.kind} flavor {flavor!r}", error.option_name.lstrip("-"), known) from None
        if self.verb == "register":
            raise no_flavor(self.kind) from None
        if name:
            raise unknown(self.kind, name, raw_components(ctx, self.kind)) from None


def no_flavor(kind: ComponentKind) -> Exception:
    """The error of a registration that names no flavor."""
    from labelloop.errors import ConfigError

    return ConfigError(f"which flavor of {kind}?", f"--flavor {' | '.join(flavors(kind))}")


def with_known_options(
    kind: ComponentKind, verb: str, callback: Callable[..., Any], params: list[click.Parameter], text: str
) -> click.Command:
    """A command with the options of a flavor."""
    import inspect

    return FlavorCommand(
        kind,
        verb,
        callback=callback,
        params=params,
        help=inspect.cleandoc(text),
        context_settings={"token_normalize_func": lambda name: name.replace("-", "_")},
    )


def equals_apart(args: Sequence[str]) -> list[str]:
    """`-f=azure` as `-f azure`: click takes the sign for a part of the value."""
    apart: list[str] = []
    for arg in args:
        found = re.match(r"-([A-Za-z])=(.*)", arg, re.DOTALL)
        apart += [f"-{found[1]}", found[2]] if found else [arg]
    return apart


def items(names: Mapping[str, Any] | Sequence[str], incomplete: str) -> list[CompletionItem]:
    """The names that begin so."""
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def component_name(kind: ComponentKind) -> Complete:
    """Completes the name of a registered component."""
    return lambda ctx, _param, incomplete: items(raw_components(ctx, kind), incomplete)


def stack_name(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the name of a stack."""
    written = _raw(ctx)[1].get("stacks", {})
    return items(sorted({"default", *(written if isinstance(written, dict) else ())}), incomplete)


def secret_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the name of a secret of this machine; those of a service would cost a request per keystroke."""
    if param.nargs != 1 and ctx.params.get(param.name or ""):
        return []
    return items(_secrets_here(ctx), incomplete)


def _secrets_here(ctx: click.Context) -> Sequence[str]:
    folder, written = _raw(ctx)
    stacks = written.get("stacks", {})
    stack = stacks.get(written.get("active_stack", "default"), {})
    tables = {"default": {"flavor": BUILT_IN["secrets-manager"]}, **written.get("secrets_managers", {})}
    chosen = dict(tables[stack.get("secrets_manager", "default")])
    flavor = chosen.pop("flavor")
    if flavor == "local":
        from labelloop.backends.local_secrets import LocalSecretsManager

        return LocalSecretsManager(**chosen, home=folder / ".labelloop").names()
    if flavor == "env":
        from labelloop.backends.env_secrets import EnvSecretsManager

        return EnvSecretsManager(**chosen).names()
    return []


def dataset_name(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the name of the workspace's own dataset; the others, only the annotator knows."""
    name = _raw(ctx)[1].get("dataset", {}).get("name", "")
    return items([name] if name else [], incomplete)


def example_name(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the name of an example."""
    shipped = Path(__file__).parent.parent / "examples"
    return items(sorted(one.parent.name for one in shipped.glob("*/README.md")), incomplete)


def raw_components(ctx: click.Context, kind: ComponentKind) -> Mapping[str, str]:
    """Name -> flavor of the components in the file, unchecked."""
    written = _raw(ctx)[1].get(kind.replace("-", "_") + "s", {})
    tables = written.items() if isinstance(written, dict) else ()
    found = {name: str(one.get("flavor", "")) for name, one in tables if isinstance(one, dict)}
    return {"default": BUILT_IN[kind], **found}


def _raw(ctx: click.Context) -> tuple[Path, dict[str, Any]]:
    """The folder of the workspace, and what labelloop.toml says, or nothing: completion never complains."""
    from labelloop.machine.modules import look_in

    folder = Path(ctx.find_root().params.get("workspace") or Path.cwd())
    for place in (folder, *([] if ctx.find_root().params.get("workspace") else folder.parents)):
        try:
            written = tomllib.loads((place / "labelloop.toml").read_text("utf-8-sig"))
            look_in(place)  # a flavor that is code of the folder is not run by completing its options
            return place, written
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError):
            break
    return folder, {}


def _value_of(names: Sequence[str], args: Sequence[str]) -> str:
    """The value of an option among words that are not parsed yet."""
    for place, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name in names:
            return value if equals else "".join(args[place + 1 : place + 2])
        if arg.startswith("-f") and not arg.startswith("--") and len(arg) > 2:
            return arg[2:]
    return ""


def _help(meaning: str, *, required: bool, default: Any) -> str:
    if required:
        return f"{meaning} [required]".strip()
    return f"{meaning} [{default}]".strip() if default not in ("", None) else meaning


def template_name(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The templates that Label Studio ships, where it is installed: a key must not begin an installation."""
    from labelloop.backends.label_studio.environment import is_there
    from labelloop.backends.label_studio.templates import shipped
    from labelloop.errors import LabelLoopError

    try:
        return items([one.name for one in shipped()], incomplete) if is_there() else []
    except LabelLoopError:
        return []
