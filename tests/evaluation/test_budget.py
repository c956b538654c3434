"""What answers cost, and what is still paid for."""

from __future__ import annotations

import pytest

from labelloop.errors import ConfigError
from labelloop.evaluation.budget import Budget, Spent

HUNDRED = Spent(answers=100, timed=50, seconds=50 * 36.0)
"""A hundred answers at 36 seconds each: an hour in all."""


def test_an_answer_without_a_time_counts_like_the_others() -> None:
    assert HUNDRED.hours == pytest.approx(1.0)
    assert Spent(10).hours == 0.0


@pytest.mark.parametrize(
    ("budget", "open_ones", "left"),
    [
        (Budget(), 0, None),
        (Budget(hours=3), 0, 200),
        (Budget(hours=3), 30, 170),
        (Budget(hours=0.5), 0, 0),
        (Budget(money=50, per_label=0.25), 0, 100),
        (Budget(money=50, per_hour=20), 0, 150),
        (Budget(money=60, per_hour=20, per_label=0.2), 0, 50),
        (Budget(hours=3, money=26, per_label=0.25), 1, 3),
    ],
)
def test_what_is_left_is_counted_in_questions(budget: Budget, open_ones: int, left: int | None) -> None:
    assert budget.left(HUNDRED, open_ones) == left


def test_hours_limit_nothing_until_a_time_is_known() -> None:
    assert Budget(hours=1).left(Spent(5), 0) is None
    assert Budget(money=10, per_hour=5).left(Spent(5), 0) is None


def test_money_without_a_price_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"budget\.money is 500, but nothing has a price") as refused:
        Budget(money=500)
    assert "per_hour" in refused.value.hint


def test_it_is_said_what_is_spent_and_what_more_would_take() -> None:
    budget = Budget(hours=3, money=100, per_hour=20, per_label=0.1)
    assert budget.in_words(HUNDRED) == "1.0 of 3 hours, 30.00 of 100 in money"
    assert budget.of_labels(200, HUNDRED) == "2.0 hours, 60 in money"
    assert budget.of_labels(50, HUNDRED) == "30 minutes, 15 in money"
    assert budget.of_labels(float("inf"), HUNDRED) == ""
    assert Budget().of_labels(50, Spent()) == ""
