"""The daemon: tick, wait, and say why; back off while nothing happens or the annotator is away."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Protocol

from labelloop.decide import Finish, Start, Stop
from labelloop.errors import BackendError, BusyError
from labelloop.loop import Loop, Outcome
from labelloop.overview import round_view, set_aside_in_words
from labelloop.report.views import RoundView

PATIENCE = 12.0
"""The longest wait is this many times the shortest one."""


class View(Protocol):
    """Who is told what happens."""

    def say(self, words: str) -> None:
        """What the loop does or waits for."""
        ...

    def record(self, one: RoundView) -> None:
        """A round with its final numbers."""
        ...


def watch(
    loop: Loop,
    view: View,
    *,
    every: float = 5.0,
    until_done: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Tick for ever, or until nothing is left to ask.

    Args:
        loop: The loop.
        view: Who is told.
        every: Seconds between two looks while things happen; grows to twelve times that while nothing does.
        until_done: Return at the first `Stop`.
        sleep: How to wait, for tests.
        jitter: A number in [0, 1), so that many loops do not knock at the same moment.

    Raises:
        LabelLoopError: Anything but a service that is away for a while, or a round that another process holds.
    """
    pause = every
    while True:
        try:
            outcome = loop.tick()
        except (BackendError, BusyError) as error:
            if isinstance(error, BackendError) and not error.retryable:
                raise
            view.say(f"{error.message}; looking again in about {pause:.0f} s")
            sleep(pause * (0.75 + jitter() / 2))
            pause = min(pause * 2, every * PATIENCE)
            continue
        if isinstance(outcome.action, Start | Finish):
            _tell(loop, view, outcome)
            pause = every
            continue
        view.say(outcome.action.reason)
        if until_done and isinstance(outcome.action, Stop):
            return
        pause = every if outcome.changes.total else min(pause * 1.5, every * PATIENCE)
        sleep(pause * (0.75 + jitter() / 2))


def _tell(loop: Loop, view: View, outcome: Outcome) -> None:
    if outcome.round is not None:
        for line in set_aside_in_words(outcome.set_aside):
            view.say(line)
        view.record(round_view(outcome.round))
        if outcome.round.asked:
            view.say(f"asked {outcome.round.asked} item(s): {loop.dataset.url()}")
