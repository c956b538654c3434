"""What every secrets manager that can be written must do, and one in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from labelloop.errors import NotFoundError
from labelloop.protocols import SecretsManager

VALUE = "s3cr3t-v4lu3"


class MemorySecrets:
    """A secrets manager that forgets everything with the process."""

    def __init__(self, secrets: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._secrets = {name: dict(values) for name, values in (secrets or {}).items()}

    def get(self, name: str) -> Mapping[str, str]:
        """The values of one secret."""
        if name not in self._secrets:
            raise NotFoundError(f"no secret {name!r} in memory", "set it first")
        return dict(self._secrets[name])

    def set(self, name: str, values: Mapping[str, str]) -> None:
        """Create or replace."""
        self._secrets[name] = dict(values)

    def delete(self, name: str) -> None:
        """Remove."""
        self.get(name)
        del self._secrets[name]

    def names(self) -> Sequence[str]:
        """The names there are."""
        return sorted(self._secrets)


class SecretsManagerContract:
    """Subclass it, with a fixture `secrets` that gives an empty manager."""

    def test_nothing_is_there_at_first(self, secrets: SecretsManager) -> None:
        assert list(secrets.names()) == []

    def test_what_was_set_is_got_back(self, secrets: SecretsManager) -> None:
        values = {"api_key": VALUE, "empty": "", "odd": 'ü "quoted"\nline = 2'}

        secrets.set("ls", values)

        assert dict(secrets.get("ls")) == values

    def test_setting_again_replaces_the_secret_as_a_whole(self, secrets: SecretsManager) -> None:
        secrets.set("ls", {"api_key": "1", "url": "2"})
        secrets.set("ls", {"api_key": "3"})

        assert dict(secrets.get("ls")) == {"api_key": "3"}

    def test_secrets_do_not_touch_each_other(self, secrets: SecretsManager) -> None:
        secrets.set("one", {"key": "1"})
        secrets.set("two", {"key": "2"})
        secrets.delete("one")

        assert dict(secrets.get("two")) == {"key": "2"}

    def test_names_are_sorted(self, secrets: SecretsManager) -> None:
        for name in ("wasabi", "ls", "s3"):
            secrets.set(name, {"key": "1"})

        assert list(secrets.names()) == ["ls", "s3", "wasabi"]

    def test_a_missing_secret_is_not_found(self, secrets: SecretsManager) -> None:
        with pytest.raises(NotFoundError, match="missing"):
            secrets.get("missing")
        with pytest.raises(NotFoundError, match="missing"):
            secrets.delete("missing")

    def test_a_deleted_secret_is_gone(self, secrets: SecretsManager) -> None:
        secrets.set("ls", {"key": "1"})
        secrets.delete("ls")

        assert list(secrets.names()) == []
        with pytest.raises(NotFoundError):
            secrets.get("ls")

    def test_no_value_shows(self, secrets: SecretsManager) -> None:
        secrets.set("ls", {"api_key": VALUE})

        with pytest.raises(NotFoundError) as caught:
            secrets.get("lss")

        assert VALUE not in f"{secrets!r} {secrets} {caught.value!r} {caught.value.hint}"
