"""What labelloop wants of Google Cloud: the CORS document and the bindings, and which changes lead there. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from labelloop.cloud.plan import METHODS, Change, Kept, Owner, Plan, check_secret
from labelloop.errors import ConfigError

ROLES = ("roles/storage.legacyBucketReader", "roles/storage.objectUser")
"""Looking at the bucket and listing it; reading, writing and deleting objects. Both on the one bucket only."""

SIGNATURE = "x-goog-meta-labelloop"
"""A header that our CORS rule exposes, by which it is known again: rules have no names here."""

DESCRIPTION = "managed by labelloop"
"""What the description of a service account of ours begins with; the ids of kept keys follow."""

_NAME = re.compile(r"(?!goog)(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_ACCOUNT = re.compile(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])")
_ABBREVIATED = 12
_MOST_KEYS = 10

Json = Mapping[str, Any]


def check_bucket(name: str) -> str:
    """A bucket's name, if Google takes it.

    Raises:
        ConfigError: It does not; the rules are said.
    """
    if _NAME.fullmatch(name) and "google" not in name:
        return name
    raise ConfigError(
        f"{name!r} is not a name for a Google Cloud Storage bucket",
        "3 to 63 of a-z, 0-9, -, _ and ., beginning and ending with a letter or digit, without 'google'; all of Google"
        " Cloud shares the names",
    )


def check_project(name: str) -> str:
    """A project's id, if it can be one.

    Raises:
        ConfigError: It cannot.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9.:-]*", name):
        return name
    raise ConfigError(f"{name!r} is not the id of a project", "gcloud projects list shows the ids: --project ID")


def cors(origins: Sequence[str]) -> list[dict[str, Any]]:
    """The CORS configuration that lets pages of `origins` show what is in the bucket."""
    headers = ["Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "ETag", SIGNATURE]
    return [{"origin": list(origins), "method": list(METHODS), "responseHeader": headers, "maxAgeSeconds": 3600}]


def bindings(bucket: str, member: str, prefix: str = "") -> list[dict[str, Any]]:
    """The least that labelloop and Label Studio need of a bucket, as bindings of its IAM policy.

    Args:
        bucket: The bucket.
        member: Who, such as `serviceAccount:labelloop@project.iam.gserviceaccount.com`.
        prefix: Only objects whose names begin with it; names can be listed everywhere.
    """
    look, use = ({"role": role, "members": [member]} for role in ROLES)
    if prefix:
        start = f"projects/_/buckets/{bucket}/objects/{prefix}"
        use["condition"] = {"title": "labelloop", "expression": f'resource.name.startsWith("{start}")'}  # type: ignore[assignment]
    return [look, use]


def account_id(bucket: str) -> str:
    """The service account of a bucket; long or odd names are cut and told apart by a digest."""
    name = f"labelloop-{bucket}"
    if _ACCOUNT.fullmatch(name):
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", bucket)[:11].strip("-")
    return f"labelloop-{plain}-{sha256(bucket.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, kw_only=True)
class GcpRequest:
    """What somebody asked for.

    Attributes:
        bucket: The bucket.
        project: The project it and the service account are made in.
        prefix: Only this part of it; empty, or ending with a slash.
        region: Where the bucket is made.
        origins: Pages that show what is in it.
        secret: Name of the secret for labelloop and Label Studio.
        identities: Whether there are service accounts to be made: emulators have none.
    """

    bucket: str
    project: str
    prefix: str = ""
    region: str = ""
    origins: tuple[str, ...] = ()
    secret: str = "gcp"  # noqa: S105
    identities: bool = True

    @property
    def url(self) -> str:
        """The bucket."""
        return f"gs://{self.bucket}"

    @property
    def path(self) -> str:
        """The bucket with the prefix."""
        return f"gs://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def email(self) -> str:
        """The address of the service account."""
        return f"{account_id(self.bucket)}@{self.project}.iam.gserviceaccount.com"

    @property
    def member(self) -> str:
        """The service account as policies name it."""
        return f"serviceAccount:{self.email}"


@dataclass(frozen=True, kw_only=True)
class Account:
    """A service account as it is: its keys' ids, and what its description says of those that are kept somewhere."""

    owner: Owner = "missing"
    description: str = ""
    keys: tuple[str, ...] = ()

    def is_noted(self, key: str) -> bool:
        """Whether some secrets manager has this key."""
        return key[:_ABBREVIATED] in self.description.split()


@dataclass(frozen=True, kw_only=True)
class GcpResources:
    """What is there.

    Attributes:
        bucket: Whether it is there, and who made it.
        uniform: Whether access is decided by the bucket's policy alone, as conditions need it.
        rules: The CORS rules.
        policy: The IAM policy of the bucket.
        account: The service account.
        secret: The secret; its key's id where it is of that account.
    """

    bucket: Owner = "missing"
    uniform: bool = True
    rules: tuple[Json, ...] = ()
    policy: Json = field(default_factory=dict)
    account: Account = field(default_factory=Account)
    secret: Kept = field(default_factory=Kept)


def decide_setup(wanted: GcpRequest, found: GcpResources) -> Plan:
    """Which changes lead from what is there to what is wanted.

    Raises:
        ConfigError: The service account or the secret belongs to somebody else, there is no room for a key, or the
            bucket cannot be limited to a prefix.
    """
    changes: list[Change] = []
    notes: list[str] = []
    if found.bucket == "missing":
        changes.append(Change("bucket", f"create the private bucket {wanted.url} in {wanted.region}"))
    if found.bucket == "foreign":
        notes.append(f"{wanted.url} was there before labelloop: its settings stay, but for our CORS rule and binding")
    changes += _cors(wanted, found)
    if not wanted.identities:
        notes.append("this server has no service accounts: no credentials are made")
        return Plan(tuple(changes), tuple(notes))
    changes += [*_account(wanted, found), *_binding(wanted, found), *_key(wanted, found)]
    return Plan(tuple(changes), tuple(notes))


def decide_teardown(wanted: GcpRequest, found: GcpResources, *, delete_data: bool) -> Plan:
    """Which changes take away what labelloop made, and only that."""
    changes: list[Change] = []
    notes: list[str] = []
    others = [rule for rule in found.rules if not _is_ours(rule)]
    if len(others) < len(found.rules):
        changes.append(Change("cors", f"remove our CORS rule from {wanted.url}", {"rules": others}))
    if found.account.owner == "ours" and found.secret.key_id in found.account.keys:
        changes.append(Change("delete-secret", f"delete the secret {wanted.secret!r}", {"name": wanted.secret}))
    without = _without(found.policy, wanted.email)
    if found.account.owner != "foreign" and without != list(found.policy.get("bindings", [])):
        words = f"take {wanted.email} out of the policy of {wanted.url}"
        changes.append(Change("bind", words, {"policy": _policy(found.policy, without)}))
    if found.account.owner == "ours":
        words = f"delete the service account {wanted.email} with its {len(found.account.keys)} key(s)"
        changes.append(Change("delete-account", words))
    elif found.account.owner == "foreign":
        notes.append(f"the service account {wanted.email} was not made by labelloop: it stays")
    if found.bucket == "ours" and delete_data:
        changes.append(Change("empty", f"delete every object in {wanted.url}, all versions"))
        changes.append(Change("delete-bucket", f"delete the bucket {wanted.url}"))
    elif found.bucket == "ours":
        notes.append(f"{wanted.url} and its objects stay: --delete-data deletes them too")
    elif found.bucket == "foreign":
        notes.append(f"{wanted.url} does not bear labelloop's label: it stays, with everything in it")
    return Plan(tuple(changes), tuple(notes))


def noting(description: str, keys: Sequence[str], new: str) -> str:
    """The description of the account with one more kept key, without those that are gone."""
    ids = {key[:_ABBREVIATED] for key in keys}
    kept = [word for word in description.removeprefix(DESCRIPTION).split() if word in ids]
    return " ".join(dict.fromkeys([DESCRIPTION, *kept, new[:_ABBREVIATED]]))


def _cors(wanted: GcpRequest, found: GcpResources) -> list[Change]:
    ours = [rule for rule in found.rules if _is_ours(rule)]
    others = [rule for rule in found.rules if not _is_ours(rule)]
    allowed = [origin for rule in ours for origin in rule.get("origin", [])]
    origins = list(dict.fromkeys([*allowed, *wanted.origins]))
    if not origins or ours == cors(origins):
        return []
    new = [origin for origin in origins if origin not in allowed]
    words = (
        f"let {', '.join(new)} show what is in {wanted.url} (CORS)" if new else f"mend our CORS rule of {wanted.url}"
    )
    return [Change("cors", words, {"rules": [*others, *cors(origins)]})]


def _is_ours(rule: Json) -> bool:
    return SIGNATURE in rule.get("responseHeader", [])


def _account(wanted: GcpRequest, found: GcpResources) -> list[Change]:
    if found.account.owner == "foreign":
        raise ConfigError(
            f"the service account {wanted.email} exists and was not made by labelloop",
            f"if it may be used: gcloud iam service-accounts update {wanted.email} --description='{DESCRIPTION}'",
        )
    if found.account.owner == "missing":
        return [Change("account", f"create the service account {wanted.email}")]
    return []


def _binding(wanted: GcpRequest, found: GcpResources) -> list[Change]:
    if wanted.prefix and not found.uniform:
        raise ConfigError(
            f"{wanted.url} decides about access object by object, so that nobody can be limited to {wanted.prefix}",
            f"leave out --prefix, or: gcloud storage buckets update {wanted.url} --uniform-bucket-level-access",
        )
    now = list(found.policy.get("bindings", []))
    ours = [one for one in now if wanted.member in one.get("members", [])]
    then = bindings(wanted.bucket, wanted.member, wanted.prefix)
    if sorted((_shape(one) for one in ours), key=repr) == sorted((_shape(one) for one in then), key=repr):
        return []
    words = f"let {wanted.email} read and write {wanted.path}"
    policy = _policy(found.policy, [*_without(found.policy, wanted.email), *then])
    return [Change("bind", words, {"policy": policy})]


def _shape(binding: Json) -> tuple[str, str]:
    return binding["role"], binding.get("condition", {}).get("expression", "")


def _without(policy: Json, email: str) -> list[Json]:
    """The bindings without us, also as Google calls us once we are deleted."""
    kept = []
    for binding in policy.get("bindings", []):
        members = [
            one
            for one in binding.get("members", [])
            if f"serviceAccount:{email}" != one.partition("?")[0].removeprefix("deleted:")
        ]
        if members == list(binding.get("members", [])):
            kept.append(binding)
        elif members:
            kept.append({**binding, "members": members})
    return kept


def _policy(policy: Json, bound: Sequence[Json]) -> dict[str, Any]:
    version = 3 if any("condition" in one for one in bound) else policy.get("version", 1)
    return {**{key: policy[key] for key in ("etag",) if key in policy}, "version": version, "bindings": list(bound)}


def _key(wanted: GcpRequest, found: GcpResources) -> list[Change]:
    account, secret = found.account, found.secret
    check_secret(wanted.secret, secret, account.keys, "--secret NAME")
    changes = [
        Change(
            "delete-key",
            f"delete the key {key[:_ABBREVIATED]} of {wanted.email}, left over from an interrupted run",
            {"key": key},
        )
        for key in account.keys
        if not account.is_noted(key) and key != secret.key_id
    ]
    if secret.key_id in account.keys:
        if not account.is_noted(secret.key_id):
            changes.append(Change("note", f"note on {wanted.email} that its key is kept", {"key": secret.key_id}))
        return changes
    if len(account.keys) - len(changes) >= _MOST_KEYS:
        raise ConfigError(
            f"{wanted.email} has {_MOST_KEYS} keys, the most Google allows, and secret {wanted.secret!r} holds none",
            f"delete one: gcloud iam service-accounts keys delete {account.keys[0]} --iam-account={wanted.email}",
        )
    words = f"create a key of {wanted.email} and keep it as secret {wanted.secret!r}"
    return [*changes, Change("key", words, {"secret": wanted.secret})]
