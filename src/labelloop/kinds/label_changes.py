"""Changes of the labels: what each one is, what it makes of the answers given before, and what undoes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.types import Annotation, Region

Verb = Literal["rename", "add", "remove", "merge", "split", "undo"]


@dataclass(frozen=True, slots=True)
class LabelChange:
    """One change of the labels.

    Attributes:
        before: The labels before it.
        after: The labels after it.
        mapping: Label before -> what it means after: one label; none, if it was removed; several, if nobody can know
            which. A label that is not in it means what it meant.
        again: Annotation id -> item id of the answers that were taken back, so that the item is asked again.
        undoes: The number of the change that does not count any more; 0 for none.
        number: Counts the changes of a dataset from 1; 0 before it is written down.
        at: When, in ISO 8601.
        by: Who.
        state: Whether it was carried out in every place.
    """

    verb: Verb
    before: tuple[str, ...]
    after: tuple[str, ...]
    mapping: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    again: Mapping[str, str] = field(default_factory=dict)
    undoes: int = 0
    number: int = 0
    at: str = ""
    by: str = ""
    state: Literal["planned", "done"] = "planned"

    def in_words(self) -> str:
        """The change for people."""
        lost, new = _names(_without(self.before, self.after)), _names(_without(self.after, self.before))
        if self.verb == "undo":
            return f"undo change {self.undoes}"
        if self.verb == "add":
            return f"add {new}"
        if self.verb == "remove":
            return f"remove {lost}"
        sources, targets = list(self.mapping), [one for said in self.mapping.values() for one in said]
        return f"{self.verb} {_names(sources)} into {_names(list(dict.fromkeys(targets)))}"

    def as_dict(self) -> dict[str, Any]:
        """The change as plain data."""
        return asdict(self)

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> LabelChange:
        """The change that `as_dict` wrote."""
        mapping = {old: tuple(new) for old, new in written["mapping"].items()}
        return cls(
            **{**written, "before": tuple(written["before"]), "after": tuple(written["after"]), "mapping": mapping}
        )


def rename(schema: LabelSchema, history: Sequence[LabelChange], old: str, new: str) -> LabelChange:
    """One label under another name; every answer that says the old one says the new one.

    Raises:
        ConfigError: There is no such label, the new one is there, or meant something else before.
    """
    _there(schema, [old])
    _new(schema, [new])
    after = tuple(new if label == old else label for label in schema.labels)
    return _fitting(schema, history, LabelChange("rename", schema.labels, after, {old: (new,)}))


def add(schema: LabelSchema, history: Sequence[LabelChange], names: Sequence[str]) -> LabelChange:
    """More labels, after the others. Answers that say one that was removed earlier count again.

    Raises:
        ConfigError: One is there, or meant something else before.
    """
    _new(schema, names)
    removals = [one.number for one in active(history) if one.verb == "remove" and set(one.mapping) == set(names)]
    change = LabelChange("add", schema.labels, (*schema.labels, *names), undoes=removals[-1] if removals else 0)
    return _fitting(schema, history, change)


def remove(schema: LabelSchema, history: Sequence[LabelChange], names: Sequence[str]) -> LabelChange:
    """Fewer labels; answers that say one of them are kept, and do not count.

    Raises:
        ConfigError: There is no such label, or fewer than two are left.
    """
    _there(schema, names)
    after = tuple(label for label in schema.labels if label not in names)
    return _fitting(schema, history, LabelChange("remove", schema.labels, after, dict.fromkeys(names, ())))


def merge(schema: LabelSchema, history: Sequence[LabelChange], names: Sequence[str], into: str) -> LabelChange:
    """Several labels as one, at the place of the first; answers that say any of them say that one.

    Raises:
        ConfigError: There is no such label, only one is given, or `into` is another one of the labels.
    """
    _there(schema, names)
    if len(set(names)) < 2:
        raise ConfigError(f"only {names[0]!r} is to be merged", "labelloop labels merge A B --into C")
    if into not in names:
        _new(schema, [into])
    first = min(schema.labels.index(name) for name in names)
    labels = [into if i == first else label for i, label in enumerate(schema.labels)]
    after = tuple(label for i, label in enumerate(labels) if i == first or label not in {*names, into})
    return _fitting(
        schema, history, LabelChange("merge", schema.labels, after, {n: (into,) for n in names if n != into})
    )


def split(schema: LabelSchema, history: Sequence[LabelChange], name: str, into: Sequence[str]) -> LabelChange:
    """One label as several, at its place; nobody can know which of them an answer that says it means.

    Raises:
        ConfigError: There is no such label, it is split into fewer than two, or into itself.
    """
    _there(schema, [name])
    if len(set(into)) < 2:
        raise ConfigError(f"{name!r} is to be split into {_names(into) or 'nothing'}", "name at least two labels")
    if name in into:
        raise ConfigError(
            f"{name!r} is to be split into itself and others: old answers and new ones could not be told apart",
            f"choose another name for what stays, such as 'other {name}'",
        )
    new = [one for one in into if one not in schema.labels]
    after = tuple(one for label in schema.labels for one in (new if label == name else [label]))
    return _fitting(schema, history, LabelChange("split", schema.labels, after, {name: tuple(into)}))


def undo(schema: LabelSchema, history: Sequence[LabelChange]) -> LabelChange:
    """The newest change, taken back: earlier answers say again what they said, later ones the nearest thing.

    Answers given since that say a label which is new go back to the one label it came from; where there is none, or
    several, they do not count.

    Raises:
        ConfigError: There is no change, or the labels are not those that it left behind.
    """
    counting = [one for one in active(history) if one.verb != "undo"]
    if not counting:
        raise ConfigError("there is no change of the labels to undo", "labelloop labels history")
    last = counting[-1]
    if set(last.after) != set(schema.labels):
        raise ConfigError(
            f"change {last.number} left the labels {_names(last.after)}, and they are {_names(schema.labels)} now",
            "set labels under [dataset] to what that change left, then undo it",
        )
    lost, new = _without(last.before, last.after), _without(last.after, last.before)
    mapping: dict[str, tuple[str, ...]] = {name: lost if len(lost) == 1 else () for name in new}
    return _fitting(schema, history, LabelChange("undo", schema.labels, last.before, mapping, undoes=last.number))


def active(history: Sequence[LabelChange]) -> list[LabelChange]:
    """The changes that count, oldest first: those that no later one has undone."""
    undone: set[int] = set()
    counting = []
    for one in reversed(history):
        if one.number not in undone:
            undone.add(one.undoes)
            counting.append(one)
    return counting[::-1]


def meaning(name: str, counting: Sequence[LabelChange]) -> tuple[str, ...]:
    """What a label that somebody has said means now: one label; none where it was removed; several where it was split.

    Args:
        counting: The changes that count.
    """
    meant: tuple[str, ...] = (name,)
    for change in counting:
        sure = len(meant) == 1  # what may have meant a label that was removed stays uncertain
        parts = [(change.mapping.get(one, (one,)) or (() if sure else (one,))) for one in meant]
        meant = tuple(dict.fromkeys(new for part in parts for new in part))
    return meant


def translated(schema: LabelSchema, history: Sequence[LabelChange], regions: Sequence[Region]) -> tuple[Region, ...]:
    """The regions in the labels of now.

    A label that was removed is left out of a multiple choice. Any other label that does not mean exactly one label of
    now stays as it was said, which no schema of now knows: the answer is set aside, not bent.
    """
    counting = active(history)
    made = [_region(schema, counting, region) for region in regions]
    return tuple(region for region in made if region is not None)


def retold(
    schema: LabelSchema, history: Sequence[LabelChange], said: Mapping[str, Sequence[Annotation]]
) -> dict[str, list[Annotation]]:
    """What people said about each item, in the labels of now."""
    if not history:
        return {item_id: list(annotations) for item_id, annotations in said.items()}
    return {
        item_id: [replace(one, regions=translated(schema, history, one.regions)) for one in annotations]
        for item_id, annotations in said.items()
    }


def said_names(schema: LabelSchema, regions: Iterable[Region]) -> list[str]:
    """The labels in the schema's control, whatever the schema knows."""
    return [str(name) for region in regions for name in _choices(schema, region) or ()]


def _region(schema: LabelSchema, counting: Sequence[LabelChange], region: Region) -> Region | None:
    said = _choices(schema, region)
    if said is None:
        return region
    meant = {name: meaning(str(name), counting) for name in said if isinstance(name, str)}
    choices: list[Any] = []
    for name in said:
        one = meant.get(name) if isinstance(name, str) else None
        if one is None or len(one) > 1 or (not one and not schema.multiple):
            choices.append(name)
        else:
            choices += one
    if said and not choices:
        return None
    once = [one for i, one in enumerate(choices) if one not in choices[:i]]  # people may write what cannot be hashed
    return {**region, "value": {**region["value"], schema.main.kind.region_type: once}}


def _choices(schema: LabelSchema, region: Region) -> Sequence[Any] | None:
    value = region.get("value")
    choices = value.get(schema.main.kind.region_type) if isinstance(value, Mapping) else None
    ours = region.get("from_name") == schema.control
    return choices if ours and isinstance(choices, list | tuple) else None


def _fitting(schema: LabelSchema, history: Sequence[LabelChange], change: LabelChange) -> LabelChange:
    """The change, if the labels after it can be asked, and each of them means itself."""
    schema.with_labels(change.after)
    number = max((one.number for one in history), default=0) + 1
    counting = active([*history, replace(change, number=number)])
    for label in change.after:
        meant = meaning(label, counting)
        if meant != (label,):
            raise ConfigError(
                f"{label!r} had another meaning before: answers that say it mean {_names(meant) or 'nothing'} now",
                "choose another name, or take changes back: labelloop labels undo",
            )
    return change


def _there(schema: LabelSchema, names: Sequence[str]) -> None:
    for name in names:
        if name not in schema.labels:
            raise ConfigError(f"there is no label {name!r}", f"the labels are: {', '.join(schema.labels)}")


def _new(schema: LabelSchema, names: Sequence[str]) -> None:
    for name in names:
        if name in schema.labels:
            raise ConfigError(f"label {name!r} is there already", f"the labels are: {', '.join(schema.labels)}")


def _without(these: Sequence[str], those: Sequence[str]) -> tuple[str, ...]:
    return tuple(one for one in these if one not in those)


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
