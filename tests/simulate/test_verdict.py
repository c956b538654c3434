"""What curves mean: labels to a target, intervals over seeds, and whether it would pay."""

from __future__ import annotations

import numpy as np
import pytest

from labelloop.simulate.replay import Curve
from labelloop.simulate.verdict import COLUMNS, SimulationResult, judge, labels_to, rows


def curve(selector: str, seed: int, reached_at: int, full: float = 0.8, rounds: int = 10) -> Curve:
    """Ten labels a round; the full score from `reached_at` labels on, half of it before."""
    labels = tuple(10 * (i + 1) for i in range(rounds))
    scores = tuple(full if one >= reached_at else full / 2 for one in labels)
    return Curve(selector, seed, labels, scores, full, tuple(0.1 for _ in labels))


def compared(ours: list[int], random: list[int]) -> SimulationResult:
    """The verdict on `mine` that reached it so, seed by seed."""
    curves = [curve("random", seed, at) for seed, at in enumerate(random)]
    return judge([*curves, *(curve("mine", seed, at) for seed, at in enumerate(ours))], 500)


def test_labels_to_a_target_are_those_of_the_first_round_that_reaches_it() -> None:
    one = Curve("mine", 0, (10, 20, 30, 40), (0.3, 0.77, 0.7, 0.8), 0.8)

    assert labels_to(one, 0.95) == 20
    assert labels_to(one, 0.98) == 40
    assert np.isinf(labels_to(one, 1.1))


def test_the_median_has_an_interval_over_seeds() -> None:
    verdict = compared([20, 30, 40, 30, 30], [80, 90, 70, 80, 80])

    need = verdict.summaries[1].needed[1]
    assert (need.labels, need.low, need.high) == (30, 20, 40)
    assert need.of_random == pytest.approx(0.375)
    assert need.of_random_high is not None
    assert need.of_random_high < 1


def test_fewer_labels_would_pay() -> None:
    verdict = compared([20, 30, 40, 30, 30], [80, 90, 70, 80, 80])

    assert verdict.words == (
        "mine would pay: 98 % of the full score with 30 (20 to 40) labels, random with 80 (70 to 90); "
        "62 % fewer seed by seed.",
    )


def test_more_labels_would_cost() -> None:
    assert "mine would cost more" in compared([80, 90, 80, 80, 80], [20, 30, 40, 30, 30]).words[0]


def test_seeds_that_disagree_show_no_difference() -> None:
    assert "no difference that these seeds can show" in compared([20, 90, 30, 80, 50], [50, 40, 60, 50, 50]).words[0]


def test_what_random_does_not_reach_would_pay() -> None:
    words = compared([50] * 5, [900] * 5).words[0]

    assert "would pay" in words
    assert "random does not get there" in words


def test_random_that_does_not_get_there_counts_as_the_budget_at_least() -> None:
    verdict = compared([50] * 5, [900] * 5)

    assert verdict.summaries[1].needed[1].of_random == 0.5
    assert rows(verdict)[1][4].startswith("under 0.50 x")


def test_what_only_random_reaches_would_not_pay() -> None:
    assert "would not pay" in compared([900] * 5, [50] * 5).words[0]


def test_where_nobody_gets_there_a_larger_budget_is_advised() -> None:
    verdict = compared([900] * 3, [900] * 3)

    assert "Raise the budget" in verdict.words[0]
    assert verdict.summaries[1].needed[1].labels is None


def test_without_random_there_is_nothing_to_compare_with() -> None:
    verdict = judge([curve("mine", seed, 30) for seed in range(3)], 500)

    assert verdict.words == ("mine: replay random, too, to see whether it pays.",)


def test_the_table_has_a_row_for_each_selector() -> None:
    table = rows(compared([20, 30, 40, 30, 30], [900] * 5))

    assert [row[0] for row in table] == ["random", "mine"]
    assert table[0][1:4] == ("over 100",) * 3
    assert all(len(row) == len(COLUMNS) for row in table)


def test_the_verdict_is_plain_data_for_scripts() -> None:
    said = compared([20] * 3, [50] * 3).to_json()

    assert said["summaries"][1]["needed"][0] == {
        "target": 0.9, "labels": 20.0, "low": 20.0, "high": 20.0,
        "of_random": 0.4, "of_random_low": 0.4, "of_random_high": 0.4,
    }  # fmt: skip
    assert (said["items"], said["seeds"], said["budget"]) == (500, 3, 100)
