"""Somebody who joined our Label Studio by its invitation link, and servers that count who calls them."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from labelloop.backends.label_studio.client import Client

_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass
class Canary:
    """A server of the inside network that nobody should call."""

    url: str
    port: int
    calls: list[str] = field(default_factory=list)


@contextmanager
def canary(leads_to: str = "") -> Iterator[Canary]:
    """A server on loopback that remembers each request, and answers with something worth stealing."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            seen.calls.append(f"{self.command} {self.path}")
            self.send_response(302 if leads_to else 200)
            if leads_to:
                self.send_header("Location", leads_to)
            self.end_headers()
            self.wfile.write(b'[{"data": {"text": "the inside of the network", "image": "x"}}]')

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Not shown."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        seen = Canary(f"http://127.0.0.1:{server.server_port}", server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield seen
        server.shutdown()


@contextmanager
def guest(owner: Client, email: str = "mallory@example.com") -> Iterator[httpx.Client]:
    """A browser of somebody invited, signed in, with her own token in the header."""
    address = owner.url + str(owner.call("GET", "/api/invite")["invite_url"])
    with httpx.Client(base_url=owner.url, trust_env=False, follow_redirects=True, timeout=60.0) as browser:
        found = _TOKEN.search(browser.get(address).text)
        assert found
        form = {"email": email, "password": "let-me-in-please-1", "csrfmiddlewaretoken": found[1]}
        browser.post(address, data=form, headers={"Referer": owner.url}).raise_for_status()
        refresh = browser.post("/api/token/").raise_for_status().json()["token"]
        access = browser.post("/api/token/refresh/", json={"refresh": refresh}).json()["access"]
        browser.cookies.clear()
        browser.headers["Authorization"] = f"Bearer {access}"
        yield browser
