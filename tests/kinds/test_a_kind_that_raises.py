"""A kind of somebody's own that fails: its answers are set aside in words, and nothing stops for one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from labelloop.errors import ConfigError
from labelloop.kinds import Control, LabelSchema
from labelloop.kinds.consensus import consensus_of_all, unkept
from labelloop.kinds.labels import answer_of, names_of, problems
from labelloop.kinds.predicted import Predicted, checked
from labelloop.kinds.ratings import Rating
from labelloop.kinds.spans import TextSpans
from labelloop.loop.unusable import regions_in_words
from labelloop.types import Annotation, Region

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Careless(Rating):
    """Reads what is not there."""

    def read(self, regions: Sequence[Region]) -> Any:
        return sum(region["value"]["rating"] + region["value"]["more"] for region in regions) or None

    def write(self, answer: Any) -> tuple[Region, ...]:
        return ({"type": "rating", "value": {"rating": answer.stars, "more": 0}},)

    def consensus(self, answers: Sequence[Any]) -> Any:
        raise ZeroDivisionError("nobody spoke")


KIND = Careless(stars=5)
SCHEMA = LabelSchema("text", (), control="anger", asked=KIND)


def said(item: str, value: dict[str, Any], by: str = "ann") -> Annotation:
    region = {"from_name": "anger", "to_name": "text", "type": "rating", "value": value}
    return Annotation(f"{item}-{by}", item, (region,), by, NOW, NOW)


def test_an_answer_that_it_fails_on_is_set_aside_and_the_others_count() -> None:
    found = consensus_of_all(SCHEMA, {"a": [said("a", {"rating": 3})], "b": [said("b", {"rating": 3, "more": 1})]})

    assert found.answers == {"b": 4}
    assert "Careless raised KeyError: 'more'" in found.set_aside["a"]


def test_several_answers_that_it_cannot_put_together_are_an_error_in_words() -> None:
    value = {"rating": 3, "more": 1}
    with pytest.raises(ConfigError, match="fails on 2 answers that it has read: ZeroDivisionError") as refused:
        consensus_of_all(SCHEMA, {"a": [said("a", value, "ann"), said("a", value, "bob")]}, "majority")
    assert "KindContract" in refused.value.hint


def test_a_guess_that_it_fails_on_is_a_fault_and_no_crash() -> None:
    regions = said("a", {"rating": 3}).regions
    assert "Careless raised KeyError" in problems(SCHEMA, regions, 0.5)[0]
    with pytest.raises(ConfigError, match="Careless raised KeyError"):
        names_of(SCHEMA, regions)
    assert answer_of(SCHEMA, '[{"type": "rating", "value": {}}]') is None
    assert "rating" in regions_in_words(SCHEMA, regions)


def test_what_a_learner_says_that_it_cannot_write_is_named_by_its_row() -> None:
    half = np.full(1, 0.5, np.float32)
    with pytest.raises(ConfigError, match=r"answers\[0\] is no answer: AttributeError"):
        checked(Predicted((3,), half, half), 1, KIND)


def test_an_answer_that_was_not_kept_is_no_silence() -> None:
    spans = Control("names", TextSpans(("PER",)), "text", silence=True)
    broken = Annotation("1", "a", (unkept("is too large to be kept"),), "ann", NOW, NOW)
    silent = Annotation("2", "b", (), "ann", NOW, NOW)

    found = consensus_of_all(spans, {"a": [broken], "b": [silent]})

    assert found.answers == {"b": ()}
    assert "is too large to be kept" in found.set_aside["a"]
