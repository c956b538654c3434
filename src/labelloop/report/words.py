"""Numbers in the words of the report and of the terminal."""

from __future__ import annotations

from labelloop.report.views import RoundView

NOTHING = "–"


def percent(share: float | None, digits: int = 1) -> str:
    """0.914 -> '91.4 %'; None -> a dash. The space does not break."""
    return NOTHING if share is None else f"{share * 100:.{digits}f}\u00a0%"


def interval(one: RoundView) -> str:
    """The 95 % interval of a round as '88.1–93.9'; empty when unknown."""
    if one.low is None or one.high is None:
        return ""
    return f"{one.low * 100:.1f}–{one.high * 100:.1f}"


def duration(seconds: float) -> str:
    """'0.4 s', '42 s', '2 min 05 s', '1 h 04 min'; the spaces do not break."""
    whole = round(seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}\u00a0s"
    if whole < 60:
        return f"{whole}\u00a0s"
    if whole < 3600:
        return f"{whole // 60}\u00a0min\u00a0{whole % 60:02d}\u00a0s"
    return f"{whole // 3600}\u00a0h\u00a0{whole % 3600 // 60:02d}\u00a0min"


def moment(iso: str) -> str:
    """An ISO 8601 time to the minute: '2026-11-23 20:17'."""
    return iso[:16].replace("T", " ")
