"""Metrics: values checked by hand, intervals checked by simulation, the gate by its rules."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import binomtest

from labelloop.errors import ConfigError
from labelloop.metrics import bootstrap, evaluate, f1_interval, is_worse, mcnemar, nothing, wilson

LABELS = ("bird", "cat", "dog")


def one_hot(columns: list[int], k: int = 3) -> np.ndarray:
    return np.eye(k, dtype=np.bool_)[columns]


def test_a_single_choice_is_scored_by_accuracy() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])

    now = evaluate(probabilities, one_hot([0, 1, 0, 0]), LABELS)

    assert (now.n, now.score_name, now.score, now.accuracy) == (4, "accuracy", 0.75, 0.75)
    assert (now.low, now.high) == wilson(3, 4)
    assert now.confusion == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert asdict(now.per_label["bird"]) == {"precision": 1.0, "recall": 2 / 3, "f1": 0.8, "support": 3}
    assert asdict(now.per_label["cat"]) == {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1}
    assert asdict(now.per_label["dog"]) == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert now.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert now.log_loss == pytest.approx(-np.log([0.8, 0.6, 0.2, 0.5]).mean())


def test_a_multiple_choice_is_scored_by_micro_f1() -> None:
    probabilities = np.array([[0.9, 0.6, 0.1], [0.2, 0.4, 0.3], [0.1, 0.2, 0.8]])
    targets = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.bool_)

    now = evaluate(probabilities, targets, LABELS, multiple=True)

    assert now.score_name == "micro-F1"
    assert [now.score, now.accuracy] == pytest.approx([4 / 6, 1 / 3])
    assert now.low is not None
    assert now.high is not None
    assert 0.0 <= now.low < 2 / 3 < now.high <= 1.0
    assert now.confusion == ()


def test_calibration_compares_confidence_with_accuracy() -> None:
    probabilities = np.array([[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [1.0, 0.0]])

    now = evaluate(probabilities, one_hot([0, 0, 1, 1, 0], 2), ("no", "yes"))

    assert [asdict(one) for one in now.reliability] == [
        {"confidence": 0.75, "accuracy": 0.5, "count": 4},
        {"confidence": 1.0, "accuracy": 1.0, "count": 1},
    ]
    assert now.ece == pytest.approx(0.2)


def test_metrics_are_plain_data() -> None:
    now = evaluate(np.array([[0.8, 0.1, 0.1]], np.float32), one_hot([0]), LABELS)

    assert json.loads(json.dumps(asdict(now), allow_nan=False))["per_label"]["bird"]["support"] == 1


@pytest.mark.parametrize("multiple", [False, True])
def test_nothing_to_score_on_is_no_score_yet(multiple: bool) -> None:
    now = evaluate(np.empty((0, 3)), np.empty((0, 3), np.bool_), LABELS, multiple=multiple)

    assert (now.n, now.score, now.low, now.high) == (0, None, None, None)
    assert now == nothing(LABELS, multiple=multiple)


def test_one_label_alone_can_be_scored() -> None:
    now = evaluate(np.array([[0.6, 0.2, 0.2]] * 5), one_hot([0] * 5), LABELS)

    assert (now.score, now.macro_f1, now.high) == (1.0, 1.0, 1.0)


def test_the_same_answers_have_the_same_interval() -> None:
    rng = np.random.default_rng(0)
    probabilities, targets = rng.random((50, 3)), rng.random((50, 3)) < 0.5

    scores = [evaluate(probabilities, targets, LABELS, multiple=True) for _ in range(2)]

    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("probabilities", "targets", "fault"),
    [
        (np.zeros((2, 3)), one_hot([0]), "do not fit"),
        (np.zeros((1, 2)), one_hot([0], 2), "do not fit"),
        (np.full((1, 3), np.nan), one_hot([0]), "row 0 are not numbers"),
        (np.zeros((1, 3)), np.ones((1, 3), np.bool_), "row 0 has 3 labels"),
        (np.zeros((1, 3)), np.zeros((1, 3), np.bool_), "row 0 has 0 labels"),
    ],
)
def test_what_cannot_be_scored_is_refused(probabilities: np.ndarray, targets: np.ndarray, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        evaluate(probabilities, targets, LABELS)


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


@pytest.mark.parametrize(("right", "n"), [(0.7, 60), (0.85, 150), (0.93, 200)])
def test_the_interval_of_micro_f1_covers_the_truth(right: float, n: int) -> None:
    rng = np.random.default_rng(0)
    share, k = 0.3, 4
    truth = 2 * share * right / (share + share * right + (1 - share) * (1 - right))
    covered = []
    for _ in range(250):
        wanted = rng.random((n, k)) < share
        given = wanted ^ (rng.random((n, k)) > right)
        low, high = f1_interval(given, wanted)
        covered.append(low <= truth <= high)

    assert np.mean(covered) >= 0.93


def test_the_bootstrap_agrees_with_theory_about_a_mean() -> None:
    values = np.random.default_rng(0).normal(10.0, 2.0, (400, 1))

    low, high = bootstrap(lambda sums: sums[:, 0] / 400, values, np.random.default_rng(1))

    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * values.std() / 20, values.mean() + 1.96 * values.std() / 20), abs=0.03
    )


def test_a_perfect_multiple_choice_is_still_uncertain() -> None:
    targets = np.ones((20, 3), np.bool_)

    now = evaluate(np.ones((20, 3)), targets, LABELS, multiple=True)

    assert now.low is not None
    assert now.score == 1.0
    assert now.low < 0.9


def test_resampling_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to resample"):
        bootstrap(lambda sums: sums[:, 0], np.empty((0, 1)), np.random.default_rng(0))


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (1, 0), (5, 0), (9, 3), (4, 4), (30, 12)])
def test_mcnemars_test_is_the_exact_binomial_one(lost: int, won: int) -> None:
    champion = np.repeat([True, False, True], [lost, won, 20])
    challenger = np.repeat([False, True, True], [lost, won, 20])
    expected = binomtest(lost, lost + won).pvalue if lost + won else 1.0

    assert mcnemar(champion, challenger) == pytest.approx(expected)


def test_a_large_test_is_nearly_exact_and_does_not_overflow() -> None:
    champion = np.repeat([True, False], [2600, 2400])

    assert mcnemar(champion, ~champion) == pytest.approx(binomtest(2600, 5000).pvalue, rel=0.02)


def test_answers_to_different_items_cannot_be_paired() -> None:
    with pytest.raises(ConfigError, match="in pairs"):
        mcnemar(np.ones(3, np.bool_), np.ones(4, np.bool_))


@pytest.mark.parametrize(
    ("lost", "won", "worse"),
    [(0, 0, False), (4, 0, False), (5, 0, True), (0, 9, False), (10, 3, True), (9, 4, False), (20, 18, False)],
)
def test_only_a_surely_worse_model_is_refused(lost: int, won: int, worse: bool) -> None:
    targets = one_hot([0] * 50)
    champion, challenger = one_hot([0] * 50).astype(float), one_hot([0] * 50).astype(float)
    challenger[:lost] = [0, 1, 0]
    champion[lost : lost + won] = [0, 1, 0]

    verdict = is_worse(champion, challenger, targets)

    assert verdict.worse is worse
    assert f"better on {won} and worse on {lost} of 50 held-out items" in verdict.reason


def test_a_multiple_choice_is_judged_by_wrong_decisions_per_item() -> None:
    targets = np.ones((10, 3), np.bool_)
    champion = np.full((10, 3), 0.9)
    champion[:, 0] = 0.1
    challenger = np.full((10, 3), 0.1)

    verdict = is_worse(champion, challenger, targets, multiple=True)

    assert verdict.worse
    assert not is_worse(challenger, champion, targets, multiple=True).worse


def test_without_held_out_answers_nothing_speaks_against_a_model() -> None:
    empty = np.empty((0, 3))

    verdict = is_worse(empty, empty, empty.astype(np.bool_))

    assert (verdict.worse, verdict.p) == (False, 1.0)


def test_models_with_other_labels_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        is_worse(np.zeros((1, 2)), np.zeros((1, 3)), one_hot([0]))
