"""How a workspace uses a bucket: whose pages show it, which stacks keep artifacts in it, how it is registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from labelloop import components, stacks
from labelloop.cloud.plan import check_origins
from labelloop.config import Config, Workspace
from labelloop.errors import ConfigError, LabelLoopError
from labelloop.registry import options_of, resolve
from labelloop.stack import Stack

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


def commands(stack: Stack, config: Config, flavor: str, name: str, options: Mapping[str, str]) -> Sequence[str]:
    """What is left to type, so that the active stack keeps its artifacts in the bucket."""
    typed = " ".join(f"--{key}={value}" for key, value in options.items())
    there = config.components("artifact-store").get(name)
    left = []
    if there is None:
        left.append(f"labelloop artifact-store register {name} --flavor={flavor} {typed}")
    elif {key: str(value) for key, value in there.options.items()} != options:
        left.append(f"labelloop artifact-store update {name} {typed}")
    if stack.config.artifact_store != name:
        left.append(f"labelloop stack update {stack.name} -a {name}")
    return left


def enlist(stack: Stack, workspace: Workspace, flavor: str, name: str, options: Mapping[str, str]) -> None:
    """Register the bucket as an artifact store of its own name, and let the active stack keep its artifacts there.

    Raises:
        ConfigError: An artifact store of the name is of another flavor.
    """
    there = workspace.config.components("artifact-store").get(name)
    if there is None:
        components.register(workspace.root, "artifact-store", name, flavor, options)
    elif there.flavor != flavor:
        raise ConfigError(
            f"artifact store {name!r} is of flavor {there.flavor!r}", f"labelloop artifact-store rename {name} OTHER"
        )
    else:
        components.update(
            workspace.root, "artifact-store", name, options, [key for key in there.options if key not in options]
        )
    if stack.config.artifact_store != name:
        stacks.update(workspace.root, stack.name, {"artifact-store": name})


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
