"""Whom we trust on the way, and through which proxy."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.repeats import Repeats
from labelloop.backends.label_studio.way import pairs, road_of
from labelloop.errors import BackendError, ConfigError
from labelloop.machine.road import CA_VARIABLES, Road

from support.company import Gate, authority, outward, reverse
from support.http_double import Response, serving

TOKEN = "0123456789abcdef0123456789abcdef01234567"
ONCE = Repeats(attempts=1)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CA_VARIABLES, *PROXIES, *(name.lower() for name in PROXIES)):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("by", [*CA_VARIABLES, "ca_bundle"])
def test_an_authority_of_ones_own_is_named_by_a_variable_or_an_option(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = serving(lambda _: Response(200, {"release": "1.23.2"}))
    trusted, certificate = authority(tmp_path, "127.0.0.1")
    with reverse(double.url, Gate(), certificate) as port:
        url = f"https://127.0.0.1:{port}"
        with pytest.raises(BackendError, match="CERTIFICATE_VERIFY_FAILED") as caught:
            Client(url, TOKEN, repeats=ONCE).version()
        assert all(name in caught.value.hint for name in (*CA_VARIABLES, "ca_bundle"))

        if by != "ca_bundle":
            monkeypatch.setenv(by, str(trusted))
        road = Road(ca_bundle=str(trusted) if by == "ca_bundle" else "")
        assert Client(url, TOKEN, repeats=ONCE, road=road).version() == "1.23.2"
    double.stop()


def test_an_authority_that_identifies_no_keys_is_trusted_on_every_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strict(**where: Any) -> ssl.SSLContext:
        """As Python 3.13 and newer make it."""
        made = usual(**where)
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made

    usual = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", strict)
    double = serving(lambda _: Response(200, {"release": "1.23.2"}))
    trusted, certificate = authority(tmp_path, "127.0.0.1", identifies=False)
    with reverse(double.url, Gate(), certificate) as port:
        road = Road(ca_bundle=str(trusted))
        assert Client(f"https://127.0.0.1:{port}", TOKEN, repeats=ONCE, road=road).version() == "1.23.2"
    double.stop()


def test_a_file_that_holds_no_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")

    with pytest.raises(ConfigError, match=r"ca\.pem cannot be read"):
        Client("https://label.example.test", TOKEN, road=Road(ca_bundle=str(tmp_path / "ca.pem")))


def test_a_proxy_that_is_away_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:hunter2@127.0.0.1:9")

    with pytest.raises(BackendError, match=r"through the proxy http://127\.0\.0\.1:9") as caught:
        Client("http://label.example.test", TOKEN, repeats=ONCE).version()

    assert "NO_PROXY" in caught.value.hint
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("url", ["http://127.0.0.1:8", "http://localhost:8", "http://127.0.0.2:8", "http://[::1]:8"])
def test_this_machine_is_never_reached_through_a_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    assert Road().proxy_to(url) == Road(proxy="http://127.0.0.1:9").proxy_to(url) == ""


@pytest.mark.parametrize(
    ("but", "used"), [("", True), ("other.test", True), ("label.example.test", False), ("*", False)]
)
def test_no_proxy_counts(but: str, used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", but)

    assert bool(Road().proxy_to("https://label.example.test/ls")) is used


def test_a_header_from_the_secret_gets_through_a_gate_and_shows_nowhere(tmp_path: Path) -> None:
    double = serving(lambda _: Response(200, {"release": "1.23.2"}))
    road = road_of(lambda: {"gate": "open sesame"}, headers="X-Team: vision; X-Gate: {gate}")
    with reverse(double.url, Gate(header=("X-Gate", "open sesame"))) as port:
        assert Client(f"http://127.0.0.1:{port}", TOKEN, road=road).version() == "1.23.2"

    assert "sesame" not in repr(road)
    double.stop()


def test_a_proxy_is_tunnelled_through(tmp_path: Path) -> None:
    seen: list[str] = []
    double = serving(lambda _: Response(200, {"release": "1.23.2"}))
    trusted, certificate = authority(tmp_path, "label.example.test")
    with reverse(double.url, Gate(), certificate) as port, outward(seen) as proxy:
        road = Road(ca_bundle=str(trusted), proxy=proxy)
        assert Client(f"https://label.example.test:{port}", TOKEN, road=road).version() == "1.23.2"

    assert seen == [f"CONNECT label.example.test:{port}"]
    double.stop()


@pytest.mark.parametrize("headers", ["X Team: a", "no colon", "X: é", "Authorization: mine", "X: a\nY: b", ": a"])
def test_headers_that_cannot_be_are_refused_without_their_values(headers: str) -> None:
    with pytest.raises(ConfigError):
        pairs(headers)


def test_a_password_in_the_address_of_a_proxy_belongs_into_the_secret() -> None:
    with pytest.raises(ConfigError, match="has a password in its address") as caught:
        road_of(dict, proxy="http://me:hunter2@proxy.test:3128")

    assert "hunter2" not in caught.value.message
