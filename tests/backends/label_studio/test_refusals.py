"""A refusal that is not Label Studio's own is told as whose it is: never as a wrong token, never as a lost project."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.repeats import Repeats
from labelloop.errors import ConfigError, LabelLoopError, NotFoundError

from support.http_double import Double, Response, serving

LEGACY = "0123456789abcdef0123456789abcdef01234567"
ONCE = Repeats(attempts=1)
HTML = {"Content-Type": "text/html"}
Serve = Callable[[Response], Double]


@pytest.fixture
def serve() -> Iterator[Serve]:
    running: list[Double] = []

    def start(response: Response) -> Double:
        running.append(serving(lambda _: response))
        return running[-1]

    yield start
    for double in running:
        double.stop()


def page(title: str, body: str = "") -> bytes:
    return f"<!doctype html><html><head><title>{title}</title></head><body>{body}</body></html>".encode()


def by(server: str) -> Mapping[str, str]:
    return {**HTML, "Server": server}


FOREIGN: list[tuple[int, Any, Mapping[str, str], str]] = [
    (403, page("Blocked"), by("CloudFront"), "CloudFront"),
    (403, page("ERROR: The request could not be satisfied"), by("CloudFront"), "could not be satisfied"),
    (403, page("Attention Required! | Cloudflare"), by("cloudflare"), "cloudflare"),
    (403, page("403 Forbidden"), by("nginx/1.24.0"), "nginx"),
    (403, b"Forbidden", by("AkamaiGHost"), "AkamaiGHost"),
    (403, {"message": "Forbidden"}, {"Server": "awselb/2.0"}, "awselb"),
    (403, {"Message": "User is not authorized to access this resource"}, {}, "403"),
    (403, {"error": "access_denied"}, {}, "403"),
    (403, b"", {}, "403"),
    (401, page("401 Authorization Required"), by("nginx"), "401 Authorization Required"),
    (401, {"error": "Unauthorized"}, {}, "401"),
    (401, b"", {"WWW-Authenticate": "Basic realm=private"}, "401"),
    (400, page("Error 400 (Bad Request)!!1"), by("gws"), "Bad Request"),
    (400, {"message": "Bad Request"}, {}, "400"),
    (400, b"bad request", {}, "400"),
    (404, page("404 Not Found"), by("nginx"), "404 Not Found"),
    (404, {"detail": "Not Found"}, {"Server": "uvicorn"}, "uvicorn"),
    (404, b"default backend - 404", {}, "404"),
    (404, b"404 page not found", by("Traefik"), "Traefik"),
    (405, page("Not Allowed"), by("nginx"), "Not Allowed"),
    (407, page("Proxy Authentication Required"), by("squid/5.7"), "squid"),
    (411, page("Length Required"), {}, "Length Required"),
    (413, page("413 Request Entity Too Large"), by("nginx"), "Too Large"),
    (414, page("Request-URI Too Large"), by("nginx"), "URI Too Large"),
    (418, b"", {}, "418"),
    (429, page("Too many"), by("cloudflare"), "Too many"),
    (431, page("Headers too large"), {}, "Headers too large"),
    (451, page("Unavailable For Legal Reasons"), {}, "Legal"),
    (500, page("Oops"), by("IIS"), "Oops"),
    (500, {"message": "Internal server error"}, {}, "500"),
    (502, page("502 Bad Gateway"), by("nginx"), "Bad Gateway"),
    (503, page("Service Unavailable"), by("envoy"), "envoy"),
    (503, b"no healthy upstream", by("envoy"), "envoy"),
    (504, page("504 Gateway Time-out"), by("nginx"), "Gateway Time-out"),
    (200, page("Sign in", '<input type="password">'), by("gunicorn"), "a login page"),
    (200, page("Anmelden bei Example"), {}, "a login page"),
    (200, page("Welcome to nginx!"), by("nginx"), "Welcome to nginx"),
    (200, b"pong", {}, "no JSON"),
    (302, b"", {"Location": "https://sso.example.com/login?next=/api"}, "sso.example.com"),
    (303, page("Redirecting"), {"Location": "https://sso.example.com/"}, "sso.example.com"),
    (307, b"", {"Location": "file:///etc/passwd"}, "sends us on"),
]


@pytest.mark.parametrize(("status", "body", "headers", "said"), FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_label_studios_is_said_with_who_says_it(
    serve: Serve, status: int, body: Any, headers: Mapping[str, str], said: str, method: str
) -> None:
    double = serve(Response(status, body, headers))

    with pytest.raises(LabelLoopError) as caught:
        Client(double.url, LEGACY, repeats=ONCE).call(method, "/api/projects/7")

    assert not isinstance(caught.value, NotFoundError)
    assert said in caught.value.message
    assert "token" not in caught.value.message + caught.value.hint
    assert caught.value.hint
    assert len(double.seen) == 1


OWN = [
    (401, {"status_code": 401, "detail": "Invalid token."}, ConfigError, "legacy token is wrong"),
    (403, {"status_code": 403, "detail": "You do not have permission"}, ConfigError, "You do not have permission"),
    (404, {"status_code": 404, "detail": "Not found."}, NotFoundError, "Not found"),
    (400, {"validation_errors": {"title": ["too long"]}, "status_code": 400}, LabelLoopError, "too long"),
    (400, {"non_field_errors": ["no tasks"]}, LabelLoopError, "no tasks"),
    (500, {"status_code": 500, "detail": "database is locked"}, LabelLoopError, "database is locked"),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), OWN)
def test_what_is_label_studios_stays_its_own(
    serve: Serve, status: int, body: Any, kind: type[LabelLoopError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        Client(serve(Response(status, body)).url, LEGACY, repeats=ONCE).call("GET", "/api/projects/7")


def test_titles_and_servers_do_nothing_to_a_terminal_and_tell_no_token(serve: Serve) -> None:
    hostile = page(f"\x1b[2J\x07{LEGACY}<b>bold</b>\u202e" + "x" * 10_000)
    double = serve(Response(403, hostile, {"Server": f"{LEGACY} evil"}))

    with pytest.raises(LabelLoopError) as caught:
        Client(double.url, LEGACY, repeats=ONCE).call("GET", "/api/projects")

    assert caught.value.message.isprintable()
    assert LEGACY not in caught.value.message
    assert len(caught.value.message) < 400


def test_a_token_of_any_look_that_is_sent_back_is_masked(serve: Serve) -> None:
    personal = "eyJhbGciOi.eyJzdWIiOiIx.c2lnbmF0dXJl"
    body = {"status_code": 400, "detail": json.dumps({"seen": personal})}

    with pytest.raises(LabelLoopError) as caught:
        Client(serve(Response(401, body)).url, personal, repeats=ONCE).call("GET", "/api/projects")

    assert personal not in caught.value.message + caught.value.hint
