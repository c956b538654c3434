"""Selectors put together: in Python, and as they are written in labelloop.toml."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labelloop.errors import ConfigError, NotFoundError
from labelloop.protocols import Selector
from labelloop.selection import SELECTORS, select, selector_of
from labelloop.selection.compose import balanced, diverse, mix, subsample
from labelloop.testing.selector import SelectorContract, a_pool
from labelloop.types import Pool

WRITTEN = (
    "mix(uherding, typiclust, 0.5)",
    "mix(margin, random)",
    "subsample(badge, 20)",
    "balanced(margin)",
    "diverse(entropy, 3)",
    "diverse(balanced(mix(uherding, subsample(coreset, 30), 0.25)))",
)


class TestEveryComposition(SelectorContract):
    @pytest.fixture(params=WRITTEN)
    def selector(self, request: pytest.FixtureRequest) -> Selector:
        return selector_of(request.param)


def first(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The first n."""
    return np.arange(min(n, len(pool)))


def last(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The last n."""
    return np.arange(len(pool))[::-1][:n]


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(("share", "low"), [(0.0, 0), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_a_mix_takes_its_share_from_each(share: float, low: int) -> None:
    chosen = mix(first, last, share)(a_pool(80), 20, generator())

    assert sum(position < 40 for position in chosen.tolist()) == low


def test_a_mix_of_two_that_want_the_same_asks_nothing_twice() -> None:
    chosen = mix(first, first, 0.5)(a_pool(80), 20, generator())

    assert sorted(chosen.tolist()) == list(range(20))


def test_the_second_of_a_mix_sees_what_the_first_took_as_covered() -> None:
    seen: list[int] = []

    def spy(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
        seen.append(len(pool.labeled))
        return first(pool, n, rng)

    mix(last, spy, 0.5)(a_pool(80, labeled=5), 20, generator())

    assert seen == [15]


def test_a_subsample_shows_its_selector_only_a_part_and_returns_positions_of_the_whole() -> None:
    pool = a_pool(200)
    seen: list[int] = []

    def spy(part: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
        seen.append(len(part))
        return first(part, n, rng)

    chosen = subsample(spy, 50)(pool, 50, generator())

    assert seen == [50]
    assert max(chosen.tolist()) > 100


def test_a_batch_larger_than_the_subsample_is_still_whole() -> None:
    chosen = subsample(first, 5)(a_pool(80), 20, generator())

    assert len(set(chosen.tolist())) == 20


def test_balance_asks_rare_labels_that_uncertainty_alone_would_leave() -> None:
    pool = a_pool(60)
    probabilities = np.tile(np.array([[0.51, 0.49, 0.0]], np.float32), (60, 1))
    probabilities[50:] = [0.1, 0.2, 0.7]
    pool = replace(pool, probabilities=probabilities)

    plain = SELECTORS["margin"](pool, 15, generator())
    chosen = balanced(SELECTORS["margin"])(pool, 15, generator())

    assert sum(plain >= 50) == 0
    assert sum(chosen >= 50) >= 7


def test_diversity_takes_one_of_each_group_among_the_most_useful() -> None:
    middles = np.eye(5, 8, dtype=np.float32)
    pool = Pool(np.repeat(middles, 10, axis=0), None, middles[:0])

    chosen = diverse(first, 10)(pool, 5, generator())

    assert sorted((chosen // 10).tolist()) == [0, 1, 2, 3, 4]


def test_each_item_of_a_mix_says_why_by_the_selector_that_chose_it() -> None:
    selection = select(a_pool(80), 20, "mix(margin, typiclust, 0.5)", generator(), random_share=0.0)

    assert sum(why.startswith("uncertain: ") for why in selection.why) == 10
    assert sum(why == "typical of a group nobody was asked about" for why in selection.why) == 10


def test_what_a_wrapped_selector_chose_keeps_its_reason() -> None:
    selection = select(a_pool(80), 5, "balanced(diverse(coreset))", generator(), random_share=0.0)

    assert set(selection.why) == {"far from everything that was asked"}


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("mix(uherding, typiclust", "mix\\( is not closed"),
        ("mix(uherding typiclust)", "'typiclust' stands where"),
        ("mix(uherding,)", "missing before '\\)'"),
        ("diverse()", "missing before '\\)'"),
        ("balanced(margin) margin", "follows where it should end"),
        ("(margin)", "missing before '\\('"),
        ("margin,", "follows where it should end"),
        ("balanced(margin, 3)", "balanced has 2 argument"),
        ("mix(uherding)", "mix has 1 argument"),
        ("mix(uherding, typiclust, half)", "'half' in .* is not a number"),
        ("mix(uherding, typiclust, 1.5)", "share of 1.5"),
        ("mix(uherding, typiclust, nan)", "share of nan"),
        ("subsample(badge, 0)", "size of 0"),
        ("subsample(badge, 2.5)", "size of 2.5"),
        ("subsample(badge, inf)", "size of inf"),
        ("diverse(margin, -1)", "looks -1 times as deep"),
        ("diverse(margin, diverse(margin))", "is not a number"),
    ],
)
def test_what_is_not_written_as_a_selector_is_refused(written: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as refusal:
        selector_of(written)

    assert "(" in refusal.value.hint


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("mix(uherdin, margin)", "unknown selector: 'uherdin'", "did you mean 'uherding'"),
        ("mixed(uherding, margin)", "'mixed'", "did you mean 'mix'"),
        ("margni", "unknown selector: 'margni'", "diverse(margin, 10)"),
    ],
)
def test_an_unknown_name_inside_is_refused_with_the_known_ones(written: str, message: str, hint: str) -> None:
    with pytest.raises(NotFoundError, match=message) as refusal:
        selector_of(written)

    assert hint in refusal.value.hint


def test_auto_covers_before_there_is_a_model_and_herds_from_then_on() -> None:
    pool = a_pool(80)
    without = replace(pool, probabilities=None)

    for seen, wanted in ((pool, "uherding"), (without, "centroids")):
        chosen = SELECTORS["auto"](seen, 9, generator())

        assert chosen.tolist() == selector_of(wanted)(seen, 9, generator()).tolist()


def test_a_function_of_ones_own_can_be_part_of_a_composition() -> None:
    name = f"mix({__name__}:first, {__name__}:last, 0.5)"

    selection = select(a_pool(80), 20, name, generator(), random_share=0.0)

    assert set(selection.why) == {f"chosen by {__name__}:first", f"chosen by {__name__}:last"}
