"""Our servers go on answering whoever asks, however many others hold connections open, drip bytes or do not read."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from labelloop.watch import Bell, Vitals
from labelloop.web import connections
from labelloop.web.server import in_the_clear, serving
from labelloop.web.service import service

HALF = b"POST /hooks/abc HTTP/1.1\r\nHost: x\r\nX-A: "


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 1.0)
    monkeypatch.setattr(connections, "BODY_SECONDS", 1.0)
    with serving(service(Vitals(), Bell(gap=0.0), "/hooks/abc", "Bearer x"), "127.0.0.1", 0) as made:
        yield made


def opened(address: str, first: bytes) -> socket.socket:
    port = int(address.rpartition(":")[2])
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    made.sendall(first)
    return made


def is_healthy(address: str) -> bool:
    with httpx.Client(trust_env=False, timeout=10) as client:
        hint = client.post(f"{address}/hooks/abc", headers={"Authorization": "Bearer x"})
        return (client.get(f"{address}/health").status_code, hint.status_code) == (200, 204)


def test_a_thousand_half_open_connections_leave_health_and_a_client_served(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 60.0)  # none of them is closed for its time
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with ExitStack() as stack:
        for number in range(1000):
            stack.enter_context(opened(address, HALF if number % 2 else b""))

        assert is_healthy(address)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("first", [b"", b"G", HALF, b"POST /hooks/abc HTTP/1.1\r\nHost: x\r\n"])
def test_a_header_that_never_ends_is_cut_off_though_bytes_drip(address: str, first: bytes) -> None:
    began = time.monotonic()
    with opened(address, first) as slow:
        slow.settimeout(0.2)
        while time.monotonic() - began < 8 and first:
            try:
                slow.sendall(b"a")
                assert slow.recv(1) == b""
                break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            slow.settimeout(8)
            with suppress(ConnectionError):
                assert slow.recv(1) == b""

    assert time.monotonic() - began < 6


def test_a_body_that_never_comes_holds_nothing(address: str) -> None:
    head = b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(opened(address, head))

        assert is_healthy(address)


def test_a_connection_that_is_kept_alive_is_used_again(address: str) -> None:
    with httpx.Client(trust_env=False) as client:
        assert [client.get(f"{address}/health").status_code for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_on_this_machine_alone_nothing_is_warned_of(host: str) -> None:
    assert in_the_clear(host) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "labels.example.com"])
def test_beyond_this_machine_the_missing_tls_is_said(host: str) -> None:
    assert host in in_the_clear(host)
