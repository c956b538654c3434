"""A spoiled request is repeated where that is harmless: a bounded number of times, for a bounded time, with pauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.repeats import AwayError, Repeats, SpoiledError
from labelloop.errors import BackendError, NotFoundError

from support.http_double import Request, Response, serving

LEGACY = "0123456789abcdef0123456789abcdef01234567"
WELL = Response(200, {"well": True})
BROKEN = Response(503, {"detail": "spoiled"})


@dataclass
class Time:
    """A clock that pauses move."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def repeats(self, jitter: float = 0.0) -> Repeats:
        return Repeats(sleep=self.sleep, jitter=lambda: jitter, clock=lambda: self.now)


def failing(*errors: BackendError) -> Callable[[int], str]:
    """Something that raises these, one after the other, then succeeds."""
    left = list(errors)

    def attempt(_: int) -> str:
        if left:
            raise left.pop(0)
        return "done"

    return attempt


def answered(method: str, *answers: Response, time: Time | None = None) -> tuple[object, list[Request]]:
    """What a client makes of these answers, the last one for ever, and the requests it sent."""
    left = list(answers)
    double = serving(lambda _: left.pop(0) if len(left) > 1 else left[0])
    try:
        return Client(double.url, LEGACY, repeats=(time or Time()).repeats()).call(method, "/x"), double.seen
    finally:
        double.stop()


def test_pauses_grow_and_chance_takes_up_to_half_off() -> None:
    full, short = Time(), Time()

    assert full.repeats(jitter=0.0)(failing(*[SpoiledError("no")] * 3)) == "done"
    assert short.repeats(jitter=1.0)(failing(*[SpoiledError("no")] * 3)) == "done"

    assert full.pauses == pytest.approx([0.2, 0.4, 0.8])
    assert short.pauses == pytest.approx([0.1, 0.2, 0.4])


def test_after_five_attempts_the_last_failure_is_raised() -> None:
    time = Time()

    with pytest.raises(SpoiledError, match="fifth"):
        time.repeats()(failing(*[SpoiledError("no")] * 4, SpoiledError("fifth")))

    assert time.now < 5


def test_what_the_service_asks_for_is_waited() -> None:
    time = Time()

    time.repeats()(failing(SpoiledError("busy", after=7.0)))

    assert time.pauses == [7.0]


def test_whoever_asks_for_more_patience_than_there_is_gets_no_second_attempt() -> None:
    time = Time()

    with pytest.raises(SpoiledError):
        time.repeats()(failing(SpoiledError("busy", after=3600.0)))

    assert time.pauses == []


def test_an_attempt_that_took_all_patience_is_the_last() -> None:
    time = Time()

    def slow(_: int) -> str:
        time.now += 60.0
        raise SpoiledError("did not answer in time")

    with pytest.raises(SpoiledError):
        time.repeats()(slow)

    assert time.now == 60.0


def test_a_server_that_is_away_is_left_to_whoever_waits_longer() -> None:
    time = Time()

    with pytest.raises(AwayError):
        time.repeats()(failing(AwayError("nobody listens")))

    assert time.pauses == []


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_request_that_changes_nothing_more_when_repeated_is(method: str) -> None:
    said, seen = answered(method, BROKEN, Response(429, {}), WELL)

    assert said == {"well": True}
    assert len(seen) == 3


def test_a_post_is_never_repeated() -> None:
    with pytest.raises(BackendError, match="503") as caught:
        answered("POST", BROKEN, WELL)

    assert caught.value.retryable


def test_a_refusal_is_not_repeated() -> None:
    with pytest.raises(BackendError, match="400"):
        answered("GET", Response(400, {"detail": "no"}), WELL)


@pytest.mark.parametrize("when", ["5", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_wish_to_be_left_alone_is_read_in_both_of_its_forms(when: str) -> None:
    time = Time()
    told = Response(429, {"detail": "slow down"}, {"Retry-After": when})

    if when == "5":
        answered("GET", told, WELL, time=time)
        assert time.pauses == [5.0]
    else:
        with pytest.raises(BackendError, match="429"):
            answered("GET", told, WELL, time=time)


def test_a_deletion_whose_answer_was_lost_has_happened() -> None:
    said, seen = answered("DELETE", BROKEN, Response(404, {"status_code": 404, "detail": "not found"}))

    assert said is None
    assert len(seen) == 2


def test_deleting_what_never_was_there_is_an_error() -> None:
    with pytest.raises(NotFoundError):
        answered("DELETE", Response(404, {"status_code": 404, "detail": "not found"}))
