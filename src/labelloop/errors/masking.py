"""Credentials in addresses are shown as `***`: in errors, logs, tables and JSON alike."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

MASK = "***"

_USER = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*:/+)(?P<user>[^\s:/?#@'\"<>]*)"
    r"(?P<password>:[^\s'\"<>@]*(?:@[^\s/?#'\"<>@]*(?=@))*)?@"  # a password may hold an `@` that nobody escaped
)
_PORT = re.compile(r":\d{1,5}(?:[/?#]|$)")
_PARAMETER = re.compile(r"(?P<before>[?&;#]|&amp;|\\u0026)(?P<name>[\w.%\[\]-]{1,64})=(?P<value>[^&\s'\"<>#\\]+)")
_SETTING = re.compile(
    r"(?P<name>\b(?:ssl)?passw(?:or)?d|\bpwd|\bAccountKey|\bSharedAccess(?:Key|Signature)|\baws_secret_access_key)"
    r"(?P<equals>\s?=\s?['\"]?)(?P<value>[^\s'\";,&)]+)",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(?P<scheme>\bBearer|\bBasic|\bToken)\s+(?P<value>(?=\S*\d)[A-Za-z0-9+/_.=-]{16,})")
_SECRET_NAME = re.compile(
    r"passw|pwd$|secret|token|signature|credential|^sig$|^sas$|^key$|^pass$|^auth$|authorization|jwt$|session"
    r"|(?:api|access|account|private|subscription|functions)[-_]?key|accessid$|accesskeyid$",
    re.IGNORECASE,
)
_SECRET_KEY = re.compile(
    r"(?:ssl)?passw(?:or)?d|pwd|(?:access_|sas_)?token|(?:api|secret|access|account)_?key|(?:client_)?secret"
    r"|connection_string",
    re.IGNORECASE,
)
_PLACEHOLDERS = frozenset(["...", "…", MASK, "VALUE", "PASSWORD", "TOKEN"])


def masked(text: str) -> str:
    """The text with every credential of every address in it as `***`.

    That is the password of `user:password@` (and a token alone before `@host` of a web address), the value of
    `?password=`, `?token=`, `sig=`, `X-Amz-Signature=` and their like, of `password=` in a connection string, and of an
    `Authorization` header. What is no credential stays: host, path, user, and when a signed link ends.
    """
    if "=" not in text and "@" not in text and " " not in text:
        return text
    if ":/" in text and "@" in text:  # a path has one slash left of the two
        text = _USER.sub(_without_password, text)
    if "=" in text:
        text = _SETTING.sub(_without_setting, _PARAMETER.sub(_without_value, text))
    return _HEADER.sub(lambda found: f"{found['scheme']} {MASK}", text)


def masked_tree(value: Any) -> Any:
    """The same for everything that JSON can hold."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: masked_tree(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked_tree(one) for one in value]
    return value


def setting(name: str, value: Any) -> Any:
    """The value of a setting as it may be shown: a credential by its name, or in an address, is not."""
    return _of_key(name.rpartition(".")[2], masked_tree(value))


def has_credentials(url: str) -> bool:
    """Whether an address carries a credential that does not belong there; links that a cloud signed are none."""
    found = _USER.search(url)
    return found is not None and _without_password(found) != found[0]


def has_any_credentials(url: str) -> bool:
    """Whether an address carries a credential in whatever form."""
    return masked(url) != url


def _of_key(key: str, value: Any) -> Any:
    return MASK if isinstance(value, str) and value and _SECRET_KEY.fullmatch(key) else value


def _without_password(found: re.Match[str]) -> str:
    scheme, user, password = found["scheme"], found["user"], found["password"]
    if password is None:
        is_token = user and scheme.lower().startswith(("http", "ftp", "git"))
        return f"{scheme}{MASK}@" if is_token else found[0]
    if _PORT.match(password):
        return found[0]  # host:port/path@, not a password
    return f"{scheme}{user}:{MASK}@"


def _without_value(found: re.Match[str]) -> str:
    if found["value"] in _PLACEHOLDERS or not _SECRET_NAME.search(unquote(found["name"])):
        return found[0]
    return f"{found['before']}{found['name']}={MASK}"


def _without_setting(found: re.Match[str]) -> str:
    if found["value"] in _PLACEHOLDERS or found["value"].startswith("..."):
        return found[0]
    return f"{found['name']}{found['equals']}{MASK}"
