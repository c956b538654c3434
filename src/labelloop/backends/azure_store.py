"""Artifacts in a container of Azure Blob Storage."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from labelloop.backends.bucket_connection import Cloud, connection
from labelloop.backends.buckets import BucketArtifacts
from labelloop.errors import ConfigError
from labelloop.protocols import SecretsManager
from labelloop.types import Bucket


@dataclass(frozen=True, kw_only=True)
class AzureArtifactStore(BucketArtifacts):
    """Bodies as blobs `path/key` of a container.

    Args:
        path: `az://CONTAINER`, or `az://CONTAINER/FOLDER`.
        authentication_secret: Name of a secret of schema `azure`; empty is Azure's default chain (environment, managed
            identity, `az login`).
        endpoint: URL of a server other than Azure's, with the account in it, such as Azurite's.
        ca_bundle: A file (PEM) of certificates that are trusted besides the system's; empty is what SSL_CERT_FILE,
            REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names.
        account_name: The storage account; empty is the one in the secret.
        secrets: Where the secret is.
        component: The name it is registered under, for the commands that errors suggest.

    Raises:
        ConfigError: The path is none of Azure, or the endpoint is no URL.
    """

    cloud: ClassVar[Cloud] = "azure"
    path: str
    authentication_secret: str = ""
    endpoint: str = ""
    ca_bundle: str = ""
    account_name: str = ""
    secrets: SecretsManager | None = field(default=None, repr=False, compare=False)
    component: str = field(default="NAME", repr=False, compare=False)

    def bucket(self) -> Bucket:
        """The container, with the credentials resolved now."""
        values = self.values()
        account = self._account(values)
        if self.authentication_secret:
            self._key(values)
        return Bucket("azure", self.bucket_name, self.prefix, self.endpoint, account=account, credentials=values)

    def _account(self, values: Mapping[str, str]) -> str:
        if self.account_name:
            return self.account_name
        if self.authentication_secret:
            return self.value(values, "account_name")
        raise ConfigError(
            f"{self.path} does not say which storage account it is in",
            f"labelloop artifact-store update {self.component} --account_name=ACCOUNT",
        )

    def _key(self, values: Mapping[str, str]) -> str:
        key = self.value(values, "account_key")
        try:
            b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(
                f"the account_key in secret {self.authentication_secret!r} is not base64, as Azure's keys are",
                f"copy it again: labelloop secret update {self.authentication_secret} --account_key=...",
            ) from None
        return key

    def _connect(self, values: Mapping[str, str]) -> Any:
        from obstore.store import AzureStore

        account = self._account(values)
        provider = _Key(self._key(values)) if self.authentication_secret else _default_chain()
        return AzureStore(
            self.bucket_name,
            account_name=account,
            credential_provider=provider,
            **({"endpoint": self.endpoint} if self.endpoint else {}),
            **connection(self.endpoint, self.ca_bundle),
        )


@dataclass(frozen=True, slots=True)
class _Key:
    """A key that is what it is: the environment's own never mix with it."""

    key: str = field(repr=False)

    def __call__(self) -> Mapping[str, str | datetime | None]:
        return {"access_key": self.key, "expires_at": None}


def _default_chain() -> Any:
    from obstore.auth.azure import AzureCredentialProvider

    return AzureCredentialProvider()
