"""A picture of the web is read with a limit and within a time, and never from this machine or its own link."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from labelloop import downloads
from labelloop.downloads import download
from labelloop.errors import BackendError, BadItemError

HERE = frozenset({"127.0.0.1"})


class _Web(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        for _ in range(64 if self.path == "/endless" else 1):
            self.wfile.write(b"x" * 4096)
            if self.path == "/endless":
                self.wfile.flush()
                time.sleep(0.02)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    _Web.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


INSIDE = [
    "http://127.0.0.1:{port}/a.png",
    "http://localhost:{port}/a.png",
    "http://127.1:{port}/a.png",
    "http://2130706433:{port}/a.png",
    "http://0x7f000001:{port}/a.png",
    "http://0.0.0.0:{port}/a.png",
    "http://[::1]:{port}/a.png",
    "http://[::ffff:127.0.0.1]:{port}/a.png",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/a.png",
    "http://user:word@127.0.0.1:{port}/a.png",
]


@pytest.mark.parametrize("url", INSIDE)
def test_a_table_of_strangers_cannot_have_this_machine_asked(web: str, url: str) -> None:
    with pytest.raises((BadItemError, BackendError)):
        download(url.format(port=web.rpartition(":")[2]))

    assert _Web.asked == []


def test_the_refusal_says_how_to_allow_it(web: str) -> None:
    with pytest.raises(BadItemError, match="this machine or its own link") as refused:
        download(f"{web}/a.png")

    assert refused.value.hint == 'if you know what that is: set hosts = ["127.0.0.1"] under [dataset]'
    assert len(download(f"{web}/a.png", HERE)) == 4096


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest", "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/", "http://[::1]/x"],
)
def test_a_redirect_leads_nowhere_that_the_address_may_not(web: str, target: str) -> None:
    with pytest.raises(BadItemError):
        download(f"{web}/to/{target}", HERE)


def test_a_site_outside_cannot_redirect_to_a_network_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    known = {"intranet.example": "10.1.2.3", "outside.example": "93.184.216.34"}
    monkeypatch.setattr(
        "labelloop.downloads.socket.getaddrinfo", lambda host, port, **_: [(0, 0, 0, "", (known[host], port))]
    )
    monkeypatch.setattr(downloads, "getproxies", dict)
    inside, outside = (httpx.URL(f"http://{host}/a.png") for host in known)

    assert downloads._checked(inside, "u", frozenset(), may_be_inside=True)
    assert not downloads._checked(outside, "u", frozenset(), may_be_inside=True)
    with pytest.raises(BadItemError, match="on a network inside"):
        downloads._checked(inside, "u", frozenset(), may_be_inside=False)


def test_redirects_end(web: str) -> None:
    assert len(download(f"{web}/to//a.png", HERE)) == 4096
    with pytest.raises(BadItemError, match="redirects more than 5 times"):
        download(f"{web}{'/to/' * 9}/a.png".replace("/to//to/", "/to/" * 9), HERE)


def test_what_is_too_large_is_not_read_to_its_end(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "LARGEST", 4095)

    with pytest.raises(BadItemError, match="is larger than"):
        download(f"{web}/a.png", HERE)


def test_what_trickles_is_given_up_in_time(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "SECONDS", 0.1)

    with pytest.raises(BackendError, match="did not end within") as failed:
        download(f"{web}/endless", HERE)

    assert failed.value.retryable
