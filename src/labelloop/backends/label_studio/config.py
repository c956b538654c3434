"""A label schema as Label Studio's config, what differs between the two, and whether a prediction fits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from labelloop.errors import ConfigError
from labelloop.kinds import Control, LabelSchema
from labelloop.kinds.labels import problems
from labelloop.kinds.schema import OwnConfig, object_of
from labelloop.kinds.task_data import object_name
from labelloop.types import Prediction, Question

_MATTERS = ("toName", "choice", "maxRating")
"""Attributes of a control that decide which answers there can be; others are looks."""


def config_of(schema: LabelSchema) -> str:
    """The label config people see: their own, or else the instruction, each control, the item."""
    if schema.own is not None:
        return schema.own.xml
    default = "Choose every label that fits" if schema.multiple else "Choose the label that fits best"
    default = default if schema.asked is None else schema.control
    tags = "".join(f"  {line}\n" for control in schema.controls for line in _asked(control))
    return (
        f'<View style="max-width: 60rem; margin: 0 auto">\n'
        f'  <Header size="4" value={quoteattr(_shown(schema.instruction or default))}/>\n'
        f"{tags}"
        f"{_columns_beside(schema)}"
        f"  {_shown_object(schema)}\n"
        f"</View>\n"
    )


def differences(schema: LabelSchema, project: Mapping[str, Any]) -> list[str]:
    """What a project's config says against the schema, in words; empty when they agree."""
    if schema.own is not None:
        return _differences_of_own(schema.own, str(project.get("label_config", "")))
    if schema.asked is not None:
        xml = str(project.get("label_config", ""))
        gone = [] if _named(xml, schema.control) is not None else [f"the control {schema.control!r} is gone"]
        return gone + _differences_of_controls(schema.controls, xml)
    name = object_name(schema)
    control = (project.get("parsed_label_config") or {}).get(schema.control)
    if control is None:
        return [f"the control {schema.control!r} is gone"]
    found = []
    if control.get("type") != "Choices":
        found.append(f"the control {schema.control!r} is a {control.get('type')}, not Choices")
    if control.get("to_name") != [name]:
        found.append(f"the control {schema.control!r} points at {control.get('to_name')}, not at {name!r}")
    shown = [(entry.get("type"), entry.get("value")) for entry in control.get("inputs", ())]
    if shown != [(schema.modality.capitalize(), name)]:
        found.append(f"it shows {shown}, not the {schema.modality} of each task's {name!r}")
    there = set(control.get("labels", ()))
    if missing := [label for label in schema.labels if label not in there]:
        found.append(f"labels missing in Label Studio: {', '.join(map(repr, missing))}")
    if extra := sorted(there - set(schema.labels)):
        found.append(f"labels only in Label Studio: {', '.join(map(repr, extra))}")
    if _is_multiple(str(project.get("label_config", "")), schema.control) != schema.multiple:
        found.append(f"it is no {schema.task} any more")
    return found + _differences_of_controls(schema.beside, str(project.get("label_config", "")))


def misfits(schema: LabelSchema, xml: str) -> list[str]:
    """Why what a model says of the main control cannot be shown with a label config, in words; empty when it can."""
    control, node = schema.main, _named(xml, schema.control)
    if node is None:
        return [f"the control {control.name!r} is not in it"]
    if schema.own is not None:
        return _differences_of_own(schema.own, xml, schema.control)
    ours, shown = _tag(control), _named(xml, control.shown)
    found = []
    if node.tag != ours.tag:
        found.append(f"the control {control.name!r} is a {node.tag}, not {ours.tag}")
    if node.get("toName") != control.shown:
        found.append(f"the control {control.name!r} points at {node.get('toName')!r}, not at {control.shown!r}")
    if shown is None or shown.get("value") != f"${control.shown}":
        found.append(f"it does not show {control.shown!r} of each task")
    if missing := sorted(_options(ours) - _options(node)):
        found.append(f"labels missing in Label Studio: {', '.join(map(repr, missing))}")
    return found


def missing_controls(schema: LabelSchema, xml: str) -> list[Control]:
    """The controls beside the main one that a label config does not have yet."""
    if schema.own is not None:
        return []
    there = {node.get("name") for node in _elements(xml)}
    return [control for control in schema.beside if control.name not in there]


def with_controls(schema: LabelSchema, xml: str) -> str:
    """A label config in which every control but choices to learn is asked as the schema says; the rest as it was.

    One that people brought is theirs as a whole.
    """
    if schema.own is not None:
        return schema.own.xml if _differences_of_own(schema.own, xml) else xml
    controls = schema.beside if schema.asked is None else schema.controls
    changed = {one.name for one in controls if _differs(one, _named(xml, one.name))}
    if not changed:
        return xml
    root = ElementTree.fromstring(xml)  # noqa: S314 - expat >= 2.4 refuses entity bombs
    _put_objects(root, schema)
    for control in controls:
        if control.name in changed:
            _put(root, control, control.objects[0])
    return ElementTree.tostring(root, encoding="unicode")


def checked_version(schema: LabelSchema, questions: Sequence[Question]) -> str:
    """The one model version of the questions' predictions and turns; empty when all are blind and have no turn.

    Raises:
        ConfigError: A prediction does not fit its item or the schema, or a turn is none (names the field), or there
            are two versions.
    """
    versions: dict[str, str] = {}
    for question in questions:
        guess = question.prediction
        if guess is not None:
            if guess.item_id != question.item.id:
                raise _misfit(question.item.id, f"item_id is {guess.item_id!r}, another item")
            _check(schema, guess)
        if fault := _turn_fault(question):
            raise _misfit(question.item.id, fault)
        if question.version:
            versions.setdefault(question.version, question.item.id)
    if len(versions) > 1:
        first, second = list(versions)[:2]
        also = f"item {versions[first]!r} has {first!r} in the same call"
        raise _misfit(versions[second], f"model_version is {second!r}, but {also}")
    return next(iter(versions), "")


def _check(schema: LabelSchema, guess: Prediction) -> None:
    faults = problems(schema, guess.regions, guess.score)
    if not isinstance(guess.model_version, str):
        faults.append(f"model_version is {guess.model_version!r}, not a name")
    elif not guess.model_version.strip():
        faults.append(f"model_version is {guess.model_version!r}, which is empty")
    if faults:
        raise _misfit(guess.item_id, "; ".join(faults))


def _turn_fault(question: Question) -> str:
    """What is wrong with a turn, naming its field; empty if nothing is, or there is none."""
    turn = question.turn
    if turn is None:
        return ""
    if not 0.0 <= turn.at <= 1.0:
        return f"turn.at is {turn.at!r}, not between 0 and 1"
    if not turn.version.strip():
        return f"turn.version is {turn.version!r}, which is empty"
    if turn.version != question.version:
        return f"turn.version is {turn.version!r}, but model_version is {question.version!r}"
    return ""


def _misfit(item_id: str, why: str) -> ConfigError:
    return ConfigError(
        f"the prediction for item {item_id!r} does not fit: {why}",
        "correct the learner or the label schema; nothing was sent",
    )


def _is_multiple(xml: str, control: str) -> bool:
    found = [node for node in _elements(xml) if node.tag == "Choices" and node.get("name") == control]
    return bool(found) and found[0].get("choice", "single").startswith("multiple")


def _columns_beside(schema: LabelSchema) -> str:
    asked_about = {name for control in schema.beside for name in control.objects}
    return "".join(
        f"  {line}\n"
        for column in schema.show
        for line in (_column_object(column) if object_of(column) in asked_about else [_column_line(column)])
    )


def _column_line(column: str) -> str:
    """A column that people see and are not asked about."""
    return f'<Header size="6" value={quoteattr(f"{_shown(column)}: ${object_of(column)}")}/>'


def _column_object(column: str) -> list[str]:
    """A column that people see and are asked about."""
    name = object_of(column)
    return [
        f'<Header size="6" value={quoteattr(_shown(column))}/>',
        f'<Text name="{name}" value="${name}" granularity="word"/>',
    ]


def _shown_object(schema: LabelSchema) -> str:
    name = object_name(schema)
    if schema.modality == "image":
        return f'<Image name="{name}" value="${name}" zoom="true" zoomControl="true" maxWidth="100%"/>'
    return f'<Text name="{name}" value="${name}" granularity="word"/>'


def _asked(control: Control) -> list[str]:
    """The lines of a control, with what is written above it."""
    head = [f'<Header size="5" value={quoteattr(_shown(control.instruction))}/>'] if control.instruction else []
    return head + control.kind.tag(control.name, control.shown).splitlines()


def _differences_of_controls(controls: Sequence[Control], xml: str) -> list[str]:
    """What a label config asks otherwise in these controls; one that it does not ask at all is none."""
    there = [(control, _named(xml, control.name)) for control in controls]
    return [
        f"the control {control.name!r} is asked otherwise than [controls.{control.name}] says"
        for control, node in there
        if node is not None and _differs(control, node)
    ]


def _differences_of_own(own: OwnConfig, xml: str, only: str = "") -> list[str]:
    """What a label config says otherwise than the one that people brought, tag by tag that has a name.

    Args:
        only: The name of one tag; empty looks at all.
    """
    wanted = [node for node in _elements(own.xml) if node.get("name") and only in ("", node.get("name"))]
    return [
        f"{node.tag} {node.get('name')!r} is otherwise than in the label config that labelloop.toml names"
        for node in wanted
        if _shape(node) != _shape(_named(xml, str(node.get("name"))))
    ]


def _shape(node: ElementTree.Element | None) -> Any:
    """A tag with its attributes and all below it, whatever the spaces between."""
    return None if node is None else (node.tag, node.attrib, [_shape(child) for child in node])


def _differs(control: Control, node: ElementTree.Element | None) -> bool:
    return node is None or _matter(node) != _matter(_tag(control))


def _matter(node: ElementTree.Element) -> tuple[Any, ...]:
    """What of a control decides which answers there can be."""
    return node.tag, _options(node), *(node.get(name) for name in _MATTERS)


def _options(node: ElementTree.Element) -> set[str]:
    return {child.get("alias") or child.get("value") or "" for child in node}


def _put(root: ElementTree.Element, control: Control, shown: str) -> None:
    """Ask a control as the schema says: in its place, or before what people see."""
    parents = _places(root)
    for parent, place in parents:
        if parent[place].get("name") == control.name:
            parent[place] = _tag(control)
            return
    parent, place = next((one for one in parents if one[0][one[1]].get("name") == shown), (root, len(root)))
    _insert(_asked(control), parent, place)


def _insert(lines: Sequence[str], parent: ElementTree.Element, place: int) -> None:
    made = ElementTree.fromstring(f"<View>{''.join(lines)}</View>")  # noqa: S314 - our own
    for node in reversed(made):
        parent.insert(place, node)


def _places(root: ElementTree.Element) -> list[tuple[ElementTree.Element, int]]:
    """Where each tag stands: its parent, and its number in it."""
    return [(parent, place) for parent in root.iter() for place in range(len(parent))]


def _put_objects(root: ElementTree.Element, schema: LabelSchema) -> None:
    """Show the columns that controls ask about as objects: in the place of their lines, or before the item."""
    there = {node.get("name") for node in root.iter()}
    wanted = {name for control in schema.beside for name in control.objects}
    for column in schema.show:
        name = object_of(column)
        if name not in wanted or name in there:
            continue
        parents = _places(root)
        line = f"{_shown(column)}: ${name}"
        old = [one for one in parents if one[0][one[1]].get("value") == line]
        item = [one for one in parents if one[0][one[1]].get("name") == schema.modality]
        parent, place = next(iter(old + item), (root, len(root)))
        if old:
            del parent[place]
        _insert(_column_object(column), parent, place)


def _tag(control: Control) -> ElementTree.Element:
    return ElementTree.fromstring(control.kind.tag(control.name, control.shown))  # noqa: S314 - the kind's own


def _named(xml: str, name: str) -> ElementTree.Element | None:
    return next((node for node in _elements(xml) if node.get("name") == name), None)


def _elements(xml: str) -> list[ElementTree.Element]:
    try:
        return list(ElementTree.fromstring(xml).iter())  # noqa: S314 - expat >= 2.4 refuses entity bombs
    except ElementTree.ParseError:
        return []


def _shown(instruction: str) -> str:
    """The instruction with dollar signs that Label Studio would take for variables of the task defused."""
    return re.sub(r"\$(?=\w)", "$\N{WORD JOINER}", " ".join(instruction.split()))
