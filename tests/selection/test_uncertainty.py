"""Uncertainty: the measures, checked by hand, and the selectors that follow them."""

from __future__ import annotations

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.selection import SELECTORS
from labelloop.selection.uncertainty import Uncertainty, closeness_of_two, doubt_of_best, spread, top
from labelloop.types import Pool

SURE, TORN, LOST = [1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (doubt_of_best, [0.0, 0.5, 2 / 3]),
        (closeness_of_two, [0.0, 1.0, 1.0]),
        (spread, [0.0, np.log(2) / np.log(3), 1.0]),
    ],
)
def test_a_single_choice_is_as_uncertain_as_its_paper_says(measure: Uncertainty, expected: list[float]) -> None:
    scores = measure(np.array([SURE, TORN, LOST]), False)

    assert scores == pytest.approx(expected)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (doubt_of_best, [0.0, 1 - 0.9 * 0.6, 0.75]),
        (closeness_of_two, [0.0, 0.8, 1.0]),
        (spread, [0.0, (0.468996 + 0.970951) / 2, 1.0]),
    ],
)
def test_a_multiple_choice_is_as_uncertain_as_its_labels(measure: Uncertainty, expected: list[float]) -> None:
    scores = measure(np.array([[1.0, 0.0], [0.9, 0.4], [0.5, 0.5]]), True)

    assert scores == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["least-confident", "margin", "entropy"])
def test_the_least_certain_item_comes_first(name: str) -> None:
    probabilities = np.array([[0.9, 0.1], [0.55, 0.45], [0.7, 0.3]], np.float32)
    pool = Pool(np.eye(3, dtype=np.float32), probabilities, np.empty((0, 3), np.float32))

    chosen = SELECTORS[name](pool, 3, np.random.default_rng(0))

    assert chosen.tolist() == [1, 2, 0]


@pytest.mark.parametrize("name", ["least-confident", "margin", "entropy"])
def test_uncertainty_needs_a_model(name: str) -> None:
    pool = Pool(np.eye(3, dtype=np.float32), None, np.empty((0, 3), np.float32))

    with pytest.raises(ConfigError, match="there is no model yet") as refusal:
        SELECTORS[name](pool, 1, np.random.default_rng(0))

    assert "uherding" in refusal.value.hint


@pytest.mark.parametrize("name", ["least-confident", "margin", "entropy", "uherding"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_probabilities_that_are_not_numbers_are_refused_by_position(name: str, bad: float) -> None:
    probabilities = np.full((3, 2), 0.5, np.float32)
    probabilities[2, 1] = bad
    pool = Pool(np.eye(3, dtype=np.float32), probabilities, np.empty((0, 3), np.float32))

    with pytest.raises(ConfigError, match="item 2 of the pool"):
        SELECTORS[name](pool, 1, np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(2, 2), (3, 1), (3,)])
def test_probabilities_that_do_not_fit_the_pool_are_refused(shape: tuple[int, ...]) -> None:
    pool = Pool(np.eye(3, dtype=np.float32), np.full(shape, 0.5, np.float32), np.empty((0, 3), np.float32))

    with pytest.raises(ConfigError, match="do not fit a pool of 3 items"):
        SELECTORS["margin"](pool, 1, np.random.default_rng(0))


def test_ties_are_broken_by_chance() -> None:
    scores = np.zeros(1000)

    first = [top(scores, 1, np.random.default_rng(seed))[0] for seed in range(50)]

    assert len(set(first)) > 40


def test_the_highest_come_first_and_all_of_them() -> None:
    scores = np.random.default_rng(0).random(500)

    chosen = top(scores, 20, np.random.default_rng(1))

    assert chosen.tolist() == np.argsort(-scores)[:20].tolist()
