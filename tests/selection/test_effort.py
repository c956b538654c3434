"""Uncertainty per effort: what long texts cost is counted, as far as somebody wants it."""

from __future__ import annotations

import numpy as np
import pytest

from labelloop.selection.effort import LENGTH_COST, per_effort
from labelloop.workspace.config import LoopConfig

UNSURE = np.array([0.5, 0.5, 0.9, np.nan], np.float32)
LENGTHS = np.array([10, 1000, 1000, 10])


def test_without_cost_nothing_changes() -> None:
    np.testing.assert_array_equal(per_effort(UNSURE, LENGTHS, 0.0), UNSURE)


def test_where_every_word_costs_a_long_text_has_to_teach_more() -> None:
    worth = per_effort(UNSURE, LENGTHS, 1.0)
    assert worth[0] == pytest.approx(0.5)
    assert worth[1] == pytest.approx(0.005)
    assert worth[2] == pytest.approx(0.009)
    assert np.isnan(worth[3])


def test_in_between_it_counts_in_part() -> None:
    assert per_effort(UNSURE, LENGTHS, 0.5)[1] == pytest.approx(0.05)


def test_an_unknown_length_counts_as_the_median_and_none_known_as_nothing() -> None:
    lengths = np.array([100, 0, 400, 100])
    assert per_effort(np.ones(4), lengths, 1.0).tolist() == [1.0, 1.0, 0.25, 1.0]
    assert per_effort(np.ones(4), np.zeros(4), 1.0).tolist() == [1.0] * 4


def test_the_default_is_told_once() -> None:
    assert LoopConfig().length_cost == LENGTH_COST
