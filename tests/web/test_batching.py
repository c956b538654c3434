"""Requests that wait together are computed together; too many are refused, given up ones cost nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from labelloop.errors import BusyError
from labelloop.web.batching import Batcher


@dataclass
class Doubling:
    """Doubles numbers when it is let; remembers what it was given."""

    seen: list[list[int]] = field(default_factory=list)
    started: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    let: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.started.release()
        assert self.let.acquire(timeout=30)
        self.seen.append(list(numbers))
        return [10 // number * 0 + 2 * number for number in numbers]


@pytest.fixture
def doubling() -> Doubling:
    return Doubling()


@pytest.fixture
def batcher(doubling: Doubling) -> Iterator[Batcher[int, int]]:
    made = Batcher(doubling, most=4, waiting=3)
    yield made
    for _ in range(10):
        doubling.let.release()
    made.close()


def test_what_waits_together_is_computed_together(doubling: Doubling, batcher: Batcher[int, int]) -> None:
    first = batcher.submit([1])
    assert doubling.started.acquire(timeout=30)
    others = [batcher.submit([2, 3]), batcher.submit([]), batcher.submit([4, 5])]
    doubling.let.release()
    doubling.let.release()

    assert first.result(30) == [2]
    assert [one.result(30) for one in others] == [[4, 6], [], [8, 10]]
    assert doubling.seen == [[1], [2, 3, 4, 5]]


def test_whoever_comes_on_top_is_refused_at_once(doubling: Doubling, batcher: Batcher[int, int]) -> None:
    batcher.submit([1])
    assert doubling.started.acquire(timeout=30)
    for number in (2, 3, 4):
        batcher.submit([number])

    with pytest.raises(BusyError, match="3 requests wait already"):
        batcher.submit([5])


def test_what_was_given_up_is_not_computed(doubling: Doubling, batcher: Batcher[int, int]) -> None:
    batcher.submit([1])
    assert doubling.started.acquire(timeout=30)
    given_up, kept = batcher.submit([2]), batcher.submit([3])
    given_up.cancel()
    doubling.let.release()
    doubling.let.release()

    assert kept.result(30) == [6]
    assert doubling.seen == [[1], [3]]


def test_a_failure_reaches_those_who_wait_and_the_next_ones_are_served(
    doubling: Doubling, batcher: Batcher[int, int]
) -> None:
    failing = batcher.submit([0])
    assert doubling.started.acquire(timeout=30)
    after = batcher.submit([7])
    doubling.let.release()
    doubling.let.release()

    assert isinstance(failing.exception(30), ZeroDivisionError)
    assert after.result(30) == [14]
