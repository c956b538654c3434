"""What the clouds' managers share: one text per secret, addresses without credentials, absent packages."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from labelloop.backends.aws_secrets import AWSSecretsManager
from labelloop.backends.azure_secrets import AzureKeyVault
from labelloop.backends.gcp_secrets import GCPSecretManager
from labelloop.backends.secret_values import packed, unpacked, without_credentials
from labelloop.backends.vault_secrets import VaultSecretsManager
from labelloop.errors import ConfigError
from labelloop.protocols import SecretsManager


def test_what_was_packed_is_unpacked() -> None:
    values = {"a": "", "ü": 'line\n"quoted"'}

    assert unpacked(packed(values, limit=100, what="it"), "it") == values


def test_the_limit_counts_bytes_not_letters() -> None:
    text = packed({"a": "üü"}, limit=13, what="it")

    assert len(text.encode()) == 13
    with pytest.raises(ConfigError, match="it takes 13 bytes, and at most 12 can be kept"):
        packed({"a": "üü"}, limit=12, what="it")


@pytest.mark.parametrize("text", ["", None, "plain", "[]", "null", '{"a": 1}', b"\xff"])
def test_anything_but_an_object_of_texts_is_refused(text: str | bytes | None) -> None:
    with pytest.raises(ConfigError, match="it is not a JSON object of texts"):
        unpacked(text, "it")


@pytest.mark.parametrize("url", ["ftp://there", "there:80", "https://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="no address"):
        without_credentials(url, "endpoint")


@pytest.mark.parametrize(
    ("make", "package", "extra"),
    [
        (lambda: AWSSecretsManager(region_name="eu-west-1"), "boto3", "s3"),
        (lambda: GCPSecretManager(project_id="p"), "google.auth", "gcp"),
        (lambda: AzureKeyVault(key_vault_name="my-vault"), "azure.identity", "azure"),
        (lambda: VaultSecretsManager(url="http://127.0.0.1:9"), "hvac", "vault"),
    ],
)
def test_a_package_that_is_away_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], SecretsManager], package: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(package)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ConfigError, match="is not installed") as caught:
        make().names()

    assert caught.value.hint == f"pip install 'labelloop[{extra}]'"
