"""What a set-up is going to change, in words, before anything changes; and what every cloud must offer for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from labelloop.errors import ConfigError, NotFoundError
from labelloop.protocols import SecretsManager

MARK = "labelloop"
"""Of what labelloop made in a cloud: the key of a tag, label or metadata entry; its value is `managed`."""

MANAGED = "managed"
Owner = Literal["missing", "ours", "foreign"]
"""Whether something is there, and who made it."""

METHODS = ("GET", "HEAD")
"""What a browser does with the media of a bucket."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change: words for people, a step and its arguments for whoever makes it. Never a secret value."""

    step: str
    words: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> Mapping[str, Any]:
        """The change for scripts."""
        return {"step": self.step, "words": self.words}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to change, in order, and what is left as it is, and why."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()


class Cloud(Protocol):
    """A bucket in a cloud with everything labelloop needs around it."""

    url: str
    """Of the bucket with the prefix, as the artifact store takes it."""

    def plan_setup(self) -> Plan:
        """Look at what is there and decide what is missing. Changes nothing."""
        ...

    def plan_teardown(self, *, delete_data: bool) -> Plan:
        """Look at what labelloop made and decide what goes. Changes nothing."""
        ...

    def act(self, change: Change) -> None:
        """Make one change of a plan."""
        ...

    def store_options(self) -> Mapping[str, str]:
        """The options an artifact store of this bucket takes beside its flavor."""
        ...

    def media_secret(self) -> str:
        """The secret with which Label Studio reads the bucket; empty where it is that of the store."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What a plan may know of a secret: whether it is there, and the public id of the credentials in it."""

    there: bool = False
    key_id: str = ""


def kept(secrets: SecretsManager, name: str, key_id: Callable[[Mapping[str, str]], str]) -> Kept:
    """Look at a secret."""
    try:
        return Kept(True, key_id(secrets.get(name)))
    except NotFoundError:
        return Kept()


def check_secret(name: str, secret: Kept, ours: Collection[str], option: str) -> None:
    """Refuse to replace a secret that holds something else.

    Raises:
        ConfigError: Somebody else put it there, or it is of another bucket.
    """
    if secret.there and secret.key_id not in ours:
        raise ConfigError(
            f"secret {name!r} exists and holds something else; it is not replaced",
            f"choose another name ({option}), or: labelloop secret delete {name}",
        )


def check_origins(origins: Sequence[str]) -> tuple[str, ...]:
    """Origins as browsers send them: scheme, host and port, nothing behind.

    Raises:
        ConfigError: One is not.
    """
    from urllib.parse import urlsplit

    checked = []
    for origin in origins:
        try:
            parts = urlsplit(origin)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if parts.scheme not in {"http", "https"} or not host or parts.path.strip("/") or parts.query or parts.username:
            raise ConfigError(f"{origin!r} is not the origin of a web page", "--origin https://label.example.com")
        shown = f"[{host}]" if ":" in host else host
        default = {"http": 80, "https": 443}[parts.scheme]
        checked.append(f"{parts.scheme}://{shown}" + (f":{port}" if port and port != default else ""))
    return tuple(dict.fromkeys(checked))


def check_prefix(prefix: str) -> str:
    """The prefix as keys begin with it: empty, or ending with a slash.

    Raises:
        ConfigError: It has characters that artifacts' keys never have, or that policies read as wildcards.
    """
    import re

    inner = prefix.strip("/")
    if inner and not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", inner):
        raise ConfigError(f"prefix {prefix!r} has other characters than letters, digits, . _ - and /", "--prefix mine")
    return f"{inner}/" if inner else ""
