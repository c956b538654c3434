"""Environment variables are secrets that can be read and not written."""

from __future__ import annotations

import pytest

from labelloop.backends.env_secrets import EnvSecretsManager
from labelloop.errors import ConfigError, NotFoundError


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> EnvSecretsManager:
    for name, value in {
        "LS__API_KEY": "one",
        "LS__URL": "two",
        "MY_BUCKET__KEY__ID": "three",
        "NOKEY": "four",
        "EMPTY__": "five",
        "__NAMELESS": "six",
    }.items():
        monkeypatch.setenv(f"LABELLOOP_SECRET_{name}", value)
    monkeypatch.setenv("OTHER__KEY", "seven")
    return EnvSecretsManager()


def test_variables_are_grouped_by_name(secrets: EnvSecretsManager) -> None:
    assert secrets.names() == ["ls", "my_bucket"]
    assert secrets.get("ls") == {"api_key": "one", "url": "two"}


@pytest.mark.parametrize("name", ["my_bucket", "my-bucket", "MY-BUCKET"])
def test_case_and_dashes_do_not_matter(secrets: EnvSecretsManager, name: str) -> None:
    assert secrets.get(name) == {"key__id": "three"}


def test_another_prefix_gives_other_secrets(secrets: EnvSecretsManager) -> None:
    assert EnvSecretsManager(prefix="OTHE").get("r") == {"key": "seven"}


def test_a_missing_secret_says_which_variable_to_set(secrets: EnvSecretsManager) -> None:
    with pytest.raises(NotFoundError, match="no secret 'label-studio'") as caught:
        secrets.get("label-studio")

    assert caught.value.hint == "set LABELLOOP_SECRET_LABEL_STUDIO__KEY=..."


def test_setting_is_refused_without_showing_the_value(secrets: EnvSecretsManager) -> None:
    with pytest.raises(ConfigError, match="read-only") as caught:
        secrets.set("ls", {"api_key": "s3cr3t"})

    assert "LABELLOOP_SECRET_LS__API_KEY=..." in caught.value.hint
    assert "s3cr3t" not in caught.value.message + caught.value.hint


def test_deleting_is_refused(secrets: EnvSecretsManager) -> None:
    with pytest.raises(ConfigError, match="read-only"):
        secrets.delete("ls")


def test_an_empty_prefix_is_refused() -> None:
    with pytest.raises(ConfigError, match="prefix"):
        EnvSecretsManager(prefix="")
