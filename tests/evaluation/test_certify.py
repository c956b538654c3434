"""Thresholds whose error bound holds: exact tests, enough answers, and refusals in words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.evaluation.certify import Column, bound, needed, p_value, per_label


def column(rng: np.random.Generator, held: int, others: int, error: float, asked: int = 0) -> Column:
    """Errors are rarer where the model is sure; `error` is their share at the least sure half."""
    confidence = rng.random(held + others)
    right = rng.random(held + others) >= error * np.clip(2 - 2 * confidence, 0, 1)
    open_ones = np.ones(others, bool)
    open_ones[:asked] = False
    return Column(confidence[:held], right[:held], confidence[held:], open_ones)


@pytest.mark.parametrize(("error", "answers"), [(0.05, 59), (0.02, 149), (0.01, 299)])
def test_how_many_answers_are_needed_is_said_beforehand(error: float, answers: int) -> None:
    assert needed(error, 0.05) == answers


@pytest.mark.parametrize(("error", "delta"), [(0.0, 0.05), (1.0, 0.05), (0.02, 0.0), (0.02, 1.5)])
def test_shares_that_cannot_be_are_refused(error: float, delta: float) -> None:
    with pytest.raises(ConfigError, match="not between 0 and 1"):
        needed(error, delta)


def test_for_many_items_the_test_is_the_binomial_one() -> None:
    from scipy.stats import binom

    assert p_value(200, 1, 10_000_000, 200_000) == pytest.approx(binom.cdf(1, 200, 0.02), rel=0.01)


def test_the_promise_is_broken_in_at_most_delta_of_the_draws() -> None:
    """The errors of a fixed pool, of which chance says which are seen: the bound is exact, so it is tight, too."""
    rng = np.random.default_rng(0)
    exceeded = 0
    for _ in range(1000):
        confidence, wrong = rng.random(750), rng.random(750) < 0.052
        held = rng.permutation(750) < 150
        made = Column(confidence[held], ~wrong[held], confidence[~held], np.ones(600, bool))
        taken = ~held & (confidence >= bound(made, 0.05, 0.1).threshold)
        exceeded += bool(taken.any()) and wrong[taken].mean() > 0.05
    assert exceeded <= 1000 * 0.1 + 3 * np.sqrt(1000 * 0.1 * 0.9)


def test_items_that_were_asked_may_hide_no_errors() -> None:
    """What the loop took out of the pool might have been its easy part."""
    rng = np.random.default_rng(1)
    made = column(rng, 300, 1000, 0.1)
    half = Column(made.calibration, made.right, made.others, np.arange(1000) % 2 == 0)
    assert bound(half, 0.05, 0.05).taken < bound(made, 0.05, 0.05).taken / 2 + 1


def test_a_better_model_labels_more() -> None:
    good, bad = (bound(column(np.random.default_rng(2), 600, 4000, error), 0.05, 0.05) for error in (0.02, 0.4))
    assert good.taken > bad.taken
    assert good.p <= 0.05


def test_too_few_answers_are_no_certificate_and_it_is_said_how_many() -> None:
    found = bound(column(np.random.default_rng(3), 50, 2000, 0.0), 0.02, 0.05)
    assert found.taken == 0
    assert math.isinf(found.threshold)
    assert "50 calibration answer(s) are too few: at least 149 are needed" in found.why
    assert bound(column(np.random.default_rng(3), 0, 10, 0.0), 0.02, 0.05).why


def test_where_everything_has_been_asked_it_is_not_the_answers_that_are_too_few() -> None:
    answers, asked = np.linspace(0.5, 0.99, 42), np.zeros(400, np.bool_)

    found = bound(Column(answers, np.ones(42, np.bool_), np.linspace(0.5, 0.99, 400), asked), 0.1, 0.05)

    assert "no item is left whose label could be taken" in found.why
    assert "too few" not in found.why


def test_a_bad_model_is_refused_in_words() -> None:
    found = bound(column(np.random.default_rng(4), 400, 2000, 1.0), 0.01, 0.05)
    assert (found.taken, math.isinf(found.threshold)) == (0, True)
    assert "not what the model says" in found.why


def test_where_no_answer_is_as_sure_as_the_open_items_it_says_so() -> None:
    answers, right = np.full(40, 0.5), np.ones(40, np.bool_)
    opened = np.linspace(0.9, 0.99, 400)

    found = bound(Column(answers, right, opened, np.ones(400, np.bool_)), 0.2, 0.05)

    assert found.why.startswith("no calibration answer is among the labels that the model is surest of")


def test_labels_of_their_own_share_delta() -> None:
    parts = [column(np.random.default_rng(seed), 70, 500, 0.0) for seed in (5, 6)]
    assert [one.taken > 0 for one in per_label(parts, 0.05, 0.05)] == [False, False], "72 are needed at half of delta"
    parts = [column(np.random.default_rng(seed), 200, 500, 0.0) for seed in (5, 6)]
    assert all(one.taken > 0 for one in per_label(parts, 0.05, 0.05))
