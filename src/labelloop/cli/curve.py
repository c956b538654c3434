"""The learning curve in characters, for the end of a command."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from labelloop.report.clean import clean
from labelloop.report.plots import score_range
from labelloop.report.views import RoundView
from labelloop.report.words import percent

MARGIN = 7
HEIGHT = 11


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters of a plot."""

    promoted: str
    kept: str
    bar: str
    top: str
    bottom: str
    side: str
    mark: str
    corner: str
    floor: str
    tick: str


UNICODE = Glyphs("●", "○", "│", "╷", "╵", "│", "┤", "└", "─", "┬")
ASCII = Glyphs("*", "o", "|", ".", "'", "|", "+", "+", "-", "+")


def curve(rounds: Sequence[RoundView], width: int | None = None, *, ascii_only: bool | None = None) -> str:
    """Score and 95 % interval of each round as a plot of 14 lines.

    Args:
        width: Columns to fill; by default those of the terminal, at most 100.
        ascii_only: By default, whether stdout cannot encode the finer characters.
    """
    scored = [one for one in rounds if one.score is not None]
    if not scored:
        return "no score yet: nothing of the holdout has been answered"
    columns = max(40, width or min(shutil.get_terminal_size().columns, 100))
    plain = _needs_ascii() if ascii_only is None else ascii_only
    return "\n".join(_plot(_thin(scored, (columns - MARGIN) // 2), columns, ASCII if plain else UNICODE))


def _plot(scored: Sequence[RoundView], columns: int, glyphs: Glyphs) -> list[str]:
    low, high = score_range(scored)
    at = _columns(len(scored), columns - MARGIN)
    grid = [[" "] * (columns - MARGIN) for _ in range(HEIGHT)]
    for one, column in zip(scored, at, strict=True):
        _draw(grid, one, column, (low, high), glyphs)
    lines = [
        _side(row, low, high) + (glyphs.side if row % 5 else glyphs.mark) + "".join(cells).rstrip()
        for row, cells in enumerate(grid)
    ]
    floor = "".join(glyphs.tick if i in set(at) else glyphs.floor for i in range(columns - MARGIN))
    first, last = scored[0], scored[-1]
    title = (
        f"{last.score_name} on the holdout, 95 % interval: {percent(first.score)} in round {first.number}, "
        f"{percent(last.score)} in round {last.number}"
    )
    return [
        clean(title).replace("\u00a0", " "),
        *lines,
        " " * (MARGIN - 1) + glyphs.corner + floor,
        _below(scored, at, columns),
    ]


def _draw(grid: list[list[str]], one: RoundView, column: int, bounds: tuple[float, float], glyphs: Glyphs) -> None:
    middle = _row(one.score or 0.0, bounds)
    if one.low is not None and one.high is not None:
        top, bottom = _row(one.high, bounds), _row(one.low, bounds)
        for row in range(top, bottom + 1):
            grid[row][column] = glyphs.bar
        grid[top][column] = glyphs.top
        grid[bottom][column] = glyphs.bottom
    grid[middle][column] = glyphs.promoted if one.promoted else glyphs.kept


def _row(score: float, bounds: tuple[float, float]) -> int:
    low, high = bounds
    share = (high - min(max(score, low), high)) / (high - low)
    return round(share * (HEIGHT - 1))


def _side(row: int, low: float, high: float) -> str:
    if row % 5:
        return " " * (MARGIN - 1)
    value = percent(high - (high - low) * row / (HEIGHT - 1), 0).replace("\u00a0", " ")
    return f"{value:>{MARGIN - 2}} "


def _columns(count: int, room: int) -> list[int]:
    """Where the rounds stand: evenly, with half a step before the first."""
    step = room / count
    return [int(step * (i + 0.5)) for i in range(count)]


def _below(scored: Sequence[RoundView], at: Sequence[int], columns: int) -> str:
    """What the axis counts, and the counts under their rounds, as many as fit."""
    line = list("labels".ljust(columns + 8))
    free = MARGIN
    for one, column in zip(scored, at, strict=True):
        words = f"{one.trained_on:,}"
        start = MARGIN + column - len(words) // 2
        if start < free or start + len(words) > columns:
            continue
        line[start : start + len(words)] = words
        free = start + len(words) + 2
    return "".join(line).rstrip()


def _thin(scored: Sequence[RoundView], most: int) -> list[RoundView]:
    """At most `most` rounds, evenly taken, the first and the last among them."""
    if len(scored) <= most:
        return list(scored)
    return [scored[round(i * (len(scored) - 1) / (most - 1))] for i in range(most)]


def _needs_ascii() -> bool:
    try:
        "".join((UNICODE.promoted, UNICODE.bar, UNICODE.tick)).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return True
    return False
