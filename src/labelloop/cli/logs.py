"""What a service says: one line per event on stderr, as text or as JSON, with the time and how grave it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self, TextIO

from labelloop.errors.masking import masked, masked_tree
from labelloop.report.clean import clean
from labelloop.report.plain import round_in_words
from labelloop.report.views import RoundView

if TYPE_CHECKING:
    from labelloop.errors import LabelLoopError

Format = Literal["text", "json"]


def _now() -> datetime:
    return datetime.now(UTC)


class LoggedRounds:
    """A view of running rounds that is a log. A context manager, as every view is.

    Args:
        stream: Where lines go.
        form: How they look.
        clock: The time of a line.
    """

    def __init__(self, stream: TextIO, form: Format, clock: Callable[[], datetime] = _now) -> None:
        self._stream = stream
        self._form = form
        self._clock = clock
        self._said = ""
        self._what = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def progress(self, what: str, done: int, total: int | None) -> None:
        """A line when a stage begins."""
        if what != self._what:
            self._what = what
            self._log("stage", what, level="debug", total=total)

    def say(self, words: str) -> None:
        """A line, unless it was the last thing said."""
        if words != self._said:
            self._said = words
            self._log("said", words)

    def update(self, one: RoundView) -> None:
        """Not final: not logged."""

    def record(self, one: RoundView) -> None:
        """The round in one line."""
        self._what = ""
        self._log("round", round_in_words(one), round=one.to_json())

    def fail(self, error: LabelLoopError) -> None:
        """What ended it."""
        self._log("failed", error.message, level="error", hint=error.hint, kind=type(error).__name__)

    def _log(self, event: str, message: str, *, level: str = "info", **more: Any) -> None:
        time = self._clock().isoformat(timespec="milliseconds")
        if self._form == "json":
            line = json.dumps(
                {"time": time, "level": level, "event": event, "message": masked(message), **masked_tree(more)},
                default=str,
            )
        else:
            hint = f" ({more['hint']})" if more.get("hint") else ""
            line = clean(f"{time} {level} {message}{hint}")
        print(line, file=self._stream, flush=True)
