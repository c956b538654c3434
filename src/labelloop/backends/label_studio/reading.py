"""One annotation of Label Studio as ours: whatever JSON it holds, what is kept of it is sound and bounded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from labelloop.backends.label_studio.tasks import UID, UNREAD, Row, is_unread_result, moment
from labelloop.kinds.consensus import unkept
from labelloop.types import Annotation, Heard, Region

LARGEST_ANNOTATION = 2**20
"""Bytes of JSON of one annotation's regions that are kept; of a larger one only how large it is."""

ANSWER_FIELDS = (
    "id,data,updated_at,annotations,result,completed_by,updated_by,was_cancelled,ground_truth,lead_time,created_at"
)
"""Of a task and its annotations, what a hearing reads."""

Person = Callable[[int], str]


def heard_of(row: Row, person: Person) -> tuple[Heard, bool]:
    """What people say about a task, and whether some of it is too large to be kept.

    Args:
        row: The task, which could be read.
        person: The name of an account by its number.
    """
    item = str(row["data"][UID])
    made = [annotation_of(item, said, person) for said in row["annotations"]]
    return Heard(item, str(row["id"]), tuple(said for said, _ in made)), any(large for _, large in made)


def annotation_of(item: str, said: Row, person: Person) -> tuple[Annotation, bool]:
    """An annotation, and whether it was too large to be kept.

    Args:
        item: The item that it is about.
        said: As Label Studio shows it.
        person: The name of an account by its number.
    """
    regions, large = regions_in(said.get("result"))
    number = _account(said.get("completed_by"))
    writer = _account(said.get("updated_by"))
    return (
        Annotation(
            id=str(said["id"]),
            item_id=item,
            regions=regions,
            annotator=person(number) if number else f"unknown ({said['id']})",
            created_at=moment(said["created_at"]),
            updated_at=moment(said["updated_at"]),
            skipped=bool(said["was_cancelled"]),
            ground_truth=bool(said["ground_truth"]),
            lead_time=_seconds(said["lead_time"]),
            account=str(number or ""),
            declared_by=(person(writer) if writer else "") if "updated_by" in said else None,
        ),
        large,
    )


def regions_in(result: Any) -> tuple[tuple[Region, ...], bool]:
    """The regions, and whether they are too many bytes; what is no list of regions is one that says so."""
    if result is None or result == []:
        return (), False
    if is_unread_result(result):
        return (unkept(f"cannot be read: {result[UNREAD]}"),), False
    try:
        size = len(json.dumps(result))
    except RecursionError:
        return (unkept("is nested deeper than can be read"),), True
    if size > LARGEST_ANNOTATION:
        return (unkept(f"has {size:,} bytes, and {LARGEST_ANNOTATION:,} are kept at most"),), True
    if not isinstance(result, list):
        return (unkept("is no list of regions", result),), False
    return tuple(one if isinstance(one, Mapping) else unkept("is no region", one) for one in result), False


def _account(user: Any) -> int:
    """The number of a user; 0 for nobody."""
    return int(user["id"] if isinstance(user, Mapping) else user or 0)


def _seconds(lead_time: Any) -> float | None:
    """A time that somebody can have taken; None for any other number."""
    if isinstance(lead_time, bool) or not isinstance(lead_time, int | float):
        return None
    return float(lead_time) if math.isfinite(lead_time) and lead_time >= 0 else None
