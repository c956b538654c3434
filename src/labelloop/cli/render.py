"""What the commands print: live rounds, tables, JSON, errors; in colour on a terminal, plain when piped."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from shutil import get_terminal_size
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

from labelloop.report.clean import clean

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.text import Text

    from labelloop.errors import LabelLoopError
    from labelloop.report.views import RoundView

__all__ = [
    "JsonRounds",
    "LiveRounds",
    "LiveTable",
    "PlainRounds",
    "clean",
    "error",
    "live_rounds",
    "on_terminal",
    "show_json",
    "table",
]

SHORT_SECONDS = 2.0
QUIET_SECONDS = 10.0
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


class LiveRounds(Protocol):
    """Shows the rounds of a loop while they happen; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def progress(self, what: str, done: int, total: int | None) -> None:
        """The `labelloop.protocols.Progress` of the current stage."""
        ...

    def say(self, words: str) -> None:
        """What the loop does or waits for; saying the same again changes nothing."""
        ...

    def update(self, one: RoundView) -> None:
        """A round that is still going on, as it stands."""
        ...

    def record(self, one: RoundView) -> None:
        """A round with its final numbers."""
        ...


def live_rounds(*, as_json: bool = False, stream: TextIO | None = None) -> LiveRounds:
    """The view of running rounds that fits: ndjson, a live table on a terminal, or a line per event."""
    out = stream or sys.stdout
    if as_json:
        return JsonRounds(out)
    return LiveTable(out) if on_terminal(out) else PlainRounds(out)


def on_terminal(stream: TextIO) -> bool:
    """Whether a person looks at `stream` on a terminal that can redraw."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class JsonRounds:
    """One JSON object per recorded round, and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Not a round: not printed."""

    def say(self, words: str) -> None:
        """Not a round: not printed."""

    def update(self, one: RoundView) -> None:
        """Not final: not printed."""

    def record(self, one: RoundView) -> None:
        """Print the round as one line."""
        print(json.dumps(one.to_json(), ensure_ascii=False), file=self._stream, flush=True)


class PlainRounds:
    """One line per event without control codes, for logs and pipes.

    Args:
        clock: Seconds from anywhere; work is told after 2 of them, and again every 10.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._what = ""
        self._tell_at = 0.0
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def progress(self, what: str, done: int, total: int | None) -> None:
        """A line about what takes more than 2 seconds, and every 10 seconds of the same."""
        now = self._clock()
        if what != self._what:
            self._what, self._tell_at = what, now + SHORT_SECONDS
        if now < self._tell_at:
            return
        self._tell_at = now + QUIET_SECONDS
        self._print(f"{what} {_count(done, total)}".rstrip())

    def say(self, words: str) -> None:
        """A line, unless it was the last thing said."""
        if words != self._said:
            self._said = words
            self._print(words)

    def update(self, one: RoundView) -> None:
        """Not final: not printed."""

    def record(self, one: RoundView) -> None:
        """The round in one line."""
        from labelloop.report.plain import round_in_words

        self._what = ""
        self._print(round_in_words(one))

    def _print(self, line: str) -> None:
        print(clean(line), file=self._stream, flush=True)


class LiveTable:
    """A table that redraws itself above a line about the current stage; the whole table stays when it ends."""

    def __init__(self, stream: TextIO, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = console or Console(file=stream)
        self._rounds: dict[int, RoundView] = {}
        self._stage: tuple[str, int, int | None] | None = None
        self._said = ""
        text = TextColumn("{task.description}", markup=False)
        count = TextColumn("{task.fields[count]}", style="dim", markup=False)
        self._bar = Progress(SpinnerColumn(), text, BarColumn(24), count, TimeElapsedColumn(), console=self._console)
        self._task = self._bar.add_task("", count="", total=None, visible=False)
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=8,
            transient=True,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        from labelloop.cli.round_table import round_table

        self._live.stop()
        if self._rounds:
            self._console.print(round_table(list(self._rounds.values()), self._console.width))

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Remembered only, so that it is cheap: the next redraw shows it."""
        self._stage = (what, done, total)

    def say(self, words: str) -> None:
        """Shown beside the spinner until the next stage begins."""
        self._said, self._stage = words, None

    def update(self, one: RoundView) -> None:
        """Draw the row of this round anew."""
        self._rounds[one.number] = one

    def record(self, one: RoundView) -> None:
        """Draw the row of this round for the last time."""
        self._rounds[one.number] = one
        self._stage = None

    def _draw(self) -> Group:
        from rich.console import Group

        from labelloop.cli.round_table import round_table

        rounds = list(self._rounds.values())
        room = max(3, self._console.height - 8)
        above = [_dim(f"  rounds before #{rounds[-room].number}: {len(rounds) - room:,}")] if len(rounds) > room else []
        rows = [round_table(rounds[-room:], self._console.width)] if rounds else []
        self._show_stage()
        return Group(*above, *rows, self._bar)

    def _show_stage(self) -> None:
        what, done, total = self._stage or (self._said, 0, None)
        task = self._bar.tasks[0]
        if clean(what) != task.description:
            self._bar.reset(self._task, total=total)
        self._bar.update(
            self._task,
            description=clean(what),
            completed=done,
            total=total,
            count=_count(done, total),
            visible=bool(what),
        )


def table(
    rows: Iterable[Sequence[object]], columns: Sequence[str], title: str = "", stream: TextIO | None = None
) -> None:
    """Print rows: a table on a terminal, tab-separated values with a header line when piped."""
    out = stream or sys.stdout
    cells = [[clean("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not on_terminal(out):
        for line in [list(columns), *cells]:
            print("\t".join(line), file=out)
        return
    if is_narrow([list(columns), *cells], title):
        _narrow_table(cells, columns, title, out)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading = Text(clean(title), "bold") if title else None
    grid = Table(box=box.SIMPLE_HEAD, title=heading, title_justify="left", header_style="bold", pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for line in cells:
        grid.add_row(*map(Text, line))
    Console(file=out).print(grid)


def is_narrow(lines: Sequence[Sequence[str]], title: str) -> bool:
    """Whether no line has to be folded, and every character takes one column."""
    width = sum(max(map(len, column)) + 3 for column in zip(*lines, strict=True))
    return width <= get_terminal_size().columns and all(cell.isascii() for line in lines for cell in line)


def _narrow_table(cells: Sequence[Sequence[str]], columns: Sequence[str], title: str, stream: TextIO) -> None:
    """What rich shows, without the tenth of a second that it takes to be loaded."""
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    head, *rows = (
        " " + "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (columns, *cells)
    )
    rule = " " + "─" * (sum(widths) + 3 * (len(widths) - 1))
    above = [f"{_BOLD}{clean(title)}{_PLAIN}"] if title else []
    print(*above, "", f"{_BOLD}{head}{_PLAIN}", rule, *rows, "", sep="\n", file=stream)


def show_json(value: Any, stream: TextIO | None = None) -> None:
    """Print one JSON document; times and paths as text."""
    out = stream or sys.stdout
    is_spoken = (out.encoding or "utf-8").lower().startswith("utf")
    print(json.dumps(value, ensure_ascii=not is_spoken, indent=2, default=str), file=out)


def error(failure: LabelLoopError, stream: TextIO | None = None) -> None:
    """Print what happened and what to do next, on stderr."""
    out = stream or sys.stderr
    lines = [("error: ", failure.message, "bold red")]
    lines += [(" hint: ", failure.hint, "cyan")] if failure.hint else []
    if not on_terminal(out):
        for label, words, _ in lines:
            print(label + clean(words, keep="\n"), file=out)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out)
    for label, words, style in lines:
        console.print(Text.assemble((label, style), clean(words, keep="\n")), soft_wrap=True)


def _count(done: int, total: int | None) -> str:
    if total is None:
        return f"{done:,}" if done else ""
    return f"{done:,}/{total:,}"


def _dim(words: str) -> Text:
    from rich.text import Text

    return Text(words, "dim")
