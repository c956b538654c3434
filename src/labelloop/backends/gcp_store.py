"""Artifacts in a bucket of Google Cloud Storage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from labelloop.backends.bucket_connection import Cloud, connection
from labelloop.backends.buckets import BucketArtifacts
from labelloop.errors import ConfigError
from labelloop.protocols import SecretsManager
from labelloop.types import Bucket

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_NEEDED = ("type", "project_id", "private_key_id", "private_key", "client_email")


@dataclass(frozen=True, kw_only=True)
class GCPArtifactStore(BucketArtifacts):
    """Bodies as objects `path/key` of a bucket.

    Args:
        path: `gs://BUCKET`, or `gs://BUCKET/FOLDER`.
        authentication_secret: Name of a secret of schema `gcp`; empty is Google's default chain (environment, `gcloud
            auth application-default login`, account of the machine).
        endpoint: URL of a server other than Google's, such as an emulator's.
        ca_bundle: A file (PEM) of certificates that are trusted besides the system's; empty is what SSL_CERT_FILE,
            REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names.
        secrets: Where the secret is.
        component: The name it is registered under, for the commands that errors suggest.

    Raises:
        ConfigError: The path is none of Google, or the endpoint is no URL.
    """

    cloud: ClassVar[Cloud] = "gcp"
    path: str
    authentication_secret: str = ""
    endpoint: str = ""
    ca_bundle: str = ""
    secrets: SecretsManager | None = field(default=None, repr=False, compare=False)
    component: str = field(default="NAME", repr=False, compare=False)

    def bucket(self) -> Bucket:
        """The bucket, with the credentials resolved now."""
        values = self.values()
        if self.authentication_secret:
            self._key(values)
        return Bucket("gcp", self.bucket_name, self.prefix, self.endpoint, credentials=values)

    def _key(self, values: Mapping[str, str]) -> str:
        """The key file of a service account, as text.

        Raises:
            ConfigError: It is malformed; the message says how, without a word of it.
        """
        text = self.value(values, "token")
        wrong = _what_is_wrong(text)
        if wrong:
            secret = self.authentication_secret
            raise ConfigError(
                f"the token in secret {secret!r} is not the key file of a service account: {wrong}",
                f"labelloop secret update {secret} --token=@KEY_FILE.json",
            )
        return text

    def _connect(self, values: Mapping[str, str]) -> Any:
        from obstore.store import GCSStore

        base = {"base_url": self.endpoint} if self.endpoint else {}
        shared = {**base, **connection(self.endpoint, self.ca_bundle)}
        if self.authentication_secret:
            return GCSStore(self.bucket_name, service_account_key=self._key(values), **shared)
        return GCSStore(self.bucket_name, credential_provider=_default_chain(), **shared)


def _what_is_wrong(text: str) -> str:
    """Why a text is not the key file of a service account; empty when it is. Pure."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = json.loads(text)
    except ValueError as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "it"
        return f"no JSON at {where}"
    if not isinstance(key, dict):
        return f"JSON of {type(key).__name__}, not of an object"
    missing = [name for name in _NEEDED if not isinstance(key.get(name), str) or not key[name]]
    if missing:
        return f"it has no {missing[0]!r}"
    if key["type"] != "service_account":
        return "its 'type' is not 'service_account'"
    try:
        load_pem_private_key(key["private_key"].encode(), None)
    except (ValueError, TypeError):
        return "its 'private_key' is no private key in PEM"
    return ""


def _default_chain() -> Any:
    """What google-auth finds on this machine."""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError
    from obstore.auth.google import GoogleCredentialProvider

    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE])
    except DefaultCredentialsError as error:
        raise ConfigError(
            f"this machine has no Google credentials: {error}",
            "labelloop secret register NAME --schema=gcp --token=@KEY_FILE.json, then labelloop artifact-store update "
            "STORE --authentication_secret=NAME; or gcloud auth application-default login",
        ) from error
    return GoogleCredentialProvider(credentials)
