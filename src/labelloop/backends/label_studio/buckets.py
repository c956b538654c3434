"""Pictures shown from a bucket: one import storage of a project, through which Label Studio hands out signed links."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets as randomness
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from labelloop.backends.label_studio.client import Client
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.types import Bucket

LIFETIME_MINUTES = 60
"""How long a signed link works. Each look at a task gets a fresh one; Label Studio's own default is one minute."""

_KINDS = {"s3": "s3", "gcp": "gcs", "azure": "azure"}
_SCHEMES = {"s3": ("s3://",), "gcp": ("gs://", "gcs://"), "azure": ("az://", "abfs://", "azure-blob://")}
_LABEL_STUDIO_SCHEME = {"s3": "s3", "gcp": "gs", "azure": "azure-blob"}
_KEYS = {"s3": ("aws_access_key_id", "aws_secret_access_key"), "gcp": ("token",), "azure": ("account_key",)}
_CHAIN = {"s3": ("AWS_",), "gcp": ("GOOGLE_", "CLOUDSDK_"), "azure": ("AZURE_BLOB_ACCOUNT_",)}
_NOTHING = "(?!)"  # a pattern that matches no key, so that nobody's Sync makes tasks a second time


def address(bucket: Bucket, uri: str) -> str:
    """What a task says for an object of the bucket; empty for an object elsewhere, or one Label Studio cannot name.

    It is the plain address, never a signed one: Label Studio signs it again each time somebody looks.
    """
    key = key_in(bucket, uri)
    if not key or key != key.strip() or key.startswith("/") or set(key) & set(_unnameable(bucket)):
        return ""
    return f"{root(bucket)}{key}"


def root(bucket: Bucket) -> str:
    """What the address of every object of the bucket begins with in Label Studio."""
    return f"{_LABEL_STUDIO_SCHEME[bucket.cloud]}://{bucket.name}/"


def key_in(bucket: Bucket, uri: str) -> str:
    """The key of an object of the bucket; empty for an object elsewhere."""
    for scheme in _SCHEMES[bucket.cloud]:
        if uri.startswith(f"{scheme}{bucket.name}/"):
            return uri.removeprefix(f"{scheme}{bucket.name}/")
    return ""


def have_storage(client: Client, project: int, bucket: Bucket) -> None:
    """Have exactly one storage of the bucket in the project, with the credentials of now.

    One that somebody made by hand is used as it is. Call it while no other process writes to this Label Studio.

    Raises:
        ConfigError: Label Studio cannot read the bucket with these credentials.
    """
    there = storages(client, project, bucket)
    if not there:
        _send(client, "POST", f"{_path(bucket)}/", {"project": project, **_described(bucket)}, bucket)
        there = storages(client, project, bucket)  # another machine may have made one too
    ours = _ours(there, bucket)
    for twin in ours[1:]:
        _forget(client, project, bucket, twin)
    if ours and not _is_current(ours[0], bucket):
        _send(client, "PATCH", f"{_path(bucket)}/{ours[0]['id']}", _described(bucket), bucket)


def is_stale(client: Client, project: int, bucket: Bucket) -> bool:
    """Whether there is a storage of the bucket that `have_storage` would change."""
    ours = _ours(storages(client, project, bucket), bucket)
    return len(ours) > 1 or any(not _is_current(storage, bucket) for storage in ours)


def storages(client: Client, project: int, bucket: Bucket) -> Sequence[Mapping[str, Any]]:
    """The project's storages of the bucket, the oldest first. Label Studio tells no credentials of them."""
    there: Sequence[Mapping[str, Any]] = client.call("GET", _path(bucket), query={"project": project})
    name = "container" if bucket.cloud == "azure" else "bucket"
    return sorted((one for one in there if one[name] == bucket.name), key=lambda one: int(one["id"]))


def _ours(there: Sequence[Mapping[str, Any]], bucket: Bucket) -> Sequence[Mapping[str, Any]]:
    return [storage for storage in there if storage["title"] == _title(bucket)]


def _forget(client: Client, project: int, bucket: Bucket, twin: Mapping[str, Any]) -> None:
    try:
        client.call("DELETE", f"{_path(bucket)}/{twin['id']}")
    except (NotFoundError, BackendError):
        # whoever made it too may have been faster, which Label Studio says in JSON or by a page
        if any(one["id"] == twin["id"] for one in storages(client, project, bucket)):
            raise


def _send(client: Client, method: str, path: str, body: Mapping[str, Any], bucket: Bucket) -> None:
    try:
        client.call(method, path, body=body)
    except BackendError as error:
        reason = _reason(error.message, body)
        raise ConfigError(
            f"Label Studio at {client.url} cannot show pictures from {name_of(bucket)}: {reason}", _remedy(bucket)
        ) from None


def _reason(said: str, body: Mapping[str, Any]) -> str:
    """What Label Studio said, without any value that was sent as a credential."""
    reason = said.partition(": ")[2] or said
    if "Debugging info is not available" in reason:
        return "it does not say why, as for every S3 server but the well-known ones; its log does"
    for name in _SECRET_FIELDS:
        if body.get(name):
            reason = reason.replace(str(body[name]), "...")
    return reason


def _remedy(bucket: Bucket) -> str:
    if bucket.cloud == "azure" and not bucket.credentials:
        return (
            "Label Studio signs in to Azure with the account's key only: labelloop secret register NAME"
            " --schema=azure, then set media_secret = NAME for the annotator"
        )
    return (
        "check that the bucket exists, that the secret may list and read it, and that the machine Label Studio"
        " runs on can reach it; then run the command again"
    )


_SECRET_FIELDS = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "google_application_credentials",
    "account_key",
)


def _path(bucket: Bucket) -> str:
    return f"/api/storages/{_KINDS[bucket.cloud]}"


def name_of(bucket: Bucket) -> str:
    """The address of the bucket, as its owner would write it."""
    return f"{_SCHEMES[bucket.cloud][0]}{bucket.name}"


def _title(bucket: Bucket) -> str:
    return f"labelloop: {name_of(bucket)}"


def _unnameable(bucket: Bucket) -> str:
    """Characters of a key that Label Studio takes for a part of the address: it escapes nothing for Azure."""
    return "?#%" if bucket.cloud == "azure" else "?"


def _described(bucket: Bucket) -> dict[str, Any]:
    """The settings of the storage, and a digest of them that only their holder can compare."""
    settings = _settings(bucket)
    return {**settings, "description": _digest(settings, randomness.token_hex(8))}


def _is_current(storage: Mapping[str, Any], bucket: Bucket) -> bool:
    noted = str(storage["description"] or "")
    salt = noted.removeprefix(_NOTE).partition(":")[0]
    return hmac.compare_digest(noted.encode(), _digest(_settings(bucket), salt).encode())


_NOTE = "kept by labelloop; settings "


def _digest(settings: Mapping[str, Any], salt: str) -> str:
    """Credentials are write-only in Label Studio, so what was sent is noted as a slow, salted digest."""
    text = json.dumps(settings, sort_keys=True).encode()
    return f"{_NOTE}{salt}:{hashlib.scrypt(text, salt=salt.encode(), n=2**12, r=8, p=1, dklen=16).hex()}"


def _settings(bucket: Bucket) -> dict[str, Any]:
    return {
        "title": _title(bucket),
        "prefix": bucket.prefix.rstrip("/"),
        "regex_filter": _NOTHING,
        "use_blob_urls": True,
        "presign": is_signed(bucket),
        "presign_ttl": LIFETIME_MINUTES,
        **access_to(bucket),
    }


def surroundings(bucket: Bucket) -> Mapping[str, str]:
    """Variables that a Label Studio of our own needs to reach the bucket: what no field of a storage can say."""
    if bucket.credentials:
        found = {}
    else:
        found = {name: value for name, value in os.environ.items() if name.startswith(_CHAIN[bucket.cloud])}
    if bucket.cloud == "gcp" and bucket.endpoint:
        endpoint = bucket.endpoint.rstrip("/")
        download = f"{endpoint}/download/storage/v1/b/{{bucket_name}}/o/{{blob_name}}?alt=media"
        found |= {"STORAGE_EMULATOR_HOST": endpoint, "RESOLVER_PROXY_GCS_DOWNLOAD_URL": download}
    return found


def with_secret(bucket: Bucket, name: str, values: Mapping[str, str]) -> Bucket:
    """The bucket, read with the credentials of a secret.

    Raises:
        ConfigError: The secret misses one of them.
    """
    needed = _KEYS[bucket.cloud]
    missing = [key for key in needed if not values.get(key)]
    if missing:
        raise ConfigError(
            f"secret {name!r} has no {missing[0]}; it has {', '.join(sorted(values)) or 'nothing'}",
            f"labelloop secret update {name} --{missing[0]}=...",
        )
    return replace(bucket, credentials=values)


def is_signed(bucket: Bucket) -> bool:
    """Whether browsers get signed links of the bucket; otherwise Label Studio passes the bytes on.

    Signing needs a key that Google's default credentials do not have, and Label Studio signs for Azure's own address
    only.
    """
    return {"s3": True, "gcp": bool(_google_key(bucket)), "azure": not bucket.endpoint}[bucket.cloud]


def access_to(bucket: Bucket) -> dict[str, Any]:
    """How Label Studio reaches the bucket. Without credentials its server has to find some of its own."""
    held = bucket.credentials
    if bucket.cloud == "s3":
        return {
            "bucket": bucket.name,
            "region_name": bucket.region,
            "s3_endpoint": bucket.endpoint,
            **{name: held.get(name, "") for name in ("aws_access_key_id", "aws_secret_access_key")},
            "aws_session_token": held.get("aws_session_token", ""),
        }
    if bucket.cloud == "gcp":
        return {"bucket": bucket.name, "google_application_credentials": _google_key(bucket)}
    key = held.get("account_key", "")
    if key and bucket.endpoint:
        # Label Studio has no field for it, and joins the key into a connection string
        key += f";BlobEndpoint={bucket.endpoint.rstrip('/')}"
    return {
        "container": bucket.name,
        "account_name": bucket.account or held.get("account_name", ""),
        "account_key": key,
    }


def _google_key(bucket: Bucket) -> str:
    """The key of a service account; empty for one of an emulator, which no token server knows."""
    key = bucket.credentials.get("token", "")
    try:
        return "" if json.loads(key).get("disable_oauth") else key
    except (ValueError, AttributeError):
        return key
