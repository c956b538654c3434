"""Commands print for whoever reads: a person at a terminal, a log, or a script."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from labelloop.cli.curve import curve
from labelloop.cli.render import JsonRounds, LiveTable, PlainRounds, clean, error, live_rounds, show_json, table
from labelloop.cli.round_table import round_table
from labelloop.errors import BackendError
from labelloop.report.plain import round_in_words
from labelloop.report.views import RoundView


class Terminal(io.StringIO):
    """A stream somebody looks at."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def a_round(number: int = 1, score: float | None = 0.9) -> RoundView:
    return RoundView(
        number,
        asked=40,
        answered=40 * number,
        trained_on=30 * number,
        score=score,
        low=None if score is None else score - 0.04,
        high=None if score is None else min(1.0, score + 0.03),
        seconds={"hear": 0.4, "embed": 12.3, "select": 0.01},
        reason="round is answered",
        promoted=True,
        model_version="0a1b2c3d",
    )


def drawn(rounds: list[RoundView], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(round_table(rounds, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_view_fits_who_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(live_rounds(stream=Terminal()), LiveTable)
    assert isinstance(live_rounds(stream=io.StringIO()), PlainRounds)
    assert isinstance(live_rounds(stream=Terminal(), as_json=True), JsonRounds)

    monkeypatch.setenv("TERM", "dumb")

    assert isinstance(live_rounds(stream=Terminal()), PlainRounds)


def test_a_log_gets_a_line_per_event_and_no_control_codes() -> None:
    out = io.StringIO()

    with live_rounds(stream=out) as live:
        live.say("waiting for answers")
        live.say("waiting for answers")
        live.update(a_round(1, None))
        live.progress("embed", 0, 1000)
        live.progress("embed", 500, 1000)
        live.record(replace(a_round(), reason="\x1b[31mred\nand more"))

    assert out.getvalue().splitlines() == [
        "waiting for answers",
        "round 1: asked 40, 40 labels, accuracy 90.0 % (86.0–93.0), model 0a1b2c3d promoted, "
        "13 s: hear 0.4, embed 12, [31mred and more",
    ]
    assert "\x1b" not in out.getvalue()


def test_a_log_hears_of_long_progress_every_ten_seconds() -> None:
    out, clock = io.StringIO(), Clock()
    rounds = PlainRounds(out, clock)

    for now in range(25):
        clock.now = now
        rounds.progress("embed", now, None)

    assert out.getvalue().splitlines() == ["embed 2", "embed 12", "embed 22"]


def test_a_script_gets_one_json_object_per_round() -> None:
    out = io.StringIO()

    with live_rounds(stream=out, as_json=True) as live:
        live.say("waiting")
        live.progress("embed", 1, 2)
        live.update(a_round(1, None))
        live.record(a_round(1))
        live.record(a_round(2, None))

    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["number"], first["score"], first["seconds"]["embed"]) == (1, 0.9, 12.3)
    assert (second["number"], second["score"]) == (2, None)


def test_a_terminal_keeps_the_whole_table_when_the_view_ends() -> None:
    out = Terminal()

    with LiveTable(out, Console(file=out, width=100, height=12, force_terminal=True)) as live:
        for number in range(1, 61):
            live.update(a_round(number, None))
            live.progress("train", 1, 3)
            live.record(a_round(number))
        live.say("waiting for people")

    last = out.getvalue().rsplit("accuracy", 1)[1]
    assert sum(f"{number * 40:,}" in last for number in range(1, 61)) == 60


def test_an_interrupted_view_still_shows_its_rounds() -> None:
    out = Terminal()

    with pytest.raises(KeyboardInterrupt), live_rounds(stream=out) as live:
        live.record(a_round())
        raise KeyboardInterrupt

    assert "90.0" in out.getvalue().rsplit("accuracy", 1)[1]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 130, 200])
def test_the_table_of_rounds_fits_its_terminal(width: int) -> None:
    long = replace(a_round(2), reason="because " * 40)

    lines = drawn([a_round(), long], width)

    assert max(map(len, lines)) <= width
    assert any(line.split()[:3] == ["1", "40", "40"] for line in lines)


def test_a_wide_terminal_shows_the_seconds_of_each_stage() -> None:
    assert "embed" in drawn([a_round()], 140)[1]
    assert "longest" in drawn([a_round()], 80)[1]


def test_a_round_that_has_only_been_asked_is_a_row_with_dashes() -> None:
    lines = drawn([RoundView(1, asked=40)], 80)

    assert lines[3].split() == ["1", "40", "0", "–", "–"]
    assert round_in_words(RoundView(1, asked=40)) == "round 1: asked 40, 0 labels"


def test_a_piped_table_is_tab_separated() -> None:
    out = io.StringIO()

    table([("a\tb", None), ("c", 3)], ("name", "count"), "things", out)

    assert out.getvalue() == "name\tcount\na b\t\nc\t3\n"


def test_markup_and_control_codes_in_a_table_are_only_words() -> None:
    out = Terminal()

    table([("[bold]x[/bold]", "\x1b]0;owned\x07")], ("name", "value"), "[red]title", out)

    assert "[bold]x[/bold]" in out.getvalue()
    assert "[red]title" in out.getvalue()
    assert "\x1b]0" not in out.getvalue()


def test_json_shows_paths_as_text(tmp_path: Path) -> None:
    out = io.StringIO()

    show_json({"path": tmp_path, "name": "é"}, out)

    assert json.loads(out.getvalue()) == {"path": str(tmp_path), "name": "é"}


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("labelloop check", "error: annotator answered 401\n hint: labelloop check\n"),
        ("", "error: annotator answered 401\n"),
    ],
)
def test_an_error_says_what_happened_and_what_to_do(hint: str, expected: str) -> None:
    out = io.StringIO()

    error(BackendError("annotator answered 401\x1b", hint), out)

    assert out.getvalue() == expected


def test_an_error_on_a_terminal_is_coloured() -> None:
    out = Terminal()

    error(BackendError("it is [bold]down"), out)

    assert "\x1b[1;31merror: " in out.getvalue()
    assert "it is [bold]down" in out.getvalue()


@pytest.mark.parametrize(
    ("words", "kept"), [("a\x1b[0mb", "a[0mb"), ("a\nb\tc", "a b c"), ("\u202eevil", "evil"), ("9\u00a0%", "9\u00a0%")]
)
def test_control_characters_never_reach_the_terminal(words: str, kept: str) -> None:
    assert clean(words) == kept


@pytest.mark.parametrize("width", [40, 80, 100])
@pytest.mark.parametrize("count", [1, 2, 8, 60])
def test_the_curve_fits_its_width_and_marks_every_round_it_has_room_for(count: int, width: int) -> None:
    rounds = [a_round(i, 0.5 + 0.4 * i / count) for i in range(1, count + 1)]

    lines = curve(rounds, width, ascii_only=False).splitlines()

    assert len(lines) == 14
    assert max(map(len, lines[1:])) <= width
    assert sum(line.count("●") for line in lines) == min(count, (width - 8) // 2)


def test_a_curve_has_a_form_for_terminals_without_unicode() -> None:
    lines = curve([a_round(1, 0.6), replace(a_round(2, 0.8), promoted=False)], 60, ascii_only=True).splitlines()

    assert all(line.isascii() for line in lines)
    assert sum(line.count("*") for line in lines[1:]) == 1
    assert sum(line.count("o") for line in lines[1:]) == 1


def test_a_curve_without_scores_says_so() -> None:
    assert curve([a_round(1, None)]) == "no score yet: nothing of the holdout has been answered"


def test_importing_the_view_imports_nothing_heavy() -> None:
    code = (
        "import sys, labelloop.cli.render, labelloop.report;"
        "print(sorted({'rich', 'numpy', 'matplotlib'} & set(sys.modules)))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("title", ["", "stack default"])
@pytest.mark.parametrize("rows", [[], [["*", "a", 1]], [["", "a longer name", None], ["*", "b", "x"]]], ids=len)
def test_a_narrow_table_reads_as_richs_does(
    rows: list[list[object]], title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown, wide = Terminal(), Terminal()

    table(rows, ["", "stack", "count"], title, shown)
    monkeypatch.setattr("labelloop.cli.render.is_narrow", lambda *_: False)
    table(rows, ["", "stack", "count"], title, wide)

    assert _visible(shown) == _visible(wide)


def test_a_table_too_wide_for_its_terminal_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    shown = Terminal()

    table([["word " * 10]], ["words"], stream=shown)

    assert max(map(len, _visible(shown))) <= 20


def _visible(shown: Terminal) -> list[str]:
    plain = re.sub("\x1b\\[[0-9;]*m", "", shown.getvalue())
    return [line.rstrip() for line in plain.splitlines()]
