"""The learner of taxonomies: the published contract, and what being near in the tree is worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.errors import BadItemError, ConfigError, LabelLoopError
from labelloop.kinds import LabelSchema
from labelloop.kinds.taxonomies import Taxonomy
from labelloop.learners.places import PlaceLearner
from labelloop.testing.kind_learner import KindLearnerContract, examples_of
from labelloop.types import Examples, Item

LABELS = ("animal/bird/owl", "animal/bird/crow", "animal/cat", "plant")
ONE, SEVERAL = Taxonomy(LABELS), Taxonomy(("animal", "animal/cat", "plant"), multiple=True)
SIZE = 12
CENTRES = np.random.default_rng(3).normal(size=(4, SIZE))


def placed(kind: Taxonomy, n: int, *, seed: int = 0) -> Examples:
    """Items around the middles of their places."""
    rng = np.random.default_rng(seed)
    given = rng.integers(0, 2, (n, len(kind.labels))).astype(bool)
    if not kind.multiple:
        given = np.eye(len(kind.labels), dtype=bool)[rng.integers(0, len(kind.labels), n)]
    features = (given @ CENTRES[: len(kind.labels)] + rng.normal(0, 0.4, (n, SIZE))).astype(np.float32)
    answers = [tuple(label for label, there in zip(kind.labels, row, strict=True) if there) for row in given]
    items = [Item(f"item-{seed}-{row:05}", "text", text=f"text {row}") for row in range(n)]
    made = examples_of(kind, items, answers)
    return replace(made, inputs=replace(made.inputs, features=features))


def schema_of(kind: Any) -> LabelSchema:
    return LabelSchema("text", kind.labels, control="where", asked=kind)


class TestOnePlace(KindLearnerContract):
    reads_items = False
    kind = ONE

    @pytest.fixture
    def learner(self) -> Any:
        return PlaceLearner(schema=schema_of(self.kind))

    def examples(self, n: int, *, seed: int = 0) -> Examples:
        return placed(self.kind, n, seed=seed)


class TestSeveralPlaces(TestOnePlace):
    kind = SEVERAL


def trained(kind: Taxonomy, examples: Examples, folder: Path) -> Any:
    folder.mkdir()
    learner = PlaceLearner(schema=schema_of(kind))
    learner.train(examples, folder)
    return learner.load(folder)


def test_of_places_about_as_likely_it_says_the_one_that_is_near_to_the_others(tmp_path: Path) -> None:
    known = placed(ONE, 80)
    between = 0.34 * CENTRES[0] + 0.34 * CENTRES[1] + 0.36 * CENTRES[3]  # two birds and a plant

    predictor = trained(ONE, known, tmp_path / "model")
    inputs = replace(known.inputs, features=np.tile(between, (len(known), 1)).astype(np.float32))
    likely, said = predictor.head.predict(inputs)[0], predictor.predict(inputs)

    nearest = int(
        np.argmax([sum(p * ONE.similarity((a,), (b,)) for p, b in zip(likely, LABELS, strict=True)) for a in LABELS])
    )
    assert said.answers[0] == (LABELS[nearest],)
    assert said.confidence[0] == pytest.approx(likely[nearest])


def test_nothing_is_said_about_an_item_without_an_embedding(tmp_path: Path) -> None:
    for number, kind in enumerate((ONE, SEVERAL)):
        known = placed(kind, 30)
        features = np.asarray(known.inputs.features).copy()
        features[3] = np.nan
        said = trained(kind, known, tmp_path / str(number)).predict(replace(known.inputs, features=features))
        assert said.answers[3] is None
        assert np.flatnonzero(~said.known).tolist() == [3]


def test_what_it_cannot_learn_from_is_refused(tmp_path: Path) -> None:
    learner, known = PlaceLearner(schema=schema_of(ONE)), placed(ONE, 9)
    odd = replace(known, answers=(*known.answers[:4], ("fish",), *known.answers[5:]))
    both = replace(known, answers=(*known.answers[:4], LABELS[:2], *known.answers[5:]))
    with pytest.raises(BadItemError, match=str(known.inputs.ids[4])):
        learner.train(odd, tmp_path)
    with pytest.raises(LabelLoopError, match="no place, or several"):
        learner.train(both, tmp_path)
    with pytest.raises(ConfigError, match="learns places in a tree"):
        PlaceLearner(schema=LabelSchema("text", ("a", "b")))
    with pytest.raises(ConfigError, match="folds is 1"):
        PlaceLearner(schema=schema_of(ONE), folds=1)
