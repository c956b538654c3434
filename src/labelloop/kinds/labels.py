"""Between Label Studio's regions, label names and columns of targets; and what we believe of what people said."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, get_args

from labelloop.errors import ConfigError
from labelloop.types import Annotation, LabelSchema, Prediction, Region, Turn, version_behind

if TYPE_CHECKING:
    import numpy as np

ConsensusMethod = Literal["newest", "majority", "unanimous", "weighted"]
UNKEPT = "labelloop-unkept"
_REGION_FIELDS = {"id", "from_name", "to_name", "type", "value", "score", "origin"}
Reading = tuple[Annotation, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Consensus:
    """What we believe about one item.

    Attributes:
        names: Its labels in the order of the schema; None while nothing can be believed. An empty tuple is an
            answer: "none of the labels", for a multiple choice.
        set_aside: Annotation id -> why it does not count.
    """

    names: tuple[str, ...] | None = None
    set_aside: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsensusOfMany:
    """What we believe about many items.

    Attributes:
        names: Item id -> its labels; an item about which nothing can be believed is absent.
        strange: Item id -> why an answer to it was set aside, whether or not another one is believed.
    """

    names: Mapping[str, tuple[str, ...]]
    strange: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """People do not say the same about an item.

    Attributes:
        votes: Annotator -> her last word.
        believed: What is believed nevertheless; None if nothing is.
        tied: Whether no answer has more votes than every other one.
    """

    item_id: str
    votes: Mapping[str, tuple[str, ...]]
    believed: tuple[str, ...] | None
    tied: bool


def brief(value: Any, most: int = 80) -> str:
    """Something that people wrote, short enough for a line."""
    text = value if isinstance(value, str) else repr(value)
    shown = text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
    return shown.encode("utf-8", "backslashreplace").decode()


def unkept(why: str, what: Any = None) -> Region:
    """The region that stands for an annotation, or a part of it, which is not kept as it was said: it labels nothing.

    Args:
        why: What is the matter with it, in words after "it".
        what: What was said, where that is kept.
    """
    return {"type": UNKEPT, "value": {"why": why} if what is None else {"why": why, "said": what}}


def regions_of(schema: LabelSchema, names: Sequence[str]) -> tuple[Region, ...]:
    """The regions that say `names`; no region when there are none.

    Raises:
        ConfigError: A name is not a label of the schema, or several are given for a single choice.
    """
    for name in names:
        _known(schema, name)
    chosen = _in_order(schema, names)
    if len(chosen) > 1 and not schema.multiple:
        raise ConfigError(_too_many(chosen), 'give one label, or set task = "multiple-choice" under [dataset]')
    if not chosen:
        return ()
    return (
        {
            "from_name": schema.control,
            "to_name": schema.modality,
            "type": "choices",
            "value": {"choices": list(chosen)},
        },
    )


def names_of(schema: LabelSchema, regions: Sequence[Region]) -> tuple[str, ...]:
    """The labels that `regions` say, in the order of the schema; other controls' regions are passed over.

    Raises:
        ConfigError: A label is unknown to the schema, or the value is not a list of labels.
    """
    ours = [region for region in regions if region.get("from_name") == schema.control]
    said = [name for region in ours for name in _choices(region)]
    for name in said:
        _known(schema, name)
    return _in_order(schema, said)


def problems(schema: LabelSchema, regions: Sequence[Region], score: float) -> list[str]:
    """Every fault of a prediction, each naming its field; empty when it fits the schema.

    Args:
        regions: The prediction's regions, as they would be sent.
        score: The prediction's confidence; must be in [0, 1].
    """
    found = [fault for i, region in enumerate(regions) for fault in _region_problems(schema, region, f"result[{i}]")]
    most, fewest = 1, 0 if schema.multiple else 1
    if not found and not fewest <= len(regions) <= most:
        choice = "multiple choice has at most" if schema.multiple else "single choice has exactly"
        found.append(f"result has {len(regions)} regions, a {choice} 1")
    return found + _score_problems(score)


def believe(schema: LabelSchema, annotations: Sequence[Annotation], policy: ConsensusMethod = "newest") -> Consensus:
    """Decide what one item's labels are, from everything people say about it now.

    Skips are passed over. Annotations that do not fit the schema are set aside, with the reason. Where there is
    ground truth, only ground truth counts.

    Args:
        policy: `newest` believes the last annotation. `majority` gives every annotator one vote (their last
            annotation) and takes what most say: the label of a single choice, each label on its own for a
            multiple choice; a tie goes to the newest annotation. `unanimous` believes what everybody says, and
            nothing where they differ. `weighted` is `majority` for a single item; only among many does it show who is
            reliable (`believe_all`).

    Raises:
        ConfigError: The policy is unknown.
    """
    if policy not in get_args(ConsensusMethod):
        raise ConfigError(
            f"belief policy {policy!r} does not exist", f"choose one of: {', '.join(get_args(ConsensusMethod))}"
        )
    readings, set_aside = _readings(schema, annotations)
    if not readings:
        return Consensus(None, set_aside)
    if policy == "newest":
        return Consensus(readings[-1][1], set_aside)
    if policy == "unanimous":
        said = set(_votes(readings).values())
        return Consensus(readings[-1][1] if len(said) == 1 else None, set_aside)
    return Consensus(_majority(schema, readings), set_aside)


def _readings(schema: LabelSchema, annotations: Sequence[Annotation]) -> tuple[list[Reading], dict[str, str]]:
    """What counts, oldest first, and what is set aside: annotation id -> why."""
    readings: list[Reading] = []
    set_aside: dict[str, str] = {}
    for annotation in sorted((one for one in annotations if not one.skipped), key=_age):
        try:
            readings.append((annotation, _read(schema, annotation)))
        except ConfigError as error:
            set_aside[annotation.id] = error.message
    return [reading for reading in readings if reading[0].ground_truth] or readings, set_aside


def _votes(readings: Sequence[Reading]) -> dict[str, tuple[str, ...]]:
    """Annotator -> her last word."""
    return {annotation.annotator: names for annotation, names in readings}


def believe_all(
    schema: LabelSchema, by_item: Mapping[str, Sequence[Annotation]], policy: ConsensusMethod = "newest"
) -> ConsensusOfMany:
    """`believe`, for many items: item id -> everything people say about it now.

    `weighted` gives the vote of an annotator the weight that her agreement with the others has earned her, by Dawid and
    Skene's model; for a multiple choice each label is a question of its own. Ground truth counts, and teaches who is
    reliable. Where two answers are equally probable, the newest annotation decides.

    Raises:
        ConfigError: The policy is unknown.
    """
    beliefs = {item_id: believe(schema, annotations, policy) for item_id, annotations in by_item.items()}
    names = {item_id: belief.names for item_id, belief in beliefs.items() if belief.names is not None}
    return ConsensusOfMany(
        names=_weighted(schema, by_item, names) if policy == "weighted" else names,
        strange={
            item_id: "; ".join(belief.set_aside.values()) for item_id, belief in beliefs.items() if belief.set_aside
        },
    )


def disagreements(
    schema: LabelSchema, by_item: Mapping[str, Sequence[Annotation]], policy: ConsensusMethod = "newest"
) -> list[Disagreement]:
    """The items about which people do not say the same, in the order they come; ground truth settles an item."""
    believed = believe_all(schema, by_item, policy).names
    found = []
    for item_id, said in by_item.items():
        votes = _votes(_readings(schema, said)[0])
        counts = Counter(votes.values()).most_common(2)
        if len(counts) == 2:
            tied = counts[0][1] == counts[1][1]
            found.append(Disagreement(item_id, votes, believed.get(item_id), tied))
    return found


def votes(schema: LabelSchema, annotations: Sequence[Annotation]) -> Mapping[str, tuple[str, ...]]:
    """Annotator -> her last word about one item, of the answers that count."""
    return _votes(_readings(schema, annotations)[0])


def _weighted(
    schema: LabelSchema, by_item: Mapping[str, Sequence[Annotation]], majority: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The most probable labels of every item that has an answer."""
    readings = {item_id: _readings(schema, by_item[item_id])[0] for item_id in majority}
    if not schema.multiple:
        return {
            item_id: (schema.labels[column],)
            for item_id, column in _most_probable(
                readings, lambda names: schema.labels.index(names[0]), len(schema.labels)
            ).items()
        }
    chosen: dict[str, tuple[str, ...]] = dict.fromkeys(readings, ())
    for label in schema.labels:
        says = _most_probable(readings, lambda names, label=label: int(label in names), 2)  # type: ignore[misc]
        chosen = {item_id: (*names, label) if says[item_id] else names for item_id, names in chosen.items()}
    return chosen


def _most_probable(
    readings: Mapping[str, Sequence[Reading]], class_of: Callable[[tuple[str, ...]], int], classes: int
) -> dict[str, int]:
    """Item id -> its most probable class."""
    from labelloop.kinds.reliability import Vote, probable

    people: dict[str, int] = {}
    votes, known = [], {}
    for row, said in enumerate(readings.values()):
        for person, names in _votes(said).items():
            votes.append(Vote(row, people.setdefault(person, len(people)), class_of(names)))
        if said[-1][0].ground_truth:
            known[row] = class_of(said[-1][1])
    likely = probable(votes, len(readings), classes, known)
    found = {}
    for row, (item_id, said) in enumerate(readings.items()):
        best = {int(column) for column in (likely[row] > likely[row].max() - 1e-9).nonzero()[0]}
        newest = [class_of(names) for _, names in reversed(said) if class_of(names) in best]
        found[item_id] = newest[0] if newest else min(best)
    return found


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
            _known(schema, name)
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


def _known(schema: LabelSchema, name: Any) -> None:
    if name not in schema.labels:
        said = brief(repr(name))
        raise ConfigError(f"label {said} is not in the label schema", f"the labels are: {', '.join(schema.labels)}")


def _in_order(schema: LabelSchema, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(label for label in schema.labels if label in names)


def _too_many(names: Sequence[str]) -> str:
    return f"{len(names)} labels ({brief(', '.join(names))}) for a single choice"


def _choices(region: Region) -> list[Any]:
    value = region.get("value")
    choices = value.get("choices") if isinstance(value, Mapping) else None
    if not isinstance(choices, list | tuple):
        raise ConfigError(f"value is {brief(value)}, without a list of choices", 'write it as {"choices": ["..."]}')
    return list(choices)


def _read(schema: LabelSchema, annotation: Annotation) -> tuple[str, ...]:
    """The labels an annotation says, where it can be believed."""
    names = names_of(schema, annotation.regions)
    if len(names) > 1 and not schema.multiple:
        raise ConfigError(_too_many(names))
    if names or (schema.multiple and not annotation.regions):
        return names
    for region in annotation.regions:
        if region.get("type") == UNKEPT:
            raise ConfigError(f"annotation {annotation.id} {region['value']['why']}")
    raise ConfigError(f"annotation {annotation.id} says nothing in the control {schema.control!r}")


def _age(annotation: Annotation) -> tuple[Any, ...]:
    """Sorts the newest last; ids that count upwards break ties."""
    return annotation.updated_at, annotation.created_at, len(annotation.id), annotation.id


def _majority(schema: LabelSchema, readings: Sequence[Reading]) -> tuple[str, ...]:
    """What most annotators say; `readings` come oldest first."""
    votes = list(_votes(readings).values())
    newest = readings[-1][1]
    if schema.multiple:
        count = Counter(name for vote in votes for name in vote)
        return tuple(
            label
            for label in schema.labels
            if 2 * count[label] > len(votes) or (2 * count[label] == len(votes) and label in newest)
        )
    counts = Counter(votes)
    most = max(counts.values())
    tied = {names for names, number in counts.items() if number == most}
    return next(names for _, names in reversed(readings) if names in tied)


def _region_problems(schema: LabelSchema, region: Region, where: str) -> list[str]:
    if not isinstance(region, Mapping):
        return [f"{where} is {region!r}, not a region"]
    wanted = {"from_name": schema.control, "to_name": schema.modality, "type": "choices"}
    found = [
        f"{where}.{key} is {region.get(key)!r}, not {value!r}"
        for key, value in wanted.items()
        if region.get(key) != value
    ]
    found += [f"{where}.{key} is no field of a choice" for key in sorted(region.keys() - _REGION_FIELDS, key=str)]
    if "id" in region and not (isinstance(region["id"], str) and region["id"]):
        found.append(f"{where}.id is {region['id']!r}, not a name")
    if "score" in region:
        found += [f"{where}.{fault}" for fault in _score_problems(region["score"])]
    return found + _value_problems(schema, region.get("value"), f"{where}.value")


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
        found.append(f"{where}.choices has {_too_many([str(choice) for choice in choices])}")
    return found


def _score_problems(score: Any) -> list[str]:
    if isinstance(score, bool) or not isinstance(score, Real):
        return [f"score is {score!r}, not a number"]
    return [] if 0.0 <= float(score) <= 1.0 else [f"score is {score!r}, not between 0 and 1"]
