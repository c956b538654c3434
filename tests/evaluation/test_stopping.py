"""When more labels hardly help: three signals, and two that must agree."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labelloop.evaluation.forecast import Point, fit
from labelloop.evaluation.stopping import Signal, advice_in, advise, flat, kappa, spent, stable, stop_set

YES, NO, DUMB = Signal(True, "yes"), Signal(False, "no"), Signal(None, "cannot say")


def decisions(columns: list[int], k: int = 3) -> np.ndarray:
    return np.eye(k, dtype=bool)[columns]


def test_kappa_is_that_of_the_library() -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 4, 200).tolist(), rng.integers(0, 4, 200).tolist()
    after[:120] = before[:120]
    ours = kappa(decisions(before, 4), decisions(after, 4))
    assert ours == pytest.approx(cohen_kappa_score(before, after))
    several = rng.random((50, 3)) < 0.4, rng.random((50, 3)) < 0.4
    flat_ones = [one.ravel().astype(int) for one in several]
    assert kappa(*several) == pytest.approx(cohen_kappa_score(*flat_ones))


def test_kappa_of_models_that_always_say_one_thing_is_one() -> None:
    assert kappa(decisions([0, 0]), decisions([0, 0])) == 1.0
    assert kappa(decisions([]), decisions([])) == 1.0


def test_stability_needs_three_changes_and_each_to_be_small() -> None:
    assert stable([1.0, 1.0]).says_stop is None
    assert stable([0.5, 0.995, 0.991, 0.99]).says_stop is True
    assert stable([0.995, 0.989, 0.995]).says_stop is False


def test_no_gain_is_seen_on_enough_held_out_answers_only() -> None:
    wrong = np.zeros(200, int)
    wrong[:40] = 1
    better = wrong.copy()
    better[:10] = 0
    assert flat(wrong, wrong).says_stop is True
    assert flat(wrong, better).says_stop is False
    assert flat(wrong[:99], wrong[:99]).says_stop is None
    assert flat(better, wrong).says_stop is True, "a loss is no gain"


def test_a_gain_of_less_than_a_point_that_is_significant_is_a_gain() -> None:
    wrong = np.ones(1000, int)
    better = wrong.copy()
    better[:9] = 0
    assert flat(wrong, better).says_stop is False


def test_the_forecast_says_whether_the_next_answers_pay() -> None:
    rising = fit([Point(25 * i, 0.3 + 0.05 * i, 200) for i in range(1, 7)])
    resting = fit([Point(100 * i, 0.95, 400) for i in range(1, 12)])
    assert spent(rising, 100).says_stop is False
    assert spent(resting, 100).says_stop is True
    assert spent(None, 100).says_stop is None


@pytest.mark.parametrize(
    ("signals", "stop"),
    [
        ((YES, YES, NO), True),
        ((YES, DUMB, YES), True),
        ((YES, NO, DUMB), False),
        ((YES, YES, YES), True),
        ((NO,), False),
    ],
)
def test_two_of_three_must_agree(signals: tuple[Signal, ...], stop: bool) -> None:
    advice = advise({str(i): one for i, one in enumerate(signals)})
    assert advice.stop is stop
    assert advice_in(json.loads(json.dumps(advice.noted())))["stop"] is stop
    assert ("yes" in advice.words) is stop


def test_the_stop_set_does_not_depend_on_the_order_and_is_stable_under_growth() -> None:
    ids = np.array([f"item-{i}" for i in range(500)])
    chosen = set(ids[stop_set(ids, "7", 100)])
    assert chosen == set(ids[::-1][stop_set(ids[::-1], "7", 100)])
    grown = np.concatenate([ids, [f"new-{i}" for i in range(50)]])
    assert len(chosen & set(grown[stop_set(grown, "7", 100)])) >= 80
    assert chosen != set(ids[stop_set(ids, "8", 100)])
    assert len(stop_set(ids[:3], "7", 100)) == 3


@pytest.mark.parametrize(
    ("there", "answers", "says"), [(43, 43, True), (43, 42, None), (20, 20, None), (500, 99, None)]
)
def test_a_holdout_that_is_small_as_a_whole_is_enough_once_it_is_answered(
    there: int, answers: int, says: bool | None
) -> None:
    wrong = np.zeros(answers)

    assert flat(wrong, wrong, there).says_stop is says


def test_without_a_holdout_the_models_that_agree_are_enough() -> None:
    signals = {"stable": Signal(True, "they agree"), "flat": Signal(None, "?"), "spent": Signal(None, "?")}

    assert not advise(signals, 100).stop
    assert advise(signals, 100, there=0).stop
    assert "without a score: they agree" in advise(signals, 100, there=0).words


def test_advice_ends_when_nothing_is_left_to_ask() -> None:
    unsure = Signal(None, "only 3 of 100 held-out answers to see a gain on")

    told = advise({"flat": unsure}, left=0)

    assert told.stop
    assert "nothing is left to ask" in told.words
    assert not advise({"flat": unsure}, left=1).stop
