"""Clients of AWS, or of servers that speak S3 and IAM, and what their refusals mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any

from labelloop.cloud import aws
from labelloop.errors import BackendError, ConfigError, LabelLoopError

_CONNECT, _READ, _ATTEMPTS = 5, 30, 3

_ACTIONS = {
    "HeadBucket": "s3:ListBucket",
    "GetBucketCors": "s3:GetBucketCORS",
    "PutBucketCors": "s3:PutBucketCORS",
    "DeleteBucketCors": "s3:PutBucketCORS",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "ListObjectVersions": "s3:ListBucketVersions",
    "DeleteObjects": "s3:DeleteObject",
}
"""Operations whose permission has another name."""

NO_CREDENTIALS = {"InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "AuthFailure"}
REFUSED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
_MISSING = {
    "404",
    "NoSuchBucket",
    "NoSuchEntity",
    "NoSuchTagSet",
    "NoSuchCORSConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
}
UNKNOWN = {"NotImplemented", "MethodNotAllowed"}
_LOGIN = (
    "aws configure, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; `aws sts get-caller-identity`"
)


class AwsClients:
    """Calls in the name of whoever runs labelloop.

    Args:
        wanted: What somebody asked for.
        endpoint: A server that speaks S3; empty for AWS.
        iam_endpoint: A server that speaks IAM and STS; empty for AWS.

    Attributes:
        region: Where the bucket is; empty before that is known.
    """

    def __init__(self, wanted: aws.AwsRequest, endpoint: str, iam_endpoint: str) -> None:
        self.region = ""
        self._wanted = wanted
        self._endpoint = endpoint
        self._iam_endpoint = iam_endpoint

    def settle(self, region: str) -> None:
        """Speak S3 with this region from now on."""
        self.region = region
        self.__dict__.pop("s3", None)

    def explained(self) -> AbstractContextManager[None]:
        """Turn what botocore raises into what happened and what to do."""
        return _explained(self._wanted.bucket, self._endpoint)

    @cached_property
    def s3(self) -> Any:
        """What speaks S3."""
        return self.client("s3")

    @cached_property
    def iam(self) -> Any:
        """What speaks IAM."""
        return self.client("iam")

    @cached_property
    def sts(self) -> Any:
        """What speaks STS."""
        return self.client("sts")

    def default_region(self) -> str:
        """The region of the profile."""
        return str(self._session.region_name or "us-east-1")

    def client(self, service: str, key: str = "", secret: str = "") -> Any:
        """A client of a service, with a key of its own or those of the shell."""
        from botocore.config import Config

        endpoint = self._endpoint if service == "s3" else self._iam_endpoint
        style = {"addressing_style": "path"} if endpoint else {}
        with self.explained():
            return self._session.client(
                service,
                region_name=self.region or self._wanted.region or self.default_region(),
                endpoint_url=endpoint or None,
                aws_access_key_id=key or None,
                aws_secret_access_key=secret or None,
                config=Config(
                    connect_timeout=_CONNECT,
                    read_timeout=_READ,
                    retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
                    s3=style,
                ),
            )

    @cached_property
    def _session(self) -> Any:
        return _boto3().session.Session()


def client_error() -> type[Exception]:
    """What botocore raises where a service refuses."""
    from botocore.exceptions import ClientError

    found: type[Exception] = ClientError
    return found


def code_of(error: Any) -> str:
    """The service's own word for an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def or_none(call: Callable[..., Any], **arguments: Any) -> Any:
    """The answer, or None where what was asked for does not exist."""
    try:
        return call(**arguments)
    except client_error() as error:
        if code_of(error) in _MISSING:
            return None
        raise


def taken(bucket: str) -> ConfigError:
    """Says that the bucket is another account's."""
    return ConfigError(
        f"bucket {bucket!r} belongs to another account: all of AWS shares the names of buckets",
        "choose another name: --bucket NAME",
    )


def _boto3() -> Any:
    try:
        import boto3
    except ImportError:
        raise ConfigError("setting up AWS needs boto3", "labelloop integration install s3") from None
    return boto3


@contextmanager
def _explained(bucket: str, endpoint: str) -> Iterator[None]:
    """Turn what botocore raises into what happened and what to do; no secret is ever in either."""
    _boto3()
    from botocore import exceptions

    where = endpoint or "AWS"
    try:
        yield
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound) as error:
        raise ConfigError(f"no credentials to set up AWS with: {error}", _LOGIN) from None
    except exceptions.ClientError as error:
        raise _meaning(error, bucket, where) from None
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        raise BackendError(
            f"{where} does not answer: {type(error).__name__}", "check the network, and try again", retryable=True
        ) from None
    except exceptions.BotoCoreError as error:
        raise ConfigError(f"{where} cannot be asked: {error}", "check --region and --endpoint; aws configure") from None


def _meaning(error: Any, bucket: str, where: str) -> LabelLoopError:
    code, operation = code_of(error), str(error.operation_name)
    if code in NO_CREDENTIALS:
        return ConfigError(f"{where} refuses the credentials of this shell: {code}", _LOGIN)
    if code in REFUSED and operation == "HeadBucket":
        return ConfigError(
            f"bucket {bucket!r} belongs to another account, or you may not look at it (s3:ListBucket)",
            "choose another name: --bucket NAME, or ask its owner",
        )
    if code in REFUSED:
        action = _action(operation)
        return ConfigError(
            f"{where} refuses {action}: the credentials of this shell miss that permission",
            f"ask for {action}, or use other credentials: AWS_PROFILE=admin labelloop cloud setup aws ...",
        )
    if code == "BucketAlreadyExists":
        return taken(bucket)
    if code == "DeleteConflict":
        return ConfigError(
            f"{operation}: somebody attached more to what labelloop made: {error.response['Error'].get('Message', '')}",
            "detach it in the IAM console and run the same command again",
        )
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return BackendError(
        f"{where} answered {status} {code} at {operation}", "try again, or see its status page", retryable=status >= 500
    )


def _action(operation: str) -> str:
    if operation in _ACTIONS:
        return _ACTIONS[operation]
    if "Bucket" in operation or "Object" in operation:
        return f"s3:{operation}"
    return f"sts:{operation}" if operation in {"GetCallerIdentity", "GetFederationToken"} else f"iam:{operation}"
