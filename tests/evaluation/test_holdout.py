"""The holdout: drawn by hash, stable, together by group."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelloop.errors import ConfigError
from labelloop.evaluation.holdout import draw_order, held_out, is_held_out

GROUPS = st.lists(st.text(max_size=40), max_size=30)
PINNED = [0.6538649805973562, 0.5261105958041473, 0.6957835302762201]
SHARES = st.floats(0.0, 0.9)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine is no fault
@given(old=GROUPS, new=GROUPS, share=SHARES, salt=st.text(max_size=10))
def test_items_that_arrive_later_change_nothing_for_the_others(
    old: list[str], new: list[str], share: float, salt: str
) -> None:
    before = held_out(old, share, salt)

    after = held_out(old + new, share, salt)

    assert after[: len(old)].tolist() == before.tolist()


@given(groups=GROUPS, share=SHARES, salt=st.text(max_size=10), seed=st.integers(0, 2**32))
def test_the_order_of_items_does_not_matter(groups: list[str], share: float, salt: str, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(groups))

    shuffled = held_out([groups[i] for i in order], share, salt)

    assert shuffled.tolist() == held_out(groups, share, salt)[order].tolist()


@given(group=st.text(max_size=40), share=SHARES, salt=st.text(max_size=10))
def test_one_group_is_decided_as_many_are(group: str, share: float, salt: str) -> None:
    one = is_held_out(group, share, salt)

    assert held_out([group, group], share, salt).tolist() == [one, one]


@given(groups=GROUPS, shares=st.tuples(SHARES, SHARES))
def test_a_larger_share_holds_out_the_same_groups_and_more(groups: list[str], shares: tuple[float, float]) -> None:
    small, large = sorted(shares)

    assert not (held_out(groups, small, "s") & ~held_out(groups, large, "s")).any()


@given(salt=st.text(max_size=10), share=SHARES)
def test_the_share_is_what_chance_allows(salt: str, share: float) -> None:
    n = 2000
    held = held_out([f"item-{i}" for i in range(n)], share, salt).sum()

    assert abs(held - n * share) <= 6 * math.sqrt(n * share * (1 - share)) + 1


def test_the_members_of_a_group_stay_together() -> None:
    groups = np.repeat([f"group-{i}" for i in range(100)], 3)

    held = held_out(groups, 0.3, "animals").reshape(100, 3)

    assert (held.all(axis=1) == held.any(axis=1)).all()


def test_another_salt_is_another_draw() -> None:
    groups = [f"item-{i}" for i in range(2000)]

    both = held_out(groups, 0.5, "cats") & held_out(groups, 0.5, "dogs")

    assert 400 < both.sum() < 600


def test_the_draw_is_the_same_on_every_machine() -> None:
    order = draw_order(["a", "b", "Grün"], "animals")

    assert order == pytest.approx(PINNED, abs=1e-15)


def test_any_first_part_of_the_draw_is_a_random_sample() -> None:
    groups = [f"item-{i}" for i in range(2000)]

    first = np.argsort(draw_order(groups, "animals"))[:200]

    assert abs(first.mean() - 999.5) < 5 * 577 / math.sqrt(200)


def test_nothing_is_held_out_of_nothing_or_at_a_share_of_zero() -> None:
    assert held_out([], 0.5, "s").shape == (0,)
    assert not held_out(["a", "b"], 0.0, "s").any()


@pytest.mark.parametrize("share", [-0.01, 0.91, 1.0, float("nan")])
def test_a_share_outside_0_to_9_tenths_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"not between 0 and 0\.9") as refusal:
        held_out(["a"], share, "s")
    with pytest.raises(ConfigError, match="holdout share"):
        is_held_out("a", share, "s")

    assert "share" in refusal.value.hint
