"""Thousands of odd answers by a second user: the loop ends as without them, and its memory is bounded."""

from __future__ import annotations

import random
import resource
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.commands.status import status_as_dict
from labelloop.errors import BackendError
from labelloop.kinds.consensus import consensus_of_all
from labelloop.kinds.labels import regions_of
from labelloop.testing.annotator import LabelStudioPerson

from support.chaos_form import FULL
from support.guests import invited
from support.odd_answers import odd
from support.small_world import NAME, SCHEMA, World

pytestmark = [pytest.mark.chaos, pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(3600 if FULL else 600)]

ROUNDS, ODD, BATCH = (10, 2000, 20) if FULL else (3, 150, 10)
SETTINGS = {"loop__batch": BATCH, "holdout__per_round": 4, "loop__rounds": ROUNDS}


@dataclass(frozen=True)
class Ended:
    """How a loop ended, and what it cost: `idle` is a tick that hears nothing new, by own seconds and by requests."""

    asked: list[tuple[int, str, str]]
    versions: list[str]
    learned_from: list[int]
    believed: Mapping[str, tuple[str, ...]]
    unusable: Mapping[str, Any]
    idle: tuple[float, int]
    ledger: int


def tasks_of(annotator: LabelStudioAnnotator, project: int) -> dict[str, int]:
    query = {"project": project, "fields": "task_only", "page_size": 1000, "include": "id,data"}
    listed = annotator.client().call("GET", "/api/tasks", query=query)["tasks"]
    return {task["data"]["labelloop_id"]: int(task["id"]) for task in listed}


def post(person: LabelStudioPerson, task: int, body: Mapping[str, Any]) -> bool:
    """Whether it went through without an error; Label Studio may have kept it nevertheless, or refused it."""
    with suppress(BackendError):
        person.client.call("POST", f"/api/tasks/{task}/annotations/", body=body)
        return True
    return False


def play(world: World, annotator: LabelStudioAnnotator, odd_by: LabelStudioPerson | None) -> Ended:
    """All rounds of a loop, answered truly by one person, and oddly by another."""
    draw, ann, truth = random.Random(7), LabelStudioPerson(annotator.client()), world.truth()
    project, kinds, sent = 0, Counter[str](), 0
    for _ in range(ROUNDS):
        world.tick(**SETTINGS)
        project = ann.project(NAME)
        ids = tasks_of(annotator, project)
        with world.loop(**SETTINGS) as loop:
            due = [one.item_id for one in loop.ledger.answers.questions(["asked"])]
        if odd_by is not None:
            bodies = [(ids[draw.choice(due)], *odd(draw)) for _ in range(ODD // ROUNDS)]
            early, late = bodies[::2], bodies[1::2]
            with ThreadPoolExecutor(4) as pool:
                sent += sum(pool.map(lambda one: post(odd_by, one[0], one[2]), early))
            kinds.update(kind for _, kind, _ in bodies)
        for item in due:
            post(ann, ids[item], {"result": [dict(one) for one in regions_of(SCHEMA, [truth[item]])], "lead_time": 2})
        if odd_by is not None:
            with ThreadPoolExecutor(4) as pool:
                sent += sum(pool.map(lambda one: post(odd_by, one[0], one[2]), late))
    world.tick(**SETTINGS)
    began, requests = time.process_time(), Requests()
    with requests:
        world.tick(**SETTINGS)
    idle = (time.process_time() - began, requests.count)
    if kinds:
        print(f"\n{sum(kinds.values())} odd answers of {len(kinds)} kinds, {sent} without an error")
    with world.loop(**SETTINGS) as loop:
        rounds = loop.ledger.rounds.all()
        return Ended(
            [(one.round, one.item_id, one.purpose) for one in loop.ledger.answers.questions()],
            [one.version for one in rounds],
            [one.learned_from for one in rounds],
            consensus_of_all(SCHEMA, loop.ledger.said(SCHEMA)).answers,
            cast(Mapping[str, Any], status_as_dict(loop)["unusable"]),
            idle,
            sum(path.stat().st_size for path in world.root.rglob("ledger.db*")),
        )


class Requests:
    """Counts what this process sends."""

    def __init__(self) -> None:
        self.count = 0
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        send = httpx.Client.send

        def counted(*given: Any, **named: Any) -> httpx.Response:
            self.count += 1
            return send(*given, **named)

        self._patch.setattr(httpx.Client, "send", counted)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def peak() -> int:
    """The most memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def test_odd_answers_change_nothing_and_are_set_aside_by_name(annotator: LabelStudioAnnotator, tmp_path: Path) -> None:
    ends: list[Ended] = []
    memory = []
    guest = invited(annotator.client(), "odd@example.com")
    for name, odd_by in (("calm", None), ("odd", guest)):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, people=cast(Any, annotator))
        world.add((BATCH + 4) * (ROUNDS + 2))
        began = time.perf_counter()
        ends.append(play(world, annotator, odd_by))
        memory.append(peak())
        seconds = time.perf_counter() - began
        print(f"\n{name}: {seconds:.0f} s, peak {memory[-1]} MB, idle tick {ends[-1].idle}, {ends[-1].ledger} bytes")
        annotator.delete(NAME)
    calm, bothered = ends

    aside = bothered.unusable
    print(f"{len(aside['set_aside'])} items with answers set aside, {len(aside['unheard'])} tasks partly unreadable")
    assert bothered.asked == calm.asked
    assert bothered.versions == calm.versions
    assert bothered.learned_from == calm.learned_from
    assert bothered.believed == calm.believed
    assert aside["set_aside"]
    assert aside["unheard"]
    assert set(aside["ground_truth_not_counted"]) == {"odd@example.com"}
    assert aside["without_label"] == []
    assert memory[1] - memory[0] < 400
    assert bothered.ledger - calm.ledger < 64 * 1024 * ODD
    assert bothered.idle[0] < calm.idle[0] + 5
    assert bothered.idle[1] < calm.idle[1] + 100
