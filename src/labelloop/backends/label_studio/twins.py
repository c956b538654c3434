"""Each item one task: what is there twice, since an import arrived late, is found and removed."""

from __future__ import annotations

from collections.abc import Sequence

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.client import WRITE_TIMEOUT
from labelloop.backends.label_studio.project import Project
from labelloop.backends.label_studio.tasks import UID, Row

_TASK_FIELDS = "id,data,total_annotations,cancelled_annotations"


def single(place: Project, items: Sequence[str]) -> dict[str, Row]:
    """The task of each item that has one; of several, the unanswered newer ones are deleted."""
    kept: dict[str, Row] = {}
    twins = []
    for row in tasks.with_uids(place.client, place.number, items, _TASK_FIELDS):
        item = str(row["data"][UID])
        first = kept.get(item, row)
        better, worse = (row, first) if _is_answered(row) and not _is_answered(first) else (first, row)
        kept[item] = better
        if worse is not better and not _is_answered(worse):
            twins.append(int(worse["id"]))
    if twins:
        delete(place, twins)
    return kept


def delete(place: Project, numbers: Sequence[int]) -> None:
    """Delete these tasks, with their annotations and predictions."""
    place.client.call(
        "POST",
        "/api/dm/actions",
        query={"id": "delete_tasks", "project": place.number},
        body={"selectedItems": {"all": False, "included": list(numbers)}},
        timeout=WRITE_TIMEOUT,
    )


def _is_answered(row: Row) -> bool:
    return bool(row["total_annotations"] or row["cancelled_annotations"])
