"""Wrong labels are found by models that have not seen the item; near-duplicates do not vouch for each other."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.evaluation.label_errors import FEWEST, out_of_sample, self_confidence, suspects
from labelloop.kinds import LabelSchema
from labelloop.learners.frozen import Frozen
from labelloop.types import Examples, Inputs

LABELS = ("cat", "dog", "owl")
LEARNER = Frozen(schema=LabelSchema("image", LABELS), strengths=(10.0,), folds=2, calibrate=False)


def examples(points: np.ndarray, targets: np.ndarray, *, multiple: bool = False) -> Examples:
    n = len(points)
    return Examples(Inputs(np.arange(n).astype(np.str_), points), targets, LABELS, multiple, np.zeros(n, np.bool_))


def clusters(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three clusters on a sphere, and which of them each point is of."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(n) % 3
    points = np.eye(3, 8)[kinds] + 0.15 * rng.standard_normal((n, 8))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), kinds


def test_labels_that_contradict_all_others_are_named_first() -> None:
    points, kinds = clusters()
    said = kinds.copy()
    wrong = [3, 40, 77, 101]
    said[wrong] = (said[wrong] + 1) % 3
    targets = np.eye(3, dtype=np.bool_)[said]

    probabilities = out_of_sample(LEARNER, examples(points, targets), np.arange(len(points)))
    found = suspects(targets, probabilities)

    assert set(found.rows[:4]) == set(wrong)
    assert len(found) <= 6
    assert list(found.scores) == sorted(found.scores)
    assert np.allclose(found.scores, self_confidence(targets, probabilities)[found.rows])


def test_clean_labels_are_left_in_peace() -> None:
    points, kinds = clusters()
    targets = np.eye(3, dtype=np.bool_)[kinds]

    found = suspects(targets, out_of_sample(LEARNER, examples(points, targets), np.arange(len(points))))

    assert len(found) == 0


def test_near_duplicates_with_the_same_wrong_label_do_not_vouch_for_each_other() -> None:
    points, kinds = clusters()
    said = kinds.copy()
    copies = np.array([0, 3, 6, 9, 12, 15])
    odd = np.zeros(8, np.float32)
    odd[[0, 5]] = np.sqrt(0.5)
    points[copies], said[copies] = odd, 1
    targets = np.eye(3, dtype=np.bool_)[said]
    together = np.arange(len(points))
    together[copies] = 0

    apart = out_of_sample(LEARNER, examples(points, targets), np.arange(len(points)))
    grouped = out_of_sample(LEARNER, examples(points, targets), together)

    assert self_confidence(targets, apart)[copies].min() > 0.5
    assert self_confidence(targets, grouped)[copies].max() < 0.5


def test_nothing_is_said_of_a_label_that_no_other_group_has() -> None:
    points, kinds = clusters()
    said = np.where(kinds == 2, 0, kinds)
    said[5] = 2
    targets = np.eye(3, dtype=np.bool_)[said]

    probabilities = out_of_sample(LEARNER, examples(points, targets), np.arange(len(points)))

    assert np.isnan(probabilities[5]).all()
    assert np.isfinite(np.delete(probabilities, 5, axis=0)).all()
    assert 5 not in suspects(targets, probabilities).rows


def test_many_labels_with_few_answers_each_are_judged_too() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((30, 16)).astype(np.float32)
    names = tuple(f"label {i}" for i in range(10))
    targets = np.eye(10, dtype=np.bool_)[np.arange(30) % 10]
    made = Examples(Inputs(np.arange(30).astype(np.str_), points), targets, names, False, np.zeros(30, np.bool_))

    assert np.isfinite(out_of_sample(LEARNER, made, np.arange(30))).all()


def test_of_a_multiple_choice_one_wrong_decision_is_enough() -> None:
    points, kinds = clusters(240)
    targets = np.eye(3, dtype=np.bool_)[kinds]
    wrong = [10, 50, 90]
    for row in wrong:
        targets[row, (kinds[row] + 1) % 3] = True
    made = examples(points, targets, multiple=True)

    probabilities = out_of_sample(LEARNER, made, np.arange(len(points)))
    found = suspects(targets, probabilities, multiple=True)

    assert set(found.rows[:3]) == set(wrong)


def test_too_few_answers_are_refused() -> None:
    points, kinds = clusters(FEWEST - 1)

    with pytest.raises(ConfigError, match="19 answer") as refused:
        out_of_sample(LEARNER, examples(points, np.eye(3, dtype=np.bool_)[kinds]), np.arange(len(points)))

    assert "20 or more" in refused.value.hint


def test_without_cleanlab_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    _, kinds = clusters(30)

    with pytest.raises(ConfigError, match="needs cleanlab") as refused:
        suspects(np.eye(3, dtype=np.bool_)[kinds], np.full((30, 3), 1 / 3))

    assert refused.value.hint == "pip install 'labelloop[quality]'"
