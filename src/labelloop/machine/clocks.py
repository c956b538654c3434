"""How long ago something was, whatever happened to the clock meanwhile."""

from __future__ import annotations

import math
from datetime import datetime

SKEW = 600.0
"""Seconds by which the clocks of two machines may differ; a time further ahead was told by a clock that was wrong."""


def elapsed(then: datetime, now: datetime) -> float:
    """Seconds from `then` to `now`: none if it is a little ahead, and endless if it is far ahead.

    A clock that was set back must not make anybody wait until it has caught up: a pause that began in the future is
    over.
    """
    return elapsed_seconds((now - then).total_seconds())


def elapsed_seconds(measured: float) -> float:
    """The same for a difference in seconds."""
    return math.inf if measured < -SKEW else max(0.0, measured)
