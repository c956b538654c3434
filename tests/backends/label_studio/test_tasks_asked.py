"""What is asked of the Data Manager fits the road: no body on a GET, no address too long for a proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import unquote, urlencode

import pytest

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.client import Client

from support.http_double import Double, Request, Response, serving

LINE = 8000
ODD = ["50% off", "a+b", 'say "hi"', "é 猫 \N{CAT FACE}", "%25", "a,b", "&x=1", "#", "\\", "a/b?c"]


def answer(request: Request) -> Response:
    """Every item that is asked for is a task."""
    said = json.loads(unquote(request.query["query"]))  # decoded once more than an address is, as the server does
    wanted: list[str] = next((one["value"] for one in said["filters"]["items"] if one["operator"] == "in_list"), [])
    after = next((one["value"] for one in said["filters"]["items"] if one["operator"] == "greater"), 0)
    rows = [{"id": n, "data": {tasks.UID: uid}} for n, uid in enumerate(wanted, 1) if n > after]
    return Response(200, {"tasks": rows, "total": len(rows)})


@pytest.fixture
def server() -> Iterator[Double]:
    double = serving(answer)
    yield double
    double.stop()


def found(server: Double, uids: list[str]) -> list[str]:
    return [row["data"][tasks.UID] for row in tasks.with_uids(Client(server.url, "t"), 7, uids, "id,data")]


def test_no_question_about_tasks_has_a_body(server: Double) -> None:
    client = Client(server.url, "t")

    tasks.count(client, 7, [tasks.where("total_annotations", "greater", 0, "Number")])
    list(tasks.scan(client, 7, [], "id,data"))
    found(server, ["a", "b"])

    assert [(one.method, one.body) for one in server.seen] == [("GET", b"")] * len(server.seen)


@pytest.mark.parametrize("uids", [[f"{n:032x}" for n in range(2000)], ["%" * 40 + str(n) for n in range(300)], ODD])
def test_items_are_looked_up_in_lists_that_fit_the_line_of_a_proxy(server: Double, uids: list[str]) -> None:
    assert found(server, uids) == uids
    assert max(len(f"{one.path}?{urlencode(one.query)}") for one in server.seen) < LINE
    assert len(server.seen) <= 1 + sum(map(len, uids)) // 1000
