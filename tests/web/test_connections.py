"""Our servers go on answering whoever asks, however many others hold connections open, drip bytes or do not read."""

from __future__ import annotations

import resource
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from labelloop.commands.watch import Bell, Vitals
from labelloop.errors import ConfigError
from labelloop.web import connections, server
from labelloop.web.server import TlsCertificate, in_the_clear, serving
from labelloop.web.service import service

from support.company import authority

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


def test_a_client_that_reads_a_byte_a_second_is_cut_off_and_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WRITE_SECONDS", 2.0)
    monkeypatch.setattr(server, "AT_ONCE", 3)
    parts = [b"x" * (1 << 20)] * 32
    app = Starlette(routes=[Route("/large", lambda _: StreamingResponse(iter(parts)))])
    with serving(app, "127.0.0.1", 0) as address, ExitStack() as stack:
        slow = [stack.enter_context(opened(address, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")) for _ in range(3)]
        said: list[int] = []
        while 200 not in said and len(said) < 20:
            assert all(one.recv(1) for one in slow)
            said.append(httpx.get(f"{address}/large", trust_env=False, timeout=10).status_code)
            time.sleep(1.0)

    assert said[0] == 503  # they did hold all places while they lasted
    assert said[-1] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_on_this_machine_alone_nothing_is_warned_of(host: str) -> None:
    assert in_the_clear(host) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "labels.example.com"])
def test_beyond_this_machine_the_missing_tls_is_said(host: str) -> None:
    assert host in in_the_clear(host)


@pytest.fixture
def known(tmp_path: Path) -> tuple[TlsCertificate, ssl.SSLContext]:
    """A certificate, and a context that trusts its authority."""
    trusted, (certificate, key) = authority(tmp_path, "127.0.0.1")
    return TlsCertificate(certificate, key), ssl.create_default_context(cafile=trusted)


def test_with_a_certificate_it_speaks_tls_and_nothing_is_warned_of(
    known: tuple[TlsCertificate, ssl.SSLContext],
) -> None:
    certificate, trusting = known
    with serving(service(Vitals(), Bell(gap=0.0), "/hooks/abc", "Bearer x"), "127.0.0.1", 0, certificate) as address:
        assert address.startswith("https://")
        assert httpx.get(f"{address}/health", verify=trusting, trust_env=False).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{address}/health", trust_env=False)
        with pytest.raises(httpx.HTTPError):
            httpx.get(address.replace("https", "http") + "/health", trust_env=False)

    assert in_the_clear("0.0.0.0", certificate) == ""


def test_who_does_not_come_to_terms_about_tls_is_cut_off(
    known: tuple[TlsCertificate, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 1.0)
    certificate, trusting = known
    with (
        serving(service(Vitals(), Bell(gap=0.0), "/hooks/abc", "Bearer x"), "127.0.0.1", 0, certificate) as address,
        ExitStack() as stack,
    ):
        silent = [stack.enter_context(opened(address, b"\x16\x03\x01")) for _ in range(200)]
        assert httpx.get(f"{address}/health", verify=trusting, trust_env=False, timeout=10).status_code == 200
        for one in silent:
            one.settimeout(8)
            with suppress(ConnectionError):
                assert one.recv(1) == b""


def test_a_certificate_that_cannot_be_used_is_said_before_anything_listens(
    known: tuple[TlsCertificate, ssl.SSLContext], tmp_path: Path
) -> None:
    certificate, _ = known
    _, (_, other) = authority(tmp_path / "other", "127.0.0.1")
    (tmp_path / "none.pem").write_text("no certificate")
    (tmp_path / "locked.key").write_bytes(
        load_pem_private_key(certificate.key.read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
        )
    )

    for odd in (
        TlsCertificate(tmp_path / "none.pem", certificate.key),
        TlsCertificate(certificate.certificate, other),
        TlsCertificate(certificate.certificate, tmp_path / "locked.key"),
        TlsCertificate(tmp_path / "gone.pem", certificate.key),
    ):
        with pytest.raises(ConfigError, match="cannot be used"), serving(Starlette(), "127.0.0.1", 0, odd):
            pass
