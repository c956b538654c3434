"""A survey: everything there is in a project, read once, with what is amiss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.buckets import is_stale
from labelloop.backends.label_studio.delivery import SHOWN
from labelloop.backends.label_studio.display import SHOWS
from labelloop.backends.label_studio.project import Project
from labelloop.backends.label_studio.reading import ANSWER_FIELDS, heard_of
from labelloop.backends.label_studio.tasks import BY_SCORE, IN_ORDER, UID, UNREAD, Row, is_unread
from labelloop.kinds.task_data import object_name
from labelloop.types import Survey, Unheard

_QUEUES = {BY_SCORE: "turns", IN_ORDER: "asked"}


def surveyed(place: Project, email: Callable[[int], str], since: datetime) -> Survey:
    """Everything there is, in one scan and a few small requests.

    Args:
        place: The project.
        email: The name of an account by its number.
        since: Tasks that changed later are fresh.
    """
    rows = [row for page in _everything(place) for row in page]
    ours = [row for row in rows if UID in row["data"]]
    shown = [row for row in ours if not is_unread(row)]
    unread = [row for row in rows if is_unread(row) or row.get(tasks.PARTLY)]
    versions = place.client.call("GET", f"{place.path}/model-versions", query={"extended": "true"})["static"]
    bucket = place.bucket()
    stale = bool(bucket and is_stale(place.client, place.number, bucket))
    project = place.look(f"model_version,sampling,{SHOWS}")
    sampling = str(project["sampling"])
    return Survey(
        heard={item.item_id: item for item, _ in (heard_of(row, email) for row in shown)},
        twins=_twins(ours),
        foreign=sum(not is_unread(row) and UID not in row["data"] for row in rows),
        versions={str(one["model_version"] or ""): int(one["count"]) for one in versions},
        shown=str(project["model_version"] or ""),
        hidden=not project.get(SHOWS, True),
        queue=_QUEUES.get(sampling, sampling),
        stale="Label Studio has older credentials of the bucket, or several storages of it" if stale else "",
        unconfirmed=len(place.unconfirmed.ids()),
        fresh=frozenset(str(row["data"][UID]) for row in ours if tasks.moment(row["updated_at"]) > since),
        swapped=frozenset(str(row["data"][UID]) for row in shown if _is_swapped(row, object_name(place.schema))),
        unheard=tuple(Unheard(str(row["id"]), str(row["data"].get(UID, "")), _why(row)) for row in unread),
    )


def _everything(place: Project) -> Iterator[list[Row]]:
    fields = f"{ANSWER_FIELDS},meta"
    return tasks.scan(place.client, place.number, [], fields, size=place.page_size, everything=True)


def _twins(ours: Sequence[Row]) -> dict[str, list[str]]:
    """Item id -> its tasks, where it has several."""
    ids: dict[str, list[str]] = {}
    for row in ours:
        ids.setdefault(str(row["data"][UID]), []).append(str(row["id"]))
    return {item: numbers for item, numbers in ids.items() if len(numbers) > 1}


def _is_swapped(row: Row, name: str) -> bool:
    """Whether a task shows another thing than it was made with."""
    made = row.get("meta") or {}
    return SHOWN in made and row["data"].get(name) != made[SHOWN]


def _why(row: Row) -> str:
    """Why a task, or some of its answers, could not be read."""
    return str(row.get(UNREAD) or row[tasks.PARTLY])
