"""Intervals: against scipy, against theory, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from labelloop.errors import ConfigError
from labelloop.evaluation.intervals import bootstrap, effective, exact, hierarchical, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (3, 10), (0, 50), (50, 50), (197, 200)])
def test_wilsons_interval_is_scipys(k: int, n: int) -> None:
    reference = binomtest(k, n).proportion_ci(0.95, "wilson")

    assert wilson(k, n) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_of_nothing_everything_is_possible() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5)])
def test_more_successes_than_trials_are_refused(k: int, n: int) -> None:
    with pytest.raises(ConfigError, match=f"{k} of {n}"):
        wilson(k, n)


@pytest.mark.parametrize(("share", "n"), [(0.5, 50), (0.8, 100), (0.9, 200), (0.95, 200)])
def test_wilsons_interval_covers_the_truth(share: float, n: int) -> None:
    hits = np.random.default_rng(0).binomial(n, share, 4000)

    covered = [low <= share <= high for low, high in (wilson(int(k), n) for k in hits)]

    assert np.mean(covered) >= 0.93


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (3, 10), (0, 50), (50, 50), (197, 200)])
def test_the_exact_interval_is_scipys(k: int, n: int) -> None:
    reference = binomtest(k, n).proportion_ci(0.95, "exact")

    assert exact(k, n) == pytest.approx((reference.low, reference.high), abs=1e-9)


@pytest.mark.parametrize(("share", "n"), [(0.5, 50), (0.9, 30), (0.98, 200)])
def test_the_exact_interval_never_covers_less_than_it_says(share: float, n: int) -> None:
    hits = np.arange(n + 1)
    chance = binom.pmf(hits, n, share)
    covers = [low <= share <= high for low, high in (exact(int(k), n) for k in hits)]

    assert chance @ np.array(covers) >= 0.95


def test_the_bootstrap_agrees_with_theory_about_a_mean() -> None:
    values = np.random.default_rng(0).normal(10.0, 2.0, (400, 1))

    low, high = bootstrap(lambda sums: sums[:, 0] / 400, values, np.random.default_rng(1))

    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * values.std() / 20, values.mean() + 1.96 * values.std() / 20), abs=0.03
    )


def test_resampling_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to resample"):
        bootstrap(lambda sums: sums[:, 0], np.empty((0, 1)), np.random.default_rng(0))


def test_the_hierarchical_interval_agrees_with_theory_where_trials_are_many() -> None:
    shares, rng = np.linspace(0.6, 0.9, 10), np.random.default_rng(0)

    low, high = hierarchical(400 * shares, np.full(10, 400), rng)

    error = 1.96 * np.sqrt((shares * (1 - shares)).sum() / 400) / 10
    assert (low, high) == pytest.approx((0.75 - error, 0.75 + error), abs=0.003)


@pytest.mark.parametrize("rare_are_harder", [False, True])
def test_the_hierarchical_interval_covers_the_mean_of_shares_hardly_seen(rare_are_harder: bool) -> None:
    rng = np.random.default_rng(0)
    often = 1 / np.arange(1, 21)
    covered = []
    for _ in range(100):
        middle = 0.9 - 0.25 * np.linspace(0, 1, 20) * rare_are_harder
        shares = rng.beta(8 * middle, 8 * (1 - middle))
        trials = rng.multinomial(80, often / often.sum())
        low, high = hierarchical(rng.binomial(trials, shares), trials, rng)
        covered.append(low <= shares.mean() <= high)

    assert np.mean(covered) >= 0.93


def test_of_shares_never_tried_little_is_known() -> None:
    low, high = hierarchical(np.zeros(3), np.zeros(3), np.random.default_rng(0))

    assert high - low > 0.7


@pytest.mark.parametrize(
    ("hits", "trials", "said"), [([], [], "0 hits"), ([1], [2, 3], "1 hits of 2"), ([3], [2], "3")]
)
def test_shares_that_are_none_are_refused(hits: list[float], trials: list[float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        hierarchical(np.array(hits), np.array(trials), np.random.default_rng(0))


def test_items_that_are_all_different_count_in_full() -> None:
    values = np.array([1.0, 0.0, 1.0, 1.0])

    assert effective(values, None) == 4
    assert effective(values, np.array(["a", "b", "c", "d"])) == 4


def test_copies_that_always_agree_count_as_one() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.random(400) < 0.7, 5).astype(float)

    assert effective(values, np.repeat(np.arange(400), 5)) == pytest.approx(400, rel=0.03)


def test_groups_whose_members_have_nothing_in_common_count_in_full() -> None:
    rng = np.random.default_rng(0)
    values = (rng.random(4000) < 0.7).astype(float)

    assert effective(values, np.repeat(np.arange(800), 5)) == pytest.approx(4000, rel=0.1)


def test_where_all_are_right_groups_are_counted() -> None:
    assert effective(np.ones(50), np.repeat(np.arange(10), 5)) == 10


def test_the_interval_of_near_duplicates_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    groups, covered, naive = np.repeat(np.arange(40), 5), [], []
    for _ in range(400):
        chance = np.where(rng.random(40) < 0.7, 0.95, 0.3)
        right = rng.random(200) < np.repeat(chance, 5)
        worth = effective(right.astype(float), groups)
        low, high = wilson(right.mean() * worth, worth)
        covered.append(low <= 0.755 <= high)
        low, high = wilson(int(right.sum()), 200)
        naive.append(low <= 0.755 <= high)

    assert np.mean(covered) >= 0.93
    assert np.mean(naive) < 0.85
