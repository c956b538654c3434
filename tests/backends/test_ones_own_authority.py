"""Stores and secrets managers behind certificates of a company's own, which an option or a variable names."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from labelloop.backends.aws_secrets import AWSSecretsManager
from labelloop.backends.azure_secrets import AzureKeyVault
from labelloop.backends.gcp_secrets import GCPSecretManager
from labelloop.backends.vault_secrets import VaultSecretsManager
from labelloop.errors import ConfigError, LabelLoopError
from labelloop.machine.road import CA_VARIABLES, certificates_of, verified_by

from support import clouds, emulators
from support.azure_key_vault import HEADER, KeyVaultDouble
from support.company import Gate, authority, reverse
from support.gcp_secret_manager import PROJECT, SecretManagerDouble
from support.http_double import serving

Behind = Callable[[str], str]


@dataclass
class Company:
    """Certificates of its own, and whatever is put behind them."""

    trusted: Path
    certificate: tuple[Path, Path]
    running: ExitStack

    def __call__(self, url: str, host: str = "") -> str:
        """The address of a server over TLS."""
        scheme, _, rest = url.partition("://")
        path = f"/{rest.partition('/')[2]}" if "/" in rest else ""
        there = f"{scheme}://{rest.partition('/')[0]}"
        port = self.running.enter_context(reverse(there, Gate(limit=1 << 30, host=host), self.certificate))
        return f"https://127.0.0.1:{port}{path}"


@pytest.fixture
def behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    for name in (*CA_VARIABLES, "AWS_CA_BUNDLE", "VAULT_CACERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    monkeypatch.setenv("VAULT_TOKEN", emulators.BAO_TOKEN)
    with ExitStack() as running:
        yield Company(*authority(tmp_path, "127.0.0.1"), running)


@pytest.fixture(params=["s3", "gcp", "azure", "aws", "gcp_secret_manager", "azure_key_vault", "vault"])
def component(request: pytest.FixtureRequest, behind: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A store or a secrets manager whose service is behind the company's certificates."""
    server = request.getfixturevalue
    match request.param:
        case "s3" | "gcp" | "azure" as cloud:
            of = {"s3": "s3_server", "gcp": "gcs_server", "azure": "azure_server"}
            store = getattr(clouds, f"{cloud}_store")(server(of[cloud]))
            url = store.endpoint or server(of[cloud]).url
            told = url.partition("://")[2] if cloud == "gcp" else ""  # the emulator answers to its own address alone
            return replace(store, endpoint=behind(url, told))
        case "aws":
            url = behind(server("aws_server").url)
            return AWSSecretsManager(region_name="eu-west-1", endpoint=url, prefix=f"{uuid4().hex}/")
        case "vault":
            return VaultSecretsManager(url=behind(server("bao_server").url), path=uuid4().hex)
        case "gcp_secret_manager":
            double = serving(SecretManagerDouble())
            behind.running.callback(double.stop)
            url = behind(double.url)
            key = json.loads(emulators.fake_gcp_key("http://unset")) | {"token_uri": f"{url}/token"}
            (tmp_path / "key.json").write_text(json.dumps(key))
            monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
            return GCPSecretManager(project_id=PROJECT, endpoint=url)
    memory = KeyVaultDouble()
    files = (str(behind.certificate[0]), str(behind.certificate[1]))
    double, identity = serving(memory, files), serving(memory)
    behind.running.callback(double.stop)
    behind.running.callback(identity.stop)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", HEADER)
    return AzureKeyVault(key_vault_name="my-vault", endpoint=double.url)


def used(component: Any) -> Any:
    """What is read back of what was written."""
    if hasattr(component, "names"):
        component.set("team", {"token": "hush"})
        return component.get("team")["token"]
    component.write("a/b.txt", io.BytesIO(b"hush"))
    return component.read("a/b.txt").read().decode()


def test_a_component_trusts_whom_the_option_or_a_variable_names(
    component: Any, behind: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LabelLoopError) as refused:
        used(replace(component))
    assert "ca_bundle" in refused.value.hint

    assert used(replace(component, ca_bundle=str(behind.trusted))) == "hush"
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        with monkeypatch.context() as here:
            here.setenv(variable, str(behind.trusted))
            assert used(replace(component)) == "hush", variable


def test_a_file_without_certificates_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing of the kind")

    for read in (certificates_of, verified_by):
        with pytest.raises(ConfigError, match=r"ca\.pem cannot be read"):
            read(str(tmp_path / "ca.pem"))


def test_a_folder_of_certificates_is_read_whole(behind: Company, tmp_path: Path) -> None:
    folder = tmp_path / "authorities"
    folder.mkdir()
    for name in ("a.pem", "b.pem"):
        (folder / name).write_bytes(behind.trusted.read_bytes())

    assert certificates_of(str(folder)).count(b"BEGIN CERTIFICATE") == 2
