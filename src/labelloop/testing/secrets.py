"""What every secrets manager that can be written must do, and one in memory."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from labelloop.errors import ConfigError, NotFoundError
from labelloop.protocols import ExclusiveSecrets, SecretsManager, check_secret_name

VALUE = "s3cr3t-v4lu3"
ODD_NAMES = ("", " ", "a b", "a/b", "../a", "a.b", "a:b", "-a", "a-", "a--b", "a__b", "ü", "a\n", "a" * 65)
"""Names that some manager could not keep; all refuse them."""


@dataclass
class MemorySecrets:
    """A secrets manager that forgets everything with the process."""

    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._secrets = {name: dict(values) for name, values in self.secrets.items()}

    def get(self, name: str) -> Mapping[str, str]:
        """The values of one secret."""
        if check_secret_name(name) not in self._secrets:
            raise NotFoundError(f"no secret {name!r} in memory", "set it first")
        return dict(self._secrets[name])

    def set(self, name: str, values: Mapping[str, str]) -> None:
        """Create or replace."""
        self._secrets[check_secret_name(name)] = dict(values)

    def add(self, name: str, values: Mapping[str, str]) -> bool:
        """Create where there is none; whether it did."""
        mine = dict(values)
        return self._secrets.setdefault(check_secret_name(name), mine) is mine

    def delete(self, name: str) -> None:
        """Remove."""
        if self._secrets.pop(check_secret_name(name), None) is None:
            raise NotFoundError(f"no secret {name!r} in memory", "set it first")

    def names(self) -> Sequence[str]:
        """The names there are."""
        return sorted(self._secrets)


class SecretNamesContract:
    """Which names every secrets manager keeps, and lists."""

    def test_names_are_sorted(self, secrets: SecretsManager) -> None:
        for name in ("wasabi", "ls", "s3"):
            secrets.set(name, {"key": "1"})

        assert list(secrets.names()) == ["ls", "s3", "wasabi"]

    def test_names_come_back_as_they_were_given(self, secrets: SecretsManager) -> None:
        names = ["3", "AWS-a", "Ls", "a-B_c", "aws_label_studio", "aws-label-studio", "ls", "lsB", "ls_B"]
        for name in names:
            secrets.set(name, {"name": name})

        assert list(secrets.names()) == sorted(names)
        assert [secrets.get(name)["name"] for name in names] == names

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_a_name_that_not_every_manager_can_keep_is_refused(self, secrets: SecretsManager, name: str) -> None:
        with pytest.raises(ConfigError, match="not a name for a secret"):
            secrets.set(name, {"api_key": VALUE})
        with pytest.raises(ConfigError, match="not a name for a secret"):
            secrets.get(name)
        with pytest.raises(ConfigError, match="not a name for a secret"):
            secrets.delete(name)

    def test_many_secrets_are_all_listed(self, secrets: SecretsManager) -> None:
        names = [f"secret-{number:03}" for number in range(30)]
        for name in names:
            secrets.set(name, {"key": "1"})

        assert list(secrets.names()) == names


class SecretsManagerContract(SecretNamesContract):
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

    def test_twenty_kilobytes_are_kept(self, secrets: SecretsManager) -> None:
        values = {"token": "line of a key file\n" * 1000}

        secrets.set("gcp", values)

        assert dict(secrets.get("gcp")) == values

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
        with pytest.raises(NotFoundError):
            secrets.delete("ls")

    def test_a_deleted_secret_can_be_set_again(self, secrets: SecretsManager) -> None:
        for value in ("1", "2"):
            secrets.set("ls", {"key": value, f"only-{value}": ""})
            secrets.delete("ls")
        secrets.set("ls", {"key": "3"})

        assert dict(secrets.get("ls")) == {"key": "3"}
        assert list(secrets.names()) == ["ls"]

    def test_many_writers_end_with_one_whole_secret(self, secrets: SecretsManager) -> None:
        def write(number: int) -> None:
            secrets.set("ls", {"one": str(number), "two": str(number)})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(8)))

        values = secrets.get("ls")
        assert values["one"] == values["two"]

    def test_setting_and_deleting_at_once_leaves_the_secret_or_nothing(self, secrets: SecretsManager) -> None:
        def flip(number: int) -> None:
            if number % 2:
                secrets.set("ls", {"key": "1"})
                return
            try:
                secrets.delete("ls")
            except NotFoundError:
                return

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(flip, range(8)))

        left = [dict(secrets.get(name)) for name in secrets.names()]
        assert left in ([], [{"key": "1"}])

    def test_a_copy_is_equal_and_works(self, secrets: SecretsManager) -> None:
        secrets.set("ls", {"api_key": VALUE})

        copied = pickle.loads(pickle.dumps(secrets))  # noqa: S301 - our own bytes

        assert copied == secrets
        assert dict(copied.get("ls")) == {"api_key": VALUE}

    def test_no_value_shows(self, secrets: SecretsManager) -> None:
        secrets.set("ls", {"api_key": VALUE})

        with pytest.raises(NotFoundError) as caught:
            secrets.get("lss")

        assert VALUE not in f"{secrets!r} {secrets} {caught.value!r} {caught.value.hint}"


class ExclusiveSecretsContract(SecretsManagerContract):
    """A secrets manager that is `ExclusiveSecrets`: with the same fixture."""

    def test_a_new_secret_is_created_and_one_that_is_there_stays(self, secrets: SecretsManager) -> None:
        assert isinstance(secrets, ExclusiveSecrets)

        assert [secrets.add("ls", {"key": value}) for value in ("1", "2")] == [True, False]

        assert dict(secrets.get("ls")) == {"key": "1"}

    def test_a_secret_that_was_set_is_not_created_and_one_that_was_deleted_is(self, secrets: SecretsManager) -> None:
        assert isinstance(secrets, ExclusiveSecrets)
        secrets.set("ls", {"key": "1"})

        before = secrets.add("ls", {"key": "2"})
        secrets.delete("ls")
        after = secrets.add("ls", {"key": "3"})

        assert (before, after) == (False, True)
        assert dict(secrets.get("ls")) == {"key": "3"}

    def test_of_many_at_once_one_creates_it(self, secrets: SecretsManager) -> None:
        assert isinstance(secrets, ExclusiveSecrets)

        with ThreadPoolExecutor(4) as pool:
            created = list(pool.map(lambda number: secrets.add("ls", {"key": str(number)}), range(8)))

        assert created.count(True) == 1
        assert dict(secrets.get("ls")) == {"key": str(created.index(True))}

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_no_secret_of_a_name_that_not_every_manager_can_keep_is_created(
        self, secrets: SecretsManager, name: str
    ) -> None:
        assert isinstance(secrets, ExclusiveSecrets)
        with pytest.raises(ConfigError, match="not a name for a secret"):
            secrets.add(name, {"api_key": VALUE})
