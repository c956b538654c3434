"""A request that may be repeated without harm is, a few times, with growing pauses drawn by chance, and no longer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from labelloop.errors import BackendError

T = TypeVar("T")


class SpoiledError(BackendError):
    """The service or the way to it failed; the same request may succeed soon.

    Args:
        message: What happened.
        hint: What to do next.
        after: Seconds that the service asked to be left alone.
    """

    def __init__(self, message: str, hint: str = "", *, after: float = 0.0) -> None:
        super().__init__(message, hint, retryable=True)
        self.after = after


class FailedError(SpoiledError):
    """The service is there and failed at this one request (500); a smaller one may succeed."""


class TooLargeError(BackendError):
    """The answer was longer than allowed, and was not read to its end."""


class CutError(SpoiledError):
    """The connection was cut: the request may have arrived or not, and may have been too large for somebody."""


class AwayError(BackendError):
    """Nobody listens there: repeating at once is no use, whoever waits longer decides when."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, retryable=True)


@dataclass(frozen=True)
class Repeats:
    """How often and how long.

    Attributes:
        attempts: Requests at most, the first one included.
        patience: Seconds after which no other attempt begins.
        first: Seconds of the first pause at most; each is at most twice the one before. Chance takes up to half off.
        sleep: How to pause.
        jitter: A number in [0, 1).
        clock: Seconds from anywhere.
    """

    attempts: int = 5
    patience: float = 30.0
    first: float = 0.2
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    def __call__(self, attempt: Callable[[int], T]) -> T:
        """What `attempt` returns; it is told its number, from 0.

        Raises:
            BackendError: What the last attempt raised.
        """
        end = self.clock() + self.patience
        for number in range(self.attempts):
            try:
                return attempt(number)
            except SpoiledError as error:
                pause = max(error.after, self.first * 2**number * (1 - self.jitter() / 2))
                if number + 1 == self.attempts or self.clock() + pause > end:
                    raise
            self.sleep(pause)
        raise AssertionError("at least one attempt")
