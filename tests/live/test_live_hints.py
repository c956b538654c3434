"""A real Label Studio sends hints: registered once, carrying our secret, removed again; a refusal is said in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from labelloop.backends.label_studio import calls, hooks
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.commands.watch import Bell, Vitals
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of
from labelloop.testing.annotator import LabelStudioPerson
from labelloop.types import Item, Question
from labelloop.web.server import serving
from labelloop.web.service import service

pytestmark = pytest.mark.live

NAME = "hints of a project"
PATH = "/hooks/0123456789ab"
SCHEMA = LabelSchema("text", ("cat", "dog"))
HEADERS = {"Authorization": "Bearer a secret of ours"}


@pytest.fixture
def asked(annotator: LabelStudioAnnotator) -> Iterator[LabelStudioAnnotator]:
    """One question is with people."""
    annotator.open(NAME, SCHEMA).ask([Question(Item("a", "text", text="an animal"))])
    yield annotator
    annotator.delete(NAME)


@contextmanager
def listening() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A plain server that remembers what it was sent."""
    heard: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not shown."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}{PATH}", heard
    server.shutdown()
    thread.join()
    server.server_close()


def project(annotator: LabelStudioAnnotator) -> int:
    """Label Studio's id of the dataset."""
    return annotator.open(NAME, SCHEMA).project


def test_people_wake_the_loop_and_what_is_sent_says_nothing(
    asked: LabelStudioAnnotator, person: LabelStudioPerson
) -> None:
    with listening() as (url, heard):
        asked.subscribe(NAME, url, HEADERS)

        given = person.answer(NAME, "a", regions_of(SCHEMA, ["dog"]))
        person.edit(NAME, given, regions_of(SCHEMA, ["cat"]))
        person.retract(NAME, given)

    assert [body for _, body in heard] == [
        b'{"action": "ANNOTATION_CREATED"}',
        b'{"action": "ANNOTATION_UPDATED"}',
        b'{"action": "ANNOTATIONS_DELETED"}',
    ]
    assert {headers["Authorization"] for headers, _ in heard} == {HEADERS["Authorization"]}


def test_our_own_service_takes_them(asked: LabelStudioAnnotator, person: LabelStudioPerson) -> None:
    bell = Bell(gap=0.0)
    with serving(service(Vitals(), bell, PATH, HEADERS["Authorization"]), "127.0.0.1", 0) as address:
        asked.subscribe(NAME, address + PATH, HEADERS)
        person.answer(NAME, "a", regions_of(SCHEMA, ["dog"]))

    assert bell.wait(0.0)


def test_registering_again_changes_nothing_and_a_new_address_replaces_the_old_one(asked: LabelStudioAnnotator) -> None:
    client, number = asked.client(), project(asked)
    asked.subscribe(NAME, f"http://127.0.0.1:9/{PATH[1:]}", HEADERS)
    (first,) = hooks.ours(client, number, PATH)

    asked.subscribe(NAME, f"http://127.0.0.1:9{PATH}", HEADERS)
    (second,) = hooks.ours(client, number, PATH)
    asked.subscribe(NAME, f"http://127.0.0.1:10{PATH}", {"Authorization": "Bearer another"})
    (third,) = hooks.ours(client, number, PATH)

    assert first == second
    assert (third["id"], third["url"]) == (first["id"], f"http://127.0.0.1:10{PATH}")
    assert third["headers"] == {"Authorization": "Bearer another"}


def test_doubles_are_removed_and_hooks_of_others_are_left_alone(asked: LabelStudioAnnotator) -> None:
    client, number = asked.client(), project(asked)
    body = {"project": number, "url": f"http://127.0.0.1:9{PATH}", "send_for_all_actions": True}
    calls.allow(asked.connection.home, [str(body["url"]), "http://127.0.0.1:9/somebody-elses"])
    for url in (body["url"], body["url"], "http://127.0.0.1:9/somebody-elses"):
        client.call("POST", "/api/webhooks/", body={**body, "url": url})

    asked.subscribe(NAME, f"http://127.0.0.1:9{PATH}", HEADERS)

    (kept,) = hooks.ours(client, number, PATH)
    assert (kept["send_payload"], kept["send_for_all_actions"], kept["is_active"]) == (False, False, True)
    assert sorted(kept["actions"]) == sorted(hooks.ACTIONS)
    assert len(hooks.ours(client, number, "/somebody-elses")) == 1


def test_they_end_when_they_are_withdrawn(asked: LabelStudioAnnotator) -> None:
    asked.subscribe(NAME, f"http://127.0.0.1:9{PATH}", HEADERS)

    assert asked.unsubscribe(NAME, PATH) == 1
    assert asked.unsubscribe(NAME, PATH) == 0
    assert hooks.ours(asked.client(), project(asked), PATH) == []


def test_what_labelloop_did_not_allow_is_refused_and_says_what_to_set(asked: LabelStudioAnnotator) -> None:
    with pytest.raises(ConfigError, match="calls no private addresses such as http://127") as refused:
        hooks.subscribe(asked.client(), project(asked), f"http://127.0.0.1:9{PATH}/other", HEADERS)

    assert "or watch.url to a public address" in refused.value.hint
