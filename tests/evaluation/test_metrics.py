"""Metrics: values checked by hand, intervals checked by simulation."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.evaluation.intervals import exact, wilson
from labelloop.evaluation.metrics import PerLabel, evaluate, hardly_found, nothing

LABELS = ("bird", "cat", "dog")


def one_hot(columns: list[int], k: int = 3) -> np.ndarray:
    return np.eye(k, dtype=np.bool_)[columns]


def test_a_single_choice_is_scored_by_accuracy() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])

    now = evaluate(probabilities, one_hot([0, 1, 0, 0]), LABELS)

    assert (now.n, now.score_name, now.score, now.accuracy) == (4, "accuracy", 0.75, 0.75)
    assert (now.low, now.high) == wilson(3, 4)
    assert now.confusion == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    bird, cat, dog = (now.per_label[label] for label in LABELS)
    assert (bird.precision, bird.recall, bird.f1, bird.support) == (1.0, 2 / 3, 0.8, 3)
    assert (cat.precision, cat.recall, cat.f1, cat.support) == (0.5, 1.0, 2 / 3, 1)
    assert (bird.precision_interval, bird.recall_interval) == (wilson(2, 2), wilson(2, 3))
    assert bird.f1_interval is not None
    assert bird.f1_interval[0] < 0.8 <= bird.f1_interval[1]
    assert dog == PerLabel(None, None, None, 0)
    assert now.intervals["wilson"] == wilson(3, 4)
    assert now.intervals["exact"] == exact(3, 4)
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


def test_a_perfect_multiple_choice_is_still_uncertain() -> None:
    targets = np.ones((20, 3), np.bool_)

    now = evaluate(np.ones((20, 3)), targets, LABELS, multiple=True)

    assert now.low is not None
    assert now.score == 1.0
    assert now.low < 0.9


@pytest.mark.parametrize(("right", "n"), [(0.7, 60), (0.85, 150), (0.93, 200)])
def test_the_interval_of_micro_f1_covers_the_truth(right: float, n: int) -> None:
    rng = np.random.default_rng(0)
    share, k = 0.3, 4
    truth = 2 * share * right / (share + share * right + (1 - share) * (1 - right))
    covered = []
    for _ in range(150):
        wanted = rng.random((n, k)) < share
        given = wanted ^ (rng.random((n, k)) > right)
        now = evaluate(given.astype(float), wanted, ("a", "b", "c", "d"), multiple=True)
        assert now.low is not None
        assert now.high is not None
        covered.append(now.low <= truth <= now.high)

    assert np.mean(covered) >= 0.93


def test_the_interval_of_macro_f1_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    said = rng.choice(3, 100_000, p=[0.8, 0.17, 0.03])
    guessed = np.where(rng.random(100_000) < 0.8, said, rng.integers(0, 3, 100_000))
    wanted, given = one_hot(said.tolist()), one_hot(guessed.tolist())
    truth = float(
        np.mean([2 * (given & wanted)[:, i].sum() / (given[:, i].sum() + wanted[:, i].sum()) for i in range(3)])
    )
    covered = []
    for _ in range(100):
        rows = rng.integers(0, 100_000, 80)
        now = evaluate(given[rows].astype(float), wanted[rows], LABELS, metric="macro-f1")
        assert now.score is not None
        assert (now.score_name, now.score) == ("macro-F1", now.macro_f1)
        assert now.low is not None
        assert now.high is not None
        assert now.low <= now.score <= now.high
        covered.append(now.low <= truth <= now.high)

    assert np.mean(covered) >= 0.93


def test_near_duplicates_make_the_interval_wider() -> None:
    probabilities, targets = one_hot([0, 1] * 10).astype(float), one_hot([0] * 20)
    twins = np.repeat(np.arange(10), 2)
    copies = np.array([0, 1] * 10) * 10 + np.repeat(np.arange(10), 2) // 2

    alone = evaluate(probabilities, targets, LABELS)
    mixed = evaluate(probabilities, targets, LABELS, groups=twins)
    agreeing = evaluate(probabilities, targets, LABELS, groups=copies)

    assert (alone.independent, alone.score, agreeing.score) == (20, 0.5, 0.5)
    assert agreeing.independent <= 10
    assert agreeing.low is not None
    assert alone.low is not None
    assert agreeing.low < alone.low
    assert mixed.independent <= 20
    assert agreeing.intervals["bootstrap"][0] < alone.intervals["bootstrap"][0]


def test_a_subset_accuracy_can_be_the_score_of_a_multiple_choice() -> None:
    targets = np.array([[1, 0, 1], [0, 1, 0]], np.bool_)

    now = evaluate(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), targets, LABELS, multiple=True, metric="accuracy")

    assert (now.score_name, now.score) == ("accuracy", 0.5)


@pytest.mark.parametrize(
    ("recall", "support", "interval", "said"),
    [
        (0.0, 3, (0.0, 0.56), True),
        (0.0, 2, (0.0, 0.66), False),
        (0.1, 40, (0.04, 0.23), True),
        (0.3, 10, (0.11, 0.6), False),
        (0.9, 40, (0.77, 0.96), False),
        (None, 0, None, False),
    ],
)
def test_a_label_is_hardly_found_where_that_is_no_accident(
    recall: float | None, support: int, interval: tuple[float, float] | None, said: bool
) -> None:
    one = {"recall": recall, "support": support, "recall_interval": interval}

    assert ("owl" in hardly_found({"owl": one})) is said


def test_the_least_found_label_comes_first() -> None:
    scores = {
        name: {"recall": recall, "support": 50, "recall_interval": (0.0, 0.4)}
        for name, recall in (("a", 0.2), ("b", 0.0), ("c", 0.1))
    }

    assert list(hardly_found(scores)) == ["b", "c", "a"]
