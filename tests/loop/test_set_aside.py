"""Pictures that cannot be read now are left out, named and tried again; only a pool that is gone is an error."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from labelloop.commands.add import Added, add_items
from labelloop.commands.doctor import examine, mended
from labelloop.commands.status import status_in_words
from labelloop.data.sources import Columns, content_id
from labelloop.errors import UnreadableError
from labelloop.kinds import LabelSchema
from labelloop.ledger.aside import LONGEST
from labelloop.ledger.opinions import Opinion
from labelloop.loop.decide import Start, Stop
from labelloop.loop.stages import Outcome
from labelloop.machine import downloads
from labelloop.types import Item, Missing, NewItem

from support.small_world import LABELS, NAME, World

SETTINGS = {"dataset__modality": "image", "learner__pixels": True, "dataset__hosts": ["127.0.0.1"]}


def png(number: int) -> bytes:
    body = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (16, 16, 3), np.uint8)).save(body, "PNG")
    return body.getvalue()


WITHOUT_ASIDE = 7
"""The newest version of a ledger that has no book of what is set aside."""


class _Web(BaseHTTPRequestHandler):
    status: ClassVar[dict[int, int]] = {}
    asked: ClassVar[list[int]] = []

    def do_GET(self) -> None:
        number = int(self.path.strip("/").removesuffix(".png"))
        self.asked.append(number)
        status = self.status.get(number, 200)
        if status == 0:  # the connection is reset
            self.connection.close()
            return
        self.send_response(status)
        self.end_headers()
        self.wfile.write(png(number))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    _Web.status, _Web.asked = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Pictures:
    """A world of pictures on the web, whose time passes when told."""

    def __init__(self, root: Path, web: str) -> None:
        self.now = datetime(2026, 2, 3, tzinfo=UTC)
        self.world = World(root, schema=LabelSchema("image", LABELS), clock=lambda: self.now)
        self.web = web

    def add(self, *urls: str) -> list[str]:
        ledger = self.world.ledger()
        items = [Item(content_id(url), "image", uri=url) for url in urls]
        ledger.items.add([NewItem(item, b"") for item in items])
        ledger.close()
        return [item.id for item in items]

    def add_numbers(self, count: int) -> list[str]:
        return self.add(*(f"{self.web}/{number}.png" for number in range(count)))

    def tick(self) -> Outcome:
        return self.world.tick(**SETTINGS, loop__batch=30, holdout__share=0.0)

    def status(self) -> str:
        loop = self.world.loop(**SETTINGS)
        words = status_in_words(loop)
        loop.ledger.close()
        return words

    def asked(self) -> set[str]:
        return self.world.dataset.present()


@pytest.fixture
def pictures(tmp_path: Path, web: str) -> Pictures:
    return Pictures(tmp_path / "world", web)


@pytest.mark.parametrize("status", [500, 503, 429, 404, 403, 0])
def test_one_dead_picture_is_left_out_counted_and_named_and_the_others_are_asked(
    pictures: Pictures, status: int
) -> None:
    ids = pictures.add_numbers(16)
    _Web.status[3] = status

    outcome = pictures.tick()

    assert isinstance(outcome.action, Start)
    assert pictures.asked() == set(ids) - {ids[3]}
    assert outcome.notes[0].startswith("1 item(s) left out: 1 ")
    assert "/3.png" in outcome.notes[0]
    assert "tried again in" in outcome.notes[0]
    assert "left out  1 item(s)" in pictures.status()


@pytest.mark.parametrize("url", ["http://pictures.gone.invalid/a.png", "http://127.0.0.1:9/a.png", "https://[::1/x"])
def test_a_host_that_is_gone_or_an_address_that_is_none_costs_one_picture(pictures: Pictures, url: str) -> None:
    ids = pictures.add_numbers(15)
    pictures.add(url)

    pictures.tick()

    assert pictures.asked() == set(ids)


def test_what_did_not_answer_is_tried_again_and_asked_as_soon_as_it_answers(pictures: Pictures) -> None:
    ids = pictures.add_numbers(16)
    _Web.status[3] = 503
    pictures.tick()
    _Web.asked.clear()

    pictures.tick()
    assert _Web.asked == []  # not before its time

    _Web.status.clear()
    pictures.now += timedelta(minutes=2)
    for item in pictures.world.dataset.open_items():
        pictures.world.people.skip(NAME, item)
    pictures.tick()

    assert _Web.asked == [3]
    assert ids[3] in pictures.asked()
    assert "left out" not in pictures.status()


def test_tries_grow_apart_and_never_end(pictures: Pictures) -> None:
    pictures.add_numbers(16)
    _Web.status[3] = 404
    pictures.tick()
    ledger, pauses = pictures.world.ledger(), []
    for _ in range(12):
        (one,) = ledger.aside.all()
        assert one.due is not None
        pauses.append(one.due - pictures.now)
        pictures.now = one.due
        pictures.tick()

    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST[False]
    ledger.close()


def test_a_clock_that_was_ahead_does_not_keep_a_picture_out(pictures: Pictures) -> None:
    ids = pictures.add_numbers(16)
    _Web.status[3] = 503
    pictures.now += timedelta(days=700)
    pictures.tick()
    _Web.status.clear()
    pictures.now -= timedelta(days=700)

    pictures.tick()

    assert pictures.world.ledger().items.problems() == {}
    assert ids[3] not in pictures.world.ledger().aside.due(pictures.now)


@pytest.mark.parametrize(("count", "status"), [(8, 403), (8, 503), (40, 503), (1, 404)])
def test_a_pool_that_cannot_be_read_is_an_error_and_never_at_its_end(
    pictures: Pictures, count: int, status: int
) -> None:
    pictures.add_numbers(count)
    _Web.status.update(dict.fromkeys(range(count), status))

    for _ in range(2):
        with pytest.raises(UnreadableError, match=r"(none of the|could not be read).*answered") as refused:
            pictures.tick()
        assert (refused.value.exit_code, refused.value.retryable) == (3, True)
        pictures.now += timedelta(days=2)

    _Web.status.clear()
    pictures.tick()
    assert len(pictures.asked()) == min(count, 30)


def test_most_of_a_pool_that_does_not_answer_is_an_error_and_nothing_is_given_up(pictures: Pictures) -> None:
    pictures.add_numbers(20)
    _Web.status.update(dict.fromkeys(range(11), 503))

    with pytest.raises(UnreadableError, match=r"11 of 20 items could not be read, such as .* answered 503"):
        pictures.tick()

    assert pictures.world.ledger().aside.count() == 0


def test_after_the_rest_was_asked_the_end_names_what_cannot_be_read(pictures: Pictures) -> None:
    pictures.add_numbers(12)
    _Web.status[0] = 410
    for _ in range(3):
        outcome = pictures.tick()
        for item in pictures.world.dataset.open_items():
            pictures.world.people.skip(NAME, item)

    assert isinstance(outcome.action, Stop)
    assert (
        outcome.action.reason == "every item that can be read has been asked, and 1 cannot: labelloop doctor names them"
    )


def test_doctor_names_what_is_left_out_and_tries_it_again(pictures: Pictures) -> None:
    pictures.add_numbers(12)
    _Web.status[0] = 404
    pictures.tick()
    loop = pictures.world.loop(**SETTINGS)

    (fault,) = [one for one in examine(loop) if one.what == "items"]
    assert "0.png answered 404" in fault.detail
    assert mended(fault).startswith("not repaired: 1 item(s) left out")
    _Web.status.clear()
    assert mended(fault) == "repaired"
    assert [one for one in examine(loop) if one.what == "items"] == []
    loop.ledger.close()


def test_what_an_older_labelloop_gave_up_is_tried_again(pictures: Pictures) -> None:
    ids = pictures.add_numbers(12)
    ledger = pictures.world.ledger()
    ledger.aside.put({ids[1]: Missing("given up for ever")}, pictures.now)
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE aside")
        connection.exec_driver_sql(f"UPDATE labelloop_version SET number = {WITHOUT_ASIDE}")
    ledger.close()

    assert pictures.world.ledger().aside.due(pictures.now) == [ids[1]]


class Files:
    """A world of pictures in a folder."""

    def __init__(self, root: Path, count: int) -> None:
        self.now = datetime(2026, 2, 3, tzinfo=UTC)
        self.world = World(root / "world", schema=LabelSchema("image", LABELS), clock=lambda: self.now)
        self.folder = root / "photos"
        self.folder.mkdir()
        for number in range(count):
            (self.folder / f"{number}.png").write_bytes(png(number))
        self.add(self.folder)

    def add(self, place: Path) -> Added:
        ledger = self.world.ledger()
        try:
            return add_items(ledger, [str(place)], "image", Columns(), clock=lambda: self.now)
        finally:
            ledger.close()

    def tick(self, **settings: Any) -> Outcome:
        return self.world.tick(**{**SETTINGS, "loop__batch": 4, "holdout__share": 0.0, **settings})

    def skip_all(self) -> None:
        for item in self.world.dataset.open_items():
            self.world.people.skip(NAME, item)

    def asked(self) -> set[str]:
        ledger = self.world.ledger()
        found = ledger.items.get(sorted(self.world.dataset.present()))
        ledger.close()
        return {Path(item.uri).name for item in found.values()}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path, 12)


def test_a_pool_that_became_unreadable_is_an_error_also_after_some_of_it_was_asked(files: Files) -> None:
    files.tick()
    files.skip_all()
    files.folder.rename(files.folder.parent / "elsewhere")

    said = []
    for _ in range(4):
        try:
            said.append(files.tick().action.reason)
        except UnreadableError as error:
            assert error.exit_code == 3
            said.append(error.message)
    assert "8 of the 12 items cannot be read" in said[-1]
    assert not any("has been asked" in one for one in said)

    assert files.add(files.folder.parent / "elsewhere").elsewhere == 12
    outcome = files.tick()
    assert isinstance(outcome.action, Start)
    assert len(files.asked()) == 8
    assert files.world.ledger().aside.count() == 0


@pytest.mark.parametrize("harm", ["gone", "rotated", "folder"])
def test_a_file_that_is_not_what_it_was_when_it_is_shown_is_left_out_and_the_round_goes_on(
    files: Files, harm: str
) -> None:
    loop = files.world.loop(**SETTINGS, loop__batch=12, holdout__share=0.0)
    loop.learning.embeddings.embedded()  # so that nobody notices before people are asked
    loop.ledger.close()
    spoilt = files.folder / "3.png"
    spoilt.unlink()
    if harm == "rotated":
        spoilt.write_bytes(png(99))
    elif harm == "folder":
        spoilt.mkdir()

    outcome = files.tick(loop__batch=12)

    assert isinstance(outcome.action, Start)
    assert files.asked() == {f"{n}.png" for n in range(12) if n != 3}
    (one,) = files.world.ledger().aside.all()
    assert "3.png" in one.missing.reason


def test_a_second_opinion_that_cannot_be_shown_is_left_out_and_the_others_are_asked(files: Files) -> None:
    files.tick()
    ids = sorted(files.world.dataset.present())
    ledger = files.world.ledger()
    ledger.opinions.plan([Opinion(f"{one}~2", one, "label error", "", (), (), 0.5, ()) for one in ids], files.now)
    Path(urlsplit(ledger.items.get(ids[:1])[ids[0]].uri).path).unlink()
    loop = files.world.loop(**SETTINGS)

    with loop.ledger.lease.held():
        assert loop.asker.ask_opinions() == 3

    assert {one.question for one in loop.ledger.opinions.all()} == {f"{one}~2" for one in ids[1:]}
    assert [one.item_id for one in loop.ledger.aside.all()] == [ids[0]]
    loop.ledger.close()


def test_pictures_of_a_host_that_is_gone_cost_one_attempt_a_round(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking_up, tried = downloads.addresses_of, []

    def noting(host: str, address: Any) -> Any:
        tried.append(host)
        return looking_up(host, address)

    monkeypatch.setattr(downloads, "addresses_of", noting)
    pictures.add_numbers(40)
    pictures.add(*(f"http://pictures.gone.invalid/{n}.png" for n in range(15)))

    pictures.tick()

    assert tried.count("pictures.gone.invalid") == 1
    assert pictures.world.ledger().aside.count() == 15
