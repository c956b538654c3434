"""Plots as small pure functions: plain data in, inline SVG out, coloured by the style sheet of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labelloop.report.markup import Markup, join, tag
from labelloop.report.views import STAGES, ReliabilityBin, RoundView
from labelloop.report.words import duration, interval, percent

Scale = Callable[[float], float]
LABEL_GAP = 17.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a plot is drawn, in SVG units: the whole size and the margins around the plotting area."""

    width: float
    height: float
    left: float = 46.0
    right: float = 16.0
    top: float = 14.0
    bottom: float = 40.0

    def x(self, low: float, high: float) -> Scale:
        """From data to SVG units, left to right."""
        return _linear(low, high, self.left, self.width - self.right)

    def y(self, low: float, high: float) -> Scale:
        """From data to SVG units, bottom to top."""
        return _linear(low, high, self.height - self.bottom, self.top)


WIDE = Frame(960, 360, right=150)
NARROW = Frame(390, 300, left=42, right=74)


def learning_curve(rounds: Sequence[RoundView], frame: Frame) -> Markup:
    """Score with its 95 % band against the labels trained on; nothing without a scored round."""
    scored = [one for one in rounds if one.score is not None]
    if not scored:
        return Markup()
    low, high = score_range(scored)
    start, end = label_range(scored)
    x, y = frame.x(start, end), frame.y(low, high)
    return tag(
        "svg",
        _grid(frame, x, y, ticks(start, end, 6 if frame.width > 600 else 4), ticks(low, high, 5)),
        _axis_name(frame, "labels trained on"),
        _band(scored, x, y),
        _line([(x(one.trained_on), y(one.naive_score)) for one in scored if one.naive_score is not None], "naive"),
        _line([(x(one.trained_on), y(one.score or 0.0)) for one in scored], "curve"),
        join(_point(one, x, y, 5.0 if len(scored) <= 25 else 3.5) for one in scored),
        _ends(scored, x, y, frame),
        viewBox=f"0 0 {frame.width:g} {frame.height:g}",
        role="img",
        aria_label=curve_in_words(scored),
    )


def curve_in_words(scored: Sequence[RoundView]) -> str:
    """What the learning curve shows, for those who cannot see it."""
    first, last = scored[0], scored[-1]
    return (
        f"Learning curve: {first.score_name} {percent(first.score)} with {first.trained_on:,} labels, "
        f"{percent(last.score)} with {last.trained_on:,} labels, over {len(scored)} rounds."
    )


def score_range(scored: Sequence[RoundView]) -> tuple[float, float]:
    """A y range around every value shown, on multiples of 0.05 within [0, 1] and never flatter than 0.2."""
    shown = [v for one in scored for v in (one.score, one.low, one.high, one.naive_score) if v is not None]
    low, high = math.floor(min(shown) * 20) / 20, math.ceil(max(shown) * 20 - 1e-9) / 20
    missing = max(0.0, 0.2 - (high - low)) / 2
    low, high = low - missing, high + missing
    shift = max(0.0, -low) - max(0.0, high - 1.0)
    return max(0.0, low + shift), min(1.0, high + shift)


def label_range(scored: Sequence[RoundView]) -> tuple[float, float]:
    """An x range around every count of labels; it starts at zero unless that would waste half the plot."""
    low, high = min(one.trained_on for one in scored), max(one.trained_on for one in scored)
    if low == high:
        return 0.0, 2.0 * max(high, 1)
    return 0.0 if low * 2 <= high else float(low), float(high)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers within [low, high], about as many as wished, with a step of 1, 2, 2.5 or 5 times a power of ten."""
    rough = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    if high > 1.5:
        step = max(1.0, step if step != 2.5 else 5.0)
    first = math.ceil(low / step - 1e-9)
    return [round(step * i, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def reliability(bins: Sequence[ReliabilityBin]) -> Markup:
    """Confidence against the share that is right; on the diagonal a probability means what it says."""
    frame = Frame(390, 330, right=20)
    x, y = frame.x(0, 1), frame.y(0, 1)
    most = max(one.count for one in bins)
    shown = [one for one in sorted(bins, key=lambda one: one.confidence) if one.count]
    return tag(
        "svg",
        _grid(frame, x, y, [0, 0.25, 0.5, 0.75, 1], [0, 0.25, 0.5, 0.75, 1], shares=True),
        _axis_name(frame, "confidence of the model"),
        tag("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="ideal"),
        _line([(x(one.confidence), y(one.accuracy)) for one in shown], "curve"),
        join(_reliability_point(one, x, y, 3 + 6 * math.sqrt(one.count / most)) for one in shown),
        viewBox=f"0 0 {frame.width:g} {frame.height:g}",
        role="img",
        aria_label=f"Reliability diagram, expected calibration error {percent(calibration_error(bins))}.",
    )


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015): mean |accuracy - confidence|, weighted by count."""
    total = sum(one.count for one in bins)
    return sum(abs(one.accuracy - one.confidence) * one.count for one in bins) / total if total else 0.0


def stage_bar(one: RoundView, longest: float) -> Markup:
    """The stages of one round as one stacked bar; a full width stands for `longest` seconds."""
    parts, start = [], 0.0
    for stage, seconds in one.seconds.items():
        width = 100 * seconds / longest if longest else 0.0
        parts.append(
            tag(
                "rect",
                tag("title", f"Round {one.number}, {stage}: {duration(seconds)}"),
                x=f"{start:.3f}%",
                width=f"{width:.3f}%",
                height="100%",
                class_=f"stage-{stage}" if stage in STAGES else "stage-other",
            )
        )
        start += width
    words = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in one.seconds.items())
    return tag("svg", *parts, class_="bar", role="img", aria_label=f"Round {one.number}: {words}")


def share_bar(share: float | None, class_: str = "") -> Markup:
    """A thin bar filled to `share`; only decoration, the number stands beside it."""
    fill = tag("rect", width=f"{100 * (share or 0.0):.1f}%", height="100%", class_="fill")
    return tag("svg", fill, class_=f"share {class_}".strip(), aria_hidden="true")


def _linear(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _grid(
    frame: Frame, x: Scale, y: Scale, across: Sequence[float], up: Sequence[float], *, shares: bool = False
) -> Markup:
    edge, floor = frame.width - frame.right, frame.height - frame.bottom
    lines = [tag("line", x1=frame.left, x2=edge, y1=y(v), y2=y(v), class_="grid") for v in up]
    left = [tag("text", percent(v, 0), x=frame.left - 8, y=y(v) + 4, text_anchor="end", class_="tick") for v in up]
    below = [
        tag("text", percent(v, 0) if shares else f"{v:,.0f}", x=x(v), y=floor + 18, text_anchor="middle", class_="tick")
        for v in across
    ]
    return tag("g", *lines, *left, *below, aria_hidden="true")


def _axis_name(frame: Frame, name: str) -> Markup:
    middle = (frame.left + frame.width - frame.right) / 2
    return tag("text", name, x=middle, y=frame.height - 4, text_anchor="middle", class_="axis", aria_hidden="true")


def _line(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    if len(points) < 2:
        return Markup()
    return tag("polyline", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in points), class_=class_)


def _band(scored: Sequence[RoundView], x: Scale, y: Scale) -> Markup:
    bounds = [
        (x(one.trained_on), y(one.low), y(one.high)) for one in scored if one.low is not None and one.high is not None
    ]
    if len(bounds) == 1:
        a, low, high = bounds[0]
        return tag("line", x1=a, x2=a, y1=low, y2=high, class_="whisker")
    outline = [(a, high) for a, _, high in bounds] + [(a, low) for a, low, _ in reversed(bounds)]
    return tag("polygon", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in outline), class_="band")


def _point(one: RoundView, x: Scale, y: Scale, radius: float) -> Markup:
    a, b = x(one.trained_on), y(one.score or 0.0)
    range_ = f" ({interval(one)})" if interval(one) else ""
    words = (
        f"Round {one.number}: {percent(one.score)}{range_} {one.score_name} with {one.trained_on:,} labels; "
        f"{one.fate}{': ' + one.gate_reason if one.gate_reason else ''}"
    )
    return tag(
        "g",
        tag("title", words),
        tag("circle", cx=a, cy=b, r=max(radius, 10.0), class_="reach"),
        tag("circle", cx=a, cy=b, r=radius, class_="kept" if one.fate == "kept" else "promoted"),
    )


def _ends(scored: Sequence[RoundView], x: Scale, y: Scale, frame: Frame) -> Markup:
    """Names beside the ends of the lines, moved apart when they would touch."""
    last, wide = scored[-1], frame.width > 600
    start = x(last.trained_on) + 14
    naive = [one for one in scored if one.naive_score is not None][-1:]
    names = [(y(last.score or 0.0), percent(last.score), last.score_name, "")]
    names += [(y(one.naive_score or 0.0), percent(one.naive_score), "naive", " faint") for one in naive]
    names.sort()
    overlap = max((LABEL_GAP - (b[0] - a[0]) for a, b in pairwise(names)), default=0.0)
    shifts = (-overlap / 2, overlap / 2) if overlap > 0 else (0.0, 0.0)
    return join(
        tag(
            "text",
            tag("tspan", value, class_="value"),
            f" {name}" if wide else "",
            x=start,
            y=at + shift + 4,
            class_=f"end{faint}",
            aria_hidden="true",
        )
        for (at, value, name, faint), shift in zip(names, shifts, strict=False)
    )


def _reliability_point(one: ReliabilityBin, x: Scale, y: Scale, radius: float) -> Markup:
    words = f"{one.count:,} predictions at {percent(one.confidence)} confidence: {percent(one.accuracy)} right"
    return tag("circle", tag("title", words), cx=x(one.confidence), cy=y(one.accuracy), r=radius, class_="promoted")
