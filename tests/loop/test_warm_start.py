"""Whether a model begins from an earlier one is decided by answers that neither way has learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelloop.errors import LabelLoopError
from labelloop.ledger.rounds import Round
from labelloop.loop import round_steps, warm_start
from labelloop.loop.withdrawn import noted
from labelloop.testing.learner import blobs

from support.few_steps import FewSteps
from support.small_world import World

WARM = {"learner__flavor": "support.few_steps:FewSteps", "loop__batch": 70, "loop__gate": "always"}


@pytest.fixture
def taught(world: World) -> World:
    """A model that learned from seventy answers, and as many new ones."""
    world.add(320)
    world.play(2, **WARM)
    return world


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[str]]]:
    """How, and on which items, models were trained."""
    calls: list[tuple[str, set[str]]] = []
    for name in ("train", "train_from"):
        _watch(monkeypatch, name, calls)
    return calls


def _watch(monkeypatch: pytest.MonkeyPatch, name: str, calls: list[tuple[str, set[str]]]) -> None:
    whole = getattr(FewSteps, name)

    def watched(self: FewSteps, examples, *rest) -> None:  # type: ignore[no-untyped-def]
        calls.append((name, set(map(str, examples.inputs.ids))))
        whole(self, examples, *rest)

    monkeypatch.setattr(FewSteps, name, watched)


def test_a_learner_that_needs_more_steps_begins_from_the_earlier_model(
    taught: World, seen: list[tuple[str, set[str]]]
) -> None:
    earlier = taught.last()

    last = taught.tick(**WARM).round

    assert last is not None
    assert f"asked whether to begin from {earlier.version}: from it, as that is surely better: log loss" in last.gate
    assert [how for how, _ in seen] == ["train", "train_from", "train_from"]


def test_an_earlier_model_that_learned_wrong_answers_is_no_beginning(world: World) -> None:
    world.add(320)
    world.tick(**WARM)
    world.answer_all(wrongly=True)
    world.tick(**WARM)
    world.answer_all()
    for item_id in [one.item_id for one in world.questions() if one.round == 1]:
        world.answer(item_id, world.truth()[item_id])

    last = world.tick(**WARM).round

    assert last is not None
    assert "from nothing, as a warm start is not surely better" in last.gate


def test_what_is_compared_by_was_learned_by_nobody_and_the_holdout_is_not_touched(
    taught: World, seen: list[tuple[str, set[str]]]
) -> None:
    earlier = {one.item_id for one in taught.questions() if one.round == 1}

    known = taught.loop(**WARM).study().known

    everything = set(map(str, known.columns.ids[known.believed & ~known.held_out]))
    (_, cold), (_, warm), (_, final) = seen
    assert cold == warm
    assert final == everything
    assert len(everything - cold) >= warm_start.FEWEST
    assert not (everything - cold) & earlier
    assert not set(map(str, known.columns.ids[known.held_out])) & final


def test_the_same_answers_give_the_same_model_and_train_nothing_again(
    taught: World, seen: list[tuple[str, set[str]]]
) -> None:
    taught.tick(**WARM)
    trained = len(seen)

    again = taught.loop(**WARM).study().judged

    assert again.version == taught.last().version
    assert again.gate.startswith("the same model as before; asked whether")
    assert len(seen) == trained == 3


def test_a_learner_with_other_options_begins_from_nothing_without_a_question(taught: World) -> None:
    last = taught.tick(**WARM, learner__steps=4).round

    assert last is not None
    assert "begin" not in last.gate


def test_a_model_that_is_gone_is_no_beginning(taught: World) -> None:
    loop = taught.loop(**WARM)
    earlier = taught.last()
    loop.learning.models.is_stored = lambda ref: ref != earlier.model  # type: ignore[method-assign]

    assert "begin" not in loop.study().judged.gate


def test_few_new_answers_are_too_few_to_compare_by(world: World) -> None:
    world.add(60)
    settings = {**WARM, "loop__batch": 12}
    world.play(2, **settings)

    last = world.tick(**settings).round

    assert last is not None
    assert "kept-back answers are too few to compare by (20 needed)" in last.gate


def test_training_from_a_model_refuses_what_is_held_out(tmp_path: Path) -> None:
    examples = blobs(9)
    examples.held_out[4] = True

    with pytest.raises(LabelLoopError, match=str(examples.inputs.ids[4])):
        round_steps.train_from(FewSteps(), examples, tmp_path, tmp_path)


def _round(number: int, model: str, changes: int, **more: object) -> Round:
    return Round(number, "", model=model, promoted=True, changes=changes, **more)  # type: ignore[arg-type]


def test_a_model_begins_from_the_newest_before_the_newest_answers_to_learn_from() -> None:
    history = [_round(1, "a", 2), _round(2, "b", 4)]

    assert warm_start.beginning(history, ["x", "y", "z", "x"], {"x", "y", "z"}) == history[0]
    assert warm_start.beginning(history, ["x", "y", "z", "x", "held out"], {"x", "y", "z"}) == history[0]
    assert warm_start.beginning(history, ["x", "y", "z", "x", "y"], {"x", "y", "z"}) == history[1]
    assert warm_start.beginning(history, ["x", "y"], {"x", "y"}) is None


def test_a_model_that_was_rolled_back_is_no_beginning() -> None:
    back = _round(3, "a", 4, notes=noted(("b",), now=True))
    history = [_round(1, "a", 2), _round(2, "b", 4), back]

    assert warm_start.beginning(history, ["x"] * 6, {"x"}) == history[0]


def test_near_duplicates_are_kept_back_together_and_never_beside_one_that_was_learned_from() -> None:
    groups = np.repeat([f"g{i}" for i in range(100)], 3)

    kept = warm_start.kept_back(groups, {f"g{i}" for i in range(40)}, "salt")

    assert not kept[:120].any()
    assert 40 < kept[120:].sum() < 140
    assert (kept.reshape(-1, 3).sum(axis=1) % 3 == 0).all()


@pytest.mark.parametrize("multiple", [False, True])
def test_equal_ways_are_a_tie_and_a_tie_is_a_cold_start(multiple: bool) -> None:
    targets = np.eye(3, dtype=np.bool_)[np.arange(30) % 3]
    likely = np.full((30, 3), 1 / 3)

    assert not warm_start.compare(likely, likely, targets, np.arange(30), multiple=multiple).warm
    assert warm_start.compare(likely, 0.5 * likely + 0.5 * targets, targets, np.arange(30), multiple=multiple).warm


def test_a_gain_on_one_group_of_near_duplicates_is_no_evidence() -> None:
    targets = np.eye(2, dtype=np.bool_)[np.zeros(60, int)]
    cold = np.full((60, 2), 0.5)
    warm = np.where(np.arange(60)[:, np.newaxis] < 40, [0.9, 0.1], cold)
    groups = np.concatenate([np.zeros(40), np.arange(1, 21)])

    assert not warm_start.compare(cold, warm, targets, groups, multiple=False).warm
    assert warm_start.compare(cold, warm, targets, np.arange(60), multiple=False).warm
