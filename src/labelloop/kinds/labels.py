"""The main control: between regions, answers, label names and columns of targets, and what a prediction may hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from numbers import Real
from typing import TYPE_CHECKING, Any

from labelloop.errors import ConfigError
from labelloop.kinds.choices import Choices, too_many
from labelloop.kinds.kind import Answer, Kind, Labelling, answer_in
from labelloop.kinds.schema import Control, LabelSchema
from labelloop.kinds.values import known_label
from labelloop.types import Prediction, Region, Turn, version_behind

if TYPE_CHECKING:
    import numpy as np

_REGION_FIELDS = {"id", "from_name", "to_name", "type", "value", "score", "origin"}


def regions_of(schema: LabelSchema, names: Sequence[str]) -> tuple[Region, ...]:
    """The regions that say `names`; no region when there are none.

    Raises:
        ConfigError: A name is not a label of the schema, or several are given for a single choice.
    """
    return regions_saying(schema.main, tuple(names))


def regions_saying(control: Control, answer: Answer) -> tuple[Region, ...]:
    """The regions that say an answer of the control's kind.

    Raises:
        ConfigError: It is no answer.
    """
    place = {"from_name": control.name, "to_name": control.objects[0]}
    return tuple({**place, **region} for region in control.kind.write(answer))


def names_of(schema: LabelSchema, regions: Sequence[Region]) -> tuple[str, ...]:
    """The labels that `regions` say, in the order of the schema; other controls' regions are passed over.

    Raises:
        ConfigError: A label is unknown to the schema, or the value is not a list of labels.
    """
    if schema.asked is not None:
        ours = [one for one in regions if one.get("from_name") == schema.control]
        return labels_in(schema, answer_in(schema.asked, ours))
    names = _several(tuple(schema.labels)).read(
        [region for region in regions if region.get("from_name") == schema.control]
    )
    return names or ()


@lru_cache(maxsize=64)
def _several(labels: tuple[str, ...]) -> Choices:
    """Reads several labels also where one is asked for: whoever asks for one is told of all."""
    return Choices(labels, multiple=True)


def words_in(schema: LabelSchema, answer: Answer) -> tuple[str, ...]:
    """An answer of the main control for people, part by part: its labels, or its parts as its kind words them."""
    if schema.asked is None:
        return tuple(map(str, answer))  # type: ignore[call-overload]
    parts = answer if isinstance(answer, tuple) else None
    return (schema.asked.in_words(answer),) if parts is None else tuple(schema.asked.in_words((one,)) for one in parts)


def text_of(schema: LabelSchema, answer: Answer) -> str:
    """An answer of the main control as a text that `answer_of` reads: the label of a choice, else its regions."""
    if schema.asked is None:
        return str(answer[0])  # type: ignore[index]
    return json.dumps([dict(region) for region in schema.asked.write(answer)], ensure_ascii=False, sort_keys=True)


def answer_of(schema: LabelSchema, text: str) -> Answer:
    """The answer that `text_of` wrote; None where it is none in the labels of now."""
    if schema.asked is None:
        return (text,)
    try:
        return answer_in(schema.asked, json.loads(text))
    except ConfigError:
        return None


def labels_in(schema: LabelSchema, answer: Answer) -> tuple[str, ...]:
    """The labels that an answer of the main control bears, each once, in the order of the schema."""
    kind = schema.main.kind
    if answer is None or not isinstance(kind, Labelling):
        return ()
    said = set(kind.labels_in(answer))
    return tuple(label for label in schema.labels if label in said)


def problems(schema: LabelSchema, regions: Sequence[Region], score: float) -> list[str]:
    """Every fault of a prediction, each naming its field; empty when it fits the schema.

    Args:
        regions: The prediction's regions, as they would be sent.
        score: The prediction's confidence; must be in [0, 1].
    """
    found = [fault for i, region in enumerate(regions) for fault in _region_problems(schema, region, f"result[{i}]")]
    if schema.asked is not None:
        return found + ([] if found else _answer_problems(schema.asked, regions)) + _score_problems(score)
    most, fewest = 1, 0 if schema.multiple else 1
    if not found and not fewest <= len(regions) <= most:
        choice = "multiple choice has at most" if schema.multiple else "single choice has exactly"
        found.append(f"result has {len(regions)} regions, a {choice} 1")
    return found + _score_problems(score)


def targets(schema: LabelSchema, names: Sequence[Sequence[str]]) -> np.ndarray:
    """(n, k) bool of n items' labels, a column per label of the schema.

    Raises:
        ConfigError: A name is not a label of the schema.
    """
    import numpy as np  # loaded here: commands without arrays need not wait for it

    column = {label: i for i, label in enumerate(schema.labels)}
    matrix = np.zeros((len(names), len(schema.labels)), dtype=np.bool_)
    for row, said in enumerate(names):
        for name in said:
            known_label(schema.labels, name)
            matrix[row, column[name]] = True
    return matrix


def guess(schema: LabelSchema, probabilities: np.ndarray) -> tuple[tuple[str, ...], float]:
    """`guesses`, for the (k,) probabilities of one item."""
    return guesses(schema, probabilities[None])[0]


def guesses(schema: LabelSchema, probabilities: np.ndarray) -> list[tuple[tuple[str, ...], float]]:
    """The labels that a model would give to each of n items, and its confidence in [0, 1] in them.

    A single choice takes the most probable label, and its probability. A multiple choice takes the labels with a
    probability of at least one half, and the confidence of the label it is least sure of (max(p, 1 - p)), which
    is never below one half. A row with a NaN has no labels, and the score NaN.

    Args:
        probabilities: (n, k), a column per label of the schema.

    Raises:
        ConfigError: There is not one column per label.
    """
    import numpy as np

    if probabilities.ndim != 2 or probabilities.shape[1] != len(schema.labels):
        raise ConfigError(
            f"probabilities have the shape {probabilities.shape}, the schema has {len(schema.labels)} labels",
            "the model was trained for other labels; train it again: labelloop train",
        )
    missing = np.isnan(probabilities).any(axis=1)
    likely = np.where(missing[:, np.newaxis], 0.0, probabilities.astype(np.float64))
    if schema.multiple:
        scores = np.maximum(likely, 1.0 - likely).min(axis=1)
        chosen = [tuple(schema.labels[i] for i in np.flatnonzero(row)) for row in likely >= 0.5]
    else:
        scores = likely.max(axis=1)
        chosen = [(schema.labels[i],) for i in likely.argmax(axis=1)]
    return [
        ((), math.nan) if absent else (names, float(score))
        for names, score, absent in zip(chosen, np.clip(scores, 0.0, 1.0), missing, strict=True)
    ]


def prediction_of(guess: Prediction | None, turn: Turn | None) -> dict[str, Any]:
    """A guess, or its absence, as a prediction in Label Studio's shape.

    Label Studio's queue goes by a prediction's score. So the score is the turn, where there is one, and the model's
    confidence stands with each region.
    """
    confidence = float(guess.score) if guess else None
    regions = [dict(region) for region in guess.regions] if guess else []
    version = version_behind(guess, turn)
    if turn is None:
        return {"result": regions, "score": confidence, "model_version": version}
    scored = [{**region, "score": confidence} for region in regions]
    return {"result": scored, "score": float(turn.at), "model_version": version}


def _region_problems(schema: LabelSchema, region: Region, where: str) -> list[str]:
    if not isinstance(region, Mapping):
        return [f"{where} is {region!r}, not a region"]
    what = "choice" if schema.asked is None else "region"
    wanted = {"from_name": schema.control, "to_name": schema.main.objects[0], "type": schema.main.kind.region_type}
    found = [
        f"{where}.{key} is {region.get(key)!r}, not {value!r}"
        for key, value in wanted.items()
        if region.get(key) != value
    ]
    found += [f"{where}.{key} is no field of a {what}" for key in sorted(region.keys() - _REGION_FIELDS, key=str)]
    if "id" in region and not (isinstance(region["id"], str) and region["id"]):
        found.append(f"{where}.id is {region['id']!r}, not a name")
    if "score" in region:
        found += [f"{where}.{fault}" for fault in _score_problems(region["score"])]
    return found + (_value_problems(schema, region.get("value"), f"{where}.value") if schema.asked is None else [])


def _answer_problems(kind: Kind, regions: Sequence[Region]) -> list[str]:
    try:
        says = answer_in(kind, regions)
    except ConfigError as error:
        return [error.message]
    return [] if says is not None or not regions else ["result[0].value says nothing"]


def _value_problems(schema: LabelSchema, value: Any, where: str) -> list[str]:
    choices = value.get("choices") if isinstance(value, Mapping) else None
    if not isinstance(choices, list | tuple):
        return [f"{where}.choices is missing: value is {value!r}"]
    found = [f"{where}.{key} is no field of a choice" for key in sorted(value.keys() - {"choices"}, key=str)]
    unknown = [choice for choice in choices if choice not in schema.labels]
    found += [f"{where}.choices has the unknown label {choice!r}" for choice in unknown]
    if not choices:
        found.append(f"{where}.choices is empty")
    if not unknown and len(set(choices)) < len(choices):
        found.append(f"{where}.choices has a label twice: {choices!r}")
    if len(choices) > 1 and not schema.multiple:
        found.append(f"{where}.choices has {too_many([str(choice) for choice in choices])}")
    return found


def _score_problems(score: Any) -> list[str]:
    if isinstance(score, bool) or not isinstance(score, Real):
        return [f"score is {score!r}, not a number"]
    return [] if 0.0 <= float(score) <= 1.0 else [f"score is {score!r}, not between 0 and 1"]
