"""The gate: its bounds against other ways to the same number, its rules as tables, its promise by simulation."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from scipy.stats import binomtest

from labelloop.errors import ConfigError
from labelloop.evaluation.gate import Judging, judge, loss_bound, margin, sign_test
from labelloop.types import Gate, Metric


def one_hot(columns: list[int], k: int = 3) -> np.ndarray:
    return np.eye(k, dtype=np.bool_)[columns]


def pair(won: int, lost: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Champion, challenger and targets of n items of which so many changed hands."""
    targets = one_hot([0] * n)
    champion, challenger = one_hot([0] * n).astype(float), one_hot([0] * n).astype(float)
    challenger[:lost] = [0, 1, 0]
    champion[lost : lost + won] = [0, 1, 0]
    return champion, challenger, targets


@pytest.mark.parametrize(
    ("won", "lost", "n", "rule", "promoted"),
    [
        (0, 0, 50, "not-worse", False),
        (0, 0, 49, "not-worse", True),
        (1, 0, 50, "not-worse", True),
        (2, 2, 400, "not-worse", False),
        (0, 0, 4, "not-worse", True),
        (0, 0, 12, "not-worse", True),
        (1, 2, 12, "not-worse", False),
        (2, 0, 12, "not-worse", True),
        (0, 1, 200, "not-worse", False),
        (4, 2, 200, "not-worse", True),
        (20, 18, 200, "not-worse", False),
        (40, 18, 200, "not-worse", True),
        (5, 0, 200, "better", True),
        (4, 0, 200, "better", False),
        (0, 0, 200, "better", False),
        (0, 50, 200, "always", True),
    ],
)
def test_the_rules(won: int, lost: int, n: int, rule: Gate, promoted: bool) -> None:
    verdict = judge(*pair(won, lost, n), Judging(rule=rule))

    assert verdict.promoted is promoted
    assert f"better on {won} and worse on {lost} of {n} held-out items" in verdict.reason


def test_the_reason_says_what_was_lost_and_what_is_allowed() -> None:
    assert judge(*pair(2, 5, 200), Judging()).reason.startswith("kept the model in use: the new one scores lower;")
    assert judge(*pair(2, 2, 200), Judging()).reason.startswith(
        "kept the model in use: the new one does not score higher;"
    )
    kept = judge(*pair(20, 18, 200), Judging()).reason
    assert kept.startswith("kept the model in use: the new one may be up to 4.2 points worse, 2.1 points are allowed;")
    promoted = judge(*pair(6, 4, 200), Judging()).reason
    assert promoted.startswith("promoted: at most 1.8 points worse, with 95 % certainty;")


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (5, 0), (9, 3), (4, 4), (30, 12), (2, 7)])
def test_the_sign_test_is_the_exact_binomial_one(won: int, lost: int) -> None:
    expected = binomtest(won, won + lost, alternative="greater").pvalue if won + lost else 1.0

    assert sign_test(won, lost) == pytest.approx(expected)


def test_a_large_sign_test_is_nearly_exact_and_does_not_overflow() -> None:
    assert sign_test(2600, 2400) == pytest.approx(binomtest(2600, 5000, alternative="greater").pvalue, rel=0.02)


@pytest.mark.parametrize(("won", "lost", "n"), [(9, 4, 150), (3, 9, 100), (0, 0, 50), (30, 12, 200), (0, 3, 40)])
def test_the_bound_is_where_the_restricted_likelihood_says(won: int, lost: int, n: int) -> None:
    loss = loss_bound(won, lost, n)

    # Tango's test with the likelihood maximised by search instead of in closed form.
    share = np.linspace(max(loss, 0) + 1e-9, 1, 200_001)
    gain, rest = share - loss, 1 - 2 * share + loss
    there = (gain > 0) & (rest > 0)
    share, gain, rest = share[there], gain[there], rest[there]
    likely = won * np.log(gain) + lost * np.log(share) + (n - won - lost) * np.log(rest)
    q = share[likely.argmax()]
    z = (won - lost + n * loss) / np.sqrt(n * (2 * q - loss * (1 + loss)))
    assert z == pytest.approx(1.645, abs=0.01)


def test_the_margin_shrinks_as_the_holdout_grows() -> None:
    assert [round(margin(n), 4) for n in (1, 12, 50, 100, 200, 900)] == [0.7301, 0.184, 0.0513, 0.03, 0.0212, 0.01]


@pytest.mark.parametrize("n", [50, 100, 200])
@pytest.mark.parametrize("differing", [0.1, 0.3])
def test_a_model_that_is_worse_by_the_margin_passes_at_most_once_in_twenty(n: int, differing: float) -> None:
    rng = np.random.default_rng(n)
    loss = margin(n)
    passed = []
    for _ in range(1500):
        lost, won = rng.multinomial(n, [(differing + loss) / 2, (differing - loss) / 2, 1 - differing])[:2]
        passed.append(judge(*pair(int(won), int(lost), n), Judging()).promoted)

    assert np.mean(passed) <= (0.07 if n == 50 else 0.06)


@pytest.mark.parametrize("n", [50, 200])
def test_by_the_rule_better_an_equal_model_passes_at_most_once_in_twenty(n: int) -> None:
    rng = np.random.default_rng(n)
    splits = rng.multinomial(n, [0.1, 0.1, 0.8], 1500)

    passed = [judge(*pair(int(w), int(k), n), Judging(rule="better")).promoted for w, k, _ in splits]

    assert np.mean(passed) <= 0.06


def test_near_duplicates_are_no_further_proof() -> None:
    champion, challenger, targets = pair(5, 0, 200)
    twins = np.concatenate([np.zeros(5), np.arange(1, 196)])

    alone = judge(champion, challenger, targets, Judging(rule="better"))
    grouped = judge(champion, challenger, targets, Judging(rule="better", groups=twins))

    assert (alone.promoted, grouped.promoted) == (True, False)


@pytest.mark.parametrize("metric", get_args(Metric))
@pytest.mark.parametrize("multiple", [False, True])
def test_every_score_has_its_test(metric: Metric, multiple: bool) -> None:
    rng = np.random.default_rng(0)
    targets = one_hot(rng.integers(0, 3, 150).tolist())
    good = np.where(rng.random((150, 1)) < 0.9, targets, 1 - targets).astype(float)
    bad = np.where(rng.random((150, 1)) < 0.6, targets, 1 - targets).astype(float)

    assert judge(bad, good, targets, Judging(multiple, metric)).promoted
    assert judge(bad, good, targets, Judging(multiple, metric, "better")).promoted
    assert not judge(good, bad, targets, Judging(multiple, metric)).promoted
    assert not judge(good, good, targets, Judging(multiple, metric)).promoted
    assert judge(good[:40], good[:40], targets[:40], Judging(multiple, metric)).promoted


def test_without_held_out_answers_nothing_speaks_against_a_model() -> None:
    empty = np.empty((0, 3))

    verdict = judge(empty, empty, empty.astype(np.bool_), Judging())

    assert verdict.promoted
    assert "no held-out answers" in verdict.reason


def test_models_with_other_labels_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        judge(np.zeros((1, 2)), np.zeros((1, 3)), one_hot([0]), Judging())
