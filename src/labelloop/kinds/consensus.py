"""What we believe of what people said in one control, whatever its kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from labelloop.errors import ConfigError
from labelloop.kinds.choices import Choices
from labelloop.kinds.kind import Answer, answer_in
from labelloop.kinds.schema import Control, LabelSchema
from labelloop.types import Annotation, Region

ConsensusMethod = Literal["newest", "majority", "unanimous", "weighted"]
UNKEPT = "labelloop-unkept"
Reading = tuple[Annotation, Any]


@dataclass(frozen=True, slots=True)
class Consensus:
    """What we believe about one item.

    Attributes:
        answer: In the control's kind, such as labels in the order of the schema; None while nothing can be believed.
            An empty tuple of labels is an answer: "none of the labels", for a multiple choice.
        set_aside: Annotation id -> why it does not count.
    """

    answer: Any = None
    set_aside: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsensusOfMany:
    """What we believe about many items.

    Attributes:
        answers: Item id -> its answer; an item about which nothing can be believed is absent.
        set_aside: Item id -> why an answer to it was set aside, whether or not another one is believed.
    """

    answers: Mapping[str, Any]
    set_aside: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """People do not say the same about an item.

    Attributes:
        votes: Annotator -> her last word.
        believed: What is believed nevertheless; None if nothing is.
        tied: Whether no answer has more votes than every other one.
    """

    item_id: str
    votes: Mapping[str, Any]
    believed: Any
    tied: bool


def unkept(why: str, what: Any = None) -> Region:
    """The region that stands for an annotation, or a part of it, which is not kept as it was said: it labels nothing.

    Args:
        why: What is the matter with it, in words after "it".
        what: What was said, where that is kept.
    """
    return {"type": UNKEPT, "value": {"why": why} if what is None else {"why": why, "said": what}}


def refusing(control: str, why: str) -> Region:
    """The region that is added to an annotation of which nothing counts in one control, whatever it says there."""
    return {"type": UNKEPT, "from_name": control, "value": {"why": why}}


def as_said(regions: Sequence[Region]) -> tuple[Region, ...]:
    """What somebody said, without what was added about it."""
    return tuple(one for one in regions if one.get("type") != UNKEPT or "from_name" not in one)


def consensus_of(
    asked: LabelSchema | Control, annotations: Sequence[Annotation], policy: ConsensusMethod = "newest"
) -> Consensus:
    """Decide what one item's answer is, from everything people say about it now.

    Skips are passed over. Annotations that do not fit are set aside, with the reason. Where there is ground truth,
    only ground truth counts.

    Args:
        asked: The control, or a schema for its main one.
        policy: `newest` believes the last annotation. `majority` gives every annotator one vote (their last
            annotation) and takes what most say: the label of a single choice, each label on its own for a
            multiple choice, each span on its own, the median of ratings; a tie goes to the newest annotation.
            `unanimous` believes what everybody says, and nothing where they differ. `weighted` is `majority` for a
            single item; only among many does it show who is reliable (`consensus_of_all`).

    Raises:
        ConfigError: The policy is unknown.
    """
    return _consensus_of(_control(asked), annotations, policy)


def consensus_of_all(
    asked: LabelSchema | Control,
    by_item: Mapping[str, Sequence[Annotation]],
    policy: ConsensusMethod = "newest",
) -> ConsensusOfMany:
    """`consensus_of`, for many items: item id -> everything people say about it now.

    `weighted` gives the vote of an annotator the weight that her agreement with the others has earned her, by Dawid and
    Skene's model; for a multiple choice each label is a question of its own. Ground truth counts, and teaches who is
    reliable. Where two answers are equally probable, the newest annotation decides. The model is of choices alone: in
    a control of another kind it is `majority`.

    Raises:
        ConfigError: The policy is unknown.
    """
    control = _control(asked)
    beliefs = {item_id: _consensus_of(control, annotations, policy) for item_id, annotations in by_item.items()}
    answers = {item_id: belief.answer for item_id, belief in beliefs.items() if belief.answer is not None}
    if policy == "weighted" and isinstance(control.kind, Choices):
        answers = _weighted(control, control.kind, by_item, answers)
    set_aside = {
        item_id: "; ".join(belief.set_aside.values()) for item_id, belief in beliefs.items() if belief.set_aside
    }
    return ConsensusOfMany(answers, set_aside)


def disagreements(
    asked: LabelSchema | Control,
    by_item: Mapping[str, Sequence[Annotation]],
    policy: ConsensusMethod = "newest",
) -> list[Disagreement]:
    """The items about which people do not say the same, in the order they come; ground truth settles an item."""
    control = _control(asked)
    believed = consensus_of_all(control, by_item, policy).answers
    found = []
    for item_id, said in by_item.items():
        given = _votes(_readings(control, said)[0])
        counts = Counter(given.values()).most_common(2)
        if len(counts) == 2:
            tied = counts[0][1] == counts[1][1]
            found.append(Disagreement(item_id, given, believed.get(item_id), tied))
    return found


def votes(asked: LabelSchema | Control, annotations: Sequence[Annotation]) -> Mapping[str, Any]:
    """Annotator -> her last word about one item, of the answers that count; whoever spoke last comes last."""
    return _votes(_readings(_control(asked), annotations)[0])


def agreement(control: Control, by_item: Mapping[str, Sequence[Annotation]]) -> tuple[float, int]:
    """How much alike people answer: (mean similarity of two people about an item, items with two people or more).

    The mean is over items, each the mean of its pairs; 1.0 where there is no such item.
    """
    means = []
    for said in by_item.values():
        answers = list(votes(control, said).values())
        pairs = [control.kind.similarity(one, other) for i, one in enumerate(answers) for other in answers[:i]]
        if pairs:
            means.append(sum(pairs) / len(pairs))
    return (sum(means) / len(means) if means else 1.0), len(means)


def _control(asked: LabelSchema | Control) -> Control:
    return asked.main if isinstance(asked, LabelSchema) else asked


def _consensus_of(control: Control, annotations: Sequence[Annotation], policy: ConsensusMethod) -> Consensus:
    if policy not in get_args(ConsensusMethod):
        raise ConfigError(
            f"belief policy {policy!r} does not exist", f"choose one of: {', '.join(get_args(ConsensusMethod))}"
        )
    readings, set_aside = _readings(control, annotations)
    if not readings:
        return Consensus(None, set_aside)
    newest = readings[-1][1]
    if policy == "newest":
        return Consensus(newest, set_aside)
    last_words = list(_votes(readings).values())
    if policy == "unanimous":
        return Consensus(newest if len(set(last_words)) == 1 else None, set_aside)
    return Consensus(_together(control, last_words), set_aside)


def _together(control: Control, last_words: Sequence[Any]) -> Any:
    try:
        return control.kind.consensus(last_words)
    except Exception as error:
        raise ConfigError(
            f"the kind of {control.name!r} fails on {len(last_words)} answers that it has read: "
            f"{type(error).__name__}: {error}",
            "correct its consensus; labelloop.testing.kind.KindContract proves it",
        ) from error


def _readings(control: Control, annotations: Sequence[Annotation]) -> tuple[list[Reading], dict[str, str]]:
    """What counts, oldest first, and what is set aside: annotation id -> why."""
    readings: list[Reading] = []
    set_aside: dict[str, str] = {}
    for annotation in sorted((one for one in annotations if not one.skipped), key=_age):
        try:
            readings.append((annotation, read(control, annotation)))
        except ConfigError as error:
            set_aside[annotation.id] = error.message
    return [reading for reading in readings if reading[0].ground_truth] or readings, set_aside


def read(control: Control, annotation: Annotation) -> Answer:
    """What an annotation says in a control.

    Raises:
        ConfigError: It says nothing in it, or what cannot be an answer.
    """
    unkept = [one for one in annotation.regions if one.get("type") == UNKEPT]
    for region in unkept:
        if region.get("from_name") == control.name:
            raise ConfigError(f"annotation {annotation.id} {region['value']['why']}")
    unkept = [one for one in unkept if "from_name" not in one]
    ours = [region for region in annotation.regions if region.get("from_name") == control.name]
    answer = answer_in(control.kind, ours)
    silent = not annotation.regions or (control.silence and not unkept)
    if answer is not None and (ours or silent):
        return answer
    for region in unkept:
        raise ConfigError(f"annotation {annotation.id} {region['value']['why']}")
    raise ConfigError(f"annotation {annotation.id} says nothing in the control {control.name!r}")


def _votes(readings: Sequence[Reading]) -> dict[str, Any]:
    """Annotator -> her last word, whoever spoke last at the end."""
    last: dict[str, Any] = {}
    for annotation, answer in readings:
        last.pop(annotation.annotator, None)
        last[annotation.annotator] = answer
    return last


def _weighted(
    control: Control,
    kind: Choices,
    by_item: Mapping[str, Sequence[Annotation]],
    majority: Mapping[str, tuple[str, ...]],
) -> dict[str, tuple[str, ...]]:
    """The most probable labels of every item that has an answer."""
    readings = {item_id: _readings(control, by_item[item_id])[0] for item_id in majority}
    if not kind.multiple:
        columns = _most_probable(readings, lambda names: kind.labels.index(names[0]), len(kind.labels))
        return {item_id: (kind.labels[column],) for item_id, column in columns.items()}
    chosen: dict[str, tuple[str, ...]] = dict.fromkeys(readings, ())
    for label in kind.labels:
        says = _most_probable(readings, lambda names, label=label: int(label in names), 2)  # type: ignore[misc]
        chosen = {item_id: (*names, label) if says[item_id] else names for item_id, names in chosen.items()}
    return chosen


def _most_probable(
    readings: Mapping[str, Sequence[Reading]], class_of: Callable[[tuple[str, ...]], int], classes: int
) -> dict[str, int]:
    """Item id -> its most probable class."""
    from labelloop.kinds.reliability import Vote, probable

    people: dict[str, int] = {}
    given, known = [], {}
    for row, said in enumerate(readings.values()):
        for person, names in _votes(said).items():
            given.append(Vote(row, people.setdefault(person, len(people)), class_of(names)))
        if said[-1][0].ground_truth:
            known[row] = class_of(said[-1][1])
    likely = probable(given, len(readings), classes, known)
    found = {}
    for row, (item_id, said) in enumerate(readings.items()):
        best = {int(column) for column in (likely[row] > likely[row].max() - 1e-9).nonzero()[0]}
        newest = [class_of(names) for _, names in reversed(said) if class_of(names) in best]
        found[item_id] = newest[0] if newest else min(best)
    return found


def _age(annotation: Annotation) -> tuple[Any, ...]:
    """Sorts the newest last; ids that count upwards break ties."""
    return annotation.updated_at, annotation.created_at, len(annotation.id), annotation.id
