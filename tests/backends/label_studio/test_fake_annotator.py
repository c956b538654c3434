"""The fake annotator keeps the contract, and fails on request."""

from __future__ import annotations

import pytest

from labelloop.errors import BackendError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of
from labelloop.testing.annotator import AnnotatorContract, FakeAnnotator, FakeDataset
from labelloop.types import Item, Prediction, Question

SCHEMA = LabelSchema("text", ("cat", "dog"))


class TestFakeAnnotator(AnnotatorContract):
    """In memory."""

    @pytest.fixture
    def annotator(self) -> FakeAnnotator:
        return FakeAnnotator()

    @pytest.fixture
    def person(self, annotator: FakeAnnotator) -> FakeAnnotator:
        return annotator


def question(name: str) -> Question:
    return Question(Item(name, "text", text=name))


def test_a_connection_lost_after_some_questions_arrived_is_mended_by_asking_again() -> None:
    dataset = FakeAnnotator().open("animals", SCHEMA)
    dataset.fail_next_ask(BackendError("connection lost", retryable=True), after=2)

    with pytest.raises(BackendError, match="connection lost"):
        dataset.ask([question(name) for name in "abc"])
    asked = dataset.ask([question(name) for name in "abc"])

    assert (asked.created, asked.existing) == (1, 2)
    assert dataset.present() == {"a", "b", "c"}


def test_people_see_the_prediction_of_the_newest_model_only() -> None:
    dataset: FakeDataset = FakeAnnotator().open("animals", SCHEMA)
    guess = Prediction("a", regions_of(SCHEMA, ["cat"]), 0.5, "m1")
    other = Prediction("b", regions_of(SCHEMA, ["dog"]), 0.5, "m2")

    dataset.ask([Question(question("a").item, guess)])
    dataset.ask([Question(question("b").item, other)])

    assert dataset.prediction("a") is None
    assert dataset.prediction("b") == other


def test_a_removed_question_leaves_no_trace_but_its_absence() -> None:
    annotator = FakeAnnotator()
    dataset = annotator.open("animals", SCHEMA)
    dataset.ask([question("a"), question("b")])
    cursor = list(dataset.answers(None))[-1].cursor

    annotator.remove("animals", "a")

    assert list(dataset.answers(cursor)) == []
    assert dataset.present() == {"b"}
    assert dataset.open_items() == ["b"]
