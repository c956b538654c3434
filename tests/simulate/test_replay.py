"""A replay is a loop: everybody meets the same people and the same test set, and nothing is asked twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labelloop.errors import ConfigError, NotFoundError
from labelloop.simulate.engine import simulate
from labelloop.simulate.replay import Labelled, Player, ReplayPlan, ReplayState, full_score, replay, world

from support.quick_learner import QuickLearner


def three_groups(each: int = 60, labels: int = 3) -> Labelled:
    """Labels that are directions, with some noise."""
    rng = np.random.default_rng(0)
    kind = np.repeat(np.arange(labels), each)
    points = np.eye(labels, 8)[kind] + 0.3 * rng.standard_normal((len(kind), 8))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    names = tuple("abcdefgh"[:labels])
    return Labelled(points, np.eye(labels, dtype=bool)[kind], names, np.arange(len(kind)))


def with_junk(labelled: Labelled, junk: int) -> Labelled:
    """The same, and items that people skip."""
    return Labelled(
        np.concatenate([labelled.embeddings, labelled.embeddings[:junk]]),
        np.concatenate([labelled.targets, np.zeros((junk, len(labelled.labels)), np.bool_)]),
        labelled.labels,
        np.arange(len(labelled) + junk),
    )


def test_the_curve_counts_what_was_asked() -> None:
    plan = ReplayPlan(batch=10, budget=35)

    curve = replay(world(three_groups(), plan, 0), plan, Player("uherding", 0, 0.9), QuickLearner())

    assert curve.labels == (10, 20, 30, 35)
    assert len(curve.scores) == len(curve.seconds) == 4
    assert curve.scores[-1] > 0.8


def test_a_budget_beyond_the_pool_ends_with_the_pool() -> None:
    plan = ReplayPlan(batch=50, budget=1000)
    made = world(three_groups(), plan, 0)

    curve = replay(made, plan, Player("random", 0), QuickLearner())

    assert curve.labels[-1] == len(made.pool)
    assert curve.scores[-1] == full_score(made, QuickLearner(), "accuracy")


def test_nothing_is_asked_twice_and_nothing_of_the_test_set() -> None:
    plan = ReplayPlan(batch=10, budget=60)
    made = world(three_groups(), plan, 3)
    seen: list[ReplayState] = []

    def spy(now: ReplayState, n: int, rng: np.random.Generator) -> np.ndarray:
        seen.append(now)
        return np.arange(n)

    replay(made, plan, Player("mine", 3), QuickLearner(), spy)

    asked = seen[-1].asked
    assert len(set(asked.tolist())) == len(asked) == 50
    assert not set(asked.tolist()) & set(made.test.tolist())
    assert not set(made.pool.tolist()) & set(made.test.tolist())


def test_near_duplicates_stay_on_one_side_of_the_test() -> None:
    labelled = three_groups()
    labelled = replace(labelled, groups=np.arange(len(labelled)) // 4)

    made = world(labelled, ReplayPlan(), 1)

    assert not set(labelled.groups[made.pool].tolist()) & set(labelled.groups[made.test].tolist())


def test_the_test_set_has_its_share() -> None:
    made = world(three_groups(), ReplayPlan(test_share=0.25), 0)

    assert len(made.test) == 45


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_people_err_as_often_as_asked(noise: float) -> None:
    labelled = three_groups(400)

    made = world(labelled, ReplayPlan(noise=noise), 0)

    wrong = (made.said != labelled.targets).any(axis=1).mean()
    assert wrong == pytest.approx(noise, abs=0.04)
    assert (made.said.sum(axis=1) == 1).all()


def test_wrong_answers_never_reach_the_test_set() -> None:
    plan = ReplayPlan(noise=1.0, batch=30, budget=90)
    made = world(three_groups(labels=2), plan, 0)

    curve = replay(made, plan, Player("random", 0), QuickLearner())

    assert curve.scores[-1] < 0.2


def test_every_selector_meets_the_same_people_and_the_same_test_set() -> None:
    first, second = (
        world(three_groups(), ReplayPlan(selectors=(name,), noise=0.2), 5) for name in ("margin", "random")
    )

    assert first.test.tolist() == second.test.tolist()
    assert (first.said == second.said).all()


def test_what_people_skip_costs_a_question_and_teaches_nothing() -> None:
    labelled = with_junk(three_groups(30), 60)
    plan = ReplayPlan(batch=10, budget=500)
    made = world(labelled, plan, 0)

    curve = replay(made, plan, Player("random", 0), QuickLearner())

    assert curve.labels[-1] == len(made.pool)
    assert not set(made.test.tolist()) & set(range(90, 150))


def test_nothing_is_learned_while_everything_is_skipped() -> None:
    labelled = with_junk(three_groups(30), 60)
    plan = ReplayPlan(batch=10, budget=10)
    made = world(labelled, plan, 0)

    def junk_first(now: ReplayState, n: int, rng: np.random.Generator) -> np.ndarray:
        return np.flatnonzero(now.left >= 90)[:n]

    curve = replay(made, plan, Player("mine", 0), QuickLearner(), junk_first)

    assert curve.scores == (0.0,)


def test_macro_f1_does_not_hide_a_rare_label() -> None:
    labelled = three_groups()
    rows = np.r_[0:60, 60:120, 120:130]
    labelled = Labelled(labelled.embeddings[rows], labelled.targets[rows], labelled.labels, np.arange(130))
    made = world(labelled, ReplayPlan(), 0)
    common = made.pool[~labelled.targets[made.pool, 2]]
    only_common = replace(made, pool=common)

    accuracy, macro = (full_score(only_common, QuickLearner(), measure) for measure in ("accuracy", "macro-f1"))

    assert macro < accuracy - 0.1


@pytest.mark.slow
def test_the_same_plan_gives_the_same_curves_whatever_the_number_of_workers() -> None:
    plan = ReplayPlan(selectors=("random", "uherding"), seeds=2, batch=10, budget=20)
    told: list[tuple[str, int, int | None]] = []

    alone = simulate(three_groups(), plan, QuickLearner(), workers=1, progress=lambda *one: told.append(one))
    together = simulate(three_groups(), plan, QuickLearner(), workers=2)

    assert alone == together
    assert [(one.selector, one.seed) for one in alone] == [
        ("random", 0), ("random", 1), ("uherding", 0), ("uherding", 1)
    ]  # fmt: skip
    assert told == [("replaying", done, 4) for done in range(5)]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"selectors": ()}, "no selector"),
        ({"seeds": 0}, "seeds is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"budget": -5}, "budget is -5"),
        ({"noise": 1.5}, "noise is 1.5"),
        ({"noise": float("nan")}, "noise is nan"),
        ({"random_share": -0.1}, "random-share is -0.1"),
        ({"test_share": 1.0}, "test-share is 1"),
        ({"measure": "luck"}, "measure is 'luck'"),
        ({"selectors": ("mix(margin",)}, "is not closed"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as refusal:
        ReplayPlan(**given)

    assert refusal.value.hint


def test_an_unknown_selector_is_refused_before_anything_is_embedded() -> None:
    with pytest.raises(NotFoundError, match="'uherdin'"):
        ReplayPlan(selectors=("random", "uherdin"))


def test_one_label_is_refused() -> None:
    embeddings = np.eye(4, dtype=np.float32)

    with pytest.raises(ConfigError, match="at least 2 labels"):
        Labelled(embeddings, np.ones((4, 1), np.bool_), ("cat",), np.arange(4))


def test_a_label_with_a_single_item_is_refused_by_name() -> None:
    targets = np.eye(2, dtype=bool)[[0, 0, 0, 1]]

    with pytest.raises(ConfigError, match="label 'dog' has 1 item") as refusal:
        Labelled(np.eye(4, dtype=np.float32), targets, ("cat", "dog"), np.arange(4))

    assert "--fewest 2" in refusal.value.hint


def test_items_that_are_all_near_duplicates_cannot_be_parted() -> None:
    labelled = replace(three_groups(), groups=np.zeros(180, np.intp))

    with pytest.raises(ConfigError, match="cannot be parted"):
        world(labelled, ReplayPlan(), 0)
