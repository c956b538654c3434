"""The values of one secret as the single text that a cloud's secrets manager keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from labelloop.errors import ConfigError


def packed(values: Mapping[str, str], *, limit: int, what: str) -> str:
    """The values as a JSON object.

    Args:
        values: The values of one secret.
        limit: The most bytes the service keeps.
        what: The secret in words, for the error.

    Raises:
        ConfigError: They are too long.
    """
    text = json.dumps(dict(values), ensure_ascii=False)
    check_size(len(text.encode()), limit=limit, what=what)
    return text


def check_size(size: int, *, limit: int, what: str) -> None:
    """Refuse what the service would not keep.

    Raises:
        ConfigError: It is too long.
    """
    if size > limit:
        raise ConfigError(
            f"{what} takes {size:,} bytes, and at most {limit:,} can be kept", "keep fewer or shorter values in it"
        )


def unpacked(text: str | bytes | None, what: str) -> Mapping[str, str]:
    """The values of a JSON object of texts.

    Raises:
        ConfigError: It is something else, which labelloop did not write.
    """
    try:
        found = json.loads(text or "")
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ConfigError(
            f"{what} is not a JSON object of texts: something else wrote it",
            'give it another value there, such as {"api_key": "..."}, or use another name',
        )
    return found


def without_credentials(url: str, option: str) -> str:
    """An address from the configuration, without the slash at its end.

    Raises:
        ConfigError: It is no http(s) address, or has a user or password in it.
    """
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ConfigError(
            f"{option} has a user or a password in it, which labelloop.toml must not hold",
            f"write {option} without them; the manager signs in by the environment",
        )
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ConfigError(f"{option} is {url!r}, which is no address", "write it like https://vault.example.com")
    return url.rstrip("/")


def needed(module: str, extra: str) -> Any:
    """A module of an optional package.

    Raises:
        ConfigError: The package is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise ConfigError(
            f"the package {package} is not installed ({module})", f"pip install 'labelloop[{extra}]'"
        ) from None
