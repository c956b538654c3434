"""What a simulation leaves behind: every curve as CSV, a plot, and the verdict as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.errors import ConfigError
from labelloop.report.figures import own_settings
from labelloop.report.files import replace_file
from labelloop.simulate.replay import Curve
from labelloop.simulate.verdict import BASELINE, SimulationResult

COLOURS = ("#3457d5", "#d5732a", "#2a8f5b", "#a03bb0", "#b5303c", "#0f8b9a", "#7a6a12", "#5b5f6b")
GREY = "#8a90a0"


def write(curves: Sequence[Curve], verdict: SimulationResult, folder: Path, measure: str) -> dict[str, Path]:
    """Write `curves.csv`, `curves.png` and `verdict.json`; a reader sees an old file or a whole new one.

    Raises:
        BackendError: A file cannot be written.
        ConfigError: matplotlib is not installed.
    """
    bodies = {
        "curves": ("curves.csv", _csv(curves)),
        "verdict": ("verdict.json", json.dumps(verdict.to_json(), indent=1).encode()),
        "plot": ("curves.png", plot(curves, verdict, measure)),
    }
    return {what: replace_file(folder / name, body) for what, (name, body) in bodies.items()}


@own_settings()
def plot(curves: Sequence[Curve], verdict: SimulationResult, measure: str) -> bytes:
    """A PNG of 1600 x 900 pixels: the median of each selector and the middle half of its seeds, beside the target.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator, PercentFormatter
    except ImportError as missing:
        raise ConfigError(
            "the plot of a simulation needs matplotlib, which is not installed", 'pip install "labelloop[report]"'
        ) from missing
    figure = Figure(figsize=(8, 4.5), dpi=200, layout="constrained")
    axes = figure.add_subplot()
    colours = iter(COLOURS * (1 + len(verdict.summaries) // len(COLOURS)))
    for one in verdict.summaries:
        _draw(axes, one.selector, curves, GREY if one.selector == BASELINE else next(colours))
    axes.axhline(0.95 * verdict.full, color="#5b5f6b", linewidth=0.8, linestyle=(0, (4, 3)))
    axes.annotate(
        "95 % of the full score",
        (0, 0.95 * verdict.full),
        xycoords=("axes fraction", "data"),
        fontsize=8,
        xytext=(4, 3),
        textcoords="offset points",
        color="#5b5f6b",
    )
    axes.set_title(f"Labels against {measure}, {verdict.seeds} seed(s)", loc="left", fontweight="bold")
    axes.set_xlabel("items asked")
    axes.set_ylabel(f"{measure} on the test set")
    axes.set_xlim(0, verdict.budget)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="y", color="#e3e5ea")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.legend(frameon=False, loc="lower right")
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw(axes: Any, name: str, curves: Sequence[Curve], colour: str) -> None:
    ours = [curve for curve in curves if curve.selector == name]
    # Test sets are cut along groups, so that one seed's pool may be a little smaller than another's.
    rounds = min(len(curve.labels) for curve in ours)
    scores = np.asarray([curve.scores[:rounds] for curve in ours])
    low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75], axis=0)
    labels = ours[0].labels[:rounds]
    axes.fill_between(labels, low, high, color=colour, alpha=0.14, linewidth=0)
    axes.plot(labels, middle, color=colour, linewidth=2, label=name.replace("$", r"\$"))


def _csv(curves: Sequence[Curve]) -> bytes:
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    more = ("words",) if any(curve.read for curve in curves) else ()
    writer.writerow(("selector", "seed", "labels", "score", "full_score", "seconds", *more))
    for curve in curves:
        for place, (labels, score, seconds) in enumerate(zip(curve.labels, curve.scores, curve.seconds, strict=True)):
            read = (curve.read[place] if curve.read else "",) if more else ()
            writer.writerow((curve.selector, curve.seed, labels, score, curve.full, round(seconds, 4), *read))
    return lines.getvalue().encode()
