"""The daemon: tick, wait, and say why; back off and heal what is ours while the annotator is away."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from labelloop.commands.status import round_view, set_aside_in_words
from labelloop.errors import BackendError, BusyError, LabelLoopError, UnreadableError
from labelloop.evaluation.stopping import advice_in
from labelloop.loop.decide import Finish, Situation, Start, Stop, Wait
from labelloop.loop.loop import Loop
from labelloop.loop.stages import Outcome
from labelloop.report.views import RoundView

PATIENCE = 12.0
"""The longest wait is this many times the shortest one."""

GAP_SECONDS = 1.0
"""The shortest wait, however often the bell rings."""


class View(Protocol):
    """Who is told what happens."""

    def say(self, words: str) -> None:
        """What the loop does or waits for."""
        ...

    def record(self, one: RoundView) -> None:
        """A round with its final numbers."""
        ...


class Bell:
    """Ends a wait early. Ringing many times is ringing once, and carries nothing but that something may have happened.

    Args:
        gap: Seconds that every wait takes at least.
    """

    def __init__(self, gap: float = GAP_SECONDS) -> None:
        self._gap = gap
        self._rung = threading.Event()

    def ring(self) -> None:
        """End the wait that is going on, or the next one. Any thread may ring; returns at once."""
        self._rung.set()

    def wait(self, seconds: float) -> bool:
        """Wait until it rings, or the time is over; whether it rang."""
        time.sleep(min(self._gap, seconds))
        rang = self._rung.wait(max(0.0, seconds - self._gap))
        self._rung.clear()
        return rang


@dataclass
class Vitals:
    """What a watched loop has done since it was started, for whoever measures it. One thread writes, others read.

    Attributes:
        rounds: Rounds that were asked or completed.
        heard: Annotations that were `created`, `edited` or `removed`.
        failures: Ticks that failed, by class of the error.
        hints: Hints of the annotator, `taken` or `refused`.
        seconds: Seconds by stage of a round.
        heard_at: When the annotator was heard the last time, in seconds since 1970; None before the first time.
        situation: Where the loop stood after the last tick.
    """

    rounds: int = 0
    heard: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    hints: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    heard_at: float | None = None
    situation: Situation | None = None

    def note(self, outcome: Outcome, situation: Situation, now: float) -> None:
        """A tick succeeded."""
        self.heard_at = now
        self.situation = situation
        changes = outcome.changes
        self.heard.update(created=changes.created, edited=changes.edited, removed=changes.removed)
        if isinstance(outcome.action, Start | Finish) and outcome.round is not None:
            self.rounds += 1
            for stage, took in outcome.round.seconds.items():
                self.seconds[stage] = self.seconds.get(stage, 0.0) + took


def nothing() -> None:
    """What is done where nothing needs to be done."""


@dataclass(frozen=True)
class Care:
    """What a watched loop needs from outside.

    Attributes:
        heal: Has the annotator running, where that is ours to do; called before each attempt while it is away.
        greet: Called when the dataset is within reach, for the first time and after each outage.
        vitals: Where it is noted what happened.
        sleep: How to wait; returns whether the wait was ended by a hint.
        jitter: A number in [0, 1), so that many loops do not knock at the same moment.
        clock: Seconds since 1970.
    """

    heal: Callable[[], None] = nothing
    greet: Callable[[], None] = nothing
    vitals: Vitals = field(default_factory=Vitals)
    sleep: Callable[[float], bool | None] = time.sleep
    jitter: Callable[[], float] = random.random
    clock: Callable[[], float] = time.time


def watch(loop: Loop, view: View, care: Care | None = None, *, every: float = 5.0, until_done: bool = False) -> None:
    """Tick for ever, or until nothing is left to ask.

    Args:
        loop: The loop.
        view: Who is told.
        care: What is done around it.
        every: Seconds between two looks while things happen; grows to twelve times that while nothing does.
        until_done: Return at the first `Stop`.

    Raises:
        LabelLoopError: Anything but a service that is away for a while, or a round that another process holds.
    """
    _Watch(loop, view, care or Care(), every, until_done).run()


class _Watch:
    """The state of one watching: how long to wait next, and whether the annotator is away."""

    def __init__(self, loop: Loop, view: View, care: Care, every: float, until_done: bool) -> None:
        self._loop, self._view, self._care = loop, view, care
        self._every, self._until_done = every, until_done
        self._pause = every
        self._away = False
        self._greeted = False

    def run(self) -> None:
        """Until it is done."""
        done = False
        while not done:
            try:
                done = self._step()
            except (BackendError, BusyError) as error:
                self._care.vitals.failures[type(error).__name__] += 1
                if isinstance(error, BackendError) and not error.retryable:
                    raise
                self._back_off(error)
            except LabelLoopError as error:
                self._care.vitals.failures[type(error).__name__] += 1
                raise

    def _step(self) -> bool:
        """One tick, and the wait that follows it; whether nothing is left to do."""
        if self._away:
            self._care.heal()
            self._loop.reconnect()
        outcome = self._loop.tick()
        if self._away:
            self._view.say("the annotator answers again")
        self._away = False
        self._care.vitals.note(outcome, self._loop.look(), self._care.clock())
        self._greet(outcome)
        for note in outcome.notes:
            self._view.say(note)
        if isinstance(outcome.action, Start | Finish):
            self._tell(outcome)
            self._pause = self._every
            return False
        self._view.say(outcome.action.reason)
        if self._until_done and isinstance(outcome.action, Stop):
            return True
        self._pause = self._every if outcome.changes.total else self._longer(1.5)
        due = outcome.action.due if isinstance(outcome.action, Wait) else self._pause
        self._wait(min(self._pause, max(due, GAP_SECONDS)))
        return False

    def _back_off(self, error: LabelLoopError) -> None:
        if isinstance(error, BackendError) and not isinstance(error, UnreadableError):
            self._away, self._greeted = True, False
        self._view.say(f"{error.message}; looking again in about {self._pause:.0f} s")
        self._wait(self._pause)
        self._pause = self._longer(2)

    def _longer(self, times: float) -> float:
        return min(self._pause * times, self._every * PATIENCE)

    def _wait(self, seconds: float) -> None:
        if self._care.sleep(seconds * (0.75 + self._care.jitter() / 2)):
            self._pause = self._every

    def _greet(self, outcome: Outcome) -> None:
        if not self._greeted and outcome.round is not None:
            self._greeted = True
            self._care.greet()

    def _tell(self, outcome: Outcome) -> None:
        if outcome.round is None:
            return
        for line in set_aside_in_words(outcome.set_aside):
            self._view.say(line)
        self._view.record(round_view(outcome.round))
        if (advice := advice_in(outcome.round.notes)).get("stop"):
            self._view.say(f"advice: {advice['words']}")
        if outcome.round.asked:
            self._view.say(f"asked {outcome.round.asked} item(s): {self._loop.dataset.url()}")
