"""The report of a loop: one self-contained HTML page, and its learning curve as a picture."""

from labelloop.report.files import learning_curve_png, write
from labelloop.report.page import render
from labelloop.report.views import (
    STAGES,
    Confusion,
    LabelScore,
    ReliabilityBin,
    ReportView,
    RoundView,
    Sample,
    Totals,
)

__all__ = [
    "STAGES",
    "Confusion",
    "LabelScore",
    "ReliabilityBin",
    "ReportView",
    "RoundView",
    "Sample",
    "Totals",
    "learning_curve_png",
    "render",
    "write",
]
