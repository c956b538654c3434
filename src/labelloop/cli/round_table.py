"""The table of rounds on a terminal, fitted to its width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labelloop.report.clean import clean
from labelloop.report.views import STAGES, RoundView
from labelloop.report.words import NOTHING, duration, interval, percent

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

Column = tuple[str, list["Text"]]

WIDE = 130
GAP = 2
ALWAYS_SHOWN = 4
NARROWEST_REASON = 8
WORDS = frozenset({"model", "longest", "why"})


def round_table(rounds: Sequence[RoundView], width: int) -> Table:
    """At least one round as a rich table; a terminal of 130 columns or more gets the seconds of each stage."""
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), header_style="bold")
    columns = _fitted(_columns(rounds, width >= WIDE), rounds, width)
    for column in columns:
        justify = "left" if column[0] in WORDS else "right"
        grid.add_column(column[0], justify=justify, no_wrap=True, min_width=_widest(column))  # type: ignore[arg-type]
    for row in range(len(rounds)):
        grid.add_row(*(cells[row] for _, cells in columns))
    return grid


def _columns(rounds: Sequence[RoundView], is_wide: bool) -> list[Column]:
    from rich.text import Text

    best = max((one.score for one in rounds if one.score is not None), default=None)
    columns: list[Column] = [
        ("#", [Text(str(one.number)) for one in rounds]),
        ("asked", [Text(f"{one.asked:,}") for one in rounds]),
        ("labels", [Text(f"{one.answered:,}") for one in rounds]),
        (clean(rounds[-1].score_name), [_score(one, best) for one in rounds]),
        ("model", [_fate(one) for one in rounds]),
        ("time", [Text(duration(one.total_seconds) if one.seconds else "") for one in rounds]),
    ]
    if not is_wide:
        return [*columns, ("longest", [Text(_longest_stage(one), "dim") for one in rounds])]
    used = [stage for stage in STAGES if any(stage in one.seconds for one in rounds)]
    return [*columns, *((stage, [_seconds(one, stage) for one in rounds]) for stage in used)]


def _fitted(columns: list[Column], rounds: Sequence[RoundView], width: int) -> list[Column]:
    """As many columns as fit, and the reasons cut to the room that is left."""
    fitting = list(columns)
    while len(fitting) > ALWAYS_SHOWN and _width(fitting) > width:
        fitting.pop()
    room = width - _width(fitting) - GAP
    return [*fitting, ("why", [_reason(one, room) for one in rounds])] if room >= NARROWEST_REASON else fitting


def _width(columns: Sequence[Column]) -> int:
    return sum(_widest(column) + GAP for column in columns)


def _widest(column: Column) -> int:
    head, cells = column
    return max(len(head), *(cell.cell_len for cell in cells))


def _score(one: RoundView, best: float | None) -> Text:
    from rich.text import Text

    is_best = one.score is not None and one.score == best
    words = Text(percent(one.score), "bold green" if is_best else "")
    return words.append(f"  {interval(one)}" if interval(one) else "", "dim")


def _reason(one: RoundView, width: int) -> Text:
    from rich.text import Text

    words = Text(clean(one.reason), "dim")
    words.truncate(width, overflow="ellipsis")
    return words


def _seconds(one: RoundView, stage: str) -> Text:
    from rich.text import Text

    took = one.seconds.get(stage)
    return Text("" if took is None else duration(took), "dim")


def _fate(one: RoundView) -> Text:
    from rich.text import Text

    if not one.model_version:
        return Text(NOTHING, "dim")
    return Text("new", "green") if one.promoted else Text("kept", "yellow")


def _longest_stage(one: RoundView) -> str:
    return max(one.seconds, key=lambda name: one.seconds[name]) if one.seconds else ""
