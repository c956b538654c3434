"""When people get which open question: pure functions of order, chance and time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from labelloop.ledger.rounds import Round
from labelloop.loop.queue import by_chance, outdated, placed

from support.small_world import NOW


def test_without_fixed_places_the_order_is_spread_evenly() -> None:
    assert placed(["a", "b"], {}) == {"a": 0.25, "b": 0.75}
    assert placed([], {}) == {}


def test_a_new_item_stands_behind_as_many_fixed_ones_as_come_before_it() -> None:
    fixed = {"x": 0.2, "y": 0.6}

    places = placed(["a", "y", "b", "c", "x", "d"], fixed)

    assert places == pytest.approx({"a": 0.1, "b": 0.2 + 0.4 / 4, "c": 0.2 + 3 * 0.4 / 4, "d": 0.8})
    assert sorted({**places, **fixed}, key=lambda item: {**places, **fixed}[item]) == ["a", "x", "b", "c", "y", "d"]


def test_fixed_items_that_are_not_in_the_order_take_no_place() -> None:
    assert placed(["a"], {"gone": 0.5}) == {"a": 0.5}


def test_chance_knows_the_item_and_the_salt_alone() -> None:
    alone, among = by_chance({"a": 0}, "0"), by_chance({"b": 0, "a": 0, "c": 0}, "0")

    assert alone["a"] == among["a"] != by_chance({"a": 0}, "1")["a"]
    assert all(0 <= place < 1 for place in among.values())


def test_chance_prefers_no_place() -> None:
    places = by_chance({str(i): 0 for i in range(4000)}, "0").values()

    tenths = [sum(i / 10 <= place < (i + 1) / 10 for place in places) for i in range(10)]
    assert min(tenths) > 330
    assert max(tenths) < 470


def test_who_has_waited_comes_nearer_to_the_front_with_each_round() -> None:
    first = by_chance({"a": 0}, "0")["a"]

    assert [by_chance({"a": rounds}, "0")["a"] for rounds in (1, 3, 9)] == [first / 2, first / 4, first / 10]


def rounds_of(*versions: str) -> list[Round]:
    """Rounds that ended with these models, a day apart, the newest now."""
    days = range(len(versions) - 1, -1, -1)
    starts = [(NOW - timedelta(days=day)).isoformat() for day in days]
    return [
        Round(i + 1, "why", version=version, started_at=start)
        for i, (version, start) in enumerate(zip(versions, starts, strict=True))
    ]


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ((), []),
        (("m1",), []),
        (("", "m1", "m1"), []),
        (("m1", "m2"), []),
        (("m1", "m2", "m3"), []),
        (("m1", "m2", "m3", "m4"), ["m1"]),
        (("m1", "m2", "m3", "m3", "m3"), ["m1", "m2"]),
        (("m1", "m2", "m2", "m2", "m1"), []),
        (("m1", "m2", "m1", "m3", "m3", "m3"), ["m1", "m2"]),
    ],
)
def test_a_model_is_outdated_more_than_a_day_after_another_one_took_its_place(
    versions: tuple[str, ...], expected: list[str]
) -> None:
    assert sorted(outdated(rounds_of(*versions), NOW)) == expected
