"""A server that forges every answer of Label Studio's API: one error in words, within bounds, and nothing else."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.label_studio import bounds, tasks
from labelloop.backends.label_studio import client as clients
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.repeats import Repeats
from labelloop.errors import LabelLoopError
from labelloop.kinds import LabelSchema
from labelloop.testing.secrets import MemorySecrets
from labelloop.types import Item, Question

from support.http_double import Double, Request, Response, serving

TOKEN = "0123456789abcdef0123456789abcdef01234567"
TEXTS = LabelSchema("text", ("a", "b"))
ONCE = Repeats(attempts=1)
NOW = "2026-01-01T00:00:00.000000Z"
DEEP = b"[" * 200_000 + b"]" * 200_000


def honest(request: Request) -> Any:
    """What Label Studio would say, in short."""
    path = request.path
    if path == "/api/version":
        return {"release": "1.23.2"}
    if path.endswith("/whoami"):
        return {"id": 1, "email": "a@example.com"}
    if path == "/api/projects":
        if request.method == "GET":
            return {"results": [], "next": None}
        return {"id": 1, "model_version": "", "sampling": "Sequential sampling", "maximum_annotations": 1, "title": "x"}
    if path == "/api/tasks":
        return {"tasks": [], "total": 0}
    if path.endswith("/import"):
        sent = json.loads(request.body)
        return {"task_count": len(sent), "prediction_count": 0, "task_ids": list(range(1, len(sent) + 1))}
    return {"task_number": 0, "total_annotations_number": 0, "model_version": "", "created_labels": {}}


def task(**changes: Any) -> dict[str, Any]:
    said = {"id": 5, "result": [], "completed_by": 1, "was_cancelled": False, "ground_truth": False}
    said |= {"lead_time": 1.0, "created_at": NOW, "updated_at": NOW}
    row = {"id": 1, "data": {"labelloop_id": "one"}, "updated_at": NOW, "annotations": [said]}
    return {"tasks": [{**row, **changes}], "total": 1}


WRONG: list[Any] = [
    None, True, 7, -1, 1e308, "text", "", [], {}, [[]], [None], {"results": None}, {"results": 5}, {"results": "abc"},
    {"results": [None]}, {"results": [{"id": "x"}]}, {"tasks": None, "total": 1}, {"tasks": 1, "total": 1},
    {"tasks": [None], "total": 1}, {"tasks": [[]], "total": 1}, {"tasks": [], "total": "many"},
    {"tasks": [], "total": -5},
    {"tasks": [{}], "total": 1}, {"tasks": [{"id": None}], "total": 1}, {"tasks": [], "total": None},
    {"id": None}, {"id": "../../x"}, {"id": {"$ne": 1}}, {"release": None}, {"detail": ["x"] * 1000},
    task(data=None), task(data=[]), task(data="x"), task(id="1; drop"), task(id=-1), task(updated_at="yesterday"),
    task(updated_at=None), task(updated_at=7), task(annotations=None), task(annotations=[None]), task(annotations={}),
    task(annotations=[{"id": 1}]), task(data={"labelloop_id": "../../etc/passwd"}), task(data={"labelloop_id": {}}),
    task(data={"labelloop_id": "\x1b[2J\x00"}), task(updated_at="9999-12-31T23:59:59+00:00"),
    {"task_count": 1, "prediction_count": 0, "task_ids": None},
    {"task_count": 1, "prediction_count": 0, "task_ids": []},
    {"task_count": "1", "prediction_count": 0, "task_ids": ["x"]}, {"task_count": -1, "prediction_count": 0},
    {"task_count": 1, "prediction_count": 0, "task_ids": [[]]}, {"task_number": None}, {"task_number": "\ud800"},
]  # fmt: skip

RAW: list[tuple[str, bytes, dict[str, str]]] = [
    ("deep", DEEP, {}),
    ("bad utf-8", b'{"a": "\xff\xfe"}', {}),
    ("a number of 10,000 digits", b"9" * 10_000, {}),
    ("cut", b'{"tasks": [', {}),
    ("a bomb", gzip.compress(b"[" + b" " * 5_000_000 + b"]"), {"Content-Encoding": "gzip"}),
    ("a bomb in a bomb", gzip.compress(gzip.compress(b" " * 5_000_000)), {"Content-Encoding": "gzip, gzip"}),
    ("no gzip", b"nothing", {"Content-Encoding": "gzip"}),
    ("unknown packing", b"{}", {"Content-Encoding": "zstd"}),
    ("a cookie", b"{}", {"Set-Cookie": "sessionid=evil; Domain=127.0.0.1"}),
    ("a huge header", b"{}", {"X-Long": "x" * 200_000}),
    ("a reflected token", TOKEN.encode(), {"Server": TOKEN}),
    ("terminal escapes", b"\x1b[2J<title>\x1b]0;evil\x07</title>", {"Server": "\x1b[31mred"}),
]


def journey(annotator: LabelStudioAnnotator) -> list[LabelLoopError]:
    """Everything that a loop asks of its annotator; what it raised."""
    raised: list[LabelLoopError] = []

    def attempt(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except LabelLoopError as error:
            raised.append(error)
            return None

    attempt(annotator.describe)
    attempt(annotator.datasets)
    attempt(annotator.people)
    attempt(lambda: annotator.stats("forged"))
    dataset = attempt(lambda: annotator.open("forged", TEXTS))
    if dataset is not None:
        attempt(lambda: dataset.ask([Question(Item("one", "text", text="one"))]))
        attempt(lambda: list(dataset.answers(None)))
        for verb in (dataset.present, dataset.size, dataset.stats, dataset.survey):
            attempt(verb)
        attempt(lambda: dataset.url("one"))
    return raised


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "REPEATS", ONCE)
    monkeypatch.setattr(Client.__init__, "__kwdefaults__", {**(Client.__init__.__kwdefaults__ or {}), "repeats": ONCE})
    monkeypatch.setattr(bounds, "LARGEST_ANSWER", 1_000_000)


def met(double: Double, home: Path) -> list[LabelLoopError]:
    secrets = MemorySecrets({"team": {"token": TOKEN}})
    made = LabelStudioAnnotator(home=home, secrets=secrets, url=double.url, authentication_secret="team")
    return journey(made)


def judged(errors: list[LabelLoopError]) -> None:
    for error in errors:
        assert TOKEN not in error.message + error.hint
        assert "\x1b" not in error.message + error.hint
        assert len(error.message) < 1000


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("route", ["every", "/api/projects", "/api/tasks", "/import"])
@pytest.mark.parametrize("number", range(len(WRONG)))
def test_answers_of_another_type_or_shape(tmp_path: Path, route: str, number: int) -> None:
    def answer(request: Request) -> Response:
        forged = route == "every" or request.path.endswith(route)
        return Response(200, WRONG[number] if forged else honest(request))

    double = serving(answer)
    try:
        judged(met(double, tmp_path / "home"))
    finally:
        double.stop()

    assert len(double.seen) < 200
    assert not [one for one in tmp_path.rglob("*") if one.is_file() and "home" not in one.parts]


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(("name", "body", "headers"), RAW, ids=[name for name, *_ in RAW])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_bodies_and_headers_that_are_none(
    tmp_path: Path, name: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    double = serving(lambda _: Response(status, body, headers))
    try:
        judged(met(double, tmp_path))
    finally:
        double.stop()

    assert not any("Cookie" in one.headers for one in double.seen)


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["elsewhere", "file:///etc/passwd", "//169.254.169.254/latest", "javascript:alert(1)"])
def test_our_token_goes_nowhere_else(tmp_path: Path, status: int, to: str) -> None:
    other = serving(lambda _: Response(200, {}))
    there = f"{other.url}/steal" if to == "elsewhere" else to
    double = serving(lambda _: Response(status, None, {"Location": there}))
    try:
        judged(met(double, tmp_path))
    finally:
        double.stop()
        other.stop()

    assert other.seen == []


@pytest.mark.usefixtures("bounded")
def test_pages_that_never_end_are_left() -> None:
    double = serving(lambda _: Response(200, {**task(), "total": 10**12}))
    try:
        with pytest.raises(LabelLoopError, match="again and again"):
            list(tasks.scan(Client(double.url, TOKEN, repeats=ONCE), 1, [], "id"))
    finally:
        double.stop()

    assert len(double.seen) == 2


@pytest.mark.usefixtures("bounded")
def test_links_to_a_next_page_are_counted_and_never_followed(tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        if request.path == "/api/projects" and request.method == "GET":
            return Response(200, {"results": [], "next": "http://elsewhere.example.com/?page=2"})
        return Response(200, honest(request))

    double = serving(answer)
    try:
        judged(met(double, tmp_path))
    finally:
        double.stop()

    assert len(double.seen) < 100


@pytest.fixture
def dripping() -> Iterator[Callable[[bytes], str]]:
    """A server that sends these bytes first, then one more at a time, for ever."""
    listening: list[socket.socket] = []

    def start(first: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(first)
                        while True:
                            connection.sendall(b"x")
                            time.sleep(0.02)
                except OSError:
                    if server.fileno() < 0:
                        return

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield start
    for server in listening:
        server.close()


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
    ],
    ids=["status", "headers", "body", "body of a length"],
)
def test_what_drips_in_has_an_end(
    dripping: Callable[[bytes], str], first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "PATIENCE", 0.5)
    started = time.monotonic()

    with pytest.raises(LabelLoopError):
        Client(dripping(first), TOKEN, repeats=ONCE).call("GET", "/api/projects", timeout=0.2)

    assert time.monotonic() - started < 10


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("access", [None, 7, "", "a b", "x\r\nHost: evil", "é", ["x"], {"a": 1}])
def test_an_access_token_that_is_none(access: Any) -> None:
    double = serving(lambda _: Response(200, {"access": access}))
    try:
        with pytest.raises(LabelLoopError):
            Client(double.url, "a.b.c", repeats=ONCE).call("GET", "/api/projects")
    finally:
        double.stop()
