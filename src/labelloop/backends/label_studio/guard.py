"""Runs under Label Studio's own python: what the people of our server may make it call, read and write."""

from __future__ import annotations

import errno
import ipaddress
import json
import sys
import threading
from collections.abc import Callable, Collection
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_PACKED = tuple(map(ipaddress.ip_network, ("2002::/16", "64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")))
"""IPv6 networks that stand for addresses of IPv4, private ones among them."""

HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "same-origin"}
"""With every answer, where Label Studio does not say otherwise: nothing is taken for what it is not said to be, no page
of others shows ours inside its own, and nobody else is told which page somebody came from."""

_OURS = "guard.secure"


def install(home: Path, port: int) -> None:
    """Guard this process, before Label Studio is imported.

    Nobody makes it connect to this machine or its network but for what labelloop wrote to `calls.json` in the home, and
    nobody has it write into a folder of this machine. The file is read anew each time; people invited here cannot write
    it. Until the first request it may look whether its own port is free.
    """
    if find_spec("django") is None:
        return  # no Label Studio, and nothing that serves
    calls, started = Calls(home / "calls.json"), threading.Event()
    sys.addaudithook(lambda event, arguments: fence(event, arguments, calls, port if not started.is_set() else 0))
    request_started = import_module("django.core.signals").request_started
    request_started.connect(lambda **_: started.set(), weak=False)
    import_module("bootstrap").find_label_studio()  # it stands beside this file
    _let_pass(import_module("core.utils.io"), calls)
    import_module("django.db.models.signals").class_prepared.connect(_without_folders, weak=False)
    _secured(import_module("django.core.handlers.base").BaseHandler, import_module("django.conf").settings)


class Calls:
    """What may be called on this machine and its network.

    Args:
        path: The file that labelloop writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def urls(self) -> Collection[str]:
        """The exact addresses."""
        return self._read("urls")

    def hosts(self) -> Collection[str]:
        """Those of sockets, each as `address:port`: of the urls, and of a store that shows pictures."""
        return self._read("hosts")

    def endpoints(self) -> Collection[str]:
        """Addresses of stores that show pictures, as a storage names them."""
        return self._read("endpoints")

    def _read(self, key: str) -> Collection[str]:
        try:
            return set(json.loads(self._path.read_text()).get(key, ()))
        except (OSError, ValueError, AttributeError, TypeError):
            return ()


def is_inside(address: str) -> bool:
    """Whether an address is of this machine or its network, or is none that the internet has."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return not ip.is_global or ip.is_multicast or any(ip in net for net in _PACKED if net.version == ip.version)


def secure(answering: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A middleware of Django that adds our headers."""

    def answer(request: Any) -> Any:
        response = answering(request)
        for name, value in HEADERS.items():
            response.setdefault(name, value)
        return response

    return answer


def _secured(handler: Any, settings: Any) -> None:
    """Have Django pass every answer through our middleware, which it finds by the name of this module."""
    load = handler.load_middleware

    def load_middleware(self: Any, *rest: Any, **more: Any) -> None:
        settings.MIDDLEWARE = [_OURS, *(one for one in settings.MIDDLEWARE if one != _OURS)]
        load(self, *rest, **more)

    handler.load_middleware = load_middleware


def fence(event: str, arguments: tuple[Any, ...], calls: Calls, own: int) -> None:
    """Refuse a socket: the last fence, behind Label Studio's own, which not every kind of storage asks."""
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    host, port = str(arguments[1][0]), arguments[1][1]
    if own and port == own:
        return
    try:
        refused = is_inside(host) and f"{host}:{port}" not in calls.hosts()
    except ValueError:
        refused = True  # a name: whoever connects looks it up first
    if refused:
        raise PermissionError(errno.EACCES, f"labelloop lets this Label Studio not connect to {host}:{port}")


def _let_pass(io: Any, calls: Calls) -> None:
    """Have Label Studio's own protection, which bans all of loopback, know what is ours."""
    banned, guarded = io.validate_url_for_ssrf, io._SsrfGuardedConnectionMixin._new_conn
    strict: Any = io.SsrfSafeHTTPAdapter

    def validate_url_for_ssrf(url: str, block_local_urls: bool = True) -> None:
        ours = url in calls.urls() or url.rstrip("/") in calls.endpoints()
        banned(url, block_local_urls=block_local_urls and not ours)

    class Adapter(strict):  # type: ignore[misc]
        """Lets the exact addresses through; a redirect comes here again."""

        def send(self, request: Any, *rest: Any, **more: Any) -> Any:
            if request.url in calls.urls():
                plain = import_module("requests.adapters").HTTPAdapter(max_retries=self.max_retries)
                return plain.send(request, *rest, **more)
            return super().send(request, *rest, **more)

    def new_connection(self: Any) -> Any:
        places = {f"{scheme}://{self.host}:{self.port}" for scheme in ("http", "https")}
        if type(self).__name__.startswith("_SsrfGuardedAWS") and places & set(calls.endpoints()):
            return import_module("urllib3.connection").HTTPConnection._new_conn(self)
        return guarded(self)

    io.validate_url_for_ssrf = validate_url_for_ssrf
    io.SsrfSafeHTTPAdapter = Adapter
    io._SsrfGuardedConnectionMixin._new_conn = new_connection


def _without_folders(sender: Any, **_: Any) -> None:
    """Take the writing out of the storage that exports into a folder, when Django has made its class."""
    if sender.__name__ != "LocalFilesExportStorage":
        return
    refusal = import_module("django.core.exceptions").ValidationError

    def refuse(_: Any) -> None:
        raise refusal("labelloop's Label Studio writes into no folder of this machine: use labelloop export")

    def nothing(*_: Any, **__: Any) -> None:
        """A storage of an older start stays without effect."""

    sender.validate_connection = refuse
    for name in ("save_annotation", "delete_annotation"):
        setattr(sender, name, nothing)
