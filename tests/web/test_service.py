"""The service of a watched loop: hints wake it and nothing else, and its metrics are what Prometheus reads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from labelloop.commands.watch import Bell, Care, Vitals, watch
from labelloop.errors import ConfigError
from labelloop.report.views import RoundView
from labelloop.web.server import AT_ONCE, serving
from labelloop.web.service import service

from support.small_world import World

PATH = "/hooks/abc"
CREDENTIAL = "Bearer the shared secret"


@dataclass
class Served:
    """A running service, and who listens."""

    address: str
    vitals: Vitals
    bell: Bell

    def hint(self, authorization: str = CREDENTIAL, path: str = PATH, **more: Any) -> int:
        """Send a hint; the status of the answer."""
        headers = {"Authorization": authorization} if authorization else {}
        return httpx.post(self.address + path, headers=headers, trust_env=False, **more).status_code

    def metrics(self) -> dict[str, float]:
        """What Prometheus reads, by name with labels."""
        text = httpx.get(self.address + "/metrics", trust_env=False).text
        return {
            sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def served() -> Iterator[Served]:
    vitals, bell = Vitals(), Bell(gap=0.0)
    with serving(service(vitals, bell, PATH, CREDENTIAL), "127.0.0.1", 0) as address:
        yield Served(address, vitals, bell)


def test_a_hint_rings_the_bell(served: Served) -> None:
    assert served.hint(json={"action": "ANNOTATION_CREATED"}) == 204
    assert served.bell.wait(0.0)


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", CREDENTIAL[:-1], CREDENTIAL + "x", "the shared secret", "\xe9"]
)
def test_a_forged_hint_wakes_nobody(served: Served, authorization: str) -> None:
    status = httpx.post(
        served.address + PATH, headers={b"Authorization": authorization.encode("latin-1")}, trust_env=False
    ).status_code

    assert status == 401
    assert not served.bell.wait(0.0)
    assert served.metrics()["labelloop_hints_total[refused]"] == 1


def test_without_a_secret_of_ours_no_hint_is_taken() -> None:
    bell = Bell(gap=0.0)
    with serving(service(Vitals(), bell, PATH, ""), "127.0.0.1", 0) as address:
        statuses = {Served(address, Vitals(), bell).hint(said) for said in ("", "Bearer", "Bearer None")}

    assert statuses == {401}
    assert not bell.wait(0.0)


@pytest.mark.parametrize(("path", "status"), [("/hooks/other", 404), ("/", 404), (PATH + "/x", 404)])
def test_other_paths_are_nothing(served: Served, path: str, status: int) -> None:
    assert served.hint(path=path) == status
    assert not served.bell.wait(0.0)


def test_a_body_is_not_read_whatever_it_is(served: Served) -> None:
    assert served.hint(content=b"{ not json") == 204
    assert served.hint(json={"action": "TASKS_DELETED", "project": {"token": "x"}}) == 204
    assert served.hint(json={"annotation": {"result": [{"value": "y" * 3_000_000}]}}) in (204, 413)
    assert served.vitals.hints["taken"] == 3


def test_a_flood_of_hints_is_one_hint_and_the_service_still_answers(served: Served) -> None:
    with ThreadPoolExecutor(16) as flood:
        statuses = set(flood.map(lambda _: served.hint(), range(400)))

    assert statuses <= {204, 503}
    assert served.bell.wait(0.0)
    assert not served.bell.wait(0.0)
    assert httpx.get(served.address + "/health", trust_env=False).json() == {"status": "UP", "heard_at": None}


def test_connections_that_say_nothing_do_not_keep_the_others_out(served: Served) -> None:
    import socket

    host, _, port = served.address.removeprefix("http://").partition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(AT_ONCE // 2)]

    assert served.hint() == 204
    for one in silent:
        one.close()


def test_a_port_that_is_taken_is_an_error_that_names_it(served: Served) -> None:
    port = int(served.address.rpartition(":")[2])

    with (
        pytest.raises(ConfigError, match=f"127.0.0.1 port {port} cannot be listened on"),
        serving(service(Vitals(), Bell(), PATH, ""), "127.0.0.1", port),
    ):
        pass


def test_before_anything_was_heard_there_are_counters_at_zero(served: Served) -> None:
    shown = served.metrics()

    assert shown["labelloop_rounds_total"] == 0
    assert shown["labelloop_answers_heard_total[created]"] == 0
    assert "labelloop_last_hearing_timestamp_seconds" not in shown


class DoneError(Exception):
    """The test has seen enough."""


@dataclass
class Quiet:
    """Nobody watches."""

    rounds: list[int] = field(default_factory=list)

    def say(self, words: str) -> None:
        """Not shown."""

    def record(self, one: RoundView) -> None:
        """Counted."""
        self.rounds.append(one.number)


def watched(world: World, care: Care, *then: Callable[[], object]) -> Quiet:
    """Watch while these things happen, one at each wait; nothing sleeps."""
    happens, view = iter(then), Quiet()

    def sleep(_: float) -> bool:
        step = next(happens, None)
        if step is None:
            raise DoneError
        step()
        return False

    with suppress(DoneError):
        watch(world.loop(), view, replace(care, sleep=sleep))
    return view


def test_the_metrics_tell_what_a_loop_did(served: Served, animals: World) -> None:
    care = Care(vitals=served.vitals, clock=lambda: 1_700_000_000.0)

    watched(animals, care, animals.answer_all, animals.answer_all)

    shown, last = served.metrics(), animals.last()
    assert shown["labelloop_rounds_total"] == 3
    assert shown["labelloop_answers_heard_total[created]"] == 20
    assert shown["labelloop_open_questions"] == last.asked
    assert shown["labelloop_last_round"] == 3
    assert shown["labelloop_score[accuracy]"] == last.metrics["score"]
    assert shown["labelloop_score_low[accuracy]"] <= shown["labelloop_score[accuracy]"]
    assert shown["labelloop_last_hearing_timestamp_seconds"] == 1_700_000_000.0
    assert shown["labelloop_stage_seconds_total[train]"] >= 0


@pytest.mark.parametrize("kind", ["none", "lost", "doubled", "forged", "flooded"])
def test_the_loop_ends_the_same_whatever_becomes_of_its_hints(served: Served, animals: World, kind: str) -> None:
    def answered() -> None:
        animals.answer_all()
        sent = {"none": [], "lost": [], "doubled": [CREDENTIAL] * 2, "forged": ["Bearer x"] * 3}.get(kind)
        for said in [CREDENTIAL] * 30 if sent is None else sent:
            served.hint(said, json={"action": "TASKS_DELETED"})

    view = watched(animals, Care(vitals=served.vitals), answered, answered, lambda: None)

    assert view.rounds == [1, 2, 3]
    assert [one.state for one in animals.questions() if one.round < 3] == ["answered"] * 20
    assert animals.last().changes == 20


def test_the_server_ends_with_its_block() -> None:
    before = threading.active_count()

    with serving(service(Vitals(), Bell(), PATH, ""), "127.0.0.1", 0) as address:
        httpx.get(address + "/health", trust_env=False)

    assert threading.active_count() == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(address + "/health", trust_env=False)
