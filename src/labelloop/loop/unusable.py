"""What people said that is not learned from: answers set aside, other controls, ground truth without a say, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelloop.errors import ConfigError
from labelloop.kinds import Control, LabelSchema
from labelloop.kinds.consensus import UNKEPT, ConsensusMethod, consensus_of_all
from labelloop.kinds.kind import answer_in
from labelloop.kinds.values import brief
from labelloop.ledger import Ledger
from labelloop.types import Annotation, Region, Unheard

SHOWN = 3


@dataclass(frozen=True)
class Unusable:
    """What is not learned from now.

    Attributes:
        unheard: Questions whose answers the annotator cannot show.
        set_aside: Item id -> why an answer to it does not fit the labels.
        without: Those of these items that have no other answer, and so no label.
        controls: Name of a control that labelloop does not learn from -> answers that say something in it.
        claims: Who declared ground truth without a say in it -> answers.
    """

    unheard: Sequence[Unheard]
    set_aside: Mapping[str, str]
    without: Sequence[str]
    controls: Mapping[str, int]
    claims: Mapping[str, int]

    def as_dict(self) -> Mapping[str, Any]:
        """For scripts."""
        return {
            "unheard": [{"task": one.task_id, "item": one.item_id, "why": one.why} for one in self.unheard],
            "set_aside": dict(self.set_aside),
            "without_label": list(self.without),
            "other_controls": dict(self.controls),
            "ground_truth_not_counted": dict(self.claims),
        }

    def in_words(self, answered: int, asked: int) -> list[tuple[str, str]]:
        """For people: (a word, a line).

        Args:
            answered: How many questions are answered.
            asked: How many there are.
        """
        lines = []
        if self.set_aside:
            kind = f"{len(self.without)} of them without a label: nothing else was said about them"
            head = f"{answered} of {asked} answered, answers to {len(self.set_aside)} items set aside, {kind}"
            lines.append(("set aside", f"{head}: {some_of(self.set_aside)}"))
        if self.unheard:
            lines.append(("unheard", unheard_in_words(self.unheard)))
        if self.claims:
            who = ", ".join(f"{brief(name) or 'nobody knows who'} ({n})" for name, n in self.claims.items())
            words = "ground truth of people outside loop.ground_truth_by counts as an answer like others: "
            lines.append(("claims", words + who))
        if self.controls:
            names = ", ".join(f"{brief(name)} ({n})" for name, n in list(self.controls.items())[:10])
            lines.append(("controls", f"people also answer in {names}: kept and exported, not learned from"))
        return lines


def some_of(set_aside: Mapping[str, str]) -> str:
    """The first of the items to which an answer was set aside, each with why, and how many more there are."""
    some = "; ".join(f"{brief(item)}: {why}" for item, why in list(set_aside.items())[:SHOWN])
    return some + (f"; and {len(set_aside) - SHOWN} more (--json)" if len(set_aside) > SHOWN else "")


def unheard_in_words(unheard: Sequence[Unheard]) -> str:
    """Which questions the annotator cannot show, by their numbers."""
    some = ", ".join(f"{one.task_id} (item {brief(one.item_id) or 'unknown'}: {one.why})" for one in unheard[:SHOWN])
    rest = ", ".join(one.task_id for one in unheard[SHOWN : SHOWN + 20])
    more = f", and {rest}" + (" and others (--json)" if len(unheard) > SHOWN + 20 else "") if rest else ""
    return f"answers to {len(unheard)} task(s) cannot be read and are tried again later: {some}{more}"


def unusable(ledger: Ledger, schema: LabelSchema, policy: ConsensusMethod) -> Unusable:
    """Look at everything people say now."""
    said = ledger.said(schema)
    found = consensus_of_all(schema, said, "newest" if policy == "weighted" else policy)
    controls: Counter[str] = Counter()
    for answers in said.values():
        for one in answers:
            controls.update(other_controls(schema, one.regions))
    there = {one.id for answers in said.values() for one in answers}
    return Unusable(
        unheard=ledger.answers.unheard(),
        set_aside=found.set_aside,
        without=[item for item in found.set_aside if item not in found.answers],
        controls=dict(sorted(controls.items(), key=lambda one: (-one[1], one[0]))),
        claims=dict(Counter(who for one, who in ledger.answers.claims().items() if one in there).most_common()),
    )


def other_controls(schema: LabelSchema, regions: Sequence[Region]) -> set[str]:
    """The controls that the schema does not know, in which these regions say something."""
    names = {str(region.get("from_name") or region.get("type")) for region in regions if region.get("type") != UNKEPT}
    return names - {schema.control, *(one.name for one in schema.beside)}


def extra(schema: LabelSchema, annotations: Sequence[Annotation]) -> dict[str, list[Any]]:
    """Control -> what people said in it, of those that the schema does not know."""
    found: dict[str, list[Any]] = {}
    for one in annotations:
        for region in one.regions:
            for name in other_controls(schema, [region]):
                found.setdefault(name, []).append({"annotator": one.annotator, "value": region.get("value")})
    return found


def regions_in_words(schema: LabelSchema, regions: Sequence[Region]) -> str:
    """What an annotation says: what is known of each control, as its kind tells it; empty where nothing is said."""
    known = {one.name: one for one in schema.beside}
    names = list(known)  # people may name a control by what cannot be hashed
    parts = [region_in_words(region) for region in regions if region.get("from_name") not in names]
    for name, control in known.items():
        ours = [region for region in regions if region.get("from_name") == name]
        if ours:
            parts.append(_told(control, ours))
    return "; ".join(part for part in parts if part)


def _told(control: Control, regions: Sequence[Region]) -> str:
    try:
        answer = answer_in(control.kind, regions)
    except ConfigError:
        return "; ".join(map(region_in_words, regions))
    return f"{control.name}: {control.kind.in_words(answer)}" if answer is not None else ""


def region_in_words(region: Region) -> str:
    """Any region of any control in a few words: labels as they are, other things with the control before them."""
    value = region.get("value")
    if region.get("type") == UNKEPT and isinstance(value, dict):
        return f"(it {value.get('why')})"
    if not isinstance(value, dict):
        return f"{brief(str(region.get('from_name') or region.get('type')))}: {brief(value)}"
    choices = value.get("choices")
    if isinstance(choices, list) and set(value) == {"choices"}:
        return ", ".join(brief(str(name)) for name in choices)
    parts = [_part(name, one) for name, one in value.items()]
    return f"{brief(str(region.get('from_name') or region.get('type')))}: {brief(', '.join(parts), 200)}"


def _part(name: Any, value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        value = "/".join(brief(str(one)) for one in value[:10])
    return f"{brief(str(name))} {brief(value)}"
