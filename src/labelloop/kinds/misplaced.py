"""Answers that cannot be about the text of their item, as it was edited since: they are kept, and count no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from labelloop.errors import ConfigError
from labelloop.kinds.consensus import refusing
from labelloop.kinds.kind import Placed, answer_in
from labelloop.kinds.schema import Control, LabelSchema
from labelloop.types import Annotation

Texts = Callable[[Sequence[str]], Mapping[str, str]]
"""Item ids -> their texts; an item without one is absent."""


def with_misplaced_refused(
    schema: LabelSchema, said: Mapping[str, Sequence[Annotation]], texts: Texts
) -> dict[str, list[Annotation]]:
    """What people say by item, in which every answer that cannot be about the text of its item says so.

    What is asked about a column beside the text is left as it is.
    """
    about_it = (one for one in schema.controls if one.shown == schema.modality)
    pointing = {one.name: one for one in about_it if isinstance(one.kind, Placed)}
    found = {item_id: list(annotations) for item_id, annotations in said.items()}
    if not pointing:
        return found
    about = [
        item_id for item_id, annotations in said.items() if any(_names(one) & set(pointing) for one in annotations)
    ]
    for item_id, text in texts(about).items():
        found[item_id] = [_refused(list(pointing.values()), one, text) for one in found[item_id]]
    return found


def _refused(controls: Sequence[Control], annotation: Annotation, text: str) -> Annotation:
    whys = ((control.name, _why(control, annotation, text)) for control in controls)
    added = tuple(refusing(name, why) for name, why in whys if why)
    return replace(annotation, regions=(*annotation.regions, *added)) if added else annotation


def _why(control: Control, annotation: Annotation, text: str) -> str:
    ours = [region for region in annotation.regions if region.get("from_name") == control.name]
    try:
        answer = answer_in(control.kind, ours) if ours else None
    except ConfigError:
        return ""  # set aside for what it is
    if answer is None or not isinstance(control.kind, Placed):
        return ""
    why = control.kind.misplaced(answer, text)
    return f"{why}, which may have been edited since" if why else ""


def _names(annotation: Annotation) -> set[str]:
    names = (region.get("from_name") for region in annotation.regions)
    return {name for name in names if isinstance(name, str)}
