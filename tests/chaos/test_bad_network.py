"""A real proxy spoils a third of all requests and is down for minutes: the loop completes, with nothing lost or twice.

Time is compressed: pauses of `watch` and of repeated requests pass at once, and are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.repeats import Repeats
from labelloop.commands.watch import Care, watch
from labelloop.loop.loop import Loop
from labelloop.report.views import RoundView
from labelloop.workspace.config import load
from labelloop.workspace.stack import Stack

from support.chaos_form import FULL
from support.live_world import LiveWorld
from support.proxy import Weather, proxy

pytestmark = [pytest.mark.chaos, pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(1800 if FULL else 300)]

NAME = "a bad network"
ITEMS = 60
ROUNDS = 12 if FULL else 5
IMPATIENT = 1.5
MINUTES_DOWN = 5.0
DOWNTIMES = (2, 5)
"""The waits, by number, in which the proxy goes down."""


@dataclass
class Compressed:
    """Time that passes at once.

    Attributes:
        between: What happens while the loop waits.
        downtimes: The waits, by number, in which the proxy goes down for minutes.
        now: Seconds since the beginning.
        until: When the proxy is back.
        waits: How long the loop waited between ticks.
    """

    weather: Weather
    between: Callable[[], object]
    downtimes: Sequence[int] = ()
    now: float = 0.0
    until: float = 0.0
    waits: list[float] = field(default_factory=list)

    def pause(self, seconds: float) -> None:
        """The pause before a request is repeated."""
        self.now += seconds

    def wait(self, seconds: float) -> bool:
        """The pause between two ticks."""
        self.now += seconds
        self.waits.append(seconds)
        if len(self.waits) in self.downtimes:
            self.until = self.now + 60 * MINUTES_DOWN
        self.weather.down = self.now < self.until
        self.between()
        return False


@dataclass
class Told:
    """What the watched loop says."""

    words: list[str] = field(default_factory=list)

    def say(self, words: str) -> None:
        self.words.append(words)

    def record(self, one: RoundView) -> None:
        self.words.append(f"round {one.number}")


class Impatient(Client):
    """A client whose every request times out soon."""

    def call(self, method: str, path: str, **request: Any) -> Any:
        return super().call(method, path, **{**request, "timeout": IMPATIENT})


@pytest.fixture(autouse=True)
def gone_afterwards(annotator: LabelStudioAnnotator) -> Any:
    yield
    annotator.delete(NAME)


def play(
    world: LiveWorld, weather: Weather, monkeypatch: pytest.MonkeyPatch, downtimes: Sequence[int] = ()
) -> Compressed:
    """Watch the loop through the proxy until it is done, with people who answer directly."""
    time = Compressed(weather, lambda: world.answer_all() if world.annotator.datasets() else 0, downtimes)
    monkeypatch.setenv("LABELLOOP_SECRET_TEAM__TOKEN", world.token)
    with ExitStack() as stack:
        url = stack.enter_context(proxy(world.annotator.client().url, weather, patience=IMPATIENT + 0.5))
        world.config.write_text(world.config.read_text().replace(world.annotator.client().url, url))
        workspace = load(world.root, {}, {"loop.rounds": str(ROUNDS)})
        parts = Stack(workspace)
        repeats = Repeats(sleep=time.pause, clock=lambda: time.now)
        cast(LabelStudioAnnotator, parts.annotator).connection.use(Impatient(url, world.token, repeats=repeats))
        with Loop(workspace, parts) as loop:
            watch(loop, Told(), Care(sleep=time.wait, jitter=weather.random.random), until_done=True)
    return time


def test_a_third_of_all_requests_spoiled_and_minutes_of_silence_change_nothing_in_the_end(
    annotator: LabelStudioAnnotator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, fine = LiveWorld(tmp_path / "undisturbed", annotator, NAME), Weather()
    calm.draw(ITEMS)
    play(calm, fine, monkeypatch)
    wanted = calm.state()
    annotator.delete(NAME)
    bad = Weather(share=1 / 3, random=Random(7))
    world = LiveWorld(tmp_path / "disturbed", annotator, NAME)
    world.draw(ITEMS)

    time = play(world, bad, monkeypatch, DOWNTIMES)

    seen = bad.seen()
    print(f"requests: {len(bad.requests)} {dict(seen)}, undisturbed: {len(fine.requests)}; {time.now:.0f} s pass")
    assert all(seen[fault] for fault in bad.faults), "a fault was never met"
    assert 0 < seen["refused"] <= 10 * MINUTES_DOWN * len(DOWNTIMES), "at most ten requests a minute, repeats included"
    assert max(time.waits) <= 60 * 1.25
    assert len(time.waits) > DOWNTIMES[-1], "the last downtime was never reached"
    assert len(bad.requests) - seen["refused"] <= 4 * len(fine.requests)
    asked = [task["data"]["labelloop_id"] for task in world.tasks()]
    assert len(asked) == len(set(asked)), "an item is a task twice"
    assert world.state() == wanted
