"""A small HTTP server in a thread of its own, for as long as a block lasts."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labelloop.errors import BackendError, ConfigError

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

AT_ONCE = 64
"""Requests answered at the same time; whoever comes on top is told to come again."""

_BACKLOG = 1024
_START_SECONDS = 30.0
_END_SECONDS = 2


@dataclass(frozen=True, slots=True)
class TlsCertificate:
    """What a server of ours is known by.

    Attributes:
        certificate: A file (PEM) with its certificate, and those between it and its authority.
        key: The file of its key, which no password may protect: nobody is there to type it.
    """

    certificate: Path
    key: Path

    def check(self) -> None:
        """Read both, as the server will.

        Raises:
            ConfigError: They cannot be read, or do not belong together.
        """
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.key, lambda: "")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the certificate {self.certificate} with the key {self.key} cannot be used: {error.strerror or error}",
                "both are files in PEM that belong together, and the key has no password",
            ) from None


@contextmanager
def serving(app: Starlette, host: str, port: int, shown: TlsCertificate | None = None) -> Iterator[str]:
    """Serve an app inside the block; yields its address. Port 0 is any free one.

    Args:
        shown: What the server is known by; without it, it speaks plain HTTP.

    Raises:
        ConfigError: The address cannot be listened on, or the certificate cannot be used.
    """
    import uvicorn

    from labelloop.web.connections import MOST, Connection

    if shown:
        shown.check()
    listening = _listen(host, port)
    settings = uvicorn.Config(
        limited(app),
        http=Connection,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        backlog=MOST,
        timeout_graceful_shutdown=_END_SECONDS,
        server_header=False,
        loop="asyncio",
        ssl_certfile=str(shown.certificate) if shown else None,
        ssl_keyfile=str(shown.key) if shown else None,
    )
    server = _server(settings)
    thread = threading.Thread(target=server.run, args=([listening],), name="labelloop-web", daemon=True)
    thread.start()
    try:
        _await(server, thread)
        taken = listening.getsockname()[1]
        yield f"{'https' if shown else 'http'}://{f'[{host}]' if ':' in host else host}:{taken}"
    finally:
        server.should_exit = True
        thread.join(_END_SECONDS * 2)
        listening.close()


def in_the_clear(host: str, shown: TlsCertificate | None = None, what: str = "passwords and hints") -> str:
    """What to warn of where a server listens beyond this machine; nothing on loopback, or with a certificate."""
    from ipaddress import ip_address

    if shown:
        return ""
    try:
        alone = ip_address(host).is_loopback
    except ValueError:
        alone = host == "localhost"
    if alone:
        return ""
    return (
        f"warning: {host} is reached by others without TLS: {what} cross the network in the clear;"
        " name a certificate, or put a proxy that speaks TLS before it"
    )


def limited(app: ASGIApp) -> ASGIApp:
    """The app, answering so many requests at once; its health is said to whoever asks."""
    from starlette.responses import JSONResponse

    running = 0

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal running
        if running >= AT_ONCE and scope.get("path") != "/health":
            busy = JSONResponse({"detail": "too many requests at once"}, 503, {"Retry-After": "1"})
            await busy(scope, receive, send)
            return
        running += 1
        try:
            await app(scope, receive, send)
        finally:
            running -= 1

    return serve


def _server(settings: uvicorn.Config) -> uvicorn.Server:
    """uvicorn's, which closes a connection that does not come to terms about TLS in the time of a header."""
    import asyncio

    import uvicorn

    from labelloop.web import connections

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            loop = asyncio.get_running_loop()
            if settings.is_ssl:
                patient = partial(loop.create_server, ssl_handshake_timeout=connections.HEADER_SECONDS)
                loop.create_server = patient  # type: ignore[method-assign]
            await super().startup(sockets)

    return Server(settings)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"{host} port {port} cannot be listened on: {error.strerror or error}", "choose another port or host"
        ) from None
    return listening


def _await(server: object, thread: threading.Thread) -> None:
    import time

    began = time.monotonic()
    while not getattr(server, "started", False):
        if not thread.is_alive() or time.monotonic() - began > _START_SECONDS:
            raise BackendError("the web server did not start", "try again")
        time.sleep(0.01)
