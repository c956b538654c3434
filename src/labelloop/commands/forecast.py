"""The learning curve of a loop, and where it goes: scores ahead, answers to a target, what they take. For people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

from labelloop.errors import ConfigError
from labelloop.evaluation.forecast import FEWEST, Band, Forecast, Point
from labelloop.evaluation.stopping import advice_in
from labelloop.loop.decide import left
from labelloop.loop.loop import Loop
from labelloop.loop.stop_advice import curve_of, points_of
from labelloop.report.figures import own_settings

AHEAD = (1, 2, 4, 8)
"""Batches that are looked ahead."""

_SEEN, _BAND, _TARGET = "#3457d5", "#3457d5", "#5b5f6b"


@dataclass(frozen=True)
class Outlook:
    """What is known about going on.

    Attributes:
        score_name: What a score is.
        points: The honest scores so far.
        curve: Where they go; None while there are too few.
        ahead: (more answers, the score then).
        end: Questions that the budget still allows; None where there is no limit.
        target: A score to reach; None for none.
        takes: What answers to the target take in hours and money, as far as that is known.
        advice: Whether to stop, in words; empty before there is a model.
    """

    score_name: str
    points: Sequence[Point]
    curve: Forecast | None
    ahead: Sequence[tuple[int, Band]]
    end: int | None
    target: float | None
    takes: str
    advice: Mapping[str, Any]

    @property
    def needed(self) -> Band | None:
        """More answers to the target; infinite where it may never be reached."""
        if self.curve is None or self.target is None:
            return None
        found = self.curve.needed(self.target)
        now = self.curve.now
        return Band(found.low - now, found.middle - now, found.high - now)

    def as_dict(self) -> dict[str, Any]:
        """The outlook for scripts; what is infinite is null."""
        needed = self.needed
        return {
            "score_name": self.score_name,
            "scores": [asdict(one) for one in self.points],
            "ahead": [{"more": more, **asdict(band)} for more, band in self.ahead],
            "budget_left": self.end,
            "target": self.target,
            "needed": {name: _finite(value) for name, value in asdict(needed).items()} if needed else None,
            "takes": self.takes,
            "advice": dict(self.advice),
        }

    def in_words(self) -> str:
        """The outlook for people."""
        if self.curve is None:
            few = len(self.points)
            return f"no forecast yet: {few} round(s) with a score on the holdout, {FEWEST} are needed"
        newest = self.points[-1]
        lines = [f"now       {self.score_name} {newest.score:.3f} from {newest.labels} answers, on {newest.n} held out"]
        lines += [
            f"+{more:<8} {band.middle:.3f} ({band.low:.3f} to {band.high:.3f})"
            + ("  when the budget is spent" if more == self.end else "")
            for more, band in self.ahead
        ]
        lines += [self._target_in_words()] if self.target is not None else []
        lines += [f"advice    {self.advice['words']}"] if self.advice else []
        return "\n".join(lines)

    def _target_in_words(self) -> str:
        assert self.target is not None
        needed = self.needed
        assert needed is not None
        if needed.middle <= 0:
            return f"target    {self.target:g} is reached, as far as the holdout can tell"
        if math.isinf(needed.middle):
            return f"target    {self.target:g} will probably not be reached by more answers of this kind"
        most = f"{needed.high:.0f}" if math.isfinite(needed.high) else "never"
        range_ = f"({needed.low:.0f} to {most})" + (f"; {self.takes}" if self.takes else "")
        return f"target    about {needed.middle:.0f} more answers to reach {self.target:g} {range_}"


def outlook(loop: Loop, target: float | None = None) -> Outlook:
    """What is known about going on, from the ledger alone.

    Raises:
        ConfigError: The target is not between 0 and 1.
    """
    if target is not None and not 0.0 < target < 1.0:
        raise ConfigError(f"the target is {target:g}, not between 0 and 1", "labelloop forecast --target 0.9")
    history = [one for one in loop.ledger.rounds.all() if one.matches(loop.schema.labels)]
    points = points_of(history)
    curve = curve_of(points)
    end = left(loop.look(), loop.policy)
    steps = {batches * loop.policy.batch for batches in AHEAD} | ({end} if end else set())
    ahead = [(more, curve.score(curve.now + more)) for more in sorted(steps)] if curve else []
    more = curve.needed(target).middle - curve.now if curve and target is not None else 0.0
    return Outlook(
        score_name=history[-1].metrics.get("score_name", "accuracy") if history else "accuracy",
        points=points,
        curve=curve,
        ahead=ahead,
        end=end,
        target=target,
        takes=loop.budget.of_labels(more, loop.ledger.answers.spent()),
        advice=advice_in(history[-1].notes) if history else {},
    )


@own_settings()
def plot(found: Outlook) -> bytes:
    """An SVG: the scores so far, the forecast with its band, and the target.

    Raises:
        ConfigError: There is no forecast yet, or matplotlib is not installed.
    """
    if found.curve is None:
        raise ConfigError(found.in_words(), "go on: labelloop watch")
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import PercentFormatter
    except ImportError as missing:
        raise ConfigError(
            "the plot of a forecast needs matplotlib, which is not installed", 'pip install "labelloop[report]"'
        ) from missing
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    farthest = found.curve.now + max(more for more, _ in found.ahead)
    at = [found.curve.now + (farthest - found.curve.now) * i / 40 for i in range(41)]
    bands = [found.curve.score(labels) for labels in at]
    axes.fill_between(at, [one.low for one in bands], [one.high for one in bands], color=_BAND, alpha=0.15, linewidth=0)
    axes.plot(at, [one.middle for one in bands], color=_BAND, linestyle="--", label="forecast, 90 % band")
    labels, scores = [one.labels for one in found.points], [one.score for one in found.points]
    axes.plot(labels, scores, color=_SEEN, marker="o", label="on the holdout")
    if found.target is not None:
        axes.axhline(found.target, color=_TARGET, linewidth=0.8, linestyle=":", label="target")
    axes.set(xlabel="answers learned from", ylabel=found.score_name)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    body = BytesIO()
    figure.savefig(body, format="svg", metadata={"Date": None})
    return body.getvalue()


def _finite(value: float) -> int | None:
    return round(value) if math.isfinite(value) else None
