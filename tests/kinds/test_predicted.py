"""What a learner says about items: what is refused, and that it comes back from the store as it was."""

from __future__ import annotations

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.kinds.predicted import Predicted, checked, joined, nothing_said, read_back, written
from labelloop.kinds.spans import TextSpans
from labelloop.types import Item

KIND = TextSpans(("PER", "LOC"))
SAID = Predicted(
    (((0, 3, "PER"), (8, 12, "LOC")), (), None),
    np.array([0.75, 0.5, np.nan], np.float32),
    np.array([0.25, 0.5, np.nan], np.float32),
)


def test_what_is_stored_comes_back_as_it_was() -> None:
    back = read_back(written(SAID, KIND), KIND)
    assert list(back.answers) == list(SAID.answers)
    np.testing.assert_array_equal(back.confidence, SAID.confidence)
    np.testing.assert_array_equal(back.uncertainty, SAID.uncertainty)


def test_some_of_it_by_position_and_as_a_mask() -> None:
    assert list(SAID.at(np.array([2, 0])).answers) == [None, SAID.answers[0]]
    assert list(SAID.at(np.array([False, True, False])).answers) == [()]
    assert SAID.at(np.array([1])).answers[0:1][0] == ()


def test_parts_in_a_row() -> None:
    both = joined([SAID, nothing_said(2)])
    assert list(both.answers) == [*SAID.answers, None, None]
    assert both.known.tolist() == [True, True, False, False, False]


def test_what_fits_passes() -> None:
    assert list(checked(SAID, 3, KIND).answers) == list(SAID.answers)


HALF = np.full(2, 0.5, np.float32)


def test_an_answer_that_cannot_be_about_its_text_is_refused_by_its_item() -> None:
    texts = (Item("one", "text", text="Ann in Rome"), Item("two", "text", text="\N{GRINNING FACE} Bob"))
    said = Predicted((((0, 3, "PER"),), ((2, 5, "PER"),)), HALF, HALF)
    beyond = Predicted((((0, 3, "PER"),), ((3, 6, "PER"),)), HALF, HALF)

    assert list(checked(said, 2, KIND, texts).answers) == list(said.answers)
    with pytest.raises(ConfigError, match=r"answers\[1\] about item 'two' marks PER 3-6 in a text of 5 characters"):
        checked(beyond, 2, KIND, texts)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (np.zeros((2, 2)), "predicted a ndarray, not a Predicted"),
        (Predicted(((), ()), HALF[:1], HALF), "confidence is float32 of the shape (1,) for 2 items"),
        (Predicted(((), ()), HALF, HALF.astype(int)), "uncertainty is int64"),
        (Predicted(((), ()), HALF, HALF * 4), "uncertainty[0] is 2, not between 0 and 1"),
        (Predicted(((), ()), -HALF, HALF), "confidence[0] is -0.5"),
        (Predicted(((),), HALF, HALF), "answers has 1 answers to 2 items"),
        (Predicted(((), None), HALF, HALF), "says something about an item in one column"),
        (Predicted(((), ()), np.array([0.5, np.nan], np.float32), HALF), "says something about an item in one column"),
        (Predicted(((), ((3, 3, "PER"),)), HALF, HALF), "answers[1] is no answer: a span from 3 to 3 has no length"),
        (Predicted(((), ((0, 3, "CAT"),)), HALF, HALF), "answers[1] is no answer: label 'CAT'"),
        (Predicted(((), ((0, 3, "PER"), (1, 4, "LOC"))), HALF, HALF), "overlap"),
        (Predicted(((), 7), HALF, HALF), "answers[1] is no answer: TypeError"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(said: Predicted, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        checked(said, 2, KIND)
    assert words in refused.value.message
    assert refused.value.hint
