"""Hints: the annotator tells a watched loop that something may have happened. They carry nothing and may get lost."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Callable, Mapping
from hashlib import blake2b

from labelloop.errors import ConfigError, LabelLoopError, NotFoundError
from labelloop.protocols import Notifying, SecretsManager
from labelloop.workspace.config import MLBackendConfig, WatchConfig, Workspace

SECRET = "labelloop-webhook"  # noqa: S105 - the name of a secret, not one
KEY = "token"
PLACE = "/hooks/"
HEADER = "Authorization"

_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


def path_of(workspace: Workspace) -> str:
    """Where this loop's hook is, the same from every process that shares its ledger: how we know it again."""
    identity = f"{workspace.ledger_url}\n{workspace.config.dataset.name}".encode()
    return PLACE + blake2b(identity, digest_size=6).hexdigest()


def address_of(workspace: Workspace) -> str:
    """The hook as the annotator reaches it.

    Raises:
        ConfigError: It listens everywhere, and nothing says what the annotator calls this machine.
    """
    return reached("watch", workspace.config.watch) + path_of(workspace)


def reached(section: str, server: WatchConfig | MLBackendConfig) -> str:
    """The address of a server of ours as the annotator reaches it.

    Raises:
        ConfigError: It listens everywhere, and nothing says what the annotator calls this machine.
    """
    if server.url:
        return server.url.rstrip("/")
    host, scheme = server.host, "https" if server.certificate else "http"
    if host in _EVERYWHERE:
        raise ConfigError(
            f"{section}.host is {host!r}, which is no address the annotator could call",
            f"set {section}.url to this machine as the annotator reaches it, such as {scheme}://loop.example.com:{server.port}",
        )
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"


def credential(secrets: SecretsManager) -> str:
    """The value of the header that a hint must carry; its secret is made at the first call.

    Raises:
        ConfigError: There is none, and the secrets manager keeps nothing.
    """
    return f"Bearer {kept(secrets, SECRET, {KEY: randomness.token_urlsafe(32)})[KEY]}"


def kept(secrets: SecretsManager, name: str, made: Mapping[str, str]) -> Mapping[str, str]:
    """The secret of this name; made now if there is none, or it lacks a key."""
    try:
        found = secrets.get(name)
    except NotFoundError:
        found = {}
    if all(found.get(key) for key in made):
        return found
    secrets.set(name, {**made, **{key: value for key, value in found.items() if value}})
    return secrets.get(name)


def register(workspace: Workspace, annotator: object, secrets: SecretsManager) -> str:
    """Have the annotator send hints, once however often this is called; returns in words what came of it.

    Never raises: a loop without hints is slower, not wrong.
    """
    if not workspace.config.watch.port:
        return "none: watch.port is not set; looking regularly instead"
    if not isinstance(annotator, Notifying):
        return "none: this annotator sends none; looking regularly instead"
    return _attempt(lambda: _register(workspace, annotator, secrets))


def withdraw(workspace: Workspace, annotator: object) -> int:
    """Have the annotator send no more hints; returns how many hooks that removed. Never raises."""
    if not isinstance(annotator, Notifying):
        return 0
    try:
        removed = annotator.unsubscribe(workspace.config.dataset.name, path_of(workspace))
    except LabelLoopError:
        return 0  # the annotator is away or has no such dataset
    return removed


def _register(workspace: Workspace, annotator: Notifying, secrets: SecretsManager) -> str:
    address = address_of(workspace)
    annotator.subscribe(workspace.config.dataset.name, address, {HEADER: credential(secrets)})
    return f"sent to {address}"


def _attempt(do: Callable[[], str]) -> str:
    try:
        return do()
    except LabelLoopError as error:
        return f"none: {error.message}; looking regularly instead" + (f" ({error.hint})" if error.hint else "")
