"""Secrets as people register them: checked against a schema, merged, listed without their values."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from labelloop.errors import ConfigError, NotFoundError
from labelloop.machine.registry import unknown
from labelloop.protocols import ExclusiveSecrets, SecretsManager, check_secret_name
from labelloop.workspace.secret_schemas import checked, schema_named, schema_of

MASK = "********"
"""What stands for a value, however long it is."""

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class SecretSummary:
    """What may be shown of a secret: its keys, and the schema they fit."""

    name: str
    keys: tuple[str, ...]
    schema: str


def register(manager: SecretsManager, name: str, values: Mapping[str, str], schema: str = "") -> SecretSummary:
    """Keep a new secret. Where the manager can tell who was first, as `local` can, of several at once one keeps it.

    Raises:
        ConfigError: The name is taken or no name, there is no value, or the values are not what the schema wants.
    """
    check_secret_name(name)
    accepted = _accepted(name, values, schema)
    if not _added(manager, name, accepted):
        raise ConfigError(f"secret {name!r} exists already", f"labelloop secret update {name} --KEY=...")
    return _summary(name, accepted)


def update(
    manager: SecretsManager, name: str, values: Mapping[str, str], removed: Collection[str] = (), schema: str = ""
) -> SecretSummary:
    """Replace or add single values of a secret, and remove others; it stays what its schema wants.

    Raises:
        NotFoundError: There is no such secret, or none of the removed keys in it.
        ConfigError: A key nearly is one that is there, or the values do not work.
    """
    before = manager.get(name)
    if not values and not removed and not schema:
        raise ConfigError(
            f"nothing was given to change in secret {name!r}", f"labelloop secret update {name} --KEY=..."
        )
    for key in removed:
        if key not in before:
            raise NotFoundError(f"secret {name!r} has no key {key!r}", f"it has {', '.join(before)}")
    kind = schema_named(schema) if schema else schema_of(before)
    for key in values:
        _refuse_a_slip(name, key, {*before, *(kind.keys if kind else ())})
    merged = {key: value for key, value in {**before, **values}.items() if key not in removed}
    accepted = _accepted(name, merged, kind.name if kind and (schema or kind.covers(merged)) else "")
    manager.set(name, accepted)
    return _summary(name, accepted)


def values_of(manager: SecretsManager, name: str, key: str = "") -> Mapping[str, str]:
    """The values of one secret, or only that of `key`.

    Raises:
        NotFoundError: There is no such secret, or no such key in it.
    """
    found = manager.get(name)
    if key and key not in found:
        raise unknown(f"key of secret {name!r}", key, list(found))
    return {key: found[key]} if key else found


def summaries(manager: SecretsManager) -> Sequence[SecretSummary]:
    """Every secret there is, in the order of the names."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda name: _looked_up(manager, name), manager.names())
        return [one for one in found if one is not None]


def _looked_up(manager: SecretsManager, name: str) -> SecretSummary | None:
    """The summary; None for a secret that somebody deleted meanwhile."""
    try:
        return _summary(name, manager.get(name))
    except NotFoundError:
        return None


def _summary(name: str, values: Mapping[str, str]) -> SecretSummary:
    schema = schema_of(values, name)
    return SecretSummary(name, tuple(values), schema.name if schema else "")


def _accepted(name: str, values: Mapping[str, str], schema: str) -> Mapping[str, str]:
    accepted = checked(schema_named(schema), values) if schema else values
    if not accepted:
        raise ConfigError(f"secret {name!r} would hold no value", f"labelloop secret register {name} --KEY=VALUE")
    empty = [key for key, value in accepted.items() if not value.strip()]
    if empty:
        raise ConfigError(
            f"the value of {empty[0]!r} is empty", "an unset variable, perhaps? Leave a key out that has no value"
        )
    return accepted


def _added(manager: SecretsManager, name: str, values: Mapping[str, str]) -> bool:
    """Whether the secret was new, and is kept now."""
    if isinstance(manager, ExclusiveSecrets):
        return manager.add(name, values)
    try:
        manager.get(name)
    except NotFoundError:
        manager.set(name, values)
        return True
    return False


def _refuse_a_slip(name: str, key: str, known: Collection[str]) -> None:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.85)
    if key not in known and near:
        raise ConfigError(
            f"secret {name!r} has no key {key!r}",
            f"did you mean {near[0]!r}? A new key with such a name needs the secret to be registered anew",
        )
