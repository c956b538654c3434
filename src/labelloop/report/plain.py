"""Rounds and untrusted text as plain words for a terminal or a log."""

from __future__ import annotations

from labelloop.report.views import RoundView
from labelloop.report.words import duration, interval, percent


def round_in_words(one: RoundView) -> str:
    """A round in one plain line."""
    range_ = f" ({interval(one)})" if interval(one) else ""
    parts = [f"round {one.number}: asked {one.asked:,}", f"{one.answered:,} labels"]
    if one.score is not None:
        parts.append(f"{one.score_name} {percent(one.score)}{range_}")
    if one.model_version:
        parts.append(f"model {one.model_version} {one.fate}")
    if one.seconds:
        parts.append(stages_in_words(one))
    if one.reason:
        parts.append(one.reason)
    return ", ".join(parts).replace("\u00a0", " ")


def stages_in_words(one: RoundView) -> str:
    """'28 s: embed 22, train 0.7'; stages that took less than a tenth of a second are left out."""
    if not one.seconds:
        return ""
    stages = [
        f"{stage} {took:.1f}" if took < 10 else f"{stage} {took:.0f}"
        for stage, took in one.seconds.items()
        if took >= 0.1
    ]
    return duration(one.total_seconds) + (f": {', '.join(stages)}" if stages else "")
