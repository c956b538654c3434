"""Artifacts in a bucket of Amazon S3, or of a server that speaks its protocol."""

from __future__ import annotations

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
class S3ArtifactStore(BucketArtifacts):
    """Bodies as objects `path/key` of a bucket.

    Args:
        path: `s3://BUCKET`, or `s3://BUCKET/FOLDER`.
        authentication_secret: Name of a secret of schema `aws`; empty is AWS's default chain (environment, profile,
            role of the machine).
        endpoint: URL of a server other than Amazon's, such as MinIO or SeaweedFS.
        ca_bundle: A file (PEM) of certificates that are trusted besides the system's; empty is what SSL_CERT_FILE,
            REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names.
        region: Where the bucket is; empty is the region of the profile, or us-east-1.
        secrets: Where the secret is.
        component: The name it is registered under, for the commands that errors suggest.

    Raises:
        ConfigError: The path is none of S3, or the endpoint is no URL.
    """

    cloud: ClassVar[Cloud] = "s3"
    path: str
    authentication_secret: str = ""
    endpoint: str = ""
    ca_bundle: str = ""
    region: str = ""
    secrets: SecretsManager | None = field(default=None, repr=False, compare=False)
    component: str = field(default="NAME", repr=False, compare=False)

    def bucket(self) -> Bucket:
        """The bucket, with the credentials resolved now."""
        values = self.values()
        if self.authentication_secret:
            self._keys(values)
        return Bucket("s3", self.bucket_name, self.prefix, self.endpoint, self.region, credentials=values)

    def _keys(self, values: Mapping[str, str]) -> tuple[str, str, str | None]:
        key, secret = (self.value(values, name) for name in ("aws_access_key_id", "aws_secret_access_key"))
        return key, secret, values.get("aws_session_token") or None

    def _connect(self, values: Mapping[str, str]) -> Any:
        from obstore.store import S3Store

        provider, region = (_Keys(*self._keys(values)), "") if self.authentication_secret else _default_chain()
        return S3Store(
            self.bucket_name,
            credential_provider=provider,
            region=self.region or region or "us-east-1",
            **({"endpoint": self.endpoint} if self.endpoint else {}),
            **connection(self.endpoint, self.ca_bundle),
        )


@dataclass(frozen=True, slots=True)
class _Keys:
    """Credentials that are what they are: the environment's own never mix with them."""

    key: str = field(repr=False)
    secret: str = field(repr=False)
    token: str | None = field(repr=False)

    def __call__(self) -> Mapping[str, str | datetime | None]:
        return {
            "access_key_id": self.key,
            "secret_access_key": self.secret,
            "token": self.token,
            "expires_at": None,
        }


def _default_chain() -> tuple[Any, str]:
    """What boto3 finds on this machine, and the region that comes with it."""
    import boto3
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        session = boto3.Session()
        return Boto3CredentialProvider(session), session.region_name or ""
    except (ValueError, BotoCoreError) as error:
        raise ConfigError(
            f"this machine has no AWS credentials: {error}",
            "labelloop secret register NAME --schema=aws --aws_access_key_id=... --aws_secret_access_key=..., then "
            "labelloop artifact-store update STORE --authentication_secret=NAME; or aws configure",
        ) from error
