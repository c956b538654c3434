"""Connecting an ML backend to a project, without what Label Studio changes on the side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.hooks import ours, public_addresses_only
from labelloop.errors import BackendError

TITLE = "labelloop"
"""Never the name of a model version: a project whose version is a backend's title asks it about every task, shows
nothing while it is away, and orders its queue at random."""

_HINT = "set LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false on that server, or ml_backend.url to a public address"


def connect(client: Client, project: int, url: str, user: tuple[str, str], version: str) -> None:
    """Have exactly one connection to this backend, and everything else as it was.

    Label Studio makes the backend's title the project's model version where that is empty, and a webhook that sends
    everything to the backend without a password. Both are undone, also when a connection was killed half-way.

    Raises:
        BackendError: Label Studio reaches no backend there.
        ConfigError: It calls no private addresses.
    """
    before = _shown(client, project)
    there = _connections(client, project, url)
    body = {
        "project": project,
        "url": url,
        "title": TITLE,
        "is_interactive": False,
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": user[0],
        "basic_auth_pass": user[1],
    }
    with public_addresses_only(client, url, _HINT), _reachable(client, url):
        if there:
            client.call("PATCH", f"/api/ml/{there[0]['id']}", body=body)
        else:
            client.call("POST", "/api/ml/", body=body)
    for double in there[1:]:
        client.call("DELETE", f"/api/ml/{double['id']}")
    _remove_webhook(client, project, url)
    _show(client, project, version if before in ("", TITLE) else before)


@contextmanager
def _reachable(client: Client, url: str) -> Iterator[None]:
    """Tell that the server has looked for the backend in vain.

    Raises:
        BackendError: There is none, or the server cannot get there.
    """
    try:
        yield
    except BackendError as error:
        if "health check failed" not in error.message:
            raise
        raise BackendError(
            f"Label Studio at {client.url} reaches no ML backend at {url}",
            "labelloop ml-backend serve in a process of its own; where Label Studio is on another machine, "
            "ml_backend.host and ml_backend.url",
        ) from error


def disconnect(client: Client, project: int, url: str) -> int:
    """Remove every connection to this backend, and the webhook that Label Studio would leave behind."""
    found = _connections(client, project, url)
    for one in found:
        client.call("DELETE", f"/api/ml/{one['id']}")
    _remove_webhook(client, project, url)
    return len(found)


def _connections(client: Client, project: int, url: str) -> Sequence[Mapping[str, Any]]:
    there = client.call("GET", "/api/ml/", query={"project": project})
    return [one for one in there if str(one["url"]).rstrip("/") == url.rstrip("/")]


def _remove_webhook(client: Client, project: int, url: str) -> None:
    wanted = url.rstrip("/") + "/webhook"
    for hook in ours(client, project, "/" + wanted.split("://", 1)[1].partition("/")[2]):
        if hook["url"] == wanted:
            client.call("DELETE", f"/api/webhooks/{hook['id']}/")


def _shown(client: Client, project: int) -> str:
    answer = client.call("GET", f"/api/projects/{project}", query={"include": "model_version"})
    return str(answer["model_version"] or "")


def _show(client: Client, project: int, version: str) -> None:
    """Have annotators see the predictions of this version; none where the project has none of it."""
    if _shown(client, project) == version:
        return
    path = f"/api/projects/{project}"
    try:
        client.call("PATCH", path, body={"model_version": version})
    except BackendError as error:
        if error.retryable:
            raise
        client.call("PATCH", path, body={"model_version": ""})
