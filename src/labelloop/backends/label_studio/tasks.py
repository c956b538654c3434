"""Label Studio's Data Manager: filtered, trimmed pages of a project's tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from labelloop.backends.label_studio.client import READ_TIMEOUT, WRITE_TIMEOUT, Client

UID = "labelloop_id"
"""The key of a task's data that holds our item id. Never trust Label Studio's own ids alone: SQLite re-uses them."""

IN_ORDER, BY_SCORE = "Sequential sampling", "Uncertainty sampling"
"""What Label Studio calls a label stream by task id, and one by the score of the shown predictions, lowest first.

The second goes on at random where no open task has a prediction of the version that is shown.
"""

Filter = Mapping[str, Any]
Row = Mapping[str, Any]

_SCAN_PAGE = 2000
_LONGEST_LIST = 6800
"""Bytes of a list of items in an address: proxies take lines of 8 kB, the rest of the address included."""


def where(column: str, operator: str, value: Any, kind: str) -> Filter:
    """One condition on a column of the Data Manager."""
    return {"filter": f"filter:tasks:{column}", "operator": operator, "value": value, "type": kind}


def page(
    client: Client,
    project: int,
    filters: Sequence[Filter],
    include: str,
    size: int,
    *,
    order: str = "id",
    everything: bool = False,
) -> tuple[list[Row], int]:
    """The first `size` tasks that meet every filter, and how many do.

    Args:
        include: Fields of the tasks, and of the annotations and predictions inside them.
        everything: Whether annotations and predictions come along.
    """
    answer = client.call(
        "GET",
        "/api/tasks",
        query={
            "project": project,
            "fields": "all" if everything else "task_only",
            "include": include,
            "resolve_uri": "false",
            "page": 1,
            "page_size": size,
            "query": _query(filters, order),
        },
        timeout=READ_TIMEOUT if size == 1 else WRITE_TIMEOUT,
    )
    return answer["tasks"], int(answer["total"])


def _query(filters: Sequence[Filter], order: str) -> str:
    """Conditions and order as the Data Manager reads them from an address; a body on a GET many proxies refuse."""
    said = {"filters": {"conjunction": "and", "items": list(filters)}, "ordering": [f"tasks:{order}"]}
    return json.dumps(said, separators=(",", ":")).replace("%", "%25")  # the server decodes it twice


def count(client: Client, project: int, filters: Sequence[Filter]) -> int:
    """How many tasks meet every filter."""
    return page(client, project, filters, "id", 1)[1]


def scan(
    client: Client,
    project: int,
    filters: Sequence[Filter],
    include: str,
    *,
    size: int = _SCAN_PAGE,
    everything: bool = False,
) -> Iterator[list[Row]]:
    """Pages of all tasks that meet every filter, by growing task id."""
    last = 0
    while True:
        after = [*filters, where("id", "greater", last, "Number")] if last else filters
        rows, total = page(client, project, after, include, size, everything=everything)
        if rows:
            yield rows
            last = int(rows[-1]["id"])
        if len(rows) >= total:
            return


def with_uids(
    client: Client,
    project: int,
    uids: Sequence[str],
    include: str,
    filters: Sequence[Filter] = (),
    *,
    everything: bool = False,
) -> Iterator[Row]:
    """The tasks of these items that meet every filter, by growing task id within each list that fits an address."""
    for some in _lists(uids):
        wanted = [where(f"data.{UID}", "in_list", some, "List"), *filters]
        for rows in scan(client, project, wanted, include, everything=everything):
            yield from rows


def _lists(uids: Sequence[str]) -> Iterator[list[str]]:
    """The items in turn, in lists of a few thousand bytes each."""
    some: list[str] = []
    length = 0
    for uid in uids:
        more = len(quote(json.dumps(uid).replace("%", "%25") + ","))
        if some and length + more > _LONGEST_LIST:
            yield some
            some, length = [], 0
        some.append(uid)
        length += more
    if some:
        yield some


def moment(stamp: str) -> datetime:
    """A time of Label Studio's as an aware UTC datetime."""
    return datetime.fromisoformat(stamp).astimezone(UTC)


def stamp_of(time: datetime) -> str:
    """A time in the one format the Data Manager's filters take; any other is a server error there."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
