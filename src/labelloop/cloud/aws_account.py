"""One bucket in an AWS account, or on a server that speaks S3: look at what is there, make one change."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from labelloop.cloud import aws
from labelloop.cloud.aws_client import (
    NO_CREDENTIALS,
    REFUSED,
    UNKNOWN,
    AwsClients,
    client_error,
    code_of,
    or_none,
    taken,
)
from labelloop.cloud.plan import MANAGED, MARK, Change, Kept, Owner, Plan, kept
from labelloop.errors import ConfigError, LabelLoopError
from labelloop.protocols import SecretsManager

_POLICY = "labelloop"
_PROPAGATION = 60.0
"""Seconds until the newest access key is known everywhere in AWS."""


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
        self._now = now
        self._clients = AwsClients(wanted, endpoint, iam_endpoint)
        self._bucket = _Bucket(wanted, self._clients)
        self._users = _Users(wanted, self._clients, secrets, now)
        self.url = wanted.path

    def plan_setup(self) -> Plan:
        """What is missing."""
        found = self._look()
        return aws.decide_setup(replace(self._wanted, region=self._clients.region), found, self._now())

    def plan_teardown(self, *, delete_data: bool) -> Plan:
        """What labelloop made."""
        return aws.decide_teardown(self._wanted, self._look(), delete_data=delete_data)

    def store_options(self) -> Mapping[str, str]:
        """As `labelloop artifact-store register` takes them."""
        options = {"path": self.url, "region": self._clients.region, "endpoint": self._endpoint}
        if self._wanted.identities:
            options["authentication_secret"] = self._wanted.secret
        return {name: value for name, value in options.items() if value}

    def media_secret(self) -> str:
        """Label Studio has credentials of its own, which only read."""
        return self._wanted.reader_secret if self._wanted.identities else ""

    def act(self, change: Change) -> None:
        """Make one change."""
        steps: Mapping[str, Callable[..., None]] = {
            "bucket": self._bucket.make,
            "block": self._bucket.block,
            "cors": self._bucket.put_cors,
            "user": self._users.make,
            "policy": self._users.limit,
            "key": self._users.make_key,
            "note": self._users.note,
            "session": self._users.keep_session,
            "delete-key": self._users.delete_key,
            "delete-policy": self._users.delete_policy,
            "delete-user": self._users.delete,
            "delete-secret": self._secrets.delete,
            "empty": self._bucket.empty,
            "delete-bucket": self._bucket.delete,
        }
        with self._clients.explained():
            steps[change.step](**change.arguments)

    def _look(self) -> aws.AwsResources:
        with self._clients.explained():
            account, partition = self._users.identity() if self._wanted.identities else ("", "aws")
            bucket = self._bucket.find(account)
            there = bucket != "missing"
            return aws.AwsResources(
                account=account,
                partition=partition,
                bucket=bucket,
                public_blocked=self._bucket.is_blocked(),
                rules=tuple(self._bucket.rules()) if there else (),
                store=self._users.look(aws.user_name(self._wanted.bucket)),
                reader=self._users.look(aws.user_name(self._wanted.bucket, "-reader")),
                secret=self._kept(self._wanted.secret),
                reader_secret=self._kept(self._wanted.reader_secret),
            )

    def _kept(self, name: str) -> Kept:
        return kept(self._secrets, name, lambda values: values.get("aws_access_key_id", ""))


class _Bucket:
    """The bucket, with its rules."""

    def __init__(self, wanted: aws.AwsRequest, clients: AwsClients) -> None:
        self._wanted = wanted
        self._clients = clients

    def find(self, account: str) -> Owner:
        asked = {"Bucket": self._wanted.bucket, **({"ExpectedBucketOwner": account} if account else {})}
        found = or_none(self._clients.s3.head_bucket, **asked)
        self._clients.region = self._wanted.region or self._clients.default_region()
        if found is None:
            return "missing"
        there = found.get("BucketRegion", "")
        if there and self._wanted.region and there != self._wanted.region:
            raise ConfigError(
                f"bucket {self._wanted.bucket!r} is in {there}, not in {self._wanted.region}", f"--region {there}"
            )
        self._clients.settle(there or self._clients.region)
        tags = or_none(self._clients.s3.get_bucket_tagging, Bucket=self._wanted.bucket) or {"TagSet": []}
        return "ours" if _tags(tags["TagSet"]).get(MARK) == MANAGED else "foreign"

    def is_blocked(self) -> bool | None:
        try:
            found = or_none(self._clients.s3.get_public_access_block, Bucket=self._wanted.bucket)
        except client_error() as error:
            if code_of(error) in UNKNOWN:
                return None
            raise
        return found is not None and all(found["PublicAccessBlockConfiguration"].values())

    def rules(self) -> Sequence[Mapping[str, Any]]:
        found = or_none(self._clients.s3.get_bucket_cors, Bucket=self._wanted.bucket) or {"CORSRules": []}
        rules: Sequence[Mapping[str, Any]] = found["CORSRules"]
        return rules

    def make(self) -> None:
        tags = [{"Key": MARK, "Value": MANAGED}]
        where = {"LocationConstraint": self._clients.region} if self._clients.region not in {"", "us-east-1"} else {}
        bucket = self._wanted.bucket
        try:
            self._clients.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={**where, "Tags": tags})
        except client_error() as error:
            if code_of(error) == "BucketAlreadyExists":
                raise taken(bucket) from None
            raise
        if not (or_none(self._clients.s3.get_bucket_tagging, Bucket=bucket) or {}).get("TagSet"):
            self._clients.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})

    def block(self) -> None:
        kinds = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        self._clients.s3.put_public_access_block(
            Bucket=self._wanted.bucket, PublicAccessBlockConfiguration=dict.fromkeys(kinds, True)
        )

    def put_cors(self, rules: Sequence[Mapping[str, Any]]) -> None:
        if rules:
            self._clients.s3.put_bucket_cors(Bucket=self._wanted.bucket, CORSConfiguration={"CORSRules": list(rules)})
        else:
            self._clients.s3.delete_bucket_cors(Bucket=self._wanted.bucket)

    def empty(self) -> None:
        bucket = self._wanted.bucket
        for page in self._clients.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            left = (
                self._clients.s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
                if objects
                else {}
            )
            for one in left.get("Errors", ()):
                raise ConfigError(
                    f"{one['Key']!r} in {self._wanted.url} cannot be deleted: {one['Code']}",
                    "a lock, a retention rule or a missing s3:DeleteObjectVersion keeps it; lift that and run it again",
                )

    def delete(self) -> None:
        or_none(self._clients.s3.delete_bucket, Bucket=self._wanted.bucket)


class _Users:
    """The users with their policies and keys.

    Args:
        wanted: What somebody asked for.
        clients: Of IAM and STS.
        secrets: Where the keys are kept.
        now: The time.
    """

    def __init__(
        self, wanted: aws.AwsRequest, clients: AwsClients, secrets: SecretsManager, now: Callable[[], datetime]
    ) -> None:
        self._wanted = wanted
        self._clients = clients
        self._secrets = secrets
        self._now = now

    def identity(self) -> tuple[str, str]:
        identity = self._clients.sts.get_caller_identity()
        return str(identity["Account"]), str(identity["Arn"]).split(":")[1]

    def look(self, name: str) -> aws.User:
        found = or_none(self._clients.iam.get_user, UserName=name) if self._wanted.identities else None
        if found is None:
            return aws.User()
        tags = _tags(self._clients.iam.list_user_tags(UserName=name)["Tags"])
        policy = or_none(self._clients.iam.get_user_policy, UserName=name, PolicyName=_POLICY)
        keys = self._clients.iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
        return aws.User(
            owner="ours" if tags.get(MARK) == MANAGED else "foreign",
            policy=_document(policy["PolicyDocument"]) if policy else None,
            keys=tuple(key["AccessKeyId"] for key in keys),
            noted=aws.noted_in(tags),
        )

    def make(self, user: str) -> None:
        self._clients.iam.create_user(UserName=user, Tags=[{"Key": MARK, "Value": MANAGED}])

    def limit(self, user: str, policy: Mapping[str, Any]) -> None:
        self._clients.iam.put_user_policy(UserName=user, PolicyName=_POLICY, PolicyDocument=json.dumps(policy))

    def make_key(self, user: str, secret: str) -> None:
        key = self._clients.iam.create_access_key(UserName=user)["AccessKey"]
        values = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        try:
            self._secrets.set(secret, values)
        except LabelLoopError:
            self._clients.iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
            raise
        self.note(user, key["AccessKeyId"])

    def note(self, user: str, key: str, expires: str = "") -> None:
        self._clients.iam.tag_user(UserName=user, Tags=[{"Key": aws.note_of(key), "Value": expires}])

    def keep_session(self, user: str, secret: str, source: str, policy: Mapping[str, Any]) -> None:
        given = self._secrets.get(source)
        sts = self._clients.client("sts", given["aws_access_key_id"], given["aws_secret_access_key"])
        answer = self._once_known(
            lambda: sts.get_federation_token(
                Name=aws.FEDERATED,
                Policy=json.dumps(policy),
                DurationSeconds=int(self._wanted.lifetime.total_seconds()),
            )
        )
        key = answer["Credentials"]
        self._forget_expired(user)
        self.note(user, key["AccessKeyId"], key["Expiration"].astimezone(UTC).isoformat(timespec="seconds"))
        self._secrets.set(
            secret,
            {
                "aws_access_key_id": key["AccessKeyId"],
                "aws_secret_access_key": key["SecretAccessKey"],
                "aws_session_token": key["SessionToken"],
            },
        )

    def delete_key(self, user: str, key: str) -> None:
        or_none(self._clients.iam.delete_access_key, UserName=user, AccessKeyId=key)
        or_none(self._clients.iam.untag_user, UserName=user, TagKeys=[aws.note_of(key)])

    def delete_policy(self, user: str) -> None:
        or_none(self._clients.iam.delete_user_policy, UserName=user, PolicyName=_POLICY)

    def delete(self, user: str) -> None:
        or_none(self._clients.iam.delete_user, UserName=user)

    def _forget_expired(self, user: str) -> None:
        noted = aws.noted_in(_tags(self._clients.iam.list_user_tags(UserName=user)["Tags"]))
        over = [key for key, until in noted.items() if until and datetime.fromisoformat(until) < self._now()]
        if over:
            self._clients.iam.untag_user(UserName=user, TagKeys=[aws.note_of(key) for key in over])

    def _once_known(self, ask: Callable[[], Any]) -> Any:
        """AWS takes seconds until everybody knows a new access key and its policy."""
        patience = time.monotonic() + _PROPAGATION
        while True:
            try:
                return ask()
            except client_error() as error:
                if code_of(error) not in NO_CREDENTIALS | REFUSED or time.monotonic() > patience:
                    raise
                time.sleep(2.0)


def _tags(tags: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _document(policy: Any) -> Mapping[str, Any]:
    from urllib.parse import unquote

    found: Mapping[str, Any] = json.loads(unquote(policy)) if isinstance(policy, str) else policy
    return found
