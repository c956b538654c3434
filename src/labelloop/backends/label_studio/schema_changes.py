"""Other labels for a project: the label config, and the annotations that are taken back or put back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.config import missing_controls, with_controls
from labelloop.backends.label_studio.tasks import IN_ORDER
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.kinds import LabelSchema
from labelloop.kinds.consensus import UNKEPT
from labelloop.kinds.label_changes import said_names
from labelloop.types import Annotation


def check(client: Client, project: Mapping[str, Any], schema: LabelSchema) -> None:
    """Ask the server whether it would take the label config.

    Raises:
        ConfigError: The control is not there, or it would not.
    """
    _check(client, config_with(str(project["label_config"]), schema))


def change(client: Client, project: Mapping[str, Any], schema: LabelSchema) -> None:
    """Give the project the labels of the schema; every guess in other labels is hidden.

    Label Studio would take a config that misses labels in use without a word (their annotations keep them), and
    refuse them only in a check that is for the browser: that check is passed over on purpose.
    """
    before = str(project["label_config"])
    config = with_controls(schema, config_with(before, schema))
    _check(client, config)
    if config != before or project.get("model_version"):
        body = {"label_config": config, "model_version": "", "sampling": IN_ORDER}
        client.call("PATCH", f"/api/projects/{project['id']}", body=body)


def ask_beside(client: Client, project: Mapping[str, Any], schema: LabelSchema) -> Sequence[str]:
    """Ask the controls beside the main one that the project does not have yet; their names.

    Raises:
        ConfigError: The server refuses a control.
    """
    before = str(project["label_config"])
    missing = missing_controls(schema, before)
    if missing:
        config = with_controls(schema, before)
        _check(client, config)
        client.call("PATCH", f"/api/projects/{project['id']}", body={"label_config": config})
    return [one.name for one in missing]


def retract(client: Client, schema: LabelSchema, annotation_id: str, labels: Collection[str]) -> bool:
    """Delete an annotation if it still says one of the labels; whether it did."""
    path = f"/api/annotations/{annotation_id}/"
    try:
        said = client.call("GET", path)
        if not set(said_names(schema, said["result"] or ())) & set(labels):
            return False
        client.call("DELETE", path)
    except NotFoundError:
        return False
    return True


def restore(client: Client, task: Mapping[str, Any], said: Sequence[Annotation], people: Mapping[str, int]) -> int:
    """Put answers on a task, oldest first, unless it has others: in the names of those who gave them, or in ours.

    Args:
        task: With the annotations it has, of which the first answers may have been put back already.
        people: Email -> number of a user; whoever is not among them has left.

    Returns:
        How many were missing.
    """
    there = [one for one in sorted(task["annotations"], key=lambda one: int(one["id"])) if not one["was_cancelled"]]
    oldest_first = sorted(said, key=lambda one: (one.created_at, int(one.id)))
    if [_values(one["result"] or ()) for one in there] != [_values(one.regions) for one in oldest_first[: len(there)]]:
        return 0
    missing = [one for one in oldest_first[len(there) :] if not any(r.get("type") == UNKEPT for r in one.regions)]
    for one in missing:
        body: dict[str, Any] = {
            "result": [dict(region) for region in one.regions],
            "was_cancelled": one.skipped,
            "ground_truth": one.ground_truth,
            "lead_time": one.lead_time,
        }
        if one.annotator in people:
            body["completed_by"] = people[one.annotator]
        client.call("POST", f"/api/tasks/{task['id']}/annotations/", body=body)
    return len(missing)


def _values(regions: Iterable[Mapping[str, Any]]) -> list[Any]:
    return [region.get("value") for region in regions]


def config_with(xml: str, schema: LabelSchema) -> str:
    """A label config with the labels of the schema as its choices, and everything else as it was.

    Raises:
        ConfigError: It is not XML, or has no such control.
    """
    if schema.own is not None:
        return with_controls(schema, xml)
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - expat >= 2.4 refuses entity bombs
    except ElementTree.ParseError as error:
        raise ConfigError(f"the label config is not XML: {error}", "correct it in Label Studio") from None
    if schema.asked is not None:
        return with_controls(schema, xml)
    control = next((node for node in root.iter("Choices") if node.get("name") == schema.control), None)
    if control is None:
        raise ConfigError(f"the label config has no control {schema.control!r}", "bring it back in Label Studio")
    there = {_value(node): node for node in control.findall("Choice")}
    if list(there) == list(schema.labels):
        return xml
    freed = [node.get("hotkey") for name, node in there.items() if name not in schema.labels]
    used = {node.get("hotkey") for node in there.values()}
    spare = [key for key in freed if key] + [key for key in "1234567890" if key not in used]
    gap = next((node.tail for node in there.values()), "\n    ")
    for node in there.values():
        control.remove(node)
    for label in schema.labels:
        control.append(there[label] if label in there else _choice(label, spare, gap))
    return ElementTree.tostring(root, encoding="unicode")


def _choice(label: str, spare: list[str], gap: str | None) -> ElementTree.Element:
    node = ElementTree.Element("Choice", {"value": label})
    if spare:
        node.set("hotkey", spare.pop(0))
    node.tail = gap
    return node


def _value(node: ElementTree.Element) -> str:
    return str(node.get("alias") or node.get("value"))


def _check(client: Client, config: str) -> None:
    try:
        client.call("POST", "/api/projects/validate/", body={"label_config": config})
    except BackendError as error:
        if error.retryable:
            raise
        raise ConfigError(f"Label Studio refuses the labels: {error.message}", "choose other names") from error
