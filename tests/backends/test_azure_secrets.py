"""Azure Key Vault, on a hand-written double of its REST interface, and each way it can refuse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from labelloop.backends.azure_secrets import LIMIT, AzureKeyVault
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.testing.secrets import VALUE, SecretsManagerContract

from support.azure_key_vault import HEADER, TOKEN, KeyVaultDouble, certificate, challenge, refusal
from support.http_double import Double, Request, Response, serving


@dataclass(frozen=True)
class Azure:
    """A vault at the double."""

    memory: KeyVaultDouble
    double: Double


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate of loopback and its key."""
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def azure(trusted: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """A vault of its own, over TLS, signed in to by a managed identity."""
    memory = KeyVaultDouble()
    double, identity = serving(memory, trusted), serving(memory)
    for variable in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TOKEN_CREDENTIALS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)  # it would count first
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted[0])
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", HEADER)
    yield Azure(memory, double)
    double.stop()
    identity.stop()


def vault_at(url: str) -> AzureKeyVault:
    return AzureKeyVault(key_vault_name="my-vault", endpoint=url)


@pytest.fixture
def secrets(azure: Azure) -> AzureKeyVault:
    return vault_at(azure.double.url)


@pytest.fixture
def refusing(trusted: tuple[str, str]) -> Iterator[Callable[[Response], AzureKeyVault]]:
    """A manager whose vault gives one answer to everybody who shows a token."""
    running: list[Double] = []

    def start(response: Response) -> AzureKeyVault:
        def answer(request: Request) -> Response:
            return response if request.headers.get("Authorization") else challenge(request.url)

        running.append(serving(answer, trusted))
        return vault_at(running[-1].url)

    yield start
    for double in running:
        double.stop()


class TestAzureKeyVault(SecretsManagerContract):
    @pytest.fixture
    def secrets(self, azure: Azure) -> AzureKeyVault:
        return vault_at(azure.double.url)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("ls", "labelloop-ls"),
        ("aws-keys", "labelloop-aws-keys"),
        ("aws_label_studio", "labelloop-aws--label--studio"),
        ("AWS", "labelloop----a---w---s"),
        ("a-B_C", "labelloop-a----b-----c"),
    ],
)
def test_names_are_kept_in_letters_that_key_vault_has(
    secrets: AzureKeyVault, azure: Azure, name: str, kept: str
) -> None:
    secrets.set(name, {"key": "1"})

    assert list(azure.memory.kept) == [kept]
    assert secrets.names() == [name]


def test_a_name_that_grows_too_long_there_is_refused(secrets: AzureKeyVault) -> None:
    with pytest.raises(ConfigError, match="longer than 127"):
        secrets.set("A" * 40, {"key": "1"})


def test_secrets_of_others_are_not_listed(secrets: AzureKeyVault, azure: Azure) -> None:
    azure.memory.kept.update({"other": [], "labelloop-ls---": [], "Labelloop-x": [], "labelloop-a---9": []})
    secrets.set("ls", {"api_key": VALUE})

    assert secrets.names() == ["ls"]


def test_a_deleted_secret_is_recovered_and_overwritten_even_while_key_vault_is_slow(
    secrets: AzureKeyVault, azure: Azure
) -> None:
    azure.memory.lag = 1
    secrets.set("ls", {"api_key": "1"})
    secrets.delete("ls")

    secrets.set("ls", {"api_key": "2"})

    assert secrets.get("ls") == {"api_key": "2"}
    assert azure.memory.deleted == {}


def test_a_disabled_secret_says_how_to_enable_it(secrets: AzureKeyVault, azure: Azure) -> None:
    secrets.set("my_key", {"api_key": VALUE})
    azure.memory.disabled.add("labelloop-my--key")

    with pytest.raises(ConfigError, match="is disabled") as caught:
        secrets.get("my_key")

    assert "--name labelloop-my--key --enabled true" in caught.value.hint


def test_values_beyond_the_limit_are_refused_with_both_sizes(secrets: AzureKeyVault) -> None:
    with pytest.raises(ConfigError, match="25,000"):
        secrets.set("ls", {"api_key": "x" * LIMIT})


@pytest.mark.parametrize(
    "options",
    [
        {"key_vault_name": "https://my-vault.vault.azure.net"},
        {"key_vault_name": ""},
        {"prefix": "a_b"},
        {"endpoint": "https://me:hunter2@127.0.0.1"},
    ],
)
def test_options_that_cannot_work_are_refused(options: Mapping[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        AzureKeyVault(**{"key_vault_name": "my-vault", **options})

    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("action", ["get", "set", "delete", "list"])
def test_a_missing_permission_is_named(refusing: Callable[[Response], AzureKeyVault], action: str) -> None:
    secrets = refusing(refusal(403, "Forbidden", f"Caller may not see {VALUE}", "ForbiddenByRbac"))
    calls: Mapping[str, Callable[[], Any]] = {
        "get": lambda: secrets.get("ls"),
        "set": lambda: secrets.set("ls", {"api_key": VALUE}),
        "delete": lambda: secrets.delete("ls"),
        "list": secrets.names,
    }

    with pytest.raises(ConfigError, match=f"does not allow you to {action}") as caught:
        calls[action]()

    assert "Key Vault Secrets Officer" in caught.value.hint
    assert VALUE not in f"{caught.value!r} {caught.value.hint}"


def test_a_firewall_is_said(refusing: Callable[[Response], AzureKeyVault]) -> None:
    with pytest.raises(ConfigError, match="network"):
        refusing(refusal(403, "Forbidden", "Client address is not authorized", "ForbiddenByFirewall")).names()


def test_a_token_that_is_refused_says_how_to_sign_in(refusing: Callable[[Response], AzureKeyVault]) -> None:
    with pytest.raises(ConfigError, match="refuses the credentials") as caught:
        refusing(refusal(401, "Unauthorized", f"AKV10032: Invalid issuer {TOKEN}")).names()

    assert "az login" in caught.value.hint
    assert TOKEN not in f"{caught.value!r} {caught.value.hint}"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_vault_is_retryable(refusing: Callable[[Response], AzureKeyVault], status: int) -> None:
    with pytest.raises(BackendError, match=str(status)) as caught:
        refusing(refusal(status, "Busy", "later")).get("ls")

    assert caught.value.retryable


def test_a_bad_request_does_not_repeat_what_was_sent(refusing: Callable[[Response], AzureKeyVault]) -> None:
    with pytest.raises(BackendError, match="BadParameter") as caught:
        refusing(refusal(400, "BadParameter", f"{VALUE} is bad")).set("ls", {"api_key": VALUE})

    assert VALUE not in f"{caught.value!r} {caught.value.hint}"
    assert not caught.value.retryable


def test_no_credentials_says_what_to_do(secrets: AzureKeyVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")

    with pytest.raises(ConfigError, match="no credentials for Azure") as caught:
        secrets.names()

    assert "az login" in caught.value.hint


def test_a_vault_that_is_away_is_retryable_and_soon_said() -> None:
    started = time.monotonic()

    with pytest.raises(BackendError, match="cannot be reached") as caught:
        vault_at("https://127.0.0.1:9").names()

    assert caught.value.retryable
    assert time.monotonic() - started < 30


def test_a_missing_secret_says_where(secrets: AzureKeyVault) -> None:
    with pytest.raises(NotFoundError, match="Key Vault at"):
        secrets.get("ls")
