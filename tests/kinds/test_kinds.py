"""Each of our own kinds keeps the published contract, and what is special about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.evaluation.metrics import evaluate
from labelloop.kinds.choices import Choices
from labelloop.kinds.kind import Kind
from labelloop.kinds.ratings import Rating
from labelloop.kinds.spans import TextSpans
from labelloop.kinds.texts import FreeText, distance
from labelloop.testing.kind import KindContract
from labelloop.types import Region


def region(type_: str, **value: Any) -> Region:
    return {"type": type_, "value": value}


class TestSingleChoice(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Choices(("cat", "dog", "bird"))

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [("cat",), ("dog",), ("bird",)]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [
            [region("choices", choices=["wolf"])],
            [region("choices", choices=["cat", "dog"])],
            [region("choices", choices="cat")],
            [region("choices")],
            [{"type": "choices", "value": 3}],
        ]


class TestMultipleChoice(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Choices(("angry", "spam", "kind & <odd>"), multiple=True)

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [(), ("spam",), ("angry", "kind & <odd>")]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [[region("choices", choices=["angry", "wolf"])], [region("choices", choices=None)]]


class TestTextSpans(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return TextSpans(("PER", "ORG"))

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [(), ((0, 3, "PER"),), ((0, 3, "PER"), (7, 9, "ORG")), ((0, 4, "ORG"),)]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [
            [region("labels", start=3, end=3, labels=["PER"])],
            [region("labels", start=-1, end=3, labels=["PER"])],
            [region("labels", start="0", end="3", labels=["PER"])],
            [region("labels", start=0.5, end=3, labels=["PER"])],
            [region("labels", start=0, end=3, labels=["LOC"])],
            [region("labels", start=0, end=3, labels=["PER", "ORG"])],
            [region("labels", start=0, end=3, labels=[])],
            [region("labels", start=0, end=3, labels=[["PER"]])],
            [region("labels", start=0, end=3)],
            [region("labels", start=0, end=5, labels=["PER"]), region("labels", start=4, end=6, labels=["ORG"])],
            [region("choices", choices=["PER"])],
            [{"type": "labels", "value": None}],
        ]


class TestRating(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Rating(7)

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [1, 4, 7]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [
            *([region("rating", rating=odd)] for odd in (0, 8, 2.5, "4", True, None, float("nan"))),
            [region("rating", rating=3), region("rating", rating=4)],
        ]


class TestFreeText(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return FreeText(placeholder='what is "said"')

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return ["hello", "hullo there", "\N{SNOWMAN}\nline"]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [[region("textarea", text=odd)] for odd in ("hello", [3], None, ["x" * 200_000])]


def test_a_rating_between_two_is_the_one_nearer_to_the_newest() -> None:
    assert Rating().consensus([1, 5, 2, 4]) == 4
    assert Rating().consensus([4, 1, 5, 2]) == 2


def test_of_spans_each_is_voted_on_alone_and_the_heavier_of_two_that_overlap_stays() -> None:
    kind = TextSpans(("PER", "ORG"))

    assert kind.consensus([((0, 3, "PER"), (5, 9, "ORG")), ((0, 3, "PER"),), ()]) == ((0, 3, "PER"),)
    assert kind.consensus([((0, 3, "PER"),), ((0, 4, "PER"),)]) == ((0, 4, "PER"),)


def test_spans_may_overlap_where_that_is_allowed() -> None:
    nested = ((0, 9, "ORG"), (0, 3, "PER"))

    assert TextSpans(("PER", "ORG"), overlapping=True).write(nested)
    with pytest.raises(ConfigError, match="overlap"):
        TextSpans(("PER", "ORG")).write(nested)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: TextSpans(()), "0 label"),
        (lambda: TextSpans(("PER", "PER")), "listed twice"),
        (lambda: TextSpans((" PER",)), "spaces around"),
        (lambda: Choices(("cat",)), "1 label"),
        (lambda: Rating(1), "no scale"),
        (lambda: FreeText(rows=0), "no field"),
    ],
)
def test_options_that_make_no_question_are_refused(made: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        made()
    assert error.value.hint


@pytest.mark.parametrize(
    ("one", "other", "edits"),
    [("", "", 0), ("kitten", "sitting", 3), ("abc", "", 3), ("same", "same", 0), ("ab" * 3000, "ba" * 3000, 2)],
)
def test_edits_are_counted(one: str, other: str, edits: int) -> None:
    found = distance(one, other)

    assert found == edits or (len(one) > 2000 and edits <= found <= len(one))


@pytest.mark.parametrize("multiple", [False, True])
def test_choices_score_as_the_honest_score_does(multiple: bool) -> None:
    labels = ("cat", "dog", "bird")
    rng = np.random.default_rng(2)
    likely = rng.dirichlet(np.ones(3), 200)
    wanted = rng.random((200, 3)) < 0.4 if multiple else np.eye(3, dtype=bool)[rng.integers(0, 3, 200)]
    given = likely >= 0.5 if multiple else np.eye(3, dtype=bool)[likely.argmax(axis=1)]
    kind = Choices(labels, multiple)

    def names(row: np.ndarray) -> tuple[str, ...]:
        return tuple(label for label, there in zip(labels, row, strict=True) if there)

    counts = [kind.counts(names(one), names(other)) for one, other in zip(given, wanted, strict=True)]
    sums = np.sum(counts, axis=0, keepdims=True)
    metrics = evaluate(likely, wanted, labels, multiple=multiple)

    assert float(next(iter(kind.scores.values()))(sums)[0]) == pytest.approx(metrics.score, abs=1e-12)
    assert float(kind.scores["accuracy"](sums)[0]) == pytest.approx(metrics.accuracy, abs=1e-12)
    assert float(kind.scores["micro-F1"](sums)[0]) == pytest.approx(metrics.micro_f1, abs=1e-12)
