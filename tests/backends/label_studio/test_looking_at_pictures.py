"""`check` asks for one picture of each sort as a browser would, and says what it gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import pytest

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.probe import looked_at

from support.http_double import Double, Request, Response, serving

PNG, TIFF = b"\x89PNG\r\n\x1a\n" + b"0" * 40, b"II*\0" + b"0" * 40


@pytest.fixture
def files() -> dict[str, bytes]:
    return {}


@pytest.fixture
def addresses() -> list[str]:
    return []


@pytest.fixture
def server(files: dict[str, bytes], addresses: Sequence[str]) -> Iterator[Double]:
    def answer(request: Request) -> Response:
        path = request.path.removeprefix("/ls")
        if path == "/api/tasks":
            rows = [{"id": n, "data": {"image": one, "labelloop_id": str(n)}} for n, one in enumerate(addresses)]
            return Response(200, {"tasks": rows, "total": len(rows)})
        found = files.get(path)
        return Response(200, found, {"Content-Type": "image/png"}) if found else Response(404, {"detail": "not found"})

    double = serving(answer)
    yield double
    double.stop()


def seen(server: Double, prefix: str = "") -> list[tuple[bool, str, str]]:
    return looked_at(Client(f"{server.url}{prefix}", "t"), 7)


def test_one_of_each_sort_is_followed(server: Double, files: dict[str, bytes], addresses: list[str]) -> None:
    addresses += ["/data/upload/7/a.png", "/data/upload/7/b.png", "/data/local-files/?d=x/c.jpg", "s3://pets/d.png"]
    files |= {"/data/upload/7/a.png": PNG, "/data/local-files/": b"\xff\xd8\xff" + b"0" * 40}

    found = seen(server)

    assert [ok for ok, _, _ in found] == [True, True]
    assert [words.partition(":")[0] for _, words, _ in found] == ["uploaded .png", "served .jpg"]
    assert not [one for one in server.seen if one.path.endswith("b.png")]


def test_what_is_no_picture_for_a_browser_fails(server: Double, files: dict[str, bytes], addresses: list[str]) -> None:
    addresses.append("/data/upload/7/a.png")
    files["/data/upload/7/a.png"] = TIFF

    ((ok, words, hint),) = seen(server)

    assert not ok
    assert "is no picture that browsers show: it begins with b'II*" in words
    assert "add the picture again" in hint


def test_one_that_is_gone_fails(server: Double, addresses: list[str]) -> None:
    addresses.append("/data/upload/7/a.png")

    ((ok, words, _),) = seen(server)

    assert (ok, "has no /data/upload/7/a.png" in words) == (False, True)


def test_below_a_sub_path_an_address_without_it_fails_and_is_not_asked_for(
    server: Double, files: dict[str, bytes], addresses: list[str]
) -> None:
    addresses += ["/ls/data/upload/7/a.png", "/data/upload/7/b.png"]
    files |= {"/data/upload/7/a.png": PNG, "/data/upload/7/b.png": PNG}

    right, wrong = seen(server, "/ls")

    assert (right[0], wrong[0]) == (True, False)
    assert f"browsers look for /data/upload/7/b.png at {server.url}, and Label Studio is at {server.url}/ls" in wrong[1]
    assert not [one for one in server.seen if one.path.endswith("b.png")]


@pytest.mark.parametrize("scheme", ["http:", ""])
def test_no_address_of_the_web_is_followed_for_any_member_can_make_tasks(
    server: Double, files: dict[str, bytes], addresses: list[str], scheme: str
) -> None:
    addresses.append(f"{scheme}//{urlsplit(server.url).netloc}/elsewhere/a.png")
    files["/elsewhere/a.png"] = PNG

    seen(server)

    assert [one.path for one in server.seen] == ["/api/tasks"]


def test_nothing_asked_is_nothing_to_look_at(server: Double) -> None:
    assert seen(server) == []
