"""Reports on disk: written beside their final name and moved there when complete."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

from labelloop.errors import BackendError, ConfigError
from labelloop.report.figures import own_settings
from labelloop.report.page import render
from labelloop.report.plots import label_range, score_range
from labelloop.report.views import ReportView, RoundView
from labelloop.report.words import percent

ACCENT = "#3457d5"


def write(view: ReportView, path: Path) -> Path:
    """Write the HTML page; a reader of `path` sees the old page or the whole new one.

    Raises:
        BackendError: The file cannot be written (full disk, no permission).
    """
    return replace_file(path, render(view).encode())


def learning_curve_png(view: ReportView, path: Path) -> Path:
    """Write the learning curve as a PNG of 1600 x 900 pixels, for slides and READMEs.

    Raises:
        ConfigError: matplotlib is not installed, or no round has a score yet.
        BackendError: The file cannot be written.
    """
    if not view.scored:
        raise ConfigError(
            f"dataset {view.dataset!r} has no scored round to plot", "answer the questions, then run labelloop tick"
        )
    return replace_file(path, _draw(view.scored, view.dataset))


@own_settings()
def _draw(scored: Sequence[RoundView], title: str) -> bytes:
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator, PercentFormatter
    except ImportError as missing:
        raise ConfigError(
            "the learning curve as PNG needs matplotlib, which is not installed", 'pip install "labelloop[report]"'
        ) from missing
    figure = Figure(figsize=(8, 4.5), dpi=200, layout="constrained")
    axes = figure.add_subplot()
    _plot(axes, scored)
    axes.set_title(title.replace("$", r"\$"), loc="left", fontweight="bold")
    axes.set_xlabel("labels trained on")
    axes.set_ylabel(f"{scored[0].score_name} on the holdout, 95 % interval")
    axes.set_xlim(*label_range(scored))
    axes.margins(x=0.02)
    axes.set_ylim(*score_range(scored))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="y", color="#e3e5ea")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _plot(axes: Any, scored: Sequence[RoundView]) -> None:
    labels = [one.trained_on for one in scored]
    scores = [one.score for one in scored]
    bounded = [one for one in scored if one.low is not None and one.high is not None]
    naive = [one for one in scored if one.naive_score is not None]
    axes.fill_between(
        [one.trained_on for one in bounded],
        [one.low for one in bounded],
        [one.high for one in bounded],
        color=ACCENT,
        alpha=0.14,
        linewidth=0,
    )
    axes.plot(
        [one.trained_on for one in naive],
        [one.naive_score for one in naive],
        color="#8a90a0",
        linestyle=(0, (2, 3)),
        label="naive, on the items the loop chose",
    )
    axes.plot(labels, scores, color=ACCENT, linewidth=2, label="on the holdout")
    axes.scatter(
        labels,
        scores,
        s=36,
        color=["white" if one.fate == "kept" else ACCENT for one in scored],
        edgecolors=ACCENT,
        linewidths=1.6,
        zorder=3,
        clip_on=False,
    )
    axes.annotate(
        percent(scores[-1]), (labels[-1], scores[-1]), xytext=(10, -4), textcoords="offset points", fontweight="bold"
    )
    kept = any(one.fate == "kept" for one in scored)
    if kept:
        axes.scatter([], [], s=36, color="white", edgecolors=ACCENT, linewidths=1.6, label="model not promoted")
    if naive or kept:
        axes.legend(frameon=False, loc="lower right")


def replace_file(path: Path, body: bytes) -> Path:
    """Write a file so that its reader sees the old one or the whole new one; makes the folder.

    Raises:
        BackendError: It cannot be written.
    """
    beside = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(body)
        beside.replace(path)
    except OSError as error:
        raise BackendError(
            f"cannot write {path}: {error.strerror}", "free some space there, or choose another path"
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    return path
