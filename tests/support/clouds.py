"""Buckets of the emulators with a store in each, for tests of whatever happens in a bucket."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from email.utils import formatdate
from itertools import count
from typing import Any

import boto3
import httpx

from labelloop.backends.azure_store import AzureArtifactStore
from labelloop.backends.gcp_store import GCPArtifactStore
from labelloop.backends.s3_store import S3ArtifactStore
from labelloop.testing.secrets import MemorySecrets

from support import emulators
from support.emulators import Emulator

S3_BUCKET = "labelloop-tests"
_NUMBERS = count(1)


def secrets_of(name: str = "", values: Mapping[str, str] | None = None) -> MemorySecrets:
    """Secrets with the emulators' own credentials, and one more."""
    secrets = MemorySecrets()
    secrets.set("aws", {"aws_access_key_id": emulators.ACCESS_KEY, "aws_secret_access_key": emulators.SECRET_KEY})
    secrets.set("reader", {"aws_access_key_id": emulators.READER_KEY, "aws_secret_access_key": emulators.READER_SECRET})
    secrets.set("azure", {"account_name": emulators.AZURE_ACCOUNT, "account_key": emulators.AZURE_KEY})
    if name:
        secrets.set(name, values or {})
    return secrets


def s3_client(server: Emulator) -> Any:
    """Amazon's own client, of the one who may do everything."""
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=emulators.ACCESS_KEY,
        aws_secret_access_key=emulators.SECRET_KEY,
        region_name="us-east-1",
    )


def s3_store(server: Emulator, **options: Any) -> S3ArtifactStore:
    """A store in a new folder of a bucket of S3, or of `path`; a bucket of its own costs SeaweedFS seven volumes."""
    if "path" not in options:
        client = s3_client(server)
        if S3_BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=S3_BUCKET)
        options["path"] = f"s3://{S3_BUCKET}/folder-{next(_NUMBERS)}"
    chosen = {"authentication_secret": "aws", "endpoint": server.url, "secrets": secrets_of(), **options}
    return S3ArtifactStore(**chosen)


def gcp_store(server: Emulator, **options: Any) -> GCPArtifactStore:
    """A store in a new bucket of Google's, or of `path`."""
    if "path" not in options:
        name = f"bucket-{next(_NUMBERS)}"
        _post_json(f"{server.url}/storage/v1/b?project=test", {"name": name})
        options["path"] = f"gs://{name}"
    secrets = secrets_of("gcp", {"token": emulators.fake_gcp_key(server.url)})
    chosen = {"authentication_secret": "gcp", "endpoint": server.url, "secrets": secrets, **options}
    return GCPArtifactStore(**chosen)


def azure_store(server: Emulator, **options: Any) -> AzureArtifactStore:
    """A store in a new container of Azure's, or of `path`."""
    if "path" not in options:
        name = f"container-{next(_NUMBERS)}"
        _create_container(server, name)
        options["path"] = f"az://{name}"
    chosen = {"authentication_secret": "azure", "endpoint": server.url, "secrets": secrets_of(), **options}
    return AzureArtifactStore(**chosen)


def _post_json(url: str, body: Mapping[str, str]) -> None:
    httpx.post(url, json=body, trust_env=False, timeout=30).raise_for_status()


def _create_container(server: Emulator, name: str) -> None:
    """Azure's Create Container, signed with the account's key."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    resource = f"/{emulators.AZURE_ACCOUNT}/{emulators.AZURE_ACCOUNT}/{name}\nrestype:container"
    canonical = "".join(f"{key}:{value}\n" for key, value in sorted(headers.items()))
    signed = "PUT\n" + "\n" * 11 + canonical + resource
    key = base64.b64decode(emulators.AZURE_KEY)
    signature = base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha256).digest()).decode()
    headers["Authorization"] = f"SharedKey {emulators.AZURE_ACCOUNT}:{signature}"
    url = f"{server.url}/{name}?restype=container"
    httpx.put(url, headers=headers, trust_env=False, timeout=30).raise_for_status()
