"""The learner of ratings and numbers: the published contract, its own promises, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from labelloop.errors import BadItemError, ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.numbers import Number
from labelloop.kinds.ratings import Rating
from labelloop.kinds.texts import FreeText
from labelloop.learners.regression import PENALTIES, Regression, fit
from labelloop.testing.kind_learner import KindLearnerContract, examples_of
from labelloop.types import Examples, Item, only, rows_of

SIZE = 12
DIRECTION = np.random.default_rng(9).normal(size=SIZE)


def measured(kind: Any, n: int, *, seed: int = 0, noise: float = 0.2) -> Examples:
    """Items whose answer follows from one direction of their embeddings, but for noise."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, SIZE)).astype(np.float32)
    truth = features @ DIRECTION / np.linalg.norm(DIRECTION) + rng.normal(0, noise, n)
    if isinstance(kind, Rating):
        answers: list[Any] = [int(one) for one in np.clip(np.rint(3 + 1.5 * truth), 1, kind.stars)]
    else:
        answers = [float(one) for one in np.clip(np.rint(2 * truth), -3, 3)]
    items = [Item(f"item-{seed}-{row:05}", "text", text=f"text {row}") for row in range(n)]
    made = examples_of(kind, items, answers)
    return replace(made, inputs=replace(made.inputs, features=features))


def schema_of(kind: Any) -> LabelSchema:
    return LabelSchema("text", (), control="how much", asked=kind)


class TestRatings(KindLearnerContract):
    reads_items = False
    kind: Any = Rating(5)

    @pytest.fixture
    def learner(self) -> Any:
        return Regression(schema=schema_of(self.kind))

    def examples(self, n: int, *, seed: int = 0) -> Examples:
        return measured(self.kind, n, seed=seed)


class TestNumbers(TestRatings):
    kind = Number(-3, 3, 1)


class TestNumbersWithoutBounds(TestRatings):
    kind = Number()
    least = 0.5


def trained(kind: Any, examples: Examples, folder: Path) -> Any:
    folder.mkdir()
    learner = Regression(schema=schema_of(kind))
    learner.train(examples, folder)
    return learner.load(folder)


def test_it_is_ridge_regression_with_the_penalty_that_is_best_leave_one_out() -> None:
    known = measured(Number(), 40)
    features, wanted = np.asarray(known.inputs.features, np.float64), np.asarray(known.answers, np.float64)
    unit = float((np.linalg.svd(features - features.mean(axis=0), compute_uv=False) ** 2).mean())

    def left_out(share: float) -> float:
        errors = []
        for row in range(len(wanted)):
            rest = np.delete(np.arange(len(wanted)), row)
            line = Ridge(alpha=share * unit).fit(features[rest], wanted[rest])
            errors.append((line.predict(features[row : row + 1])[0] - wanted[row]) ** 2)
        return float(np.mean(errors))

    line = fit(features, wanted)
    ours = line.predict(features)[0]

    np.testing.assert_allclose(ours, Ridge(alpha=line.penalty).fit(features, wanted).predict(features), atol=1e-8)
    assert left_out(line.penalty / unit) <= min(left_out(share) for share in PENALTIES) * 1.02


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_it_knows_how_often_it_is_right(noise: float, tmp_path: Path) -> None:
    kind = Rating(5)
    known, new = measured(kind, 150, noise=noise), measured(kind, 4000, seed=1, noise=noise)

    said = trained(kind, known, tmp_path / "model").predict(new.inputs)
    right = np.array([mine == wanted for mine, wanted in zip(said.answers, new.answers, strict=True)])

    assert said.confidence.mean() == pytest.approx(right.mean(), abs=0.05)


def test_what_is_far_from_all_that_was_learned_is_less_certain(tmp_path: Path) -> None:
    kind = Number(-3, 3, 1)
    known = measured(kind, 60)
    far = replace(known.inputs, features=10 * np.asarray(known.inputs.features))

    predictor = trained(kind, known, tmp_path / "model")

    assert predictor.predict(far).uncertainty.mean() > 1.5 * predictor.predict(known.inputs).uncertainty.mean()


def test_answers_keep_the_bounds_and_steps_of_their_kind(tmp_path: Path) -> None:
    known = measured(Number(-3, 3), 60)
    far = replace(known.inputs, features=50 * np.asarray(known.inputs.features))
    for number, kind in enumerate((Number(-3, 3, 0.1), Number(-3, 3), Number(-3, 3, 4), Number(step=0.5))):
        said = trained(kind, known, tmp_path / str(number)).predict(far)
        assert [kind.read(kind.write(one)) for one in said.answers] == list(said.answers)


def test_nothing_is_said_about_an_item_without_an_embedding(tmp_path: Path) -> None:
    known = measured(Rating(5), 30)
    predictor = trained(Rating(5), known, tmp_path / "model")
    features = np.asarray(known.inputs.features).copy()
    features[3] = np.nan

    said = predictor.predict(replace(known.inputs, features=features))

    assert said.answers[3] is None
    assert np.flatnonzero(~said.known).tolist() == [3]


@pytest.mark.parametrize("asked", [FreeText(), None])
def test_another_question_is_refused(asked: Any) -> None:
    schema = LabelSchema("text", ("a", "b")) if asked is None else schema_of(asked)
    with pytest.raises(ConfigError, match="learns ratings and numbers"):
        Regression(schema=schema)


def test_a_model_of_another_learner_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    known = measured(Rating(5), 30)
    predictor = trained(Rating(5), known, tmp_path / "model")
    learner = Regression(schema=schema_of(Rating(5)))
    with pytest.raises(ConfigError, match=r"the embeddings have the shape \(30, 5\), the model reads \(n, 12\)"):
        predictor.predict(replace(known.inputs, features=np.zeros((30, 5), np.float32)))
    with pytest.raises(ConfigError, match="have no embeddings"):
        predictor.predict(replace(known.inputs, features=None))

    said = json.loads((tmp_path / "model" / "model.json").read_text())
    (tmp_path / "model" / "model.json").write_text(json.dumps({**said, "backbone": "another"}))
    with pytest.raises(ConfigError, match="another backbone"):
        learner.load(tmp_path / "model")
    (tmp_path / "model" / "model.json").write_text(json.dumps(said))
    np.save(tmp_path / "model" / "weights.npy", np.zeros(3, "<f4"))
    with pytest.raises(ConfigError, match=r"weights\.npy"):
        learner.load(tmp_path / "model")


def test_an_example_without_a_number_is_refused_by_its_id(tmp_path: Path) -> None:
    known = measured(Rating(5), 9)
    odd = replace(known, answers=(*known.answers[:4], "three", *known.answers[5:]))
    with pytest.raises(BadItemError, match=str(known.inputs.ids[4])):
        Regression(schema=schema_of(Rating(5))).train(odd, tmp_path)
    assert len(only(known, np.arange(3)).answers) == len(rows_of(known.inputs, np.arange(3))) == 3
