"""What choosing has saved: known curves are read back, and too little is said to be too little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelloop.evaluation.savings import BEYOND, REPEATS, SIZES, Savings, Trust, random_curve, savings, sizes
from labelloop.loop.gatekeeper import Gatekeeper
from labelloop.types import Examples, Inputs

from support.quick_learner import QuickLearner
from support.small_world import World


def curve_of(n: int, error: float, rng: np.random.Generator) -> np.ndarray:
    """Models whose error is `error` at 100 answers, and falls with the square root."""
    rows = []
    for size in sizes(n):
        for _ in range(REPEATS):
            right = (rng.random(n) > error * (size / 100) ** -0.5).astype(np.int8)
            right[rng.permutation(n)[:size]] = -1
            rows.append(right)
    return np.asarray(rows)


def test_a_known_curve_is_read_where_it_meets_todays_model() -> None:
    rng = np.random.default_rng(0)
    today = np.arange(1000) >= 100

    found = savings(curve_of(1000, 0.2, rng), today, 150)

    assert found.needed == pytest.approx(400, rel=0.2)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 400 < found.high
    assert f"at least {found.low - 150} saved" in found.in_words()


def test_the_interval_covers_the_truth() -> None:
    covered = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        found = savings(curve_of(200, 0.2, rng), rng.random(200) > 0.2, 90)
        covered.append((found.low or np.inf) <= 100 <= (found.high or np.inf))

    assert np.mean(covered) >= 0.9


def test_what_no_random_sample_comes_near_is_more_than_can_be_said() -> None:
    rng = np.random.default_rng(0)

    found = savings(curve_of(200, 0.4, rng), np.ones(200, np.bool_), 100)

    most = int(BEYOND * sizes(200)[-1])
    assert (found.needed, found.high, found.most) == (None, None, most)
    assert f"at random it would have taken more than {most} answers" in found.in_words()


def test_random_may_have_been_cheaper_and_that_is_said() -> None:
    rng = np.random.default_rng(0)

    found = savings(curve_of(1000, 0.2, rng), rng.random(1000) > 0.3, 900)

    assert "random would have been cheaper" in found.in_words()


def test_no_difference_is_no_saving() -> None:
    found = Savings(100, 80, 120, 60, 300, 500, True)

    assert found.in_words() == (
        "at random it would have taken 120 answers (60 to 300), it took 100: no saving is shown yet"
    )


GAIN = Savings(100, 80, 300, 200, None, 500, True)
LOSS = Savings(100, 80, 60, 40, 90, 500, True)
UNCLEAR = Savings(100, 80, 120, 60, 300, 500, True)


def test_auto_gives_way_by_halves_where_random_was_cheaper_and_comes_back_where_it_was_not() -> None:
    trust = Trust().after(8, LOSS).after(16, UNCLEAR).after(32, LOSS)

    assert trust == Trust(0.25, 32, LOSS.as_dict())
    assert trust.after(64, GAIN) == Trust(1.0, 64, GAIN.as_dict())
    assert Trust().after(8, Savings(40, 12)).share == 1.0


def test_auto_is_looked_at_each_time_the_rounds_have_doubled() -> None:
    assert [number for number in range(1, 40) if Trust(looked=9).is_due(number)] == list(range(18, 40))
    assert not Trust().is_due(7)
    assert Trust().is_due(8)


def test_too_few_random_answers_say_nothing() -> None:
    assert Savings(40, 12).in_words() == "not yet known: 12 answers to random items, 60 are needed"


def test_a_model_is_never_judged_by_what_it_learned_nor_by_what_may_not_judge() -> None:
    rng = np.random.default_rng(0)
    n = 80
    targets = np.eye(2, dtype=np.bool_)[rng.integers(0, 2, n)]
    features = rng.normal(size=(n, 4)).astype(np.float32)
    inputs = Inputs(np.arange(n).astype(np.str_), features)
    examples = Examples(inputs, targets, ("a", "b"), False, np.arange(n) < 60)

    curve = random_curve(QuickLearner(), examples, np.arange(n) < 60)

    assert curve.shape == (SIZES * REPEATS, n)
    assert (curve[:, 60:] == -1).all()
    judged = (curve >= 0).sum(axis=1).reshape(SIZES, REPEATS)
    assert (judged >= 60 - np.array(sizes(n))[:, np.newaxis]).all()
    assert (judged < 60).all()
    assert (curve == random_curve(QuickLearner(), examples, np.arange(n) < 60)).all()


def test_a_loop_gives_way_to_random_from_the_round_that_shows_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.add(120)
    monkeypatch.setattr(Gatekeeper, "savings", lambda *_: LOSS)
    settled = {"loop__gate": "always", "loop__random_share": 0.0}

    outcomes = [world.play(1, **settled) for _ in range(9)]

    rounds = world.ledger().rounds.all()
    assert [Trust.of(one.notes).share for one in rounds] == [1.0] * 7 + [0.5, 0.5]
    assert [one.at_random for one in rounds[:7]] == [0] * 7
    assert [one.at_random for one in rounds[7:]] == [3, 3]
    assert "auto chooses 50%, the others are drawn at random: random was cheaper so far" in outcomes[7].notes
    assert [bool(Trust.of(one.notes).saved) for one in rounds] == [False] * 7 + [True, True]


def test_a_selector_that_was_chosen_is_never_overruled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.add(120)
    monkeypatch.setattr(Gatekeeper, "savings", lambda *_: pytest.fail("looked"))

    for _ in range(9):
        world.play(1, loop__selector="margin", loop__gate="always")

    assert Trust.of(world.last().notes).share == 1.0
