"""Pictures from the web: read with a limit and within a time, and never from this machine or its own link."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from labelloop.errors import BackendError, BadItemError
from labelloop.machine.road import Road, advice, bundle_of

if TYPE_CHECKING:
    import httpx

LARGEST = 64 << 20
"""Bytes of one picture."""

SECONDS = 60.0
"""For one picture, with its redirects."""

HOPS = 5
"""Redirects that are followed."""

_PATIENCE = 15.0
_TRIED = 4


SILENT = 60.0
"""Seconds for which a host that did not answer is not asked again."""

T = TypeVar("T")


class SilentError(BackendError):
    """Nobody answered at all."""


class Silence:
    """Hosts that did not answer a moment ago: they are asked once a while, and not once for each of their pictures.

    Of a host about which nothing is known one thing is asked at a time. Thread-safe; another process begins anew.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._silent: dict[str, tuple[float, str]] = {}
        self._alive: set[str] = set()
        self._first: dict[str, Lock] = {}
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[Silence], tuple[()]]:
        return Silence, ()

    def ask(self, host: str, url: str, asking: Callable[[], T]) -> T:
        """What the host answers.

        Raises:
            BackendError: It did not a moment ago; `retryable`.
        """
        if host in self._alive:
            return self._noted(host, asking)
        with self._lock:
            first = self._first.setdefault(host, Lock())
        with first:
            self._refuse(host, url)
            return self._noted(host, asking)

    def _noted(self, host: str, asking: Callable[[], T]) -> T:
        try:
            found = asking()
        except SilentError as error:
            self._alive.discard(host)
            self._silent[host] = (self._clock() + SILENT, error.message)
            raise
        except (BadItemError, BackendError):
            self._alive.add(host)
            raise
        self._alive.add(host)
        return found

    def _refuse(self, host: str, url: str) -> None:
        until, why = self._silent.get(host, (0.0, ""))
        if self._clock() < until:
            words = f"{url} does not answer: {host} was silent a moment ago; {why}"
            raise BackendError(words, "try again", retryable=True)


def download(url: str, allowed: frozenset[str] = frozenset(), ca_bundle: str = "") -> bytes:
    """The bytes at an address of the web.

    Args:
        allowed: Hosts that may be this machine, or on its own link; all others must not be. A network inside, such as
            10.0.0.0/8, is no such place where the address itself names it, and is where another site redirects to it.
        ca_bundle: A file (PEM) of certificates that are trusted; empty is `road.CA_VARIABLES`, else the system's own.

    Raises:
        BadItemError: The address is none, leads where it must not, is refused for good, or holds too much.
        BackendError: It does not answer now; `retryable`.
        ConfigError: The file of certificates cannot be read.
    """
    import httpx

    until, inside, address = time.monotonic() + SECONDS, True, url
    try:
        for _ in range(HOPS + 1):
            there = checked(httpx.URL(address), url, allowed, may_be_inside=inside)
            inside = there.inside
            with _opened(there, ca_bundle) as answer:
                if not answer.is_redirect:
                    return _read(answer, url, until)
                address = str(there.address.join(answer.headers["location"]))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
        raise BadItemError(f"{url} is a bad address: {error}", "correct its address") from error
    except httpx.HTTPError as error:
        hint = advice(address, Road().proxy_to(address), error) or "try again"
        silent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        kind = SilentError if silent else BackendError
        raise kind(f"{url} does not answer: {error}", hint, retryable=True) from error
    raise BadItemError(f"{url} redirects more than {HOPS} times", "correct its address")


@dataclass(frozen=True, slots=True)
class _Checked:
    """Where a request goes.

    Attributes:
        address: What was asked for.
        at: What its host was known as when it was checked; empty where the name goes to whoever is connected to.
        inside: Whether that is a network inside.
    """

    address: httpx.URL
    at: Sequence[IPv4Address | IPv6Address]
    inside: bool


@contextmanager
def _opened(there: _Checked, ca_bundle: str) -> Iterator[httpx.Response]:
    """The answer of the very machine that was checked: a name that leads elsewhere a moment later changes nothing."""
    import httpx

    proxy = Road().proxy_to(str(there.address)) or None
    trusted = _context(bundle_of(ca_bundle)) if there.address.scheme == "https" or proxy else False
    with httpx.Client(timeout=_PATIENCE, verify=trusted, proxy=proxy, trust_env=False) as client:
        *others, last = _requests(client, there)
        with closing(_first(client, others) or client.send(last, stream=True)) as answer:
            yield answer


def _first(client: httpx.Client, requests: Iterable[httpx.Request]) -> httpx.Response | None:
    """The first that is answered; None where no machine can be connected to."""
    import httpx

    for one in requests:
        with suppress(httpx.ConnectError, httpx.ConnectTimeout):
            return client.send(one, stream=True)
    return None


def _requests(client: httpx.Client, there: _Checked) -> Sequence[httpx.Request]:
    """The request to each address of a host; the certificate is still that of its name."""
    if not there.at:
        return [client.build_request("GET", there.address)]
    host, by_name = there.address.host, {"Host": there.address.netloc.decode("ascii")}
    return [
        client.build_request(
            "GET", there.address.copy_with(host=str(one)), headers=by_name, extensions={"sni_hostname": host}
        )
        for one in there.at[:_TRIED]
    ]


@lru_cache(maxsize=8)
def _context(bundle: str) -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than asking for a picture."""
    return Road(ca_bundle=bundle).context()


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


def checked(address: httpx.URL, url: str, allowed: frozenset[str], *, may_be_inside: bool) -> _Checked:
    """An address that may be asked.

    Raises:
        BadItemError: It leads to this machine, to its link, or from outside to a network inside.
        BackendError: The name of its host is unknown now.
    """
    host = address.host.lower()
    if address.scheme not in ("http", "https") or not host:
        raise BadItemError(f"{url} leads to {address}, which is not on the web", "correct its address")
    if host in allowed:
        return _Checked(address, (), may_be_inside)
    found = addresses_of(host, address)
    if bad := next((one for one in found if one.is_loopback or one.is_link_local or one.is_unspecified), None):
        raise BadItemError(
            f"{url} leads to {bad}, which is this machine or its own link",
            f'if you know what that is: set hosts = ["{host}"] under [dataset]',
        )
    inside = any(one.is_private for one in found)
    if inside and not may_be_inside:
        raise BadItemError(f"{url} is redirected to {host}, on a network inside", "name that address itself")
    return _Checked(address, found, inside)


def addresses_of(host: str, address: httpx.URL) -> list[IPv4Address | IPv6Address]:
    """What a host is known as; nothing where a proxy looks it up."""
    try:
        return [_plain(host)]
    except ValueError:
        pass
    if Road().proxy_to(str(address)):
        return []
    try:
        found = socket.getaddrinfo(
            host, address.port or (443 if address.scheme == "https" else 80), type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise SilentError(f"{host} does not answer: {error}", "try again", retryable=True) from error
    return list(dict.fromkeys(_plain(str(one[4][0]).partition("%")[0]) for one in found))


def _plain(said: str) -> IPv4Address | IPv6Address:
    one = ip_address(said.strip("[]"))
    mapped = one.ipv4_mapped if isinstance(one, IPv6Address) else None
    return mapped or one
