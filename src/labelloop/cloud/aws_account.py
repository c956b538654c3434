"""One bucket in an AWS account, or on a server that speaks S3: look at what is there, make one change."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from labelloop.cloud import aws
from labelloop.cloud.plan import MANAGED, MARK, Change, Kept, Owner, Plan, kept
from labelloop.errors import BackendError, ConfigError, LabelLoopError
from labelloop.protocols import SecretsManager

_POLICY = "labelloop"
_CONNECT, _READ, _ATTEMPTS = 5, 30, 3
_PROPAGATION = 60.0
"""Seconds until the newest access key is known everywhere in AWS."""

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

_NO_CREDENTIALS = {"InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "AuthFailure"}
_REFUSED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
_MISSING = {
    "404",
    "NoSuchBucket",
    "NoSuchEntity",
    "NoSuchTagSet",
    "NoSuchCORSConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
}
_UNKNOWN = {"NotImplemented", "MethodNotAllowed"}
_LOGIN = (
    "aws configure, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; `aws sts get-caller-identity`"
)


class AWS:
    """A bucket with its users and secrets; a `labelloop.cloud.plan.Cloud`.

    Args:
        wanted: What somebody asked for.
        secrets: Where the credentials that are made are kept.
        endpoint: A server that speaks S3; empty for AWS.
        iam_endpoint: A server that speaks IAM and STS; empty for AWS.
        now: The time.
    """

    def __init__(
        self,
        wanted: aws.AwsRequest,
        secrets: SecretsManager,
        *,
        endpoint: str = "",
        iam_endpoint: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        aws.check_bucket(wanted.bucket)
        self._wanted = wanted
        self._secrets = secrets
        self._endpoint = endpoint
        self._iam_endpoint = iam_endpoint
        self._now = now
        self._region = ""
        self.url = wanted.path

    def plan_setup(self) -> Plan:
        """What is missing."""
        found = self._look()
        return aws.decide_setup(replace(self._wanted, region=self._region), found, self._now())

    def plan_teardown(self, *, delete_data: bool) -> Plan:
        """What labelloop made."""
        return aws.decide_teardown(self._wanted, self._look(), delete_data=delete_data)

    def store_options(self) -> Mapping[str, str]:
        """As `labelloop artifact-store register` takes them."""
        options = {"path": self.url, "region": self._region, "endpoint": self._endpoint}
        if self._wanted.identities:
            options["authentication_secret"] = self._wanted.secret
        return {name: value for name, value in options.items() if value}

    def media_secret(self) -> str:
        """Label Studio has credentials of its own, which only read."""
        return self._wanted.reader_secret if self._wanted.identities else ""

    def act(self, change: Change) -> None:
        """Make one change."""
        steps: Mapping[str, Callable[..., None]] = {
            "bucket": self._make_bucket,
            "block": self._block,
            "cors": self._put_cors,
            "user": self._make_user,
            "policy": self._limit,
            "key": self._make_key,
            "note": self._note,
            "session": self._keep_session,
            "delete-key": self._delete_key,
            "delete-policy": self._delete_policy,
            "delete-user": self._delete_user,
            "delete-secret": self._secrets.delete,
            "empty": self._empty,
            "delete-bucket": self._delete_bucket,
        }
        with _explained(self._wanted.bucket, self._endpoint):
            steps[change.step](**change.arguments)

    def _look(self) -> aws.AwsResources:
        with _explained(self._wanted.bucket, self._endpoint):
            account, partition = self._whoami() if self._wanted.identities else ("", "aws")
            bucket = self._find_bucket(account)
            there = bucket != "missing"
            return aws.AwsResources(
                account=account,
                partition=partition,
                bucket=bucket,
                public_blocked=self._is_blocked(),
                rules=tuple(self._rules()) if there else (),
                store=self._user(aws.user_name(self._wanted.bucket)),
                reader=self._user(aws.user_name(self._wanted.bucket, "-reader")),
                secret=self._kept(self._wanted.secret),
                reader_secret=self._kept(self._wanted.reader_secret),
            )

    def _whoami(self) -> tuple[str, str]:
        identity = self._sts.get_caller_identity()
        return str(identity["Account"]), str(identity["Arn"]).split(":")[1]

    def _find_bucket(self, account: str) -> Owner:
        asked = {"Bucket": self._wanted.bucket, **({"ExpectedBucketOwner": account} if account else {})}
        found = _or_none(self._s3.head_bucket, **asked)
        self._region = self._wanted.region or self._default_region()
        if found is None:
            return "missing"
        there = found.get("BucketRegion", "")
        if there and self._wanted.region and there != self._wanted.region:
            raise ConfigError(
                f"bucket {self._wanted.bucket!r} is in {there}, not in {self._wanted.region}", f"--region {there}"
            )
        self._region = there or self._region
        self.__dict__.pop("_s3", None)
        tags = _or_none(self._s3.get_bucket_tagging, Bucket=self._wanted.bucket) or {"TagSet": []}
        return "ours" if _tags(tags["TagSet"]).get(MARK) == MANAGED else "foreign"

    def _is_blocked(self) -> bool | None:
        try:
            found = _or_none(self._s3.get_public_access_block, Bucket=self._wanted.bucket)
        except _client_error() as error:
            if _code(error) in _UNKNOWN:
                return None
            raise
        return found is not None and all(found["PublicAccessBlockConfiguration"].values())

    def _rules(self) -> Sequence[Mapping[str, Any]]:
        found = _or_none(self._s3.get_bucket_cors, Bucket=self._wanted.bucket) or {"CORSRules": []}
        rules: Sequence[Mapping[str, Any]] = found["CORSRules"]
        return rules

    def _user(self, name: str) -> aws.User:
        found = _or_none(self._iam.get_user, UserName=name) if self._wanted.identities else None
        if found is None:
            return aws.User()
        tags = _tags(self._iam.list_user_tags(UserName=name)["Tags"])
        policy = _or_none(self._iam.get_user_policy, UserName=name, PolicyName=_POLICY)
        keys = self._iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
        return aws.User(
            owner="ours" if tags.get(MARK) == MANAGED else "foreign",
            policy=_document(policy["PolicyDocument"]) if policy else None,
            keys=tuple(key["AccessKeyId"] for key in keys),
            noted=aws.noted_in(tags),
        )

    def _kept(self, name: str) -> Kept:
        return kept(self._secrets, name, lambda values: values.get("aws_access_key_id", ""))

    def _make_bucket(self) -> None:
        tags = [{"Key": MARK, "Value": MANAGED}]
        where = {"LocationConstraint": self._region} if self._region not in {"", "us-east-1"} else {}
        bucket = self._wanted.bucket
        try:
            self._s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={**where, "Tags": tags})
        except _client_error() as error:
            if _code(error) == "BucketAlreadyExists":
                raise _taken(bucket) from None
            raise
        if not (_or_none(self._s3.get_bucket_tagging, Bucket=bucket) or {}).get("TagSet"):
            self._s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})

    def _block(self) -> None:
        kinds = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        self._s3.put_public_access_block(
            Bucket=self._wanted.bucket, PublicAccessBlockConfiguration=dict.fromkeys(kinds, True)
        )

    def _put_cors(self, rules: Sequence[Mapping[str, Any]]) -> None:
        if rules:
            self._s3.put_bucket_cors(Bucket=self._wanted.bucket, CORSConfiguration={"CORSRules": list(rules)})
        else:
            self._s3.delete_bucket_cors(Bucket=self._wanted.bucket)

    def _make_user(self, user: str) -> None:
        self._iam.create_user(UserName=user, Tags=[{"Key": MARK, "Value": MANAGED}])

    def _limit(self, user: str, policy: Mapping[str, Any]) -> None:
        self._iam.put_user_policy(UserName=user, PolicyName=_POLICY, PolicyDocument=json.dumps(policy))

    def _make_key(self, user: str, secret: str) -> None:
        key = self._iam.create_access_key(UserName=user)["AccessKey"]
        values = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        try:
            self._secrets.set(secret, values)
        except LabelLoopError:
            self._iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
            raise
        self._note(user, key["AccessKeyId"])

    def _note(self, user: str, key: str, expires: str = "") -> None:
        self._iam.tag_user(UserName=user, Tags=[{"Key": aws.note_of(key), "Value": expires}])

    def _keep_session(self, user: str, secret: str, source: str, policy: Mapping[str, Any]) -> None:
        given = self._secrets.get(source)
        sts = self._client("sts", given["aws_access_key_id"], given["aws_secret_access_key"])
        answer = self._once_known(
            lambda: sts.get_federation_token(
                Name=aws.FEDERATED,
                Policy=json.dumps(policy),
                DurationSeconds=int(self._wanted.lifetime.total_seconds()),
            )
        )
        key = answer["Credentials"]
        self._forget_expired(user)
        self._note(user, key["AccessKeyId"], key["Expiration"].astimezone(UTC).isoformat(timespec="seconds"))
        self._secrets.set(
            secret,
            {
                "aws_access_key_id": key["AccessKeyId"],
                "aws_secret_access_key": key["SecretAccessKey"],
                "aws_session_token": key["SessionToken"],
            },
        )

    def _forget_expired(self, user: str) -> None:
        noted = aws.noted_in(_tags(self._iam.list_user_tags(UserName=user)["Tags"]))
        over = [key for key, until in noted.items() if until and datetime.fromisoformat(until) < self._now()]
        if over:
            self._iam.untag_user(UserName=user, TagKeys=[aws.note_of(key) for key in over])

    def _once_known(self, ask: Callable[[], Any]) -> Any:
        """AWS takes seconds until everybody knows a new access key and its policy."""
        patience = time.monotonic() + _PROPAGATION
        while True:
            try:
                return ask()
            except _client_error() as error:
                if _code(error) not in _NO_CREDENTIALS | _REFUSED or time.monotonic() > patience:
                    raise
                time.sleep(2.0)

    def _delete_key(self, user: str, key: str) -> None:
        _or_none(self._iam.delete_access_key, UserName=user, AccessKeyId=key)
        _or_none(self._iam.untag_user, UserName=user, TagKeys=[aws.note_of(key)])

    def _delete_policy(self, user: str) -> None:
        _or_none(self._iam.delete_user_policy, UserName=user, PolicyName=_POLICY)

    def _delete_user(self, user: str) -> None:
        _or_none(self._iam.delete_user, UserName=user)

    def _empty(self) -> None:
        bucket = self._wanted.bucket
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            left = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}) if objects else {}
            for one in left.get("Errors", ()):
                raise ConfigError(
                    f"{one['Key']!r} in {self._wanted.url} cannot be deleted: {one['Code']}",
                    "a lock, a retention rule or a missing s3:DeleteObjectVersion keeps it; lift that and run it again",
                )

    def _delete_bucket(self) -> None:
        _or_none(self._s3.delete_bucket, Bucket=self._wanted.bucket)

    @cached_property
    def _session(self) -> Any:
        return _boto3().session.Session()

    @cached_property
    def _s3(self) -> Any:
        return self._client("s3")

    @cached_property
    def _iam(self) -> Any:
        return self._client("iam")

    @cached_property
    def _sts(self) -> Any:
        return self._client("sts")

    def _default_region(self) -> str:
        return str(self._session.region_name or "us-east-1")

    def _client(self, service: str, key: str = "", secret: str = "") -> Any:
        from botocore.config import Config

        endpoint = self._endpoint if service == "s3" else self._iam_endpoint
        style = {"addressing_style": "path"} if endpoint else {}
        with _explained(self._wanted.bucket, self._endpoint):
            return self._session.client(
                service,
                region_name=self._region or self._wanted.region or self._default_region(),
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


def _boto3() -> Any:
    try:
        import boto3
    except ImportError:
        raise ConfigError("setting up AWS needs boto3", "labelloop integration install s3") from None
    return boto3


def _client_error() -> type[Exception]:
    from botocore.exceptions import ClientError

    found: type[Exception] = ClientError
    return found


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _or_none(call: Callable[..., Any], **arguments: Any) -> Any:
    """The answer, or None where what was asked for does not exist."""
    try:
        return call(**arguments)
    except _client_error() as error:
        if _code(error) in _MISSING:
            return None
        raise


def _tags(tags: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _document(policy: Any) -> Mapping[str, Any]:
    from urllib.parse import unquote

    found: Mapping[str, Any] = json.loads(unquote(policy)) if isinstance(policy, str) else policy
    return found


def _taken(bucket: str) -> ConfigError:
    return ConfigError(
        f"bucket {bucket!r} belongs to another account: all of AWS shares the names of buckets",
        "choose another name: --bucket NAME",
    )


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
    code, operation = _code(error), str(error.operation_name)
    if code in _NO_CREDENTIALS:
        return ConfigError(f"{where} refuses the credentials of this shell: {code}", _LOGIN)
    if code in _REFUSED and operation == "HeadBucket":
        return ConfigError(
            f"bucket {bucket!r} belongs to another account, or you may not look at it (s3:ListBucket)",
            "choose another name: --bucket NAME, or ask its owner",
        )
    if code in _REFUSED:
        action = _action(operation)
        return ConfigError(
            f"{where} refuses {action}: the credentials of this shell miss that permission",
            f"ask for {action}, or use other credentials: AWS_PROFILE=admin labelloop cloud setup aws ...",
        )
    if code == "BucketAlreadyExists":
        return _taken(bucket)
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
