"""The daemon ticks, waits longer while nothing happens, and says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from labelloop.errors import BackendError, ConfigError
from labelloop.loop import Loop
from labelloop.report.views import RoundView
from labelloop.watch import watch

from small_world import NAME, World


class EnoughError(Exception):
    """The test has seen enough."""


@dataclass
class Memo:
    """Remembers what was told, and how long was waited; `then` happens at each wait."""

    said: list[str] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    then: Iterator[Callable[[], object]] = field(default_factory=lambda: iter(()))

    def say(self, words: str) -> None:
        self.said.append(words)

    def record(self, one: RoundView) -> None:
        self.rounds.append(one.number)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        happens = next(self.then, None)
        if happens is None:
            raise EnoughError
        happens()


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
