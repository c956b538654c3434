"""A picture of the web is read with a limit and within a time, and never from this machine or its own link."""

from __future__ import annotations

import pickle
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import httpx
import pytest

from labelloop.data.locations import Access, from_web
from labelloop.errors import BackendError, BadItemError
from labelloop.machine import downloads, road
from labelloop.machine.downloads import Silence, download
from labelloop.machine.road import CA_VARIABLES

from support.company import Gate, authority, reverse

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
        "labelloop.machine.downloads.socket.getaddrinfo", lambda host, port, **_: [(0, 0, 0, "", (known[host], port))]
    )
    monkeypatch.setattr(road, "getproxies", dict)
    inside, outside = (httpx.URL(f"http://{host}/a.png") for host in known)

    assert downloads.checked(inside, "u", frozenset(), may_be_inside=True).inside
    assert not downloads.checked(outside, "u", frozenset(), may_be_inside=True).inside
    with pytest.raises(BadItemError, match="on a network inside"):
        downloads.checked(inside, "u", frozenset(), may_be_inside=False)


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


@dataclass
class Names:
    """Who is where: a name that is public at the first look, and this machine at any later one."""

    port: int
    looked_up: list[str] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)
    dead: str = ""

    def look_up(self, host: str, port: int, **_: Any) -> list[Any]:
        """As `socket.getaddrinfo`."""
        self.looked_up.append(host)
        known = ["127.0.0.1"] if len(self.looked_up) > 1 else [*filter(None, [self.dead]), "93.184.216.34"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in known]

    def connect(self, address: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        """As `socket.create_connection`: what is public is a server of the test."""
        is_public = not address[0].startswith("127.")
        self.connected += [address[0]] if is_public else []
        if address[0] == self.dead:
            raise ConnectionRefusedError(111, "Connection refused")
        made = socket.socket()
        made.settimeout(10)
        made.connect(("127.0.0.1", self.port) if is_public else address)
        return made


def renamed(names: Names, monkeypatch: pytest.MonkeyPatch) -> Names:
    for name in (*CA_VARIABLES, "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
    monkeypatch.setattr(socket, "create_connection", names.connect)
    return names


def test_the_machine_that_was_checked_is_the_one_that_is_asked(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = renamed(Names(int(web.rpartition(":")[2])), monkeypatch)

    assert len(download("http://rebinding.example.test/a.png")) == 4096
    assert (names.looked_up, names.connected) == (["rebinding.example.test"], ["93.184.216.34"])
    with pytest.raises(BadItemError, match="this machine or its own link"):
        download("http://rebinding.example.test/a.png")


def test_another_address_of_a_host_is_asked_where_the_first_is_down(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = renamed(Names(int(web.rpartition(":")[2]), dead="93.184.216.9"), monkeypatch)

    assert len(download("http://two.example.test/a.png")) == 4096
    assert names.connected == ["93.184.216.9", "93.184.216.34"]


@pytest.mark.parametrize("by", [*CA_VARIABLES, "ca_bundle"])
def test_the_certificate_is_that_of_the_name_and_of_an_authority_that_is_named(
    by: str, web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, certificate = authority(tmp_path, "pictures.example.test")
    with reverse(web, Gate(), certificate) as port:
        renamed(Names(port), monkeypatch)
        with pytest.raises(BackendError, match="CERTIFICATE_VERIFY_FAILED") as refused:
            download("https://pictures.example.test/a.png")
        assert "ca_bundle" in refused.value.hint

        bundle = str(trusted) if by == "ca_bundle" else ""
        renamed(Names(port), monkeypatch)
        if by != "ca_bundle":
            monkeypatch.setenv(by, str(trusted))
        assert len(download("https://pictures.example.test/a.png", ca_bundle=bundle)) == 4096
        monkeypatch.setattr(socket, "getaddrinfo", Names(port).look_up)
        with pytest.raises(BackendError, match=r"pictures\.other\.test"):
            download("https://pictures.other.test/a.png", ca_bundle=bundle)


def test_a_host_that_does_not_answer_is_asked_once_for_all_of_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    now, tried = [0.0], []
    looking_up = downloads.addresses_of

    def noting(host: str, address: httpx.URL) -> Any:
        tried.append(host)
        return looking_up(host, address)

    monkeypatch.setattr(downloads, "addresses_of", noting)
    silence = Silence(lambda: now[0])

    def ask(number: int) -> str:
        with pytest.raises(BackendError, match=r"does not answer") as refused:
            from_web(f"http://pictures.gone.invalid/{number}.png", Access(silence=silence))
        assert refused.value.retryable
        return refused.value.message

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(ask, range(40)))
    assert len(tried) == 1
    assert sum("was silent a moment ago" in one for one in said) == 39
    now[0] += downloads.SILENT
    ask(41)
    assert len(tried) == 2


def test_a_picture_that_is_refused_or_reset_keeps_no_other_picture_of_its_host_away(web: str) -> None:
    access = Access(hosts=HERE)
    with pytest.raises(BadItemError):
        from_web(f"{web}/to/ftp://elsewhere", access)

    for _ in range(3):
        assert len(from_web(f"{web}/a.png", access)) == 4096


def test_silence_travels_to_another_process_as_nothing() -> None:
    assert isinstance(pickle.loads(pickle.dumps(Silence())), Silence)
