"""A thousand corrupted predictions of every kind: each is refused before anything is sent, by the name of its field.

Labelloop asks for choices. Whatever is right for another control (boxes, polygons, brushes, spans, ratings, text) is
corrupt here, and refused too.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from labelloop.backends.label_studio.config import checked_version
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import problems, regions_of
from labelloop.testing.annotator import FakeAnnotator
from labelloop.types import Item, Prediction, Question

pytestmark = pytest.mark.chaos

COUNT = 1000
SCHEMAS = (
    LabelSchema("image", ("cat", "dog", "owl")),
    LabelSchema("text", ("cat", "dog", "owl"), control="animal"),
    LabelSchema("image", ("cat", "dog", "owl"), task="multiple-choice"),
)
OTHERS: Mapping[str, Mapping[str, Any]] = {
    "labels": {"start": 0, "end": 3, "text": "Ann", "labels": ["cat"]},
    "rectanglelabels": {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": ["cat"]},
    "polygonlabels": {"points": [[1, 1], [2, 1], [2, 2]], "polygonlabels": ["cat"], "closed": True},
    "keypointlabels": {"x": 1, "y": 1, "width": 1, "keypointlabels": ["cat"]},
    "ellipselabels": {"x": 1, "y": 1, "radiusX": 2, "radiusY": 2, "ellipselabels": ["cat"]},
    "brushlabels": {"format": "rle", "rle": [1, 2, 3], "brushlabels": ["cat"]},
    "textarea": {"text": ["cat"]},
    "rating": {"rating": 4},
    "number": {"number": 4},
    "taxonomy": {"taxonomy": [["cat"]]},
    "pairwise": {"selected": "left"},
}
"""A right value of every other type of region."""

NO_NAMES: tuple[Any, ...] = ("", "other", "LABEL", " label", "label ", None, 7, ["label"])
NO_SCORES: tuple[Any, ...] = (-0.01, 1.01, 99, math.nan, math.inf, -math.inf, "0.5", None, True, [0.5])
NO_LABELS: tuple[Any, ...] = ("fish", "Cat", "cat ", "", None, 3, ["cat"], {"cat": 1})
NO_CHOICES: tuple[Any, ...] = (None, "cat", 3, {"cat": 1})
NO_VALUES: tuple[Any, ...] = (None, "cat", 3, [], ["cat"], {})
NO_VERSIONS: tuple[Any, ...] = ("", " ", "\t", None, 7)
NO_REGIONS: tuple[Any, ...] = (None, "cat", 3, ["cat"])


def changed(guess: Prediction, **fields: Any) -> Prediction:
    """The same with other fields in its region."""
    return replace(guess, regions=({**guess.regions[0], **fields},))


def without(guess: Prediction, key: str) -> Prediction:
    """The same without a field in its region."""
    return replace(guess, regions=({name: it for name, it in guess.regions[0].items() if name != key},))


def placed(guess: Prediction, random: Random) -> tuple[Prediction, str]:
    """A choice with coordinates or offsets, which it has not."""
    key = random.choice(["x", "y", "width", "height", "rotation", "start", "end", "startOffset", "points", "rle"])
    value = random.choice([-5, 0, 101, 1e9, math.nan, "12", None, [[1, 2]]])
    return changed(guess, value={**guess.regions[0]["value"], key: value}), f"value.{key}"


def of_another_type(guess: Prediction, random: Random) -> tuple[Prediction, str]:
    """What is right for another control."""
    kind = random.choice(list(OTHERS))
    return changed(guess, type=kind, value=copy.deepcopy(OTHERS[kind])), "type"


def halved(guess: Prediction, random: Random) -> tuple[Prediction, str]:
    """A region that lacks a field."""
    key = random.choice(["from_name", "to_name", "type", "value"])
    return without(guess, key), key


Corruption = Callable[[Prediction, Random], tuple[Prediction, str]]
KINDS: Mapping[str, Corruption] = {
    "from_name": lambda guess, random: (changed(guess, from_name=random.choice(NO_NAMES)), "from_name"),
    "to_name": lambda guess, random: (changed(guess, to_name=random.choice(NO_NAMES)), "to_name"),
    "type": lambda guess, random: (changed(guess, type=random.choice([*OTHERS, *NO_NAMES])), "type"),
    "another type": of_another_type,
    "a field missing": halved,
    "a field too many": lambda guess, _: (changed(guess, original_width=640), "original_width"),
    "label": lambda guess, random: (changed(guess, value={"choices": [random.choice(NO_LABELS)]}), "value.choices"),
    "labels": lambda guess, random: (changed(guess, value={"choices": random.choice(NO_CHOICES)}), "value.choices"),
    "a label twice": lambda guess, _: (changed(guess, value={"choices": ["cat", "cat"]}), "value.choices"),
    "no label": lambda guess, _: (changed(guess, value={"choices": []}), "value.choices"),
    "value": lambda guess, random: (changed(guess, value=random.choice(NO_VALUES)), "value.choices"),
    "coordinates and offsets": placed,
    "region": lambda guess, random: (replace(guess, regions=(random.choice(NO_REGIONS),)), "result[0]"),
    "regions": lambda guess, _: (replace(guess, regions=guess.regions * 2), "result has 2 regions"),
    "id of the region": lambda guess, random: (changed(guess, id=random.choice(["", None, 7, ["r1"]])), "id"),
    "id of the item": lambda guess, random: (replace(guess, item_id=random.choice(["b", "", "A", " a"])), "item_id"),
    "score": lambda guess, random: (replace(guess, score=random.choice(NO_SCORES)), "score"),
    "score of the region": lambda guess, random: (changed(guess, score=random.choice(NO_SCORES)), "result[0].score"),
    "model_version": lambda guess, random: (
        replace(guess, model_version=random.choice(NO_VERSIONS)),
        "model_version",
    ),
}


def test_every_corrupted_prediction_is_refused_by_the_name_of_its_field_before_anything_is_sent() -> None:
    random, refused = Random(1000), Counter[str]()

    for number in range(COUNT):
        schema = SCHEMAS[number % len(SCHEMAS)]
        kind = list(KINDS)[number % len(KINDS)]
        right = Prediction("a", regions_of(schema, [random.choice(schema.labels)]), random.random(), "m1")
        wrong, named = KINDS[kind](right, random)
        people = FakeAnnotator()
        dataset = people.open("pets", schema)
        questions = [question("b", schema), replace(question("a", schema), prediction=wrong)]

        with pytest.raises(ConfigError) as caught:
            dataset.ask(questions)

        assert named in caught.value.message, (kind, wrong, caught.value.message)
        assert "nothing was sent" in caught.value.hint
        assert dataset.size() == 0
        refused[kind] += 1

    assert refused.total() == COUNT
    assert min(refused.values()) >= COUNT // len(KINDS)


@pytest.mark.parametrize("kind", OTHERS)
def test_every_type_of_region_but_a_choice_is_refused(kind: str) -> None:
    schema = SCHEMAS[0]
    region = {"from_name": "label", "to_name": "image", "type": kind, "value": OTHERS[kind]}

    assert any(f"type is {kind!r}, not 'choices'" in fault for fault in problems(schema, [region], 0.5))


def test_two_model_versions_in_one_call_are_refused() -> None:
    schema = SCHEMAS[0]
    first, second = (Prediction(name, regions_of(schema, ["cat"]), 0.5, f"m-{name}") for name in "ab")

    with pytest.raises(ConfigError, match="model_version"):
        checked_version(schema, [Question(Item("a", "image"), first), Question(Item("b", "image"), second)])


def test_a_right_prediction_of_each_schema_is_sent() -> None:
    for schema in SCHEMAS:
        guess = Prediction("a", regions_of(schema, ["dog"]), 0.5, "m1")
        assert checked_version(schema, [Question(Item("a", schema.modality), guess)]) == "m1"


def question(name: str, schema: LabelSchema) -> Question:
    """An item asked blind."""
    return Question(Item(name, schema.modality, text=name))
