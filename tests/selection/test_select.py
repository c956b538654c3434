"""Choosing a batch: a random share, the others by a selector, and a reason for each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labelloop.errors import ConfigError, NotFoundError
from labelloop.selection import RANDOM, SELECTORS, select, selector_of
from labelloop.testing.selector import a_pool
from labelloop.types import Pool


def first(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """A selector that takes the first items."""
    return np.arange(min(n, len(pool)))


def twice(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """A selector that is wrong."""
    return np.zeros(n, np.intp)


def outside(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """A selector that is wrong."""
    return np.arange(n) + len(pool)


def too_few(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """A selector that is wrong."""
    return np.arange(n - 1)


@pytest.mark.parametrize("name", sorted(SELECTORS))
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_a_batch_is_distinct_and_as_large_as_asked(name: str, share: float) -> None:
    selection = select(a_pool(80), 20, name, np.random.default_rng(0), random_share=share)

    assert len(set(selection.positions.tolist())) == len(selection.why) == 20


def test_the_random_share_is_right_on_average() -> None:
    pool = a_pool(80)
    shares = [
        select(pool, 7, "margin", np.random.default_rng(seed), random_share=0.2).why.count(RANDOM)
        for seed in range(300)
    ]

    assert np.mean(shares) == pytest.approx(1.4, abs=0.1)
    assert set(shares) == {1, 2}


def test_the_random_items_are_drawn_from_the_whole_pool() -> None:
    pool = a_pool(20)
    drawn = np.zeros(20)
    for seed in range(600):
        selection = select(pool, 10, "margin", np.random.default_rng(seed), random_share=0.1)
        drawn[selection.positions[[why == RANDOM for why in selection.why]]] += 1

    assert drawn.min() > 12


def test_the_selectors_order_is_kept() -> None:
    name = f"{__name__}:first"

    selection = select(a_pool(80), 20, name, np.random.default_rng(0), random_share=0.0)

    assert selection.positions.tolist() == list(range(20))
    assert set(selection.why) == {f"chosen by {name}"}


def test_the_same_seed_gives_the_same_batch() -> None:
    selections = [select(a_pool(80), 20, "uherding", np.random.default_rng(5)) for _ in range(2)]

    assert selections[0].positions.tolist() == selections[1].positions.tolist()
    assert selections[0].why == selections[1].why


@pytest.mark.parametrize(("items", "n"), [(0, 5), (5, 0)])
def test_nothing_is_chosen_where_nothing_is_there_or_asked(items: int, n: int) -> None:
    selection = select(a_pool(items), n, "uherding", np.random.default_rng(0))

    assert (len(selection.positions), selection.why) == (0, ())


def test_a_pool_smaller_than_the_batch_is_chosen_whole() -> None:
    selection = select(a_pool(6), 50, "uherding", np.random.default_rng(0))

    assert sorted(selection.positions.tolist()) == list(range(6))


@pytest.mark.parametrize(
    ("selector", "multiple", "row", "why"),
    [
        ("margin", False, [0.2, 0.41, 0.39], "uncertain: cat 0.41 vs dog 0.39"),
        ("uherding", False, [0.2, 0.41, 0.39], "uncertain: cat 0.41 vs dog 0.39"),
        ("uherding", False, [0.04, 0.95, 0.01], "stands for less certain items near it: cat 0.95 vs bird 0.04"),
        ("margin", True, [0.1, 0.95, 0.52], "uncertain: dog 0.52, bird 0.10"),
        ("random", False, [0.2, 0.41, 0.39], RANDOM),
        ("centroids", False, [0.2, 0.41, 0.39], "covers an unexplored region"),
    ],
)
def test_each_item_says_why(selector: str, multiple: bool, row: list[float], why: str) -> None:
    embeddings = np.array([[1.0, 0.0]], np.float32)
    pool = Pool(embeddings, np.array([row], np.float32), embeddings[:0], multiple)

    selection = select(pool, 1, selector, np.random.default_rng(0), random_share=0.0, labels=("bird", "cat", "dog"))

    assert selection.why == (why,)


def test_without_a_model_coverage_is_the_reason() -> None:
    pool = replace(a_pool(10), probabilities=None)

    selection = select(pool, 2, "uherding", np.random.default_rng(0), random_share=0.0)

    assert set(selection.why) == {"covers an unexplored region"}


def test_without_names_the_reason_still_has_the_probabilities() -> None:
    embeddings = np.array([[1.0, 0.0]], np.float32)
    pool = Pool(embeddings, np.array([[0.6, 0.4]], np.float32), embeddings[:0])

    selection = select(pool, 1, "margin", np.random.default_rng(0), random_share=0.0)

    assert selection.why == ("uncertain: 0.60 vs 0.40",)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_random_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="random_share"):
        select(a_pool(10), 2, "margin", np.random.default_rng(0), random_share=share)


def test_a_negative_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="-1 items"):
        select(a_pool(10), -1, "margin", np.random.default_rng(0))


@pytest.mark.parametrize("name", sorted(SELECTORS))
def test_probabilities_that_are_not_numbers_are_refused_by_every_selector(name: str) -> None:
    pool = replace(a_pool(10), probabilities=np.full((10, 3), np.nan, np.float32))

    with pytest.raises(ConfigError, match="not numbers"):
        select(pool, 2, name, np.random.default_rng(0))


def test_a_selector_that_does_not_exist_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(NotFoundError, match="unknown selector: 'uherdin'") as refusal:
        selector_of("uherdin")

    assert "did you mean 'uherding'" in refusal.value.hint


def test_a_name_of_something_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be called"):
        selector_of("labelloop.selection:RANDOM")


@pytest.mark.parametrize(
    ("name", "fault"), [("twice", "a position twice"), ("outside", "outside the pool"), ("too_few", "asked for 5")]
)
def test_what_a_foreign_selector_chose_is_checked(name: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        select(a_pool(10), 5, f"{__name__}:{name}", np.random.default_rng(0))
