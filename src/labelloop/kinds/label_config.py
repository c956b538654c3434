"""A label config that people wrote: what they see, what is asked, and which of it can be learned from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from labelloop.errors import ConfigError
from labelloop.kinds.kind import Kind, TagReader
from labelloop.kinds.regions import Regions
from labelloop.kinds.schema import IN_PARTS, Control, LabelSchema, ObjectTag, OwnConfig, schema_around
from labelloop.kinds.values import brief
from labelloop.types import Modality

LONGEST = 1 << 20
"""Characters of a label config that are read."""

READ = ("Text", "HyperText", *IN_PARTS)
"""Objects whose content is text, flat or in parts, that a learner can read."""

NOT_ON_THE_PAGE = ("Chat", "OcrLabels")
"""Tags that the server of Label Studio's open edition takes, up to 1.23.2, and its page does not know."""

_ANSWERING = ("Chat",)
"""Objects that people answer in, without a control."""

_NO_CONTROLS = ("Filter", "Shortcut", "Style", "Choice", "Label")
_SINGLE = re.compile(r"\$([A-Za-z_]\w*)")
_SHOWING = ("value", "valueList", "audio", "video", "target", "hint", "url")


@dataclass(frozen=True, slots=True)
class ControlTag:
    """One control of a label config, and what becomes of its answers.

    Attributes:
        name: The control.
        tag: What it is.
        shown: The objects that it points at.
        flavor: The name of the kind that reads it; empty where none does.
        kind: That kind.
        sees: Whether a learner can read what it asks about.
    """

    name: str
    tag: str
    shown: tuple[ObjectTag, ...]
    flavor: str = ""
    kind: Kind | None = None
    sees: bool = False


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """A label config as it was read.

    Attributes:
        xml: As it was written.
        shown: What people see that has a name.
        columns: The columns of a table that it shows, the first as it first shows them.
        asked: Its controls, in their order.
    """

    xml: str
    shown: tuple[ObjectTag, ...]
    columns: tuple[str, ...]
    asked: tuple[ControlTag, ...]

    def main(self, name: str = "", learnable: Sequence[str] = ()) -> ControlTag:
        """The control whose answers are learned from, and whose score is the score.

        Args:
            name: Of the control; empty takes the first that can be learned from, else the first that is read.
            learnable: Names of kinds that have a learner of their own.

        Raises:
            ConfigError: There is no control of this name, or none at all.
        """
        names = ", ".join(one.name for one in self.asked)
        if not self.asked:
            raise ConfigError("the label config asks nothing: it has no control", "add one, such as Choices")
        if name and not any(one.name == name for one in self.asked):
            raise ConfigError(f"the label config has no control {name!r}", f"dataset.main is one of: {names}")
        if name:
            return next(one for one in self.asked if one.name == name)
        ranked = sorted(self.asked, key=lambda one: (not one.sees, one.flavor not in learnable, one.kind is None))
        return ranked[0]

    def schema(self, main: ControlTag) -> LabelSchema:
        """What people are asked.

        Args:
            main: One of the controls.
        """
        around = Control(main.name, main.kind or Regions(main.tag), ",".join(one.name for one in main.shown))
        beside = tuple(
            Control(one.name, one.kind, ",".join(shown.name for shown in one.shown))
            for one in self.asked
            if one.kind is not None and one.name != main.name
        )
        own = OwnConfig(self.xml, self.shown, self.columns, around.shown)
        return schema_around(around, self.modality(main), beside=beside, own=own)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Tags in it that people see an error in place of."""
        tags = [*(one.tag for one in self.shown), *(one.tag for one in self.asked)]
        return tuple(dict.fromkeys(tag for tag in tags if tag in NOT_ON_THE_PAGE))

    def modality(self, main: ControlTag) -> Modality:
        """What learners are given of an item: a picture, or its texts."""
        return "image" if [one.tag for one in main.shown] == ["Image"] else "text"


def read_label_config(xml: str, kinds: Mapping[str, Any]) -> LabelConfig:
    """A label config, with each control as the first kind reads it that can.

    Args:
        kinds: Name -> the class of a kind.

    Raises:
        ConfigError: It is no XML (line and column are told), two things have one name, a control points at nothing, or
            a control asks for something that nobody can answer.
    """
    nodes = list(_root(xml).iter())
    shown = [_shown(node) for node in nodes if _is_object(node)]
    named = {one.name: one for one in shown}
    asked = [_asked(node, named, kinds) for node in nodes if node.get("name") and _is_control(node)]
    asked += [ControlTag(one.name, one.tag, (one,), sees=False) for one in shown if one.tag in _ANSWERING]
    names = [one.name for one in shown] + [one.name for one in asked if one.tag not in _ANSWERING]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"the label config has two tags of the name {twice[0]!r}", "name each tag once")
    return LabelConfig(xml, tuple(shown), tuple(dict.fromkeys(_columns(nodes))), tuple(asked))


def _root(xml: str) -> ElementTree.Element:
    if len(xml) > LONGEST:
        raise ConfigError(f"the label config has {len(xml):,} characters", f"at most {LONGEST:,}")
    try:
        return ElementTree.fromstring(xml)  # noqa: S314 - expat >= 2.4 refuses entity bombs
    except ElementTree.ParseError as error:
        line, column = error.position
        why = str(error).partition(":")[0]
        raise ConfigError(f"line {line}, column {column + 1}: {why}", "correct the XML there, or just before") from None


def _is_control(node: ElementTree.Element) -> bool:
    return node.get("toName") is not None and node.tag not in (*_NO_CONTROLS, *_ANSWERING)


def _is_object(node: ElementTree.Element) -> bool:
    is_free = node.get("toName") is None or node.tag in _ANSWERING
    return bool(node.get("name") and (node.get("value") or node.get("valueList"))) and is_free


def _shown(node: ElementTree.Element) -> ObjectTag:
    whole = _SINGLE.match(node.get("value") or node.get("valueList") or "")
    is_link = node.get("valueType") == "url"
    tag = node.tag if node.get("value") else f"{node.tag}s"
    return ObjectTag(str(node.get("name")), tag, whole[1] if whole else "", node.tag in READ and not is_link)


def _asked(node: ElementTree.Element, objects: Mapping[str, ObjectTag], kinds: Mapping[str, Any]) -> ControlTag:
    name, about = str(node.get("name")), str(node.get("toName")).split(",")
    if unseen := [one for one in about if one not in objects]:
        there = ", ".join(objects) or "nothing that has a name and a value"
        raise ConfigError(f"the control {name!r} points at {unseen[0]!r}, which is not shown", f"shown are: {there}")
    shown = tuple(objects[one] for one in about)
    flavor, kind = _read(node, name, [one.tag for one in shown], kinds)
    texts, picture = all(one.is_read for one in shown), [one.tag for one in shown] == ["Image"]
    return ControlTag(name, node.tag, shown, flavor, kind, kind is not None and (texts or picture))


def _read(node: ElementTree.Element, name: str, tags: Sequence[str], kinds: Mapping[str, Any]) -> tuple[str, Any]:
    """The first kind that reads a control about the whole of what is shown, with its name; none of a region."""
    if "true" in (node.get("perRegion"), node.get("perItem")):
        return "", None
    for flavor, kind in kinds.items():
        try:
            found = kind.of_tag(node, tags) if isinstance(kind, TagReader) else None
        except ConfigError as error:
            raise ConfigError(f"the control {name!r}: {error.message}", error.hint) from error
        if found is not None:
            return flavor, found
    return "", None


def _columns(nodes: Sequence[ElementTree.Element]) -> Iterator[str]:
    for node in nodes:
        for key in _SHOWING:
            yield from _SINGLE.findall(node.get(key) or "")


def text_in(value: Any) -> str:
    """What a column shows as one text: the turns of a dialogue, the entries of a list, the rows of a table."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        who = value.get("author") or value.get("role") or value.get("name") or value.get("title")
        said = next((value[key] for key in ("text", "content", "body") if isinstance(value.get(key), str)), None)
        if said is not None:
            return f"{who}: {said}" if isinstance(who, str) else str(said)
        return "\n".join(f"{key}: {text_in(one)}" for key, one in value.items() if key != "id")
    if isinstance(value, list | tuple):
        return "\n".join(text_in(one) for one in value)
    return "" if value is None else str(value)


def in_brief(asked: ControlTag) -> str:
    """A control for people: its name, tag and what it is about."""
    return f"{brief(asked.name)} ({asked.tag} about {', '.join(one.name for one in asked.shown)})"
