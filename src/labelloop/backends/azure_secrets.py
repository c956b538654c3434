"""Secrets in Azure Key Vault."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from labelloop.backends.secret_values import needed, packed, unpacked, without_credentials
from labelloop.errors import BackendError, BusyError, ConfigError, LabelLoopError, NotFoundError
from labelloop.machine.road import advice, verified_by
from labelloop.protocols import check_secret_name, is_secret_name

LIMIT = 25_000
"""Bytes that one secret may have."""

_PAUSE = 1.0
"""Seconds between two looks at a secret that Key Vault is deleting or recovering."""

_ATTEMPTS = 40
_LONGEST_NAME = 127
_SIGN_IN = "az login, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or a managed identity"


@dataclass(frozen=True, kw_only=True)
class AzureKeyVault:
    """Azure Key Vault: each secret is one JSON object.

    Signs in by Azure's default chain: environment variables, workload or managed identity, `az login`. Key Vault's
    names have no `_` and no case, so `_` is kept as `--` and `A` as `---a`. A vault with soft delete (all new ones)
    keeps a deleted secret for its retention; setting it again recovers it first.

    Args:
        key_vault_name: The name of the vault.
        prefix: What the names begin with there; other secrets of the vault are not touched.
        endpoint: The address of the vault where it is not `https://NAME.vault.azure.net`, as in Azure China.
        ca_bundle: A file (PEM) of certificates that are trusted; empty is what SSL_CERT_FILE, REQUESTS_CA_BUNDLE or
            CURL_CA_BUNDLE names, else the system's.

    Raises:
        ConfigError: An option cannot work.
    """

    key_vault_name: str
    prefix: str = "labelloop-"
    endpoint: str = ""
    ca_bundle: str = ""

    def __post_init__(self) -> None:
        without_credentials(self.endpoint, "endpoint")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]", self.key_vault_name):
            raise ConfigError(
                f"{self.key_vault_name!r} is not the name of a key vault",
                "give the name alone, such as my-vault; az keyvault list shows the names",
            )
        if not re.fullmatch(r"[A-Za-z0-9-]*", self.prefix):
            raise ConfigError(f"prefix is {self.prefix!r}", "use letters, digits and -")

    def __getstate__(self) -> Mapping[str, Any]:
        return asdict(self)

    @property
    def url(self) -> str:
        """The address of the vault."""
        return self.endpoint.rstrip("/") or f"https://{self.key_vault_name}.vault.azure.net"

    def get(self, name: str) -> Mapping[str, str]:
        """The values of one secret.

        Raises:
            NotFoundError: There is none of this name, or it is deleted.
            ConfigError: It is not a name for a secret, it is disabled, or Azure does not let us in.
            BackendError: Azure failed, or cannot be reached.
        """
        place = self._place(name)
        with self._explained("get", name):
            return unpacked(self._client.get_secret(place).value, f"secret {place!r} in {self.url}")

    def set(self, name: str, values: Mapping[str, str]) -> None:
        """Create or replace one secret as a whole; one that is deleted is recovered first.

        Raises:
            ConfigError: As for `get`, or the values are too long.
            BackendError: As for `get`.
        """
        place = self._place(name)
        text = packed(values, limit=LIMIT, what=f"secret {name!r}")
        for _ in range(_ATTEMPTS):
            with suppress(_DeletedError), self._explained("set", name):
                self._client.set_secret(place, text, content_type="application/json")
                return
            self._recover(place, name)
        raise BusyError(f"others keep deleting secret {place!r} in {self.url}", "try again in a moment")

    def delete(self, name: str) -> None:
        """Remove one secret; a vault with soft delete keeps it for its retention.

        Raises:
            NotFoundError: There is none of this name.
            ConfigError: As for `get`.
            BackendError: As for `get`.
        """
        with self._explained("delete", name):
            self._client.begin_delete_secret(self._place(name))

    def names(self) -> Sequence[str]:
        """The names there are, sorted."""
        with self._explained("list", ""):
            places = [one.name for one in self._client.list_properties_of_secrets()]
        ours = [place.removeprefix(self.prefix) for place in places if place.startswith(self.prefix)]
        return sorted(name for kept in ours if is_secret_name(name := _name_of(kept)) and _kept_as(name) == kept)

    def _recover(self, place: str, name: str) -> None:
        """Bring a deleted secret back; where it is on its way in either direction, wait a little."""
        try:
            with self._explained("recover", name):
                self._client.begin_recover_deleted_secret(place)
        except (NotFoundError, _DeletedError):
            time.sleep(_PAUSE)

    def _place(self, name: str) -> str:
        place = self.prefix + _kept_as(check_secret_name(name))
        if len(place) > _LONGEST_NAME:
            raise ConfigError(
                f"{name!r} would be {place!r} in Key Vault, which is longer than {_LONGEST_NAME} characters",
                "take a shorter name, with fewer capitals and _",
            )
        return place

    @cached_property
    def _client(self) -> Any:
        identity = needed("azure.identity", "azure")
        secrets = needed("azure.keyvault.secrets", "azure")
        logging.getLogger("azure").addHandler(logging.NullHandler())
        trusted = verified_by(self.ca_bundle)
        return secrets.SecretClient(
            self.url,
            identity.DefaultAzureCredential(connection_verify=trusted),
            connection_timeout=5,
            read_timeout=20,
            retry_total=2,
            connection_verify=trusted,
        )

    @contextmanager
    def _explained(self, action: str, name: str) -> Iterator[None]:
        """Turn what Azure's libraries raise into our errors, which never repeat what was sent."""
        azure = needed("azure.core.exceptions", "azure")
        try:
            yield
        except azure.HttpResponseError as error:
            raise self._refusal(error, action, name) from None
        except azure.AzureError as error:
            raise BackendError(
                f"Key Vault at {self.url} cannot be reached ({type(error).__name__})",
                advice(self.url, "", error)
                or "check the name of the vault (az keyvault list) and the network, then try again",
                retryable=True,
            ) from None

    def _refusal(self, error: Any, action: str, name: str) -> LabelLoopError:
        """The error for an answer of Azure."""
        status, reason = error.status_code, _reason(error)
        where = f"Key Vault at {self.url}"
        if error.response is None:
            return ConfigError("no credentials for Azure were found, or none that work", _SIGN_IN)
        if status == 401 or type(error).__name__ == "ClientAuthenticationError":
            return ConfigError(
                f"{where} refuses the credentials: they are wrong, expired, or of another tenant", _SIGN_IN
            )
        if status == 404:
            return NotFoundError(
                f"no secret {name!r} in {where}",
                f"labelloop secret list shows those there are; labelloop secret register {name} --KEY=VALUE",
            )
        if status == 409:
            return _DeletedError(f"secret {name!r} in {where} is deleted, or on its way ({reason})", "try again")
        if status == 403:
            return self._forbidden(reason, action, name, where)
        return BackendError(
            f"{where} answered {status} {reason} to {action}",
            "try again later",
            retryable=status in (408, 429) or status >= 500,
        )

    def _forbidden(self, reason: str, action: str, name: str, where: str) -> ConfigError:
        if reason == "SecretDisabled":
            return ConfigError(
                f"secret {name!r} in {where} is disabled",
                f"az keyvault secret set-attributes --vault-name {self.key_vault_name} --name {self._place(name)}"
                " --enabled true",
            )
        if reason == "ForbiddenByFirewall":
            return ConfigError(f"{where} does not let this network in", "allow it in the vault's network rules")
        about = f" on {name!r}" if name else ""
        return ConfigError(
            f"{where} does not allow you to {action}{about} ({reason or 'Forbidden'})",
            "have the role 'Key Vault Secrets Officer' assigned, or in an access policy the permission to"
            f" {action} secrets",
        )


class _DeletedError(BusyError):
    """The secret is deleted and can be recovered, or is on its way in either direction."""


def _kept_as(name: str) -> str:
    """A name in Key Vault's letters: `_` is `--`, `A` is `---a`; one to one, as names have no separators in a row."""
    return re.sub("[A-Z]", lambda capital: f"---{capital[0].lower()}", name.replace("_", "--"))


def _name_of(kept: str) -> str:
    """The name that is kept so."""
    return re.sub(r"(-*)---([a-z])", lambda found: found[1] + found[2].upper(), kept).replace("--", "_")


def _reason(error: Any) -> str:
    """The innermost code of a refusal."""
    said = error.error
    inner = getattr(said, "innererror", None) or {}
    return str(inner.get("code") or getattr(said, "code", "") or "")
