"""The choices of a round, as pure functions of columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelloop.errors import LabelLoopError
from labelloop.kinds import LabelSchema
from labelloop.kinds.predicted import by_probabilities
from labelloop.ledger.items import ItemColumns
from labelloop.ledger.questions import Asking
from labelloop.loop import round_steps
from labelloop.loop.round_steps import BatchOptions, ConsensusLabels, Snapshot
from labelloop.types import Examples, Inputs

from support.quick_learner import QuickLearner

SCHEMA = LabelSchema("text", ("cat", "dog"))


def known(n: int = 6, **columns: list[int]) -> Snapshot:
    """Items a, b, c, ... of which those at the given positions are asked, held out, believed or unreadable."""
    ids = np.array([chr(ord("a") + i) for i in range(n)])
    flags = {name: np.isin(np.arange(n), columns.get(name, [])) for name in ("asked", "held_out", "believed", "bad")}
    targets = np.zeros((n, 2), np.bool_)
    targets[flags["believed"], 0] = True
    items = ItemColumns(ids, ids, ~flags["bad"])
    return Snapshot(items, flags["believed"], targets, flags["asked"], flags["held_out"], {})


def test_a_held_out_example_is_never_trained_on(tmp_path: Path) -> None:
    inputs = Inputs(np.array(["a", "b"]), np.ones((2, 4), np.float32))
    examples = Examples(inputs, np.eye(2, dtype=np.bool_), SCHEMA.labels, False, np.array([False, True]))

    with pytest.raises(LabelLoopError, match=r"1 held-out item\(s\) were about to be trained on, such as b"):
        round_steps.train(QuickLearner(), examples, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_beliefs_find_their_items_and_strangers_are_passed_over() -> None:
    columns = ItemColumns(np.array(["a", "b", "c"]), np.array(["a", "b", "c"]), np.ones(3, np.bool_))
    beliefs = ConsensusLabels(["c", "nobody", "a"], np.array([[0, 1], [1, 0], [1, 0]], np.bool_), {"b": "odd"})

    found = round_steps.know(columns, np.zeros(3, np.bool_), ["b", "nobody"], beliefs)

    assert found.believed.tolist() == [True, False, True]
    assert found.targets.tolist() == [[True, False], [False, False], [False, True]]
    assert found.asked.tolist() == [False, True, False]
    assert found.set_aside == {"b": "odd"}


def test_each_side_of_the_holdout_gets_its_own_believed_readable_items() -> None:
    now = known(believed=[0, 1, 2, 3], held_out=[2, 3, 4], bad=[1, 3])
    features = np.arange(12, dtype=np.float32).reshape(6, 2)

    training = round_steps.examples_of(now, features, SCHEMA, held_out=False)
    judging = round_steps.examples_of(now, features, SCHEMA, held_out=True)

    assert (training.inputs.ids.tolist(), judging.inputs.ids.tolist()) == (["a"], ["c"])
    assert judging.held_out.all()
    assert judging.inputs.features is not None
    assert judging.inputs.features.tolist() == features[[2]].tolist()


@pytest.mark.parametrize("selector", ["random", "centroids", "uherding", "margin"])
def test_what_is_asked_held_out_or_unreadable_is_never_chosen(selector: str) -> None:
    now = known(10, asked=[0, 1], held_out=[2, 3], bad=[4])
    rng = np.random.default_rng(0)
    features = rng.normal(size=(10, 4)).astype(np.float32)
    features[4] = np.nan
    likely = np.full((10, 2), 0.5, np.float32)

    rows, why = round_steps.choose(
        now, (features, by_probabilities(SCHEMA, likely)), SCHEMA, BatchOptions(selector, 99, 0.2), rng
    )

    assert sorted(rows.tolist()) == [5, 6, 7, 8, 9]
    assert len(why) == 5


def test_the_holdout_is_drawn_in_an_order_that_new_items_do_not_change() -> None:
    few, more = known(5, held_out=[0, 1, 2, 3, 4]), known(9, held_out=list(range(9)))

    first = [few.columns.ids[row] for row in round_steps.choose_held_out(few, 5, "salt")]
    later = [more.columns.ids[row] for row in round_steps.choose_held_out(more, 9, "salt")]

    assert [item for item in later if item in first] == first
    assert len(round_steps.choose_held_out(known(5, held_out=[0, 1], asked=[0], bad=[1]), 5, "salt")) == 0


def test_blind_questions_are_mixed_in_and_the_useful_ones_keep_their_order() -> None:
    useful = [Asking(f"u{i}", "train", "unsure") for i in range(8)]
    blind = [Asking(f"b{i}", "holdout", "blind") for i in range(4)]

    batch = round_steps.mixed(useful, blind, np.random.default_rng(3))

    assert [one for one in batch if one.purpose == "train"] == useful
    assert [one for one in batch if one.purpose == "holdout"] == blind
    assert batch[:8] != useful
