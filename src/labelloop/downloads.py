"""Pictures from the web: read with a limit and within a time, and never from this machine or its own link."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

from labelloop.errors import BackendError, BadItemError

if TYPE_CHECKING:
    import httpx

LARGEST = 64 << 20
"""Bytes of one picture."""

SECONDS = 60.0
"""For one picture, with its redirects."""

HOPS = 5
"""Redirects that are followed."""

_PATIENCE = 15.0


def download(url: str, allowed: frozenset[str] = frozenset()) -> bytes:
    """The bytes at an address of the web.

    Args:
        allowed: Hosts that may be this machine, or on its own link; all others must not be. A network inside, such as
            10.0.0.0/8, is no such place where the address itself names it, and is where another site redirects to it.

    Raises:
        BadItemError: The address is none, leads where it must not, is refused for good, or holds too much.
        BackendError: It does not answer now; `retryable`.
    """
    import httpx

    until, inside, address = time.monotonic() + SECONDS, True, url
    try:
        with httpx.Client(timeout=_PATIENCE) as client:
            for _ in range(HOPS + 1):
                inside = _checked(httpx.URL(address), url, allowed, may_be_inside=inside)
                with _opened(client, address) as answer:
                    if not answer.is_redirect:
                        return _read(answer, url, until)
                    address = str(answer.url.join(answer.headers["location"]))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
        raise BadItemError(f"{url} is a bad address: {error}", "correct its address") from error
    except httpx.HTTPError as error:
        raise BackendError(f"{url} does not answer: {error}", "try again", retryable=True) from error
    raise BadItemError(f"{url} redirects more than {HOPS} times", "correct its address")


@contextmanager
def _opened(client: httpx.Client, address: str) -> Iterator[httpx.Response]:
    with client.stream("GET", address, follow_redirects=False) as answer:
        yield answer


def _read(answer: httpx.Response, url: str, until: float) -> bytes:
    import httpx

    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
        raise BackendError(f"{url} answered {answer.status_code}", "try again later", retryable=True)
    if not answer.is_success:
        raise BadItemError(f"{url} answered {answer.status_code}", "correct its address")
    body = bytearray()
    for part in answer.iter_bytes(1 << 16):
        body += part
        if len(body) > LARGEST:
            raise BadItemError(f"{url} is larger than {LARGEST >> 20} MiB", "make it smaller")
        if time.monotonic() > until:
            raise BackendError(f"{url} did not end within {SECONDS:.0f} s", "try again later", retryable=True)
    return bytes(body)


def _checked(address: httpx.URL, url: str, allowed: frozenset[str], *, may_be_inside: bool) -> bool:
    """Whether an address is on a network inside.

    Raises:
        BadItemError: It leads to this machine, to its link, or from outside to a network inside.
        BackendError: The name of its host is unknown now.
    """
    host = address.host.lower()
    if address.scheme not in ("http", "https") or not host:
        raise BadItemError(f"{url} leads to {address}, which is not on the web", "correct its address")
    if host in allowed:
        return may_be_inside
    found = _addresses(host, address)
    if bad := next((one for one in found if one.is_loopback or one.is_link_local or one.is_unspecified), None):
        raise BadItemError(
            f"{url} leads to {bad}, which is this machine or its own link",
            f'if you know what that is: set hosts = ["{host}"] under [dataset]',
        )
    inside = any(one.is_private for one in found)
    if inside and not may_be_inside:
        raise BadItemError(f"{url} is redirected to {host}, on a network inside", "name that address itself")
    return inside


def _addresses(host: str, address: httpx.URL) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """What a host is known as; nothing where a proxy looks it up."""
    try:
        return [_plain(host)]
    except ValueError:
        pass
    if getproxies().get(address.scheme) and not proxy_bypass(host):
        return []
    try:
        found = socket.getaddrinfo(
            host, address.port or (443 if address.scheme == "https" else 80), type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise BackendError(f"{host} does not answer: {error}", "try again", retryable=True) from error
    return [_plain(str(one[4][0]).partition("%")[0]) for one in found]


def _plain(said: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    one = ipaddress.ip_address(said.strip("[]"))
    mapped = one.ipv4_mapped if isinstance(one, ipaddress.IPv6Address) else None
    return mapped or one
