"""The learner of any kind: the published contract, what it carries over, and how sure it is of that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.errors import BadItemError, ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.dates import Day
from labelloop.kinds.kind import Kind
from labelloop.kinds.preferences import Preference
from labelloop.kinds.rankings import Ranking
from labelloop.kinds.spans import TextSpans
from labelloop.kinds.texts import FreeText
from labelloop.learners.nearest import Nearest, NearestPredictor
from labelloop.testing.kind_learner import KindLearnerContract, examples_of
from labelloop.types import Examples, Item

SIZE = 12
WORDS = ("a greeting", "a question about money", "a complaint", "thanks")
CENTRES = np.random.default_rng(5).normal(size=(len(WORDS), SIZE))


def said(kind: Kind, answers: tuple[Any, ...], n: int, *, seed: int = 0, noise: float = 0.3) -> Examples:
    """Items around the middles of their answers."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, len(answers), n)
    features = (CENTRES[which] + rng.normal(0, noise, (n, SIZE))).astype(np.float32)
    items = [Item(f"item-{seed}-{row:05}", "text", text=f"text {row}") for row in range(n)]
    made = examples_of(kind, items, [answers[one] for one in which])
    return replace(made, inputs=replace(made.inputs, features=features))


def schema_of(kind: Kind) -> LabelSchema:
    return LabelSchema("text", (), control="said", asked=kind)


class TestTexts(KindLearnerContract):
    reads_items = False
    kind: Kind = FreeText()
    answers: tuple[Any, ...] = WORDS

    @pytest.fixture
    def learner(self) -> Any:
        return Nearest(schema=schema_of(self.kind))

    def examples(self, n: int, *, seed: int = 0) -> Examples:
        return said(self.kind, self.answers, n, seed=seed)


class TestDays(TestTexts):
    kind = Day()
    answers = ("2026-01-01", "2026-06-01", "2026-12-01")


class TestConsensusOfThree(TestTexts):
    kind = Preference()
    answers = ("left", "right")

    @pytest.fixture
    def learner(self) -> Any:
        return Nearest(schema=schema_of(self.kind), neighbours=3)


def trained(examples: Examples, folder: Path, **options: Any) -> NearestPredictor:
    folder.mkdir()
    learner = Nearest(schema=schema_of(examples.kind), **options)
    learner.train(examples, folder)
    return learner.load(folder)


def test_it_is_as_often_right_as_it_is_sure(tmp_path: Path) -> None:
    known, asked = (said(FreeText(), WORDS, 600, seed=seed, noise=1.1) for seed in (0, 1))

    found = trained(known, tmp_path / "model").predict(asked.inputs)
    right = np.array([one == other for one, other in zip(found.answers, asked.answers, strict=True)])

    assert 0.3 < right.mean() < 0.95, "too hard or too easy to tell anything"
    assert abs(found.confidence.mean() - right.mean()) < 0.05
    sure = found.confidence >= np.median(found.confidence)
    assert right[sure].mean() > right[~sure].mean()
    assert abs(found.confidence[sure].mean() - right[sure].mean()) < 0.07


def test_an_item_is_no_neighbour_of_its_own_when_trust_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    shuffled = said(FreeText(), WORDS, 300)
    answers = tuple(WORDS[one] for one in rng.integers(0, len(WORDS), 300))

    found = trained(replace(shuffled, answers=answers), tmp_path / "model").predict(shuffled.inputs)

    assert found.confidence.mean() < 0.4, "answers by chance are not to be trusted, though each is its own neighbour"


def test_nothing_is_said_about_an_item_without_an_embedding(tmp_path: Path) -> None:
    known = said(FreeText(), WORDS, 30)
    features = np.asarray(known.inputs.features).copy()
    features[3] = np.nan

    found = trained(known, tmp_path / "model").predict(replace(known.inputs, features=features))

    assert found.answers[3] is None
    assert np.flatnonzero(~found.known).tolist() == [3]


def test_of_several_neighbours_the_consensus_counts(tmp_path: Path) -> None:
    known = said(Preference(), ("left", "right"), 200, noise=0.8)
    flipped = tuple("left" if one == "right" and row % 4 == 0 else one for row, one in enumerate(known.answers))
    asked = said(Preference(), ("left", "right"), 400, seed=1, noise=0.8)

    def right(neighbours: int) -> float:
        folder = tmp_path / str(neighbours)
        found = trained(replace(known, answers=flipped), folder, neighbours=neighbours).predict(asked.inputs)
        return float(np.mean([one == other for one, other in zip(found.answers, asked.answers, strict=True)]))

    assert right(7) > right(1)


def test_one_example_is_enough_to_guess_and_too_few_to_be_sure(tmp_path: Path) -> None:
    known = said(FreeText(), WORDS, 1)

    found = trained(known, tmp_path / "model").predict(known.inputs)

    assert found.answers[0] == known.answers[0]
    assert found.confidence[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("schema", "options", "why"),
    [
        (LabelSchema("text", ("a", "b")), {}, "asks for choices"),
        (schema_of(TextSpans(("a",))), {}, "asks for parts of one item"),
        (schema_of(Ranking()), {}, "asks for parts of one item"),
        (schema_of(FreeText()), {"neighbours": 0}, "neighbours is 0"),
        (schema_of(FreeText()), {"neighbours": 26}, "neighbours is 26"),
    ],
)
def test_what_it_cannot_carry_over_is_refused(schema: LabelSchema, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Nearest(schema=schema, **options)


def test_an_example_without_an_answer_is_refused_by_name(tmp_path: Path) -> None:
    known = said(FreeText(), WORDS, 5)

    with pytest.raises(BadItemError, match="item-0-00002"):
        trained(replace(known, answers=(*known.answers[:2], None, *known.answers[3:])), tmp_path / "model")


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    known = said(FreeText(), WORDS, 20)
    trained(known, tmp_path / "model")
    described = json.loads((tmp_path / "model" / "model.json").read_text())
    (tmp_path / "model" / "model.json").write_text(json.dumps({**described, "answers": described["answers"][1:]}))

    with pytest.raises(ConfigError, match="19 answers"):
        Nearest(schema=schema_of(FreeText())).load(tmp_path / "model")


def test_half_a_sign_that_somebody_wrote_is_carried_over_as_it_is(tmp_path: Path) -> None:
    known = said(FreeText(), ("half \ud800 of it",), 5)

    assert trained(known, tmp_path / "model").predict(known.inputs).answers[0] == "half \ud800 of it"
