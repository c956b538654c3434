"""What secrets of a known kind must hold: keys, and what their values look like."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from labelloop.errors import ConfigError
from labelloop.machine.registry import unknown

Check = Callable[[str, str], None]
"""Refuses a value of a key; never shows it."""

_NEEDED_OF_GCP = ("project_id", "private_key_id", "private_key", "client_email", "token_uri")
_KNOWN_TYPES_OF_GCP = ("authorized_user", "external_account", "impersonated_service_account", "gdch_service_account")


@dataclass(frozen=True, slots=True)
class SecretSchema:
    """The keys of one kind of secret.

    Args:
        name: What `--schema` takes.
        purpose: Who uses such a secret.
        required: Keys it must have.
        optional: Keys it may have.
        check: Refuses a value that cannot work.
    """

    name: str
    purpose: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    check: Check = lambda key, value: None

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key it knows."""
        return self.required + self.optional

    def covers(self, keys: Collection[str]) -> bool:
        """Whether these keys are all it needs, and no others."""
        return set(self.required) <= set(keys) <= set(self.keys)

    def fits(self, values: Mapping[str, str]) -> bool:
        """Whether a secret with these values is of this kind."""
        if not self.covers(values):
            return False
        try:
            for key, value in values.items():
                self.check(key, value)
        except ConfigError:
            return False
        return True

    def missing(self, keys: Collection[str]) -> list[str]:
        """The keys a secret with these ones still needs."""
        return [key for key in self.required if key not in keys]


def one_line(key: str, value: str) -> None:
    """Refuse a value with white space in it, as a careless copy leaves it."""
    if any(letter.isspace() for letter in value):
        raise ConfigError(f"the value of {key!r} has white space in it", "copy it again, as one line")


def azure_value(key: str, value: str) -> None:
    """Refuse a connection string where one part of it belongs."""
    one_line(key, value)
    if "AccountKey=" in value:
        raise ConfigError(
            f"the value of {key!r} is a connection string",
            "take account_name and account_key out of it: AccountName=..., AccountKey=...",
        )


def service_account(key: str, value: str) -> None:
    """Refuse what is not the JSON text of a service account's key file; names what is wrong, never the content."""
    hint = f"download a JSON key of a service account and give it as --{key}=@PATH"
    try:
        found = json.loads(value)
    except ValueError as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "its text"
        raise ConfigError(f"the value of {key!r} is not JSON: {where}", hint) from None
    if not isinstance(found, dict):
        raise ConfigError(f"the value of {key!r} is JSON, but no object", hint)
    if found.get("type") != "service_account":
        kind = found.get("type") if found.get("type") in _KNOWN_TYPES_OF_GCP else "something else"
        raise ConfigError(f"the value of {key!r} is no key of a service account: its type is {kind}", hint)
    missing = [field for field in _NEEDED_OF_GCP if not isinstance(found.get(field), str) or not found[field].strip()]
    if missing:
        raise ConfigError(f"the key file in {key!r} misses {', '.join(missing)}", hint)
    if "PRIVATE KEY-----" not in found["private_key"]:
        raise ConfigError(f"the private_key of the key file in {key!r} is not in PEM format", hint)


_AWS = (("aws_access_key_id", "aws_secret_access_key"), ("aws_session_token",), one_line)

SCHEMAS: Mapping[str, SecretSchema] = {
    schema.name: schema
    for schema in (
        SecretSchema("aws", "the s3 artifact store", *_AWS),
        SecretSchema("aws_label_studio", "Label Studio, to read the bucket on S3", *_AWS),
        SecretSchema("azure", "the azure artifact store", ("account_name", "account_key"), check=azure_value),
        SecretSchema("gcp", "the gcp artifact store", ("token",), check=service_account),
        SecretSchema("label_studio", "a Label Studio that others run", ("api_key",), check=one_line),
    )
}
"""The kinds of secret there are, by name."""


def schema_named(name: str) -> SecretSchema:
    """One schema.

    Raises:
        NotFoundError: There is none of this name.
    """
    if name not in SCHEMAS:
        raise unknown("schema of a secret", name, SCHEMAS)
    return SCHEMAS[name]


def schema_of(values: Mapping[str, str], name: str = "") -> SecretSchema | None:
    """The schema that a secret with these values fits: of several with the same keys its namesake, else the first."""
    return next((one for one in sorted(SCHEMAS.values(), key=lambda one: one.name != name) if one.fits(values)), None)


def checked(schema: SecretSchema, values: Mapping[str, str]) -> Mapping[str, str]:
    """The values without white space around them, if they are what the schema wants.

    Raises:
        ConfigError: A key is unknown or missing, or a value cannot work.
    """
    for key in values:
        if key not in schema.keys:
            raise unknown(f"key of schema {schema.name!r}", key, list(schema.keys))
    trimmed = {key: value.strip() for key, value in values.items()}
    missing = schema.missing(trimmed)
    if missing:
        give = " ".join(f"--{key}=..." for key in missing)
        raise ConfigError(f"a secret of schema {schema.name!r} needs {', '.join(missing)}", f"add {give}")
    for key, value in trimmed.items():
        schema.check(key, value)
    return trimmed
