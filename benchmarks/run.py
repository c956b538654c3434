"""Every benchmark, in one table: figure, limit, what was measured, whether the limit is met.

Run: .venv/bin/python benchmarks/run.py [--only NAME] [--json FILE] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from figure import Figure

SUITES = {
    "cli": "bench_cli",
    "stack": "bench_stack",
    "runs": "bench_runs",
    "embedding": "bench_embedding",
    "annotator": "bench_annotator",
    "tick": "bench_tick",
    "scale": "bench_scale",
    "queue": "bench_queue",
    "selection": "bench_selection",
    "stores": "bench_stores",
    "intake": "bench_intake",
    "demo": "bench_demo",
}
"""Name -> module, each with `figures(quick) -> Iterator[Figure]`."""

ON_REQUEST = ("demo", "scale", "queue")
"""Minutes each: only with --only."""


def main() -> int:
    """Measure, print, and write; 1 when something could not be measured. A missed limit is no failure, it is shown."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", action="append", choices=list(SUITES), help="this one only; may be repeated")
    options.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    options.add_argument("--quick", action="store_true", help="fewer repeats")
    given = options.parse_args()
    names = given.only or [name for name in SUITES if name not in ON_REQUEST]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped on the way out
    measured: dict[str, list[Figure]] = {}
    for name in names:
        measured[name] = list(watched(name, given.quick))
        if given.json:
            given.json.write_text(json.dumps(as_json(measured), indent=1))
    show(measured)
    return int(any(not one.samples for figures in measured.values() for one in figures))


def watched(name: str, quick: bool) -> Iterator[Figure]:
    """The figures of one suite, each told on stderr; what went wrong becomes a figure without samples."""
    began = time.monotonic()
    try:
        for one in import_module(SUITES[name]).figures(quick):
            print(f"{name} ({time.monotonic() - began:.0f} s): {one.what}: {shown(one)}", file=sys.stderr, flush=True)
            yield one
    except Exception as error:  # noqa: BLE001 - one suite that fails must not hide the others
        yield Figure(f"{name}: not measured", [], detail=f"{type(error).__name__}: {error}")


def show(measured: dict[str, list[Figure]]) -> None:
    """Print the table."""
    table = Table(title=f"labelloop benchmarks, {os.cpu_count()} processors, Python {platform.python_version()}")
    for column in ("figure", "limit", "median (min - max)", "met", "behind it"):
        table.add_column(column, no_wrap=column in ("limit", "met"))
    for name, figures in measured.items():
        for one in figures:
            table.add_row(f"{name}: {one.what}", one.limit, shown(one), said(one.met), one.detail)
        table.add_section()
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def shown(one: Figure) -> str:
    """The median with the range, in three digits."""
    if not one.samples:
        return "-"
    numbers = f"{one.median:.3g}"
    if len(one.samples) > 1:
        numbers += f" ({min(one.samples):.3g} - {max(one.samples):.3g})"
    return f"{numbers} {one.unit}".strip()


def said(met: bool | None) -> str:
    """Whether the limit is met, in a word."""
    return "" if met is None else "yes" if met else "NO"


def as_json(measured: dict[str, list[Figure]]) -> Sequence[dict[str, object]]:
    """Every figure with its samples."""
    return [
        {"suite": name, **asdict(one), "median": one.median if one.samples else None, "met": one.met}
        for name, figures in measured.items()
        for one in figures
    ]


if __name__ == "__main__":
    raise SystemExit(main())
