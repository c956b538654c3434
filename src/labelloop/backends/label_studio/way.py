"""The options of an annotator about the way to it, with what is secret in them looked up."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlsplit

from labelloop.errors import ConfigError
from labelloop.machine.road import Road, bare

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PLACE = re.compile(r"\{([A-Za-z0-9_-]+)\}")
_OURS = ("authorization", "host", "content-length", "content-type", "transfer-encoding", "connection", "cookie")


def road_of(
    values: Callable[[], Mapping[str, str]],
    *,
    ca_bundle: str = "",
    client_certificate: str = "",
    client_key: str = "",
    headers: str = "",
    proxy: str = "",
) -> Road:
    """The way, from the options as they are written.

    Args:
        values: The values of the authentication secret, looked up only where an option names one of them as `{key}`.
        headers: `Name: value` pairs with a semicolon between.

    Raises:
        ConfigError: A header or the proxy cannot be what was written, or the secret has no such value.
    """
    password = values().get("client_key_password", "") if client_key or client_certificate else ""
    if "@" in proxy and not _PLACE.search(urlsplit(proxy).netloc):
        raise ConfigError(
            f"the proxy {bare(proxy)} has a password in its address",
            "put it into the authentication secret, and write proxy = http://USER:{proxy_password}@HOST:PORT",
        )
    filled = {name: _filled(value, values) for name, value in pairs(headers).items()}
    way = _filled(proxy, lambda: {key: quote(value, safe="") for key, value in values().items()})
    return Road(ca_bundle, client_certificate, client_key, password, filled, way)


def pairs(headers: str) -> dict[str, str]:
    """The headers by their names, with the places of secrets in them.

    Raises:
        ConfigError: One has no name that a header may have, or is one of ours.
    """
    found = {}
    for number, pair in enumerate(filter(str.strip, headers.split(";")), 1):
        name, colon, value = pair.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not _NAME.fullmatch(name) or not value.isprintable() or not value.isascii():
            raise ConfigError(
                f"header {number} of the annotator is not of the form Name: value",
                'write headers = "X-Team: vision; X-Key: {key}", where {key} is a value of the authentication secret',
            )
        if name.lower() in _OURS:
            raise ConfigError(f"the header {name} is set by labelloop itself", "leave it out of headers")
        found[name] = value
    return found


def _filled(text: str, values: Callable[[], Mapping[str, str]]) -> str:
    def value(found: re.Match[str]) -> str:
        known = values()
        if found[1] not in known:
            raise ConfigError(
                f"the authentication secret of the annotator has no value {found[1]!r}; it has"
                f" {', '.join(sorted(known)) or 'nothing'}",
                f"labelloop secret update NAME --{found[1]}=...",
            )
        return known[found[1]]

    return _PLACE.sub(value, text)
