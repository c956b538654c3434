"""One call to Label Studio: two kinds of token, and every failure under its own name."""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from labelloop.backends.label_studio.client import Client
from labelloop.errors import BackendError, BadItemError, ConfigError, NotFoundError

LEGACY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "header.payload.signature"


class Service(BaseHTTPRequestHandler):
    """Answers what `status` and `said` tell it, and gives out numbered access tokens."""

    status = 200
    said = b"{}"
    seen: list[str] = []  # noqa: RUF012 - reset by the fixture
    refreshes = 0
    refused: set[str] = set()  # noqa: RUF012 - reset by the fixture

    def do_GET(self) -> None:
        authorization = self.headers.get("Authorization", "")
        self.seen.append(authorization)
        self._send(401 if authorization in self.refused else self.status, self.said)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).refreshes += 1
        claims = urlsafe_b64encode(json.dumps({"iat": 0, "exp": 300}).encode()).decode().rstrip("=")
        given = json.dumps({"access": f"{self.refreshes}.{claims}.s"}).encode()
        self._send(self.status, given if self.status == HTTPStatus.OK else self.said)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Service.status, Service.said, Service.refreshes = 200, b"{}", 0
    Service.seen, Service.refused = [], set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_legacy_token_is_sent_as_it_is(url: str) -> None:
    Client(url, LEGACY).call("GET", "/x")

    assert Service.seen == [f"Token {LEGACY}"]


def test_a_personal_token_is_exchanged_once_and_renewed_before_its_end(url: str) -> None:
    now = [0.0]
    client = Client(url, PERSONAL, clock=lambda: now[0])

    for now[0] in (0.0, 200.0, 250.0, 260.0):
        client.call("GET", "/x")

    assert [seen.split(".")[0] for seen in Service.seen] == ["Bearer 1", "Bearer 1", "Bearer 2", "Bearer 2"]


def test_an_access_token_refused_early_is_renewed_once(url: str) -> None:
    client = Client(url, PERSONAL)
    client.call("GET", "/x")
    Service.refused = set(Service.seen)

    client.call("GET", "/x")

    assert Service.refreshes == 2


def test_a_personal_token_that_is_refused_says_where_to_get_one(url: str) -> None:
    Service.status, Service.said = 401, b'{"detail": "Invalid token"}'

    with pytest.raises(ConfigError, match="personal access token is wrong, expired") as caught:
        Client(url, PERSONAL).call("GET", "/x")

    assert "/user/account/personal-access-token" in caught.value.hint
    assert PERSONAL not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, BackendError, False),
        (408, BackendError, True),
        (429, BackendError, True),
        (500, BackendError, True),
        (503, BackendError, True),
    ],
)
def test_a_failure_is_named_with_its_status(url: str, status: int, kind: type[BackendError], retryable: bool) -> None:
    Service.status, Service.said = status, b'{"detail": "no such column"}'

    with pytest.raises(kind, match=f"answered {status} to GET /x: no such column") as caught:
        Client(url, LEGACY).call("GET", "/x")

    assert caught.value.retryable is retryable


def test_something_missing_is_not_found(url: str) -> None:
    Service.status, Service.said = 404, b'{"status_code": 404, "detail": "Not found."}'

    with pytest.raises(NotFoundError, match="answered 404"):
        Client(url, LEGACY).call("GET", "/x")


def test_a_legacy_token_that_is_refused_never_shows(url: str) -> None:
    Service.status, Service.said = 401, json.dumps({"detail": f"Invalid token {LEGACY}"}).encode()

    with pytest.raises(ConfigError, match="legacy token is wrong") as caught:
        Client(url, LEGACY).call("GET", "/x")

    assert LEGACY not in caught.value.message + repr(Client(url, LEGACY))


def test_a_page_of_html_is_never_dumped(url: str) -> None:
    Service.status, Service.said = 500, b"<html>" + b"x" * 10_000

    with pytest.raises(BackendError) as caught:
        Client(url, LEGACY).call("GET", "/x")

    assert len(caught.value.message) < 200


def test_an_address_of_another_service_is_said(url: str) -> None:
    Service.said = b"<html>hello</html>"

    with pytest.raises(BackendError, match="does not speak Label Studio's API"):
        Client(url, LEGACY).call("GET", "/x")


def test_no_other_service_is_taken_for_label_studio(url: str) -> None:
    for Service.status, Service.said in ((200, b"<html>hello</html>"), (404, b"nothing"), (401, b"{}"), (200, b"[]")):
        with pytest.raises(ConfigError, match="but not as Label Studio does") as caught:
            Client(url, LEGACY).version()

        assert "without /projects" in caught.value.hint


def test_a_legacy_token_the_organization_does_not_take_is_told_apart(url: str) -> None:
    said = "Authentication token no longer valid: legacy token authentication has been disabled for this organization"
    Service.status, Service.said = 401, json.dumps({"detail": said}).encode()

    with pytest.raises(ConfigError, match="does not take legacy tokens any more") as caught:
        Client(url, LEGACY).call("GET", "/x")

    assert f"{url}/user/account/personal-access-token" in caught.value.hint
    assert "/user/account/legacy-token" not in caught.value.hint


def test_a_refused_token_of_neither_kind_is_told_so_without_showing_it(url: str) -> None:
    Service.status, Service.said, odd = 401, b'{"detail": "Invalid token"}', "Bearer my-secret-token"

    with pytest.raises(ConfigError, match="the token of 22 characters is neither") as caught:
        Client(url, odd).call("GET", "/x")

    assert "my-secret" not in caught.value.message + caught.value.hint


def test_a_service_that_is_down_may_be_asked_again(url: str) -> None:
    with pytest.raises(BackendError, match="cannot be reached") as caught:
        Client("http://127.0.0.1:9", LEGACY).call("GET", "/x")

    assert caught.value.retryable


@pytest.mark.parametrize("address", ["label.example.com", "ftp://label.example.com", "http://", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="no address") as caught:
        Client(address, LEGACY)

    assert "https://label.example.com" in caught.value.hint


def test_a_file_that_the_server_keeps_is_downloaded(url: str) -> None:
    Service.said = b"\x89PNG and so on"

    assert Client(url, LEGACY).download("/data/upload/1/a.png") == b"\x89PNG and so on"
    assert Service.seen == [f"Token {LEGACY}"]


@pytest.mark.parametrize(
    "path",
    [
        "https://elsewhere.example.com/a.png",
        "//elsewhere.example.com/a.png",
        "file:///etc/passwd",
        "s3://b/a.png",
        "",
        "/api/projects/1/export",
        "/data/../api/projects",
        "data/upload/a.png",
    ],
)
def test_nothing_else_is_downloaded_with_our_token(url: str, path: str) -> None:
    with pytest.raises(BadItemError, match="does not lie in Label Studio"):
        Client(url, LEGACY).download(path)

    assert Service.seen == []


def test_a_file_that_is_gone_or_too_large_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labelloop.backends.label_studio.client.LARGEST_FILE", 10)
    Service.said = b"x" * 11
    with pytest.raises(BadItemError, match="is larger than 10 bytes"):
        Client(url, LEGACY).download("/data/upload/1/a.png")

    Service.status, Service.said = 404, b""
    with pytest.raises(NotFoundError):
        Client(url, LEGACY).download("/data/upload/1/a.png")
