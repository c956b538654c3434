"""Vault's key-value store, on a real OpenBao, and each way it can refuse."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import hvac
import pytest

from labelloop.backends.vault_secrets import LIMIT, VaultSecretsManager
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.testing.secrets import VALUE, SecretsManagerContract

from support.emulators import BAO_TOKEN, Emulator


@pytest.fixture(autouse=True)
def signed_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The token in the environment, and nothing else of this machine."""
    for variable in ("VAULT_ROLE_ID", "VAULT_SECRET_ID", "VAULT_ADDR", "VAULT_NAMESPACE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("VAULT_TOKEN", BAO_TOKEN)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def secrets(bao_server: Emulator) -> VaultSecretsManager:
    return VaultSecretsManager(url=bao_server.url, path=uuid4().hex)


@pytest.fixture
def root(bao_server: Emulator) -> Any:
    """The server's own administrator."""
    return hvac.Client(url=bao_server.url, token=BAO_TOKEN)


class TestVaultSecretsManager(SecretsManagerContract):
    @pytest.fixture
    def secrets(self, bao_server: Emulator) -> VaultSecretsManager:
        return VaultSecretsManager(url=bao_server.url, path=uuid4().hex)


def policy_of(root: Any, rules: str) -> str:
    """A new policy."""
    name = uuid4().hex
    root.sys.create_or_update_policy(name, rules)
    return name


def token_with(root: Any, rules: str) -> str:
    """A new token that may do what `rules` say."""
    token: str = root.auth.token.create(policies=[policy_of(root, rules)], no_default_policy=True)["auth"][
        "client_token"
    ]
    return token


def test_each_value_is_a_field_that_vault_shows(secrets: VaultSecretsManager, root: Any) -> None:
    secrets.set("ls", {"api_key": VALUE})

    kept = root.secrets.kv.v2.read_secret_version(path=f"{secrets.path}/ls", raise_on_deleted_version=True)

    assert kept["data"]["data"] == {"api_key": VALUE}


def test_a_folder_below_is_no_secret(secrets: VaultSecretsManager, root: Any) -> None:
    root.secrets.kv.v2.create_or_update_secret(path=f"{secrets.path}/deeper/ls", secret={"key": "1"})
    secrets.set("ls", {"api_key": VALUE})

    assert secrets.names() == ["ls"]


def test_a_version_that_somebody_deleted_is_not_found(secrets: VaultSecretsManager, root: Any) -> None:
    secrets.set("ls", {"api_key": VALUE})
    root.secrets.kv.v2.delete_latest_version_of_secret(path=f"{secrets.path}/ls")

    with pytest.raises(NotFoundError):
        secrets.get("ls")


def test_a_field_that_is_no_text_is_refused(secrets: VaultSecretsManager, root: Any) -> None:
    root.secrets.kv.v2.create_or_update_secret(path=f"{secrets.path}/ls", secret={"port": 1234})

    with pytest.raises(ConfigError, match="something else wrote it") as caught:
        secrets.get("ls")

    assert "1234" not in caught.value.message.replace(secrets.url, "")


def test_the_token_of_a_file_is_used(
    secrets: VaultSecretsManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "wrong")
    (tmp_path / "token").write_text(f"{BAO_TOKEN}\n")

    VaultSecretsManager(url=secrets.url, path=secrets.path, token_file="~/token").set("ls", {"api_key": VALUE})

    monkeypatch.setenv("VAULT_TOKEN", BAO_TOKEN)
    assert secrets.get("ls") == {"api_key": VALUE}


def test_the_token_that_vault_login_kept_is_used(
    secrets: VaultSecretsManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    (tmp_path / ".vault-token").write_text(BAO_TOKEN)

    assert secrets.names() == []


def test_an_approle_signs_in_and_again_when_its_token_has_run_out(
    secrets: VaultSecretsManager, root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of(root, 'path "secret/*" { capabilities = ["create", "update", "read"] }')
    if "approle/" not in root.sys.list_auth_methods()["data"]:
        root.sys.enable_auth_method("approle")
    root.auth.approle.create_or_update_approle("loop", token_policies=[policy])
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("VAULT_ROLE_ID", root.auth.approle.read_role_id("loop")["data"]["role_id"])
    monkeypatch.setenv("VAULT_SECRET_ID", root.auth.approle.generate_secret_id("loop")["data"]["secret_id"])

    secrets.set("ls", {"api_key": VALUE})

    assert secrets.get("ls") == {"api_key": VALUE}

    root.auth.token.revoke(secrets.client.token)
    assert secrets.get("ls") == {"api_key": VALUE}


def test_the_policy_of_the_documentation_is_enough(
    secrets: VaultSecretsManager, root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "secrets.md").read_text("utf-8")
    rules = "\n".join(line for line in page.splitlines() if line.startswith('path "secret/'))
    monkeypatch.setenv("VAULT_TOKEN", token_with(root, rules.replace("labelloop", secrets.path)))

    secrets.set("ls", {"api_key": "1"})
    secrets.set("ls", {"api_key": VALUE})

    assert secrets.names() == ["ls"]
    assert secrets.get("ls") == {"api_key": VALUE}
    secrets.delete("ls")
    assert secrets.names() == []


def test_an_approle_that_is_wrong_is_said(secrets: VaultSecretsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("VAULT_ROLE_ID", "nobody")
    monkeypatch.setenv("VAULT_SECRET_ID", VALUE)

    with pytest.raises(ConfigError) as caught:
        secrets.names()

    assert "VAULT_ROLE_ID" in caught.value.hint or "policy" in caught.value.hint
    assert VALUE not in f"{caught.value!r} {caught.value.hint}"


@pytest.mark.parametrize(
    ("action", "capability"),
    [("get", "read"), ("set", "create and update"), ("delete", "delete"), ("names", "list")],
)
def test_a_missing_capability_is_named(
    secrets: VaultSecretsManager, root: Any, monkeypatch: pytest.MonkeyPatch, action: str, capability: str
) -> None:
    secrets.set("ls", {"api_key": VALUE})
    allowed = ["read"] if action == "delete" else ["sudo"]
    monkeypatch.setenv(
        "VAULT_TOKEN",
        token_with(root, f'path "secret/*" {{ capabilities = {str(allowed).replace(chr(39), chr(34))} }}'),
    )
    arguments: Mapping[str, list[Any]] = {"set": ["ls", {"api_key": VALUE}], "names": []}
    limited = VaultSecretsManager(url=secrets.url, path=secrets.path)

    with pytest.raises(ConfigError, match="does not allow") as caught:
        getattr(limited, action)(*arguments.get(action, ["ls"]))

    assert f"capability to {capability}" in caught.value.hint
    assert VALUE not in f"{caught.value!r} {caught.value.hint}"


def test_a_wrong_token_is_refused_unshown(secrets: VaultSecretsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", VALUE)

    with pytest.raises(ConfigError) as caught:
        secrets.get("ls")

    assert "token" in caught.value.message + caught.value.hint
    assert VALUE not in f"{caught.value!r} {caught.value.hint}"


def test_no_token_says_how_to_sign_in(secrets: VaultSecretsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_TOKEN")

    with pytest.raises(ConfigError, match="no token for Vault") as caught:
        secrets.names()

    assert "vault login" in caught.value.hint


def test_a_token_file_that_is_missing_is_named(secrets: VaultSecretsManager) -> None:
    with pytest.raises(ConfigError, match="token file"):
        VaultSecretsManager(url=secrets.url, token_file="/nonexistent/token").names()


@pytest.mark.parametrize("action", ["get", "set"])
def test_a_mount_that_does_not_exist_is_named(secrets: VaultSecretsManager, action: str) -> None:
    arguments: list[Any] = ["ls", {"key": "1"}] if action == "set" else ["ls"]

    with pytest.raises(ConfigError, match="nothing mounted at 'elsewhere'") as caught:
        getattr(VaultSecretsManager(url=secrets.url, mount="elsewhere"), action)(*arguments)

    assert "vault secrets enable -path=elsewhere" in caught.value.hint


def test_a_store_of_version_1_is_refused_and_left_as_it_was(bao_server: Emulator, root: Any) -> None:
    mount = f"old-{uuid4().hex}"
    root.sys.enable_secrets_engine("kv", path=mount, options={"version": "1"})

    with pytest.raises(ConfigError, match="of version 1") as caught:
        VaultSecretsManager(url=bao_server.url, mount=mount).set("ls", {"api_key": VALUE})

    assert f"vault kv enable-versioning {mount}" in caught.value.hint
    with pytest.raises(hvac.exceptions.InvalidPath):
        root.secrets.kv.v1.list_secrets(path="", mount_point=mount)


def test_a_token_file_that_changes_is_read_anew(secrets: VaultSecretsManager, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("expired")
    managed = VaultSecretsManager(url=secrets.url, path=secrets.path, token_file=str(tmp_path / "token"))
    with pytest.raises(ConfigError):
        managed.names()

    (tmp_path / "token").write_text(BAO_TOKEN)

    assert managed.names() == []


def test_values_beyond_the_limit_are_refused(secrets: VaultSecretsManager) -> None:
    with pytest.raises(ConfigError, match="524,288"):
        secrets.set("ls", {"api_key": "x" * LIMIT})


def test_values_at_the_limit_are_kept(secrets: VaultSecretsManager) -> None:
    secrets.set("ls", {"k": "x" * (LIMIT - 1)})

    assert len(secrets.get("ls")["k"]) == LIMIT - 1


@pytest.mark.parametrize("url", ["", "vault:8200", "https://me:hunter2@vault"])
def test_an_address_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        VaultSecretsManager(url=url)

    assert "hunter2" not in caught.value.message


def test_a_server_that_is_away_is_retryable_and_soon_said() -> None:
    started = time.monotonic()

    with pytest.raises(BackendError, match="cannot be reached") as caught:
        VaultSecretsManager(url="http://127.0.0.1:9").names()

    assert caught.value.retryable
    assert time.monotonic() - started < 30
