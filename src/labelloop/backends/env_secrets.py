"""Secrets from environment variables, as CI and containers give them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelloop.errors import ConfigError, NotFoundError
from labelloop.protocols import check_secret_name, is_secret_name


@dataclass(frozen=True, kw_only=True)
class EnvSecretsManager:
    """A read-only view: `LABELLOOP_SECRET_LS__API_KEY` is the value `api_key` of the secret `ls`.

    Names and keys are lower case; `-` and `_` are the same.

    Args:
        prefix: What the variables begin with.

    Raises:
        ConfigError: The prefix is empty: every variable would be a secret.
    """

    prefix: str = "LABELLOOP_SECRET_"

    def __post_init__(self) -> None:
        if not self.prefix:
            raise ConfigError("the prefix of the secrets' environment variables is empty", "leave prefix out")

    def get(self, name: str) -> Mapping[str, str]:
        """The values of one secret.

        Raises:
            NotFoundError: No variable belongs to it.
            ConfigError: It is not a name for a secret.
        """
        check_secret_name(name)
        found = self._secrets().get(_folded(name))
        if found is None:
            raise NotFoundError(f"no secret {name!r} in the environment", f"set {self._variable(name, 'KEY')}=...")
        return found

    def set(self, name: str, values: Mapping[str, str]) -> None:
        """Refused: a process cannot change the environment it was started in.

        Raises:
            ConfigError: Always.
        """
        variables = ", ".join(f"{self._variable(name, key)}=..." for key in values)
        raise ConfigError(f"secret {name!r} lives in the environment, which is read-only", f"set {variables} instead")

    def delete(self, name: str) -> None:
        """Refused, as `set` is.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            f"secret {name!r} lives in the environment, which is read-only",
            f"unset the variables {self._variable(name, '...')}",
        )

    def names(self) -> Sequence[str]:
        """The names there are, sorted."""
        return sorted(filter(is_secret_name, self._secrets()))

    def _variable(self, name: str, key: str) -> str:
        return f"{self.prefix}{_folded(name).upper()}__{key.upper()}"

    def _secrets(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for variable, value in os.environ.items():
            name, _, key = variable.removeprefix(self.prefix).partition("__")
            if variable.startswith(self.prefix) and name and key:
                found.setdefault(_folded(name), {})[key.lower()] = value
        return found


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")
