"""A page that cannot be shown is halved down to the task that cannot; a server that is down is one error."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.aside import Cursor, PassedOver
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.repeats import Repeats
from labelloop.errors import BackendError, ConfigError

from support.http_double import Double, Request, Response, serving

NOW = datetime(2026, 2, 3, tzinfo=UTC)


@dataclass
class Server:
    """Tasks 1 to n, some of which cannot be shown with their answers, or not at all."""

    count: int
    bad: set[int] = field(default_factory=set)
    dark: set[int] = field(default_factory=set)
    huge: set[int] = field(default_factory=set)
    down: bool = False

    def answer(self, request: Request) -> Response:
        if self.down:
            return Response(500, {"detail": "out of order"})
        asked = json.loads(request.query["query"])
        ids = [n for n in range(1, self.count + 1) if all(_meets(n, one) for one in asked["filters"]["items"])]
        shown = ids[: int(request.query["page_size"])]
        everything = request.query["fields"] == "all"
        if (everything and self.bad & set(shown)) or ("data" in request.query["include"] and self.dark & set(shown)):
            return Response(500, {"detail": "'utf-8' codec can't encode character"})
        rows = [self._row(number, everything) for number in shown]
        return Response(200, {"tasks": rows, "total": len(ids)})

    def _row(self, number: int, everything: bool) -> dict[str, Any]:
        text = "x" * 10_000 if number in self.huge and everything else ""
        row = {"id": number, "data": {"labelloop_id": f"item{number}"}, "updated_at": NOW.isoformat(), "text": text}
        return {**row, "annotations": []} if everything else row


def _meets(number: int, condition: Any) -> bool:
    operator, value = condition["operator"], condition["value"]
    if operator == "greater":
        return number > int(value)
    return bool((number in value) == (operator == "in_list"))


@pytest.fixture
def server() -> Server:
    return Server(64)


@pytest.fixture
def double(server: Server) -> Iterator[Double]:
    made = serving(server.answer)
    yield made
    made.stop()


@pytest.fixture
def client(double: Double) -> Client:
    return Client(double.url, "f" * 40, repeats=Repeats(attempts=2, sleep=lambda _: None))


def read(client: Client) -> list[tasks.Row]:
    return [row for rows in tasks.scan(client, 1, [], "id,data,annotations", size=20, everything=True) for row in rows]


def unread(rows: Collection[tasks.Row]) -> list[int]:
    return [int(row["id"]) for row in rows if tasks.is_unread(row)]


@pytest.mark.parametrize("bad", [{1}, {64}, {7, 8}, {20, 21, 40}, set(range(1, 65)), set(range(1, 65, 2))])
def test_every_task_is_read_but_those_that_cannot_be_shown(client: Client, server: Server, bad: set[int]) -> None:
    server.bad = bad

    rows = read(client)

    assert [row["id"] for row in rows] == list(range(1, 65))
    assert unread(rows) == sorted(bad)
    assert all(row["data"] == {"labelloop_id": f"item{row['id']}"} for row in rows)


def test_a_task_of_which_nothing_can_be_shown_is_named_by_its_number(client: Client, server: Server) -> None:
    server.dark = server.bad = {9}

    rows = read(client)

    assert unread(rows) == [9]
    assert rows[8]["data"] == {}


def test_a_page_that_is_too_long_is_halved_too(client: Client, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "LARGEST_PAGE", 6000)
    server.huge = {5}

    rows = read(client)

    assert unread(rows) == [5]
    assert "longer than 6,000 bytes" in rows[4][tasks.UNREAD]


def test_a_server_that_is_down_is_one_error_and_few_requests(client: Client, server: Server, double: Double) -> None:
    server.down = True

    with pytest.raises(BackendError, match="answered 500"):
        read(client)

    assert len(double.seen) <= 4


def test_looking_for_what_cannot_be_shown_is_bounded(
    client: Client, server: Server, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MOST_HALVINGS", 10)
    server.bad = set(range(1, 65))

    rows = read(client)

    assert len(unread(rows)) == 64
    assert len(double.seen) < 4 * 64
    assert any("not looked at yet" in row[tasks.UNREAD] for row in rows)


@pytest.mark.parametrize(
    ("tries", "waited", "due"),
    [
        (1, timedelta(seconds=59), False),
        (1, timedelta(minutes=1), True),
        (3, timedelta(minutes=3), False),
        (3, timedelta(minutes=4), True),
        (50, timedelta(minutes=59), False),
        (50, timedelta(hours=1), True),
        (1, timedelta(days=-400), True),
        (50, timedelta(days=400), True),
    ],
)
def test_a_task_is_tried_again_with_growing_pauses_whatever_the_clock_does(
    tries: int, waited: timedelta, due: bool
) -> None:
    assert PassedOver(NOW.isoformat(), "a", "bad", tries, NOW.isoformat()).is_due(NOW + waited) is due


def test_a_cursor_is_read_as_it_was_written_also_by_an_older_labelloop() -> None:
    cursor = Cursor(NOW, {18: PassedOver(NOW.isoformat(), "item", "why", 2, NOW.isoformat())})

    assert Cursor.of(str(cursor)) == cursor
    assert Cursor.of("2026-02-03T00:00:00.000000Z") == Cursor(NOW)
    assert Cursor.of(None) == Cursor()
    for bad in ("yesterday", "2026-02-03T00:00:00Z {", '2026-02-03T00:00:00Z {"a": {}}', "2026-02-03T00:00:00Z []"):
        with pytest.raises(ConfigError, match="is not one of Label Studio's answers"):
            Cursor.of(bad)
