"""Webhooks of a project: one per loop, known again by its path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from labelloop.backends.label_studio.client import Client
from labelloop.errors import ConfigError

ACTIONS = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED", "TASKS_DELETED")


def subscribe(client: Client, project: int, url: str, headers: Mapping[str, str]) -> None:
    """Have exactly one webhook of this path: a lost one is made, an outdated one is changed, doubles are removed.

    Raises:
        ConfigError: The server refuses to call this address.
    """
    wanted = {
        "url": url,
        "headers": dict(headers),
        "is_active": True,
        "send_payload": False,
        "send_for_all_actions": False,
        "actions": list(ACTIONS),
    }
    there = ours(client, project, urlsplit(url).path)
    if not there:
        _write(client, "POST", "/api/webhooks/", {**wanted, "project": project})
        return
    first, *doubles = there
    if any(_comparable(first[key]) != _comparable(value) for key, value in wanted.items()):
        _write(client, "PATCH", f"/api/webhooks/{first['id']}/", wanted)
    for double in doubles:
        client.call("DELETE", f"/api/webhooks/{double['id']}/")


def unsubscribe(client: Client, project: int, path: str) -> int:
    """Remove every webhook of this path; how many that were."""
    found = ours(client, project, path)
    for hook in found:
        client.call("DELETE", f"/api/webhooks/{hook['id']}/")
    return len(found)


def ours(client: Client, project: int, path: str) -> list[Mapping[str, Any]]:
    """The project's webhooks to this path on any host, oldest first."""
    hooks = client.call("GET", "/api/webhooks/", query={"project": project})
    found = [hook for hook in hooks if hook["project"] == project and urlsplit(hook["url"]).path == path]
    return sorted(found, key=lambda hook: int(hook["id"]))


def _write(client: Client, method: str, path: str, body: Mapping[str, Any]) -> None:
    hint = "set LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false on that server, or watch.url to a public address"
    with public_addresses_only(client, str(body["url"]), hint):
        client.call(method, path, body=body)


@contextmanager
def public_addresses_only(client: Client, url: str, hint: str) -> Iterator[None]:
    """Tell the refusal to call a private address, which looks like a wrong token, from others.

    Raises:
        ConfigError: The server refuses to call this address.
    """
    try:
        yield
    except ConfigError as error:
        if "network address" not in error.message:
            raise
        message = f"Label Studio at {client.url} calls no private addresses such as {url}"
        raise ConfigError(message, hint) from error


def _comparable(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value
