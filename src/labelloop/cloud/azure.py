"""What labelloop wants of Azure: the CORS document, and which changes lead there. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labelloop.cloud.plan import MANAGED, MARK, METHODS, Change, Kept, Owner, Plan
from labelloop.errors import ConfigError

SIGNATURE = "x-ms-meta-labelloop"
"""A header that our CORS rule exposes, by which it is known again: rules have no names here."""

USED, KEPT_AS = "labelloop_use", "labelloop_secret"
"""Entries in a container's metadata: labelloop shows what is in it; the secret that labelloop made for it."""

_CONTAINER = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_GROUP = re.compile(r"[\w().-]{0,89}[\w()-]", re.ASCII)
_MOST_RULES = 5

Json = Mapping[str, Any]


def check_bucket(name: str) -> str:
    """A container's name, if Azure takes it.

    Raises:
        ConfigError: It does not; the rules are said.
    """
    if _CONTAINER.fullmatch(name):
        return name
    raise ConfigError(
        f"{name!r} is not a name for a container of Azure Blob Storage",
        "3 to 63 of a-z, 0-9 and single -, beginning and ending with a letter or digit",
    )


def check_account(name: str) -> str:
    """A storage account's name, if Azure takes it.

    Raises:
        ConfigError: It does not; the rules are said.
    """
    if _ACCOUNT.fullmatch(name):
        return name
    raise ConfigError(
        f"{name!r} is not a name for a storage account" if name else "no storage account was named",
        "--account NAME: 3 to 24 of a-z and 0-9; all of Azure shares the names",
    )


def check_group(name: str) -> str:
    """A resource group's name, if Azure takes it.

    Raises:
        ConfigError: It does not; the rules are said.
    """
    if not name or _GROUP.fullmatch(name):
        return name
    raise ConfigError(
        f"{name!r} is not a name for a resource group", "up to 90 letters, digits, _ ( ) - and ., not ending with ."
    )


def cors(origins: Sequence[str]) -> dict[str, Any]:
    """The CORS rules of the blob service that let pages of `origins` show what is in its containers."""
    rule = {
        "allowedOrigins": list(origins),
        "allowedMethods": list(METHODS),
        "allowedHeaders": ["*"],
        "exposedHeaders": ["Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "ETag", SIGNATURE],
        "maxAgeInSeconds": 3600,
    }
    return {"corsRules": [rule]}


@dataclass(frozen=True, kw_only=True)
class AzureRequest:
    """What somebody asked for.

    Attributes:
        bucket: The container.
        account: The storage account.
        group: Its resource group; empty uses the account as it is, by a key.
        prefix: Only this part of the container; empty, or ending with a slash.
        region: Where group and account are made.
        origins: Pages that show what is in it.
        secret: Name of the secret for labelloop and Label Studio.
    """

    bucket: str
    account: str
    group: str = ""
    prefix: str = ""
    region: str = ""
    origins: tuple[str, ...] = ()
    secret: str = "azure"  # noqa: S105

    @property
    def url(self) -> str:
        """The container."""
        return f"az://{self.bucket}"

    @property
    def path(self) -> str:
        """The container with the prefix."""
        return f"az://{self.bucket}/{self.prefix}".rstrip("/")


@dataclass(frozen=True, kw_only=True)
class AzureResources:
    """What is there.

    Attributes:
        group: Whether the resource group is there, and who made it.
        account: The same of the storage account.
        container: The same of the container.
        metadata: The container's metadata.
        rules: The CORS rules of the account's blob service.
        siblings: Other containers of the account -> whether labelloop uses them.
        neighbours: Other resources of the group.
        secret: The secret; its account is the id.
        is_current: Whether the secret holds a key that works now.
    """

    group: Owner = "foreign"
    account: Owner = "foreign"
    container: Owner = "missing"
    metadata: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Json, ...] = ()
    siblings: Mapping[str, bool] = field(default_factory=dict)
    neighbours: tuple[str, ...] = ()
    secret: Kept = field(default_factory=Kept)
    is_current: bool = False


def decide_setup(wanted: AzureRequest, found: AzureResources) -> Plan:
    """Which changes lead from what is there to what is wanted.

    Raises:
        ConfigError: A region is needed, the secret is of another account, or there is no room for a CORS rule.
    """
    if found.secret.there and found.secret.key_id != wanted.account:
        raise ConfigError(
            f"secret {wanted.secret!r} exists and holds something else; it is not replaced",
            f"choose another name (--secret NAME), or: labelloop secret delete {wanted.secret}",
        )
    changes = _places(wanted, found)
    notes = []
    makes_secret = not (found.secret.there and found.is_current)
    marks = {USED: "shown", **({KEPT_AS: wanted.secret} if makes_secret or KEPT_AS in found.metadata else {})}
    if found.container == "missing":
        words = f"create the private container {wanted.url} in {wanted.account}"
        changes.append(Change("container", words, {"metadata": {MARK: MANAGED, **marks}}))
    elif not marks.items() <= found.metadata.items():
        words = f"note in the metadata of {wanted.url} that labelloop uses it"
        changes.append(Change("note", words, {"metadata": {**found.metadata, **marks}}))
    if found.container == "foreign":
        notes.append(f"{wanted.url} was there before labelloop: its access settings stay")
    changes += _cors(wanted, found)
    if makes_secret:
        words = f"keep a key of the storage account {wanted.account} as secret {wanted.secret!r}"
        changes.append(Change("secret", words))
    return Plan(tuple(changes), tuple(notes))


def decide_teardown(wanted: AzureRequest, found: AzureResources, *, delete_data: bool) -> Plan:
    """Which changes take away what labelloop made, and only that."""
    changes: list[Change] = []
    notes: list[str] = []
    if found.secret.key_id == wanted.account and found.metadata.get(KEPT_AS) == wanted.secret:
        changes.append(Change("delete-secret", f"delete the secret {wanted.secret!r}", {"name": wanted.secret}))
    others = [rule for rule in found.rules if not _is_ours(rule)]
    used = sorted(name for name, is_used in found.siblings.items() if is_used)
    if len(others) < len(found.rules) and not used:
        changes.append(Change("cors", f"remove our CORS rule from {wanted.account}", {"rules": others}))
    elif used:
        notes.append(f"our CORS rule stays for {', '.join(used)}")
    goes = found.container == "ours" and delete_data
    kept = {name: value for name, value in found.metadata.items() if name not in {USED, KEPT_AS}}
    if goes:
        changes.append(Change("delete-container", f"delete the container {wanted.url} with everything in it"))
    elif kept != found.metadata:
        changes.append(Change("note", f"remove our notes from the metadata of {wanted.url}", {"metadata": kept}))
    if found.container == "ours" and not delete_data:
        notes.append(f"{wanted.url} and its blobs stay: --delete-data deletes them too")
    elif found.container == "foreign":
        notes.append(f"{wanted.url} does not bear labelloop's mark: it stays, with everything in it")
    if delete_data:
        changes += _leave(wanted, found, empty=goes or found.container == "missing")
    return Plan(tuple(changes), tuple(notes))


def _places(wanted: AzureRequest, found: AzureResources) -> list[Change]:
    changes = []
    if "missing" in (found.group, found.account) and not wanted.region:
        raise ConfigError(
            f"{wanted.account} does not exist in {wanted.group}, and no region was said to make it in",
            "--region westeurope",
        )
    if found.group == "missing":
        changes.append(Change("group", f"create the resource group {wanted.group} in {wanted.region}"))
    if found.account == "missing":
        words = f"create the storage account {wanted.account} in {wanted.region}, without public access"
        changes.append(Change("account", words))
    return changes


def _cors(wanted: AzureRequest, found: AzureResources) -> list[Change]:
    ours = [rule for rule in found.rules if _is_ours(rule)]
    others = [rule for rule in found.rules if not _is_ours(rule)]
    allowed = [origin for rule in ours for origin in rule["allowedOrigins"]]
    origins = list(dict.fromkeys([*allowed, *wanted.origins]))
    then = cors(origins)["corsRules"]
    if not origins or ours == then:
        return []
    if len(others) >= _MOST_RULES:
        raise ConfigError(
            f"{wanted.account} has {_MOST_RULES} CORS rules, the most Azure allows, and none is ours",
            f"az storage cors list --services b --account-name {wanted.account}; remove one there",
        )
    new = [origin for origin in origins if origin not in allowed]
    words = f"let {', '.join(new)} show what is in {wanted.account} (CORS)" if new else "mend our CORS rule"
    return [Change("cors", words, {"rules": [*others, *then]})]


def _is_ours(rule: Json) -> bool:
    return SIGNATURE in rule["exposedHeaders"]


def _leave(wanted: AzureRequest, found: AzureResources, *, empty: bool) -> list[Change]:
    """Account and group go with the last of our containers, if they are ours and nobody else uses them."""
    if found.account != "ours" or found.siblings or not empty:
        alone = found.account == "missing" and found.group == "ours" and not found.neighbours
        return [Change("delete-group", f"delete the resource group {wanted.group}")] if alone else []
    changes = [Change("delete-account", f"delete the storage account {wanted.account}")]
    if found.group == "ours" and not found.neighbours:
        changes.append(Change("delete-group", f"delete the resource group {wanted.group}"))
    return changes
