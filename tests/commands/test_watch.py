"""The daemon ticks, waits longer while nothing happens, and says why."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from labelloop.commands.watch import Bell, Care, Vitals, watch
from labelloop.errors import BackendError, ConfigError
from labelloop.loop.loop import Loop
from labelloop.report.views import RoundView

from support.small_world import NAME, NOW, World

RANG = "it rang"


class EnoughError(Exception):
    """The test has seen enough."""


@dataclass
class Memo:
    """Remembers what was told, and how long was waited; `then` happens at each wait."""

    said: list[str] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    then: Iterator[Callable[[], object]] = field(default_factory=lambda: iter(()))
    healed: list[int] = field(default_factory=list)
    greeted: list[int] = field(default_factory=list)
    vitals: Vitals = field(default_factory=Vitals)

    def care(self) -> Care:
        """What is done around the loop, remembered by how many waits there had been."""
        return Care(
            heal=lambda: self.healed.append(len(self.waits)),
            greet=lambda: self.greeted.append(len(self.waits)),
            vitals=self.vitals,
            sleep=self.sleep,
            jitter=lambda: 0.5,
            clock=lambda: 1000.0 + len(self.waits),
        )

    def say(self, words: str) -> None:
        self.said.append(words)

    def record(self, one: RoundView) -> None:
        self.rounds.append(one.number)

    def sleep(self, seconds: float) -> bool:
        self.waits.append(seconds)
        happens = next(self.then, None)
        if happens is None:
            raise EnoughError
        return happens() == RANG


def watched(loop: Loop, *then: Callable[[], object], until_done: bool = False) -> Memo:
    """Watch a loop while these things happen, one at each wait."""
    memo = Memo(then=iter(then))
    with suppress(EnoughError):
        watch(loop, memo, memo.care(), every=4.0, until_done=until_done)
    return memo


def nothing() -> None:
    """Nothing happens."""


def test_it_asks_waits_hears_and_asks_again(animals: World) -> None:
    memo = watched(animals.loop(), nothing, animals.answer_all, nothing)

    assert memo.rounds == [1, 2]
    assert "0 of 10 answers to round 1" in memo.said
    assert any(words.startswith("asked 10 item(s): fake://annotator/") for words in memo.said)


def test_it_looks_less_often_while_nothing_happens_and_at_once_when_something_does(animals: World) -> None:
    def one_answer() -> None:
        item_id = animals.dataset.open_items()[0]
        animals.answer(item_id, animals.truth()[item_id])

    memo = watched(animals.loop(), *[nothing] * 8, one_answer, nothing)

    assert memo.waits[:3] == [6.0, 9.0, 13.5]
    assert memo.waits[7:9] == [48.0, 48.0]
    assert memo.waits[9] == 4.0


def test_it_backs_off_while_the_annotator_is_away_and_goes_on(animals: World) -> None:
    dataset = animals.people.open(NAME, animals.schema)

    def away() -> None:
        dataset.fail_next_ask(BackendError("connection refused", retryable=True))

    away()
    memo = watched(animals.loop(), away, nothing, nothing)

    assert memo.waits[:3] == [4.0, 8.0, 6.0]
    assert memo.said[0] == "connection refused; looking again in about 4 s"
    assert memo.rounds == [1]


@pytest.mark.parametrize("error", [BackendError("disk full"), ConfigError("wrong token")])
def test_what_waiting_cannot_cure_ends_it(
    animals: World, monkeypatch: pytest.MonkeyPatch, error: BackendError | ConfigError
) -> None:
    loop = animals.loop()

    def refuse() -> None:
        raise error

    monkeypatch.setattr(loop, "tick", refuse)

    with pytest.raises(type(error), match=error.message):
        watch(loop, Memo())


def test_it_waits_for_another_process_that_holds_the_round(animals: World) -> None:
    loop, other = animals.loop(), animals.loop()

    with other.ledger.lease.held():
        memo = watched(loop)

    assert "is held by process" in memo.said[0]


def test_until_done_it_ends_when_nothing_is_left_to_ask(animals: World) -> None:
    memo = watched(animals.loop(loop__rounds=1), animals.answer_all, nothing, until_done=True)

    assert memo.rounds == [1, 2]
    assert memo.said[-1] == "all 1 rounds have been asked"
    assert len(memo.waits) == 1


def test_a_hint_ends_the_wait_and_the_next_one_is_short_again(animals: World) -> None:
    memo = watched(animals.loop(), *[nothing] * 3, lambda: RANG, nothing)

    assert memo.waits[3:5] == [20.25, 6.0]


def test_after_an_outage_it_heals_reconnects_and_greets_again(animals: World) -> None:
    dataset = animals.people.open(NAME, animals.schema)

    def away() -> None:
        dataset.fail_next_ask(BackendError("connection refused", retryable=True))
        animals.answer_all()

    memo = watched(animals.loop(), nothing, away, nothing, nothing)

    assert memo.greeted == [0, 3]
    assert memo.healed == [3]
    assert "the annotator answers again" in memo.said
    assert memo.vitals.failures == {"BackendError": 1}


def test_healing_that_fails_is_tried_again(animals: World) -> None:
    memo = Memo(then=iter([nothing, nothing, nothing]))
    animals.people.open(NAME, animals.schema).fail_next_ask(BackendError("gone", retryable=True))
    attempts = iter([BackendError("still gone", retryable=True), None])

    def heal() -> None:
        error = next(attempts)
        if error:
            raise error

    with suppress(EnoughError):
        watch(animals.loop(), memo, replace(memo.care(), heal=heal), every=4.0)

    assert [words for words in memo.said if "gone" in words] == [
        "gone; looking again in about 4 s",
        "still gone; looking again in about 8 s",
    ]
    assert memo.rounds == [1]


def test_its_vitals_count_what_happened(animals: World) -> None:
    memo = watched(animals.loop(), nothing, animals.answer_all, nothing)

    vitals = memo.vitals
    assert vitals.rounds == 2
    assert vitals.heard["created"] == 10
    assert vitals.heard_at == 1003.0
    assert {"train", "ask"} <= set(vitals.seconds)
    assert vitals.situation is not None
    assert vitals.situation.open == 10


def test_it_looks_when_time_alone_makes_a_round_due(animals: World) -> None:
    now = [NOW]
    animals.clock = lambda: now[0]
    loop = animals.loop(loop__cool_down=5.0)

    def answers_after_two_seconds() -> None:
        animals.answer_all()
        now[0] += timedelta(seconds=2)

    def three_more_seconds() -> None:
        now[0] += timedelta(seconds=3)

    memo = watched(loop, answers_after_two_seconds, three_more_seconds, nothing)

    assert "round 1 is answered; cooling down for 3 s after round 1" in memo.said
    assert memo.waits[1] == 3.0
    assert memo.rounds == [1, 2]


def test_a_bell_that_rang_many_times_rings_once() -> None:
    bell = Bell(gap=0.0)
    for _ in range(1000):
        bell.ring()

    assert bell.wait(10.0)
    assert not bell.wait(0.0)


def test_a_bell_rung_by_another_thread_ends_a_long_wait() -> None:
    bell = Bell(gap=0.0)
    ringing = threading.Timer(0.05, bell.ring)
    ringing.start()

    assert bell.wait(60.0)
