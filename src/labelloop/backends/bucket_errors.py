"""What a cloud's refusal means, and what to do about it; never a word of what was sent or of the secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labelloop.errors import BackendError, ConfigError, LabelLoopError
from labelloop.machine.road import CA_VARIABLES

if TYPE_CHECKING:
    from labelloop.backends.bucket_connection import BucketConnection, Cloud

Kind = Literal[
    "missing", "no bucket", "keys", "expired", "denied", "region", "clock", "changed", "trust", "silent", "other"
]

_CODES: dict[str, Kind] = {
    "NoSuchBucket": "no bucket",
    "ContainerNotFound": "no bucket",
    "InvalidAccessKeyId": "keys",
    "SignatureDoesNotMatch": "keys",
    "InvalidToken": "keys",
    "AuthenticationFailed": "keys",
    "AuthorizationFailure": "keys",
    "InvalidAuthenticationInfo": "keys",
    "AuthenticationRequired": "keys",
    "NoAuthenticationInformation": "keys",
    "ExpiredToken": "expired",
    "TokenRefreshRequired": "expired",
    "RequestTimeTooSkewed": "clock",
    "PermanentRedirect": "region",
    "AuthorizationHeaderMalformed": "region",
    "IllegalLocationConstraintException": "region",
}
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_REGION = re.compile(r"(?:<Region>|expecting ')([a-z]{2}(?:-[a-z]+)+-\d)")
_SECRET_KEYS: dict[Cloud, str] = {
    "s3": "--aws_access_key_id=... --aws_secret_access_key=...",
    "gcp": "--token=@KEY_FILE.json",
    "azure": "--account_name=... --account_key=...",
}
_SETUP: dict[Cloud, str] = {"s3": "aws", "gcp": "gcp", "azure": "azure"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a service said: its HTTP status (0 for nothing), its own code, and what that means."""

    kind: Kind
    status: int
    code: str
    region: str = ""


def refusal_of(error: Exception, doing: str) -> Refusal:
    """Read what obstore passes on of an answer. Pure."""
    text = str(error).split("\n\nDebug source", maxsplit=1)[0]
    status = int(found.group(1)) if (found := _STATUS.search(text)) else 301 if "redirect" in text.lower() else 0
    code = found.group(1) if (found := _CODE.search(text)) else ""
    region = found.group(1) if (found := _REGION.search(text)) else ""
    if not status and "InvalidCertificate(" in str(error):
        return Refusal("trust", status, code)
    return Refusal(_kind(type(error).__name__, status, code, text, doing), status, code, region)


def _kind(name: str, status: int, code: str, text: str, doing: str) -> Kind:
    if code in _CODES:
        return _CODES[code]
    if status == 301:
        return "region"
    if name == "FileNotFoundError" or status == 404:
        return "no bucket" if doing in ("write", "list") else "missing"
    if name == "PreconditionError" or status == 412:
        return "changed"
    if name == "UnauthenticatedError" or status == 401:
        return "keys"
    if name == "PermissionDeniedError" or status == 403:
        return "denied"
    return "silent" if not status and "HTTP error" in text else "other"


def explained(store: BucketConnection, error: Exception, doing: str, name: str) -> Exception:
    """The error to raise instead: the same one where it is ours or the source's own.

    An object that is not there is a FileNotFoundError, one that may not be read a PermissionError: both are about that
    object alone. Everything else is about the bucket.
    """
    if isinstance(error, LabelLoopError) or not _is_the_clients(error):
        return error
    said = refusal_of(error, doing)
    if said.kind == "missing":
        return FileNotFoundError(f"{_root(store)}/{name} does not exist")
    if said.kind == "denied" and doing == "read":
        return PermissionError(f"{_root(store)}/{name} may not be read with {_whose(store)} ({_answer(said)})")
    return _told(store, said, doing, name)


def _is_the_clients(error: Exception) -> bool:
    """Whether the service or its client raised it, not the body that was being written."""
    module = type(error).__module__
    return module.startswith("obstore") or "Debug source" in str(error) or "non-2xx" in str(error)


def _told(store: BucketConnection, said: Refusal, doing: str, name: str) -> LabelLoopError:
    root, answer = _root(store), _answer(said)
    if said.kind == "no bucket":
        return ConfigError(
            f"{root} does not exist ({answer})",
            f"labelloop cloud setup {_SETUP[store.cloud]} --bucket {store.bucket_name}, "
            f"or labelloop artifact-store update {store.component} --path=...",
        )
    if said.kind == "keys":
        return ConfigError(f"{root} refuses {_whose(store)} ({answer})", _correct(store))
    if said.kind == "expired":
        token = " --aws_session_token=..." if store.cloud == "s3" else ""
        return ConfigError(f"{_whose(store)} have expired ({answer} at {root})", _correct(store) + token)
    if said.kind == "denied":
        what = "written to" if doing == "write" else "listed"
        return ConfigError(f"{root} may not be {what} with {_whose(store)} ({answer})", allowing(store, doing))
    if said.kind == "region":
        region = said.region or _asked(store)
        there = f", it is in {region}" if region else ""
        return ConfigError(
            f"{root} is in another region than the one asked{there} ({answer})",
            f"labelloop artifact-store update {store.component} --region={region or 'REGION'}",
        )
    if said.kind == "clock":
        return ConfigError(f"{root} refuses us because of the time ({answer})", "set the clock of this machine")
    if said.kind == "changed":
        return BackendError(f"{root}/{name} was replaced while it was read", "try again", retryable=True)
    if said.kind == "trust":
        where = store.endpoint or f"the service of {root}"
        return ConfigError(
            f"the certificate of {where} is not trusted",
            f"labelloop artifact-store update {store.component} --ca_bundle=FILE.pem, or name the authority's file by"
            f" {' or '.join(CA_VARIABLES)}",
        )
    if said.kind == "silent":
        where = store.endpoint or f"the service of {root}"
        return BackendError(
            f"{where} does not answer", "check the network and the endpoint, then again", retryable=True
        )
    return BackendError(
        f"{root} failed to {doing}{f' {name}' if name else ''} ({answer})",
        "try again, or look at the service's own status",
        retryable=said.status >= 500 or said.status in (0, 408, 429),
    )


def _asked(store: BucketConnection) -> str:
    """The region a bucket says it is in, which it tells to anybody; empty where it does not."""
    import httpx

    try:
        answer = httpx.head(f"{store.endpoint or 'https://s3.amazonaws.com'}/{store.bucket_name}", timeout=5)
    except httpx.HTTPError:
        return ""
    return str(answer.headers.get("x-amz-bucket-region", ""))


def _answer(said: Refusal) -> str:
    return f"{said.status or ''} {said.code}".strip() or "no answer"


def _root(store: BucketConnection) -> str:
    return f"{store.path.split('://', maxsplit=1)[0]}://{store.bucket_name}"


def _whose(store: BucketConnection) -> str:
    secret = store.authentication_secret
    return f"the credentials of secret {secret!r}" if secret else "the default credentials of this machine"


def _correct(store: BucketConnection) -> str:
    if store.authentication_secret:
        return f"labelloop secret update {store.authentication_secret} {_SECRET_KEYS[store.cloud]}"
    return (
        "sign in again, or name a secret:"
        f" labelloop artifact-store update {store.component} --authentication_secret=SECRET"
    )


def allowing(store: BucketConnection, doing: str) -> str:
    """What to allow, so that it can be done."""
    bucket = store.bucket_name
    if store.cloud == "s3":
        action = {"write": "s3:PutObject", "list": "s3:ListBucket"}.get(doing, "s3:GetObject and s3:ListBucket")
        return (
            f"allow {action} on arn:aws:s3:::{bucket}: labelloop cloud setup aws --bucket {bucket} --dry-run shows how"
        )
    if store.cloud == "gcp":
        return f"grant roles/storage.objectUser on gs://{bucket}: labelloop cloud setup gcp --bucket {bucket}"
    return f"grant Storage Blob Data Contributor on {bucket}, or use a key of the account: labelloop cloud setup azure"
