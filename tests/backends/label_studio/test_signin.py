"""The link that signs in works once, and for the user who asked for it: others can read it in the list of processes."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from labelloop.backends.label_studio.guard import HEADERS, secure
from labelloop.backends.label_studio.signin import SILENCE, is_of_another, signed_in_link

from support.http_double import Request, Response, serving

FORM = '<input name="csrfmiddlewaretoken" value="abc">'
NOBODY = 65534
TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  {uid}        0 2 1 0 20 4 30 10 -1
   2: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
"""


@pytest.fixture
def page() -> Iterator[str]:
    """A page of a server that takes every password."""

    def answer(request: Request) -> Response:
        if request.method == "GET":
            return Response(200, FORM)
        return Response(302, "", headers={"Set-Cookie": "sessionid=s3ss10n; Path=/", "Location": "/"})

    double = serving(answer)
    yield f"{double.url}/projects/1/data"
    double.stop()


def told_to_nobody(link: str) -> int:
    """What another user of the machine gets for a link: the status."""
    where, (reads, writes) = urlsplit(link), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setuid(NOBODY)
            connection = HTTPConnection(str(where.hostname), where.port)
            connection.request("GET", where.path)
            os.write(writes, str(connection.getresponse().status).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return int(os.read(reads, 9))


def test_the_link_hands_the_session_over_once(page: str) -> None:
    with signed_in_link(page, "me@example.com", "word") as (link, used):
        assert httpx.get(f"{link[:-1]}", trust_env=False).status_code == 404
        assert not used.is_set()
        first = httpx.get(link, trust_env=False)
        second = httpx.get(link, trust_env=False)

    assert (first.status_code, first.headers["location"]) == (302, page)
    assert "sessionid=s3ss10n" in first.headers["set-cookie"]
    assert second.status_code == 404


def test_a_connection_that_a_browser_opens_ahead_holds_up_neither_the_link_nor_its_end(page: str) -> None:
    began = time.monotonic()
    with signed_in_link(page, "me@example.com", "word") as (link, used):
        where = urlsplit(link)
        ahead = socket.create_connection((where.hostname, where.port))
        time.sleep(0.2)
        answer = httpx.get(link, trust_env=False, timeout=5)
        assert used.wait(5)
    ahead.close()

    assert answer.status_code == 302
    assert time.monotonic() - began < SILENCE


@pytest.mark.skipif(os.getuid() != 0 or not Path("/proc/net/tcp").exists(), reason="needs root, on Linux")
def test_another_user_who_has_read_the_link_gets_nothing_and_does_not_use_it_up(page: str) -> None:
    with signed_in_link(page, "me@example.com", "word") as (link, used):
        assert told_to_nobody(link) == 404
        assert not used.is_set()
        assert httpx.get(link, trust_env=False).status_code == 302


@pytest.mark.parametrize(("uid", "refused"), [(os.getuid(), False), (0, False), (NOBODY, True)])
def test_whose_a_connection_is_the_system_tells(uid: int, refused: bool, tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(TABLE.format(uid=uid))

    assert is_of_another(0xC350, 0x1F90, [tmp_path / "gone", tmp_path / "tcp"]) is refused
    assert not is_of_another(0xC351, 0x1F90, [tmp_path / "tcp"])


def test_our_headers_are_added_where_nothing_is_said() -> None:
    answer = secure(lambda request: {"X-Frame-Options": request})

    assert answer("DENY") == {**HEADERS, "X-Frame-Options": "DENY"}
