"""Counts of a project from Label Studio's own counters and filters, without its tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.members import everybody
from labelloop.backends.label_studio.refusals import ForeignError
from labelloop.backends.label_studio.repeats import FailedError
from labelloop.backends.label_studio.tasks import where
from labelloop.errors import NotFoundError
from labelloop.kinds.values import brief
from labelloop.types import DatasetStats

_NOT_FOUND = 404


def counted(client: Client, project: int) -> DatasetStats:
    """Counts of a project from its counters and filters; of each person, the tasks answered or skipped.

    Raises:
        NotFoundError: There is no such project.
    """
    counters = "task_number,total_annotations_number,model_version"
    found = client.call("GET", f"/api/projects/{project}", query={"include": counters})
    summary = _summary(client, project)
    unanswered = where("total_annotations", "equal", 0, "Number")
    skipped = where("cancelled_annotations", "greater", 0, "Number")
    return DatasetStats(
        total=int(found["task_number"]),
        labeled=tasks.count(client, project, [where("total_annotations", "greater", 0, "Number")]),
        skipped=tasks.count(client, project, [skipped, unanswered]),
        with_predictions=tasks.count(client, project, [where("total_predictions", "greater", 0, "Number")]),
        annotations=int(found["total_annotations_number"]),
        model_version=str(found["model_version"] or ""),
        per_label=_per_label(summary),
        per_annotator=_per_annotator(client, project),
    )


def _summary(client: Client, project: int) -> Mapping[str, Any]:
    """Label Studio's counts of labels; nothing where somebody wrote a label that it cannot show."""
    try:
        found: Mapping[str, Any] = client.call("GET", f"/api/projects/{project}/summary", attempts=2)
    except FailedError:
        return {}
    return found


def _per_label(summary: Mapping[str, Any]) -> dict[str, int]:
    """Label -> answers that say so; of a long label its beginning."""
    counts: Counter[str] = Counter()
    for labels in (summary.get("created_labels") or {}).values():
        for label, n in labels.items():
            counts[brief(label)] += int(n)
    return dict(counts)


def _per_annotator(client: Client, project: int) -> dict[str, int]:
    """Email -> tasks she answered or skipped: one small request for each person who did."""
    try:
        found = client.call("GET", f"/api/projects/{project}/annotators/")
        people = {int(person["id"]): str(person["email"]) for person in found}
    except (NotFoundError, ForeignError) as error:  # an older server names everybody only, and shows a page here
        if isinstance(error, ForeignError) and error.status != _NOT_FOUND:
            raise
        people = everybody(client)
    counts = {
        email: tasks.count(client, project, [where("annotators", "contains", number, "List")])
        for number, email in people.items()
    }
    return {email: count for email, count in counts.items() if count}
