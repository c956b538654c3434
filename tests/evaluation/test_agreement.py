"""Krippendorff's alpha: equal to the package of that name, with an interval that holds what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.evaluation.agreement import DISTINCT, Alpha, alpha, nominal, of_numbers, unlike

REFERENCE = json.loads((Path(__file__).parent / "krippendorff.json").read_text())
DISTANCES = {
    "nominal": nominal,
    "ordinal": of_numbers("ordinal", float),
    "interval": of_numbers("interval", float),
}


@pytest.mark.parametrize("level", DISTANCES)
@pytest.mark.parametrize("case", range(len(REFERENCE["cases"])))
def test_alpha_is_that_of_the_package_krippendorff(case: int, level: str) -> None:
    wanted = REFERENCE["cases"][case]

    found = alpha(wanted["units"], DISTANCES[level])

    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.value == pytest.approx(wanted[level], abs=1e-9)
    assert found.low <= found.value <= found.high
    assert found.answers == sum(len(unit) for unit in wanted["units"] if len(unit) > 1)


def test_equal_or_not_is_the_nominal_distance() -> None:
    units = REFERENCE["cases"][3]["units"]

    assert alpha(units, unlike(lambda one, other: float(one == other))) == alpha(units, nominal)


def test_everybody_who_agrees_on_different_things_is_perfect_and_chance_is_nothing() -> None:
    rng = np.random.default_rng(0)
    chance = alpha(rng.integers(0, 3, (2000, 2)).tolist(), nominal)

    assert alpha([["a", "a"], ["b", "b", "b"]] * 5, nominal).value == 1.0
    assert chance.value == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("units", [[], [["a"], ["b"]], [["a", "a"], ["a", "a", "a"]]])
def test_where_there_is_nothing_to_agree_on_there_is_no_number(units: list[list[str]]) -> None:
    shared = [unit for unit in units if len(unit) > 1]

    assert alpha(units, nominal) == Alpha(None, None, None, len(shared), sum(map(len, shared)))


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    def drawn(rng: np.random.Generator, n: int) -> list[Any]:
        truth = rng.integers(0, 3, n)
        said = np.where(rng.random((3, n)) < 0.8, truth, rng.integers(0, 3, (3, n)))
        return list(said.T.tolist())

    true = alpha(drawn(np.random.default_rng(99), 100_000), nominal).value or 0.0
    found = [alpha(drawn(np.random.default_rng(seed), 60), nominal) for seed in range(200)]
    held = np.mean([one.low <= true <= one.high for one in found if one.low is not None and one.high is not None])

    assert held >= 0.9


def test_of_very_many_different_answers_a_sample_of_items_is_compared() -> None:
    units = [[f"{item}", f"{item}" if item % 2 else f"other {item}"] for item in range(DISTINCT)]

    found = alpha(units, nominal)

    assert 0 < found.items < len(units)
    assert found.value == pytest.approx(0.5, abs=0.1)
    assert found == alpha(units, nominal)
