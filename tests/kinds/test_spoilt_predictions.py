"""A thousand predictions that somebody has spoilt, over every kind: each is refused by name before it is sent."""

from __future__ import annotations

import copy
import math
import random
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from labelloop.backends.label_studio.config import checked_version
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.dates import Day
from labelloop.kinds.dialogues import DialogueSpans
from labelloop.kinds.kind import Kind
from labelloop.kinds.labels import problems, regions_saying
from labelloop.kinds.numbers import Number
from labelloop.kinds.preferences import Preference
from labelloop.kinds.rankings import Ranking
from labelloop.kinds.ratings import Rating
from labelloop.kinds.spans import TextSpans
from labelloop.kinds.taxonomies import Taxonomy
from labelloop.kinds.texts import FreeText
from labelloop.types import Item, Prediction, Question

ITEM = Item("one", "text", text="Ann met Bob in Oslo.")
KINDS: Mapping[str, tuple[Kind, Any]] = {
    "spans": (TextSpans(("PER", "LOC")), ((0, 3, "PER"), (15, 19, "LOC"))),
    "dialogue": (DialogueSpans(("who",)), (((0, 0), (0, 5), "who"),)),
    "rating": (Rating(5), 4),
    "number": (Number(0, 10, 0.5), 2.5),
    "date": (Day("2020-01-01", "2030-12-31"), "2026-12-01"),
    "taxonomy": (Taxonomy(("a/b", "a/c", "d")), ("a/c",)),
    "preference": (Preference(), "left"),
    "text": (FreeText(), "as it says"),
    "ranking": (Ranking(key="said"), (("said", ("b", "a")),)),
}
SCHEMAS = {
    name: LabelSchema("text", getattr(kind, "labels", ()), control="said", asked=kind)
    for name, (kind, _) in KINDS.items()
} | {"choices": LabelSchema("text", ("cat", "dog"), control="said")}

JUNK: tuple[Any, ...] = (None, True, 10**9, -1, math.nan, "", "nobody", [], ["nobody"], {}, {"a": 1}, [[1]])
"""What no value of any kind is, wherever it stands."""

NAMED = re.compile(r"result\[|score|from_name|to_name|type|value|label|rating|number|day|place|bucket|the id|span|text")


def sound(name: str) -> Prediction:
    """A prediction that fits."""
    schema = SCHEMAS[name]
    answer = ("cat",) if name == "choices" else KINDS[name][1]
    regions = tuple(copy.deepcopy(dict(one)) for one in regions_saying(schema.main, answer))
    return Prediction(ITEM.id, regions, 0.5, "model-1")


def _key(rng: random.Random, regions: list[dict[str, Any]]) -> str:
    """Another field of a region."""
    region, field = rng.choice(regions), rng.choice(("from_name", "to_name", "type", "value"))
    region[field] = rng.choice(JUNK)
    return field


def _value(rng: random.Random, regions: list[dict[str, Any]]) -> str:
    """Another value inside of a region."""
    value = rng.choice(regions)["value"]
    field = rng.choice(list(value))
    value[field] = rng.choice([one for one in JUNK if not (field == "text" and one == ["nobody"])])
    return str(field)


def _gone(rng: random.Random, regions: list[dict[str, Any]]) -> str:
    """A field that is missing."""
    region = rng.choice(regions)
    field = rng.choice(("from_name", "to_name", "type", "value"))
    del region[field]
    return field


def _more(rng: random.Random, regions: list[dict[str, Any]]) -> str:
    """A field that nobody knows."""
    rng.choice(regions)["meta"] = {"text": ["?"]}
    return "meta"


def _twice(rng: random.Random, regions: list[dict[str, Any]]) -> str:
    """A region with the score of another world."""
    rng.choice(regions)["score"] = rng.choice((2.0, -0.1, math.nan, "sure", True))
    return "score"


WAYS: tuple[Callable[[random.Random, list[dict[str, Any]]], str], ...] = (_key, _value, _gone, _more, _twice)


@pytest.mark.parametrize("name", SCHEMAS)
def test_spoilt_predictions_are_refused_each_naming_what_is_wrong(name: str) -> None:
    schema, rng = SCHEMAS[name], random.Random(name)
    assert problems(schema, sound(name).regions, 0.5) == []
    for number in range(120):
        regions = [copy.deepcopy(dict(one)) for one in sound(name).regions]
        before = copy.deepcopy(regions)
        field = WAYS[number % len(WAYS)](rng, regions)
        assert repr(regions) != repr(before)
        spoilt = Prediction(ITEM.id, tuple(regions), 0.5, "model-1")
        with pytest.raises(ConfigError) as refused:
            checked_version(schema, [Question(ITEM, spoilt)])
        assert "the prediction for item 'one' does not fit" in refused.value.message, (field, regions)
        assert NAMED.search(refused.value.message.partition("does not fit:")[2]), refused.value.message


@pytest.mark.parametrize("score", [-0.01, 1.01, math.nan, math.inf, None, "sure", True])
def test_a_score_that_is_none_is_refused_for_every_kind(score: Any) -> None:
    for name, schema in SCHEMAS.items():
        spoilt = Prediction(ITEM.id, sound(name).regions, score, "model-1")
        with pytest.raises(ConfigError, match="score is"):
            checked_version(schema, [Question(ITEM, spoilt)])
