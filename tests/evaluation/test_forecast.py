"""Forecasts of learning curves: they contain what comes, grow surer, and refuse too little."""

from __future__ import annotations

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.evaluation.forecast import Point, fit


def true_score(labels: float, top: float = 0.95, rate: float = 0.6, exponent: float = 0.6) -> float:
    return float(top * (1 - np.exp(-rate * (labels / 50) ** exponent)))


def measured(rounds: int, rng: np.random.Generator, held: int = 200) -> list[Point]:
    luck = rng.random(held)
    found = []
    for number in range(1, rounds + 1):
        again = rng.random(held) < 0.25
        right = np.where(again, rng.random(held), luck) < true_score(25 * number)
        found.append(Point(25 * number, float(right.mean()), held))
    return found


def test_the_band_contains_the_score_that_comes() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(60):
        band = fit(measured(6, rng)).score(500)
        inside += band.low <= true_score(500) <= band.high
    assert inside >= 0.75 * 60


def test_more_rounds_make_a_narrower_band() -> None:
    few, many = (fit(measured(rounds, np.random.default_rng(1))).score(500) for rounds in (4, 16))
    assert many.high - many.low < 0.6 * (few.high - few.low)
    assert 0.0 <= few.low <= few.middle <= few.high <= 1.0


def test_labels_needed_agree_with_the_scores() -> None:
    curve = fit(measured(12, np.random.default_rng(2)))
    needed = curve.needed(0.9)
    assert needed.low <= needed.middle <= needed.high
    assert abs(curve.score(needed.middle).middle - 0.9) < 0.02
    assert curve.needed(0.3).high == curve.now, "a score that is there needs nothing more"
    assert curve.needed(1.0).middle == np.inf


def test_gain_is_never_negative_and_grows() -> None:
    curve = fit(measured(8, np.random.default_rng(3)))
    assert 0.0 <= curve.gain(50).low <= curve.gain(500).low
    assert curve.chance_of_gain(50, 0.0) == 1.0
    assert curve.chance_of_gain(500, 0.01) >= curve.chance_of_gain(50, 0.01)


def test_the_same_scores_give_the_same_forecast() -> None:
    points = measured(6, np.random.default_rng(4))
    assert fit(points).score(400) == fit(points).score(400)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_perfect_and_hopeless_scores_have_a_forecast(score: float) -> None:
    band = fit([Point(25 * i, score, 100) for i in range(1, 5)]).score(200)
    assert band.low <= score <= band.high or abs(band.middle - score) < 0.1


def test_too_few_scores_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"2 round\(s\) have an honest score, a forecast needs 3"):
        fit([Point(25, 0.5, 50), Point(50, 0.6, 100), Point(75, 0.0, 0)])


def test_scores_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="more and more answers"):
        fit([Point(25, 0.5, 50), Point(75, 0.6, 100), Point(50, 0.6, 100)])
