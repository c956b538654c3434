"""The log of a service: a line per event, with the time, for people or for machines."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

from labelloop.cli.logs import Format, LoggedRounds
from labelloop.errors import BackendError
from labelloop.report.views import RoundView

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ROUND = RoundView(
    number=3, asked=50, answered=120, score=0.91, low=0.86, high=0.95, score_name="accuracy", n_holdout=80
)


def logged(form: Format) -> list[str]:
    """What a service says in its life."""
    stream = io.StringIO()
    with LoggedRounds(stream, form, lambda: NOW) as log:
        log.say("0 of 10 answers to round 2")
        log.say("0 of 10 answers to round 2")
        log.progress("embed", 0, 100)
        log.progress("embed", 50, 100)
        log.record(ROUND)
        log.say("an answer\nwith a line break and \x1b[31mcolour")
        log.fail(BackendError("the disk is full", "free some space"))
    return stream.getvalue().splitlines()


def test_as_json_every_line_is_one_event() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in logged("json")]

    assert [(one["level"], one["event"]) for one in lines] == [
        ("info", "said"),
        ("debug", "stage"),
        ("info", "round"),
        ("info", "said"),
        ("error", "failed"),
    ]
    assert {one["time"] for one in lines} == {"2026-03-04T05:06:07.000+00:00"}
    assert lines[2]["round"]["number"] == 3
    assert lines[2]["round"]["score"] == 0.91
    assert (lines[4]["kind"], lines[4]["hint"]) == ("BackendError", "free some space")


def test_as_text_every_event_is_one_line_without_control_characters() -> None:
    lines = logged("text")

    assert len(lines) == 5
    assert lines[0] == "2026-03-04T05:06:07.000+00:00 info 0 of 10 answers to round 2"
    assert lines[4] == "2026-03-04T05:06:07.000+00:00 error the disk is full (free some space)"
    assert not any("\x1b" in line for line in lines)
