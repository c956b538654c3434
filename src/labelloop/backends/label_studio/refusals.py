"""An answer that is not Label Studio's own: whose it seems to be, and in what words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx

from labelloop.errors import BackendError

_TITLE = re.compile(rb"<title[^>]*>(.{0,500}?)</title", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_LOGIN = re.compile(rb"type=[\"']?password|log.?in|sign.?in|anmelde|sso|saml|oauth", re.IGNORECASE)
_LOOKED_AT = 100_000
_LONGEST = 80
_OWN = ("detail", "validation_errors", "status_code")


class ForeignError(BackendError):
    """Something between us and Label Studio answered in its place.

    Args:
        message: What happened.
        hint: What to do next.
        status: What it answered with.
        retryable: Whether the same call may succeed later.
    """

    def __init__(self, message: str, hint: str = "", *, status: int = 0, retryable: bool = False) -> None:
        super().__init__(message, hint, retryable=retryable)
        self.status = status


class OversizeError(ForeignError):
    """The request is larger than somebody on the way takes; nothing was stored."""


def is_own(answer: httpx.Response, said: Any) -> bool:
    """Whether a refusal is Label Studio's: JSON with a detail, or with lists of complaints by field, and no page."""
    if answer.status_code == httpx.codes.NOT_FOUND:  # the one that tells of something gone, so nobody's but its own
        return isinstance(said, Mapping) and said.get("status_code") == answer.status_code
    if isinstance(said, Mapping):
        return any(name in said for name in _OWN) or (
            answer.status_code == httpx.codes.BAD_REQUEST
            and bool(said)
            and all(isinstance(v, list) for v in said.values())
        )
    return isinstance(said, list) and answer.status_code == httpx.codes.BAD_REQUEST


def described(answer: httpx.Response) -> str:
    """Who answered, by what it says of itself: `Server` header and title of its page."""
    server = clean(answer.headers.get("Server", ""))
    title = title_of(answer.content)
    said = [f"Server: {server}"] if server else []
    said += [f"title: {title}"] if title else []
    return f" ({', '.join(said)})" if said else ""


def advice(answer: httpx.Response) -> str:
    """What to do about it."""
    status = answer.status_code
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        return "the proxy wants a user and password: proxy = http://USER:PASSWORD@HOST, or HTTPS_PROXY"
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return "raise its limit (client_max_body_size of nginx), or set max_request_bytes of the annotator below it"
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return "see whether Label Studio behind it is up, then try again"
    if answer.is_redirect or is_login(answer):
        return (
            "set the annotator's url to the final address, Label Studio's own, without /projects or a login page before"
            " it; or have that let us pass: headers, client_certificate"
        )
    return (
        "ask whoever runs the proxy, firewall or login page before Label Studio to let us pass; or set the annotator's"
        " url to Label Studio's own address, without /projects or another page"
    )


def is_login(answer: httpx.Response) -> bool:
    """Whether a page asks people to sign in."""
    return bool(_LOGIN.search(answer.content[:_LOOKED_AT]))


def title_of(page: bytes) -> str:
    """The title of a page of HTML, short."""
    found = _TITLE.search(page[:_LOOKED_AT])
    return clean(_TAG.sub("", found[1].decode("utf-8", "replace"))) if found else ""


def clean(text: str, longest: int = _LONGEST) -> str:
    """One short line that does nothing to a terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
