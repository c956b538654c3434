"""What labelloop wants of AWS: the policy and CORS documents, and which changes lead there. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from labelloop.cloud.plan import METHODS, Change, Kept, Owner, Plan, check_secret
from labelloop.errors import ConfigError

RULE = "labelloop"
"""ID of our CORS rule."""

FEDERATED = "label-studio"
"""Name of the federated user behind temporary credentials."""

_LONGEST_USER = 64
_MOST_KEYS = 2
_NAME = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!xn--)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_NOTED = "labelloop-key-"

Json = Mapping[str, Any]


def check_bucket(name: str) -> str:
    """A bucket's name, if S3 takes it.

    Raises:
        ConfigError: It does not; the rules are said.
    """
    if _NAME.fullmatch(name):
        return name
    raise ConfigError(
        f"{name!r} is not a name for an S3 bucket",
        "3 to 63 of a-z, 0-9, - and ., beginning and ending with a letter or digit; all of AWS shares the names",
    )


def cors(origins: Sequence[str]) -> dict[str, Any]:
    """The CORS configuration that lets pages of `origins` show what is in the bucket."""
    return {"CORSRules": [_rule(origins)]}


def policy(
    bucket: str, prefix: str = "", *, write: bool = True, partition: str = "aws", federate: str = ""
) -> dict[str, Any]:
    """The least that labelloop (or, without `write`, Label Studio) needs of a bucket.

    Args:
        bucket: The bucket.
        prefix: Only keys that begin with it; empty, or ending with a slash.
        write: Whether objects may be written and deleted too.
        partition: Of the ARNs: `aws`, `aws-cn`, `aws-us-gov`.
        federate: The account whose temporary credentials may be asked for; empty for none.
    """
    arn = f"arn:{partition}:s3:::{bucket}"
    listing: dict[str, Any] = {"Sid": "List", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [arn]}
    if prefix:
        listing["Condition"] = {"StringLike": {"s3:prefix": [prefix, f"{prefix}*"]}}
    actions = ["s3:GetObject"]
    if write:
        actions += ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    looking = ["s3:GetBucketLocation", "s3:GetBucketCORS"] if write else ["s3:GetBucketLocation"]
    statements: list[dict[str, Any]] = [
        {"Sid": "Look", "Effect": "Allow", "Action": looking, "Resource": [arn]},
        listing,
        {"Sid": "Objects", "Effect": "Allow", "Action": actions, "Resource": [f"{arn}/{prefix}*"]},
    ]
    if federate:
        who = f"arn:{partition}:sts::{federate}:federated-user/{FEDERATED}"
        statements.append(
            {"Sid": "Federate", "Effect": "Allow", "Action": ["sts:GetFederationToken"], "Resource": [who]}
        )
    return {"Version": "2012-10-17", "Statement": statements}


def user_name(bucket: str, suffix: str = "") -> str:
    """The IAM user of a bucket; long names are cut and told apart by a digest."""
    name = f"labelloop-{bucket}{suffix}"
    if len(name) <= _LONGEST_USER:
        return name
    digest = sha256(bucket.encode()).hexdigest()[:8]
    return f"labelloop-{bucket[: _LONGEST_USER - 19 - len(suffix)]}-{digest}{suffix}"


@dataclass(frozen=True, kw_only=True)
class AwsRequest:
    """What somebody asked for.

    Attributes:
        bucket: The bucket.
        prefix: Only this part of it; empty, or ending with a slash.
        region: Where the bucket is made.
        origins: Pages that show what is in it.
        secret: Name of the secret for labelloop.
        reader_secret: Name of the secret for Label Studio.
        session: Label Studio gets temporary credentials instead of a user of its own.
        lifetime: Of temporary credentials.
        identities: Whether there are users to be made: S3's protocol elsewhere has no IAM.
    """

    bucket: str
    prefix: str = ""
    region: str = ""
    origins: tuple[str, ...] = ()
    secret: str = "aws"  # noqa: S105
    reader_secret: str = "aws_label_studio"  # noqa: S105
    session: bool = False
    lifetime: timedelta = timedelta(hours=12)
    identities: bool = True

    @property
    def url(self) -> str:
        """The bucket, as secrets made for it name it."""
        return f"s3://{self.bucket}"

    @property
    def path(self) -> str:
        """The bucket with the prefix, in words and for the artifact store."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


@dataclass(frozen=True, kw_only=True)
class User:
    """An IAM user as it is.

    Attributes:
        owner: Whether it is there, and who made it.
        policy: Its inline policy of ours.
        keys: The ids of its access keys.
        noted: The id of each key, and of each set of temporary credentials got with one, that some secrets manager
            holds -> when it expires; empty for a key. Other keys are left over from interrupted runs.
    """

    owner: Owner = "missing"
    policy: Json | None = None
    keys: tuple[str, ...] = ()
    noted: Mapping[str, str] = field(default_factory=dict)

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all credentials labelloop got through it."""
        return frozenset((*self.keys, *self.noted)) if self.owner == "ours" else frozenset()


@dataclass(frozen=True, kw_only=True)
class AwsResources:
    """What is there.

    Attributes:
        account: Our account; empty where there is no IAM.
        partition: Of ARNs.
        bucket: Whether it is there, and who made it.
        public_blocked: Whether public access is blocked; None where the server knows no such thing.
        rules: The CORS rules.
        store: The user of labelloop.
        reader: The user of Label Studio.
        secret: The secret of labelloop.
        reader_secret: The secret of Label Studio.
    """

    account: str = ""
    partition: str = "aws"
    bucket: Owner = "missing"
    public_blocked: bool | None = False
    rules: tuple[Json, ...] = ()
    store: User = field(default_factory=User)
    reader: User = field(default_factory=User)
    secret: Kept = field(default_factory=Kept)
    reader_secret: Kept = field(default_factory=Kept)


def decide_setup(wanted: AwsRequest, found: AwsResources, now: datetime) -> Plan:
    """Which changes lead from what is there to what is wanted.

    Raises:
        ConfigError: A user or a secret of the name belongs to somebody else, or a user has no room for a key.
    """
    changes = [*_bucket(wanted, found), *_cors(wanted, found)]
    notes = []
    if found.bucket == "foreign":
        notes.append(f"{wanted.url} was there before labelloop: its settings stay, but for our CORS rule")
    if not wanted.identities:
        notes.append("this server has no IAM: make a user limited to the bucket there, and keep its keys as a secret")
        return Plan(tuple(changes), tuple(notes))
    federate = found.account if wanted.session else ""
    limits = policy(wanted.bucket, wanted.prefix, partition=found.partition, federate=federate)
    name = user_name(wanted.bucket)
    changes += _user(wanted, name, found.store, limits, "read and write")
    changes += _key(name, found.store, (wanted.secret, found.secret), found.store.keys, "--secret NAME")
    changes += _session(wanted, found, now) if wanted.session else _reader(wanted, found)
    return Plan(tuple(changes), tuple(notes))


def decide_teardown(wanted: AwsRequest, found: AwsResources, *, delete_data: bool) -> Plan:
    """Which changes take away what labelloop made, and only that."""
    changes: list[Change] = []
    notes: list[str] = []
    others = [rule for rule in found.rules if rule.get("ID") != RULE]
    if len(others) < len(found.rules):
        changes.append(Change("cors", f"remove our CORS rule from {wanted.url}", {"rules": others}))
    held = (
        (wanted.reader_secret, found.reader_secret, found.reader.ids | found.store.ids),
        (wanted.secret, found.secret, found.store.ids),
    )
    changes += [
        Change("delete-secret", f"delete the secret {name!r}", {"name": name})
        for name, secret, ours in held
        if secret.key_id in ours
    ]
    for suffix, user in (("-reader", found.reader), ("", found.store)):
        name = user_name(wanted.bucket, suffix)
        if user.owner == "ours":
            changes += _goodbye(name, user)
        elif user.owner == "foreign":
            notes.append(f"the IAM user {name} was not made by labelloop: it stays")
    if found.bucket == "ours" and delete_data:
        changes.append(Change("empty", f"delete every object in {wanted.url}, all versions"))
        changes.append(Change("delete-bucket", f"delete the bucket {wanted.url}"))
    elif found.bucket == "ours":
        notes.append(f"{wanted.url} and its objects stay: --delete-data deletes them too")
    elif found.bucket == "foreign":
        notes.append(f"{wanted.url} does not bear labelloop's tag: it stays, with everything in it")
    return Plan(tuple(changes), tuple(notes))


def _bucket(wanted: AwsRequest, found: AwsResources) -> list[Change]:
    changes = []
    if found.bucket == "missing":
        where = f" in {wanted.region}" if wanted.region else ""
        changes.append(Change("bucket", f"create the private bucket {wanted.url}{where}"))
    if found.bucket != "foreign" and found.public_blocked is False:
        changes.append(Change("block", f"block public access to {wanted.url}"))
    return changes


def _cors(wanted: AwsRequest, found: AwsResources) -> list[Change]:
    ours = [rule for rule in found.rules if rule.get("ID") == RULE]
    others = [rule for rule in found.rules if rule.get("ID") != RULE]
    allowed = [origin for rule in ours for origin in rule["AllowedOrigins"]]
    rule = _rule(list(dict.fromkeys([*allowed, *wanted.origins])))
    if not rule["AllowedOrigins"] or ours == [rule]:
        return []
    new = [origin for origin in rule["AllowedOrigins"] if origin not in allowed]
    words = (
        f"let {', '.join(new)} show what is in {wanted.url} (CORS)" if new else f"mend our CORS rule of {wanted.url}"
    )
    return [Change("cors", words, {"rules": [*others, rule]})]


def _rule(origins: Sequence[str]) -> dict[str, Any]:
    return {
        "ID": RULE,
        "AllowedHeaders": ["*"],
        "AllowedMethods": list(METHODS),
        "AllowedOrigins": list(origins),
        "ExposeHeaders": ["ETag", "Content-Length", "Content-Range", "Accept-Ranges"],
        "MaxAgeSeconds": 3600,
    }


def _user(wanted: AwsRequest, name: str, user: User, limits: Json, may: str) -> list[Change]:
    if user.owner == "foreign":
        raise ConfigError(
            f"the IAM user {name!r} exists and does not bear labelloop's tag",
            f"if it may be used: aws iam tag-user --user-name {name} --tags Key=labelloop,Value=managed",
        )
    changes = []
    if user.owner == "missing":
        changes.append(Change("user", f"create the IAM user {name}", {"user": name}))
    if user.policy != limits:
        words = f"limit {name} to: {may} {wanted.path}"
        changes.append(Change("policy", words, {"user": name, "policy": limits}))
    return changes


def _key(name: str, user: User, kept: tuple[str, Kept], ours: Collection[str], option: str) -> list[Change]:
    secret_name, secret = kept
    check_secret(secret_name, secret, ours, option)
    changes = [
        Change(
            "delete-key", f"delete the access key {key} of {name}, left over from an interrupted run", _of(name, key)
        )
        for key in user.keys
        if key not in user.noted and key != secret.key_id
    ]
    if secret.key_id in user.keys:
        if secret.key_id not in user.noted:
            changes.append(Change("note", f"note on {name} that its key is kept", _of(name, secret.key_id)))
        return changes
    if len(user.keys) - len(changes) >= _MOST_KEYS:
        raise ConfigError(
            f"{name} has {_MOST_KEYS} access keys, the most AWS allows, and secret {secret_name!r} here holds neither",
            f"delete one: aws iam delete-access-key --user-name {name} --access-key-id {user.keys[0]}",
        )
    words = f"create an access key of {name} and keep it as secret {secret_name!r}"
    return [*changes, Change("key", words, {"user": name, "secret": secret_name})]


def _reader(wanted: AwsRequest, found: AwsResources) -> list[Change]:
    name = user_name(wanted.bucket, "-reader")
    limits = policy(wanted.bucket, wanted.prefix, write=False, partition=found.partition)
    ours = (found.reader.ids | found.store.ids) - set(found.store.keys)
    kept = (wanted.reader_secret, found.reader_secret)
    return [
        *_user(wanted, name, found.reader, limits, "read"),
        *_key(name, found.reader, kept, ours, "--label-studio-secret NAME"),
    ]


def _session(wanted: AwsRequest, found: AwsResources, now: datetime) -> list[Change]:
    name, secret, noted = wanted.reader_secret, found.reader_secret, found.store.noted
    ours = (found.reader.ids | found.store.ids) - set(found.store.keys)
    check_secret(name, secret, ours, "--label-studio-secret NAME")
    expires = noted.get(secret.key_id, "")
    changes = []
    if not expires or datetime.fromisoformat(expires) - now <= wanted.lifetime / 2:
        until = (now + wanted.lifetime).strftime("%Y-%m-%d %H:%M UTC")
        words = f"keep temporary credentials that read {wanted.path} until {until} as secret {name!r}"
        limits = policy(wanted.bucket, wanted.prefix, write=False, partition=found.partition)
        arguments = {"user": user_name(wanted.bucket), "secret": name, "source": wanted.secret, "policy": limits}
        changes.append(Change("session", words, arguments))
    if found.reader.owner == "ours":
        changes += _goodbye(user_name(wanted.bucket, "-reader"), found.reader)
    return changes


def _goodbye(name: str, user: User) -> list[Change]:
    changes = [Change("delete-key", f"delete the access key {key} of {name}", _of(name, key)) for key in user.keys]
    if user.policy is not None:
        changes.append(Change("delete-policy", f"delete the policy of {name}", {"user": name}))
    return [*changes, Change("delete-user", f"delete the IAM user {name}", {"user": name})]


def _of(name: str, key: str) -> Mapping[str, str]:
    return {"user": name, "key": key}


def note_of(key: str) -> str:
    """The tag of a user that says: these credentials of mine are kept somewhere."""
    return f"{_NOTED}{key}"


def noted_in(tags: Mapping[str, str]) -> Mapping[str, str]:
    """The credentials that a user's tags say are kept somewhere -> when they expire; empty for never."""
    return {name.removeprefix(_NOTED): value for name, value in tags.items() if name.startswith(_NOTED)}
