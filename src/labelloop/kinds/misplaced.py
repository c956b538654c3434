"""Answers that cannot be about the text of their item, as it was edited since: they are kept, and count no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from labelloop.errors import ConfigError
from labelloop.kinds.consensus import refusing
from labelloop.kinds.kind import Codec, Placed, answer_in
from labelloop.kinds.schema import LabelSchema
from labelloop.types import Annotation

Texts = Callable[[Sequence[str]], Mapping[str, str]]
"""Item ids -> their texts; an item without one is absent."""


class Pointing(Codec, Placed, Protocol):
    """A kind whose answers point at places in a text."""


def with_misplaced_refused(
    schema: LabelSchema, said: Mapping[str, Sequence[Annotation]], texts: Texts
) -> dict[str, list[Annotation]]:
    """What people say by item, in which every answer that cannot be about the text of its item says so.

    What is asked about a column beside the text is left as it is.
    """
    about_it = [one for one in schema.controls if one.shown == schema.about]
    pointing: dict[object, Pointing] = {one.name: one.kind for one in about_it if isinstance(one.kind, Placed)}
    found = {item_id: list(annotations) for item_id, annotations in said.items()}
    if not pointing:
        return found
    about = [item_id for item_id, annotations in found.items() if any(_points(pointing, one) for one in annotations)]
    for item_id, text in texts(about).items():
        found[item_id] = [_refused(pointing, one, text) for one in found[item_id]]
    return found


def _points(pointing: Mapping[object, Pointing], annotation: Annotation) -> bool:
    names = (region.get("from_name") for region in annotation.regions)
    return any(isinstance(name, str) and name in pointing for name in names)


def _refused(pointing: Mapping[object, Pointing], annotation: Annotation, text: str) -> Annotation:
    whys = ((str(name), _why(kind, name, annotation, text)) for name, kind in pointing.items())
    added = tuple(refusing(name, why) for name, why in whys if why)
    return replace(annotation, regions=(*annotation.regions, *added)) if added else annotation


def _why(kind: Pointing, name: object, annotation: Annotation, text: str) -> str:
    ours = [region for region in annotation.regions if region.get("from_name") == name]
    try:
        answer = answer_in(kind, ours) if ours else None
    except ConfigError:
        return ""  # set aside for what it is
    why = kind.misplaced(answer, text) if answer is not None else ""
    return f"{why}, which may have been edited since" if why else ""
