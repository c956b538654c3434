"""How a workspace uses a bucket: whose pages show it, which stacks keep artifacts in it, how it is registered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from labelloop.cloud.plan import check_origins
from labelloop.errors import ConfigError, LabelLoopError
from labelloop.machine.registry import options_of, resolve
from labelloop.workspace import components, stacks
from labelloop.workspace.config import Config, Workspace
from labelloop.workspace.stack import Stack

_MEDIA = "media_secret"
_LOOPBACK = ("localhost", "127.0.0.1")


def origins_of(stack: Stack, config: Config) -> tuple[str, ...]:
    """The origins of the active annotator's pages; on this machine, under both names of it.

    Raises:
        ConfigError: The annotator has no address yet.
    """
    component = config.component("annotator", stack.config.annotator)
    url = str(component.options.get("url", "")) or _running(stack)
    port = component.options.get("port", _default_port(component.flavor))
    if not url and port is None:
        raise ConfigError(
            f"annotator {stack.config.annotator!r} has no address whose pages could be let in",
            "say it: --origin https://label.example.com",
        )
    return check_origins(_both_names(url or f"http://localhost:{port}"))


def stacks_using(config: Config, flavor: str, url: str) -> Sequence[str]:
    """The stacks whose artifact store is in this bucket, whatever its prefix."""
    stores = {
        name
        for name, component in config.components("artifact-store").items()
        if component.flavor == flavor and _bucket(str(component.options.get("path", ""))) == _bucket(url)
    }
    return [name for name in config.stack_names() if config.stack(name).artifact_store in stores]


@dataclass(frozen=True, slots=True)
class Use:
    """A bucket as the active stack is to use it.

    Attributes:
        name: Of the artifact store: the bucket's own.
        flavor: Of the artifact store.
        options: Of the artifact store.
        media_secret: With which Label Studio reads the bucket; empty where it is that of the store.
    """

    name: str
    flavor: str
    options: Mapping[str, str]
    media_secret: str = ""


def commands(stack: Stack, config: Config, use: Use) -> Sequence[str]:
    """What is left to type, so that the active stack keeps its artifacts in the bucket."""
    typed = " ".join(f"--{key}={value}" for key, value in use.options.items())
    there = config.components("artifact-store").get(use.name)
    left = []
    if there is None:
        left.append(f"labelloop artifact-store register {use.name} --flavor={use.flavor} {typed}")
    elif {key: str(value) for key, value in there.options.items()} != use.options:
        left.append(f"labelloop artifact-store update {use.name} {typed}")
    if stack.config.artifact_store != use.name:
        left.append(f"labelloop stack update {stack.name} -a {use.name}")
    if _misses_media_secret(stack, config, use):
        left.append(f"labelloop annotator update {stack.config.annotator} --{_MEDIA}={use.media_secret}")
    return left


def enlist(stack: Stack, workspace: Workspace, use: Use) -> None:
    """Do what `commands` says.

    Raises:
        ConfigError: An artifact store of the name is of another flavor.
    """
    root, there = workspace.root, workspace.config.components("artifact-store").get(use.name)
    if there is None:
        components.register(root, "artifact-store", use.name, use.flavor, use.options)
    elif there.flavor != use.flavor:
        raise ConfigError(
            f"artifact store {use.name!r} is of flavor {there.flavor!r}",
            f"labelloop artifact-store rename {use.name} OTHER",
        )
    else:
        gone = [key for key in there.options if key not in use.options]
        components.update(root, "artifact-store", use.name, use.options, gone)
    if stack.config.artifact_store != use.name:
        stacks.update(root, stack.name, {"artifact-store": use.name})
    if _misses_media_secret(stack, workspace.config, use):
        components.update(root, "annotator", stack.config.annotator, {_MEDIA: use.media_secret}, [])


def farewell(config: Config, secrets: Collection[str]) -> Sequence[str]:
    """What is left to type once secrets are gone: no annotator reads a bucket with one of them any more."""
    return [
        f"labelloop annotator update {name} --remove-attribute {_MEDIA}"
        for name, annotator in config.components("annotator").items()
        if annotator.options.get(_MEDIA) in secrets
    ]


def _misses_media_secret(stack: Stack, config: Config, use: Use) -> bool:
    annotator = config.component("annotator", stack.config.annotator)
    is_known = _MEDIA in options_of(resolve("annotator", annotator.flavor))
    return bool(use.media_secret) and is_known and annotator.options.get(_MEDIA, "") != use.media_secret


def _running(stack: Stack) -> str:
    try:
        return stack.annotator.describe().url
    except LabelLoopError:
        return ""


def _default_port(flavor: str) -> int | None:
    parameter = options_of(resolve("annotator", flavor)).get("port")
    return parameter.default if parameter is not None and isinstance(parameter.default, int) else None


def _both_names(url: str) -> list[str]:
    parts = urlsplit(url)
    if parts.hostname not in _LOOPBACK:
        return [urlunsplit((parts.scheme, parts.netloc, "", "", ""))]
    return [f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "") for host in _LOOPBACK]


def _bucket(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
