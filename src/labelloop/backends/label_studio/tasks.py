"""Label Studio's Data Manager: filtered, trimmed pages of a project's tasks, and those that it cannot show."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from labelloop.backends.label_studio.bounds import understood
from labelloop.backends.label_studio.client import READ_TIMEOUT, WRITE_TIMEOUT, Client
from labelloop.backends.label_studio.loads import LONGEST_LIST, by_size
from labelloop.backends.label_studio.repeats import FailedError, TooLargeError
from labelloop.errors import BackendError, NotFoundError

UID = "labelloop_id"
"""The key of a task's data that holds our item id. Never trust Label Studio's own ids alone: SQLite re-uses them."""

IN_ORDER, BY_SCORE = "Sequential sampling", "Uncertainty sampling"
"""What Label Studio calls a label stream by task id, and one by the score of the shown predictions, lowest first.

The second goes on at random where no open task has a prediction of the version that is shown.
"""

_NUMBERS = "id,updated_at"

Filter = Mapping[str, Any]
Row = Mapping[str, Any]

UNREAD = "labelloop_unread"
"""The key of a row that says why the rest of it, but for `id`, `updated_at` and maybe `data`, could not be read."""

LARGEST_PAGE = 64 * 2**20
"""Bytes of one answer that are read at most; a longer page is halved, a task that is longer alone is set aside."""

PARTLY = "labelloop_partly"
"""The key of a row that says which of its answers could not be read; these hold why in place of their regions."""

MOST_HALVINGS = 1000
"""Requests at most to find what cannot be shown on one page; what they leave is set aside with it, for later."""

_SCAN_PAGE = 2000
MOST_NUMBERS = 400
"""Tasks that are asked for by their numbers at once, for proxies take lines of 8 kB."""

MOST_ANSWERS = 100
"""Answers to one task that are read each by itself at most."""

_LEAST = 3


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

    A task that the server cannot show is a row with `UNREAD` and what of it can be shown (`is_unread`).

    Args:
        include: Fields of the tasks, and of the annotations and predictions inside them.
        everything: Whether annotations and predictions come along.
    """
    try:
        return _page(client, project, filters, include, size, order=order, everything=everything)
    except (FailedError, TooLargeError):
        if include in ("id", _NUMBERS):
            raise  # there is nothing smaller to ask for: the server is out of order
    listed, total = _page(client, project, filters, _NUMBERS, size, order=order)
    search = _Search(client, project, include, everything)
    search.read([int(row["id"]) for row in listed])
    return [search.row(row) for row in listed], total


def alone(client: Client, project: int, listed: Sequence[Row], include: str) -> list[Row]:
    """These tasks, which could not be shown before, each by itself and answer by answer: a few requests each.

    Args:
        client: The server.
        project: The project.
        listed: With `id` and `updated_at`.
        include: Fields of the tasks, and of the annotations inside them.
    """
    search = _Search(client, project, include, True)
    for row in listed:
        search.read_alone(int(row["id"]))
    return [search.row(row) for row in listed]


def is_unread(row: Row) -> bool:
    """Whether the server could not show this task."""
    return UNREAD in row


def is_unread_result(result: Any) -> bool:
    """Whether the regions of an answer could not be read."""
    return isinstance(result, dict) and UNREAD in result


def numbered(ids: Sequence[int], *, but: bool = False) -> Filter:
    """Tasks of these numbers; with `but`, all others."""
    return where("id", "not_in_list" if but else "in_list", list(ids), "List")


def chunks(ids: Sequence[int]) -> list[Sequence[int]]:
    """The numbers in lists that fit an address."""
    return [ids[start : start + MOST_NUMBERS] for start in range(0, len(ids), MOST_NUMBERS)]


class _Search:
    """Reads tasks of which some cannot be shown: halves them until those stand alone.

    Args:
        client: The server.
        project: The project.
        include: Fields of the tasks, and of the annotations and predictions inside them.
        everything: Whether annotations and predictions come along.
    """

    def __init__(self, client: Client, project: int, include: str, everything: bool) -> None:
        self._client = client
        self._project = project
        self._include = include
        self._everything = everything
        self._left = MOST_HALVINGS
        self._found: dict[int, Row] = {}
        self._why: dict[int, str] = {}

    def read(self, ids: Sequence[int]) -> None:
        """Read these tasks, or what can be shown of them."""
        waiting = [list(some) for some in chunks(ids)][::-1]
        while waiting:
            some = waiting.pop()
            if not some:
                continue
            if self._left <= 0:
                self._why |= dict.fromkeys(some, "too many others could not be shown; it was not looked at yet")
                continue
            failed = self._try(some)
            if failed and len(some) == 1:
                self._one_by_one(some[0], failed)
            elif failed:
                middle = len(some) // 2
                waiting += [some[middle:], some[:middle]]
        self._name(list(self._why))

    def read_alone(self, task: int) -> None:
        """Read one task answer by answer."""
        self._one_by_one(task, "the annotator fails to show its answers (500)")
        if task in self._why:
            self._name([task])

    def row(self, listed: Row) -> Row:
        """The task as it was read, in place of how it was listed."""
        number = int(listed["id"])
        if number in self._why:
            named = self._found.get(number, {})
            return {**listed, "data": named.get("data") or {}, UNREAD: self._why[number]}
        return self._found.get(number) or {**listed, "data": {}, UNREAD: "it changed while it was read"}

    def _try(self, ids: Sequence[int]) -> str:
        """Read these tasks in one request: empty, or why that failed."""
        try:
            rows, _ = self._ask(ids, self._include, _LEAST if len(ids) == 1 else 1)
        except FailedError:
            return "the annotator fails to show its answers (500)"
        except TooLargeError:
            return f"its answers are longer than {LARGEST_PAGE:,} bytes, or nested too deep"
        self._found |= {int(row["id"]): row for row in rows}
        return ""

    def _one_by_one(self, task: int, failed: str) -> None:
        """Read the answers of a task each by itself, so that one that cannot be shown does not hide the others."""
        fields = self._include.split(",")
        if not self._everything or "result" not in fields:
            self._why[task] = failed
            return
        rest = ",".join(one for one in fields if one != "result")
        try:
            rows, _ = self._ask([task], rest)
        except (FailedError, TooLargeError):
            rows = []
        if not rows or len(rows[0]["annotations"]) > MOST_ANSWERS:
            self._why[task] = failed
            return
        said = [{**one, "result": self._result(int(one["id"]))} for one in rows[0]["annotations"]]
        bad = [f"answer {one['id']}: {one['result'][UNREAD]}" for one in said if is_unread_result(one["result"])]
        self._found[task] = {**rows[0], "annotations": said, PARTLY: "; ".join(bad)}

    def _result(self, annotation: int) -> Any:
        """The regions of one answer, or why they cannot be read."""
        self._left -= 1
        try:
            read = self._client.call("GET", f"/api/annotations/{annotation}/", most=LARGEST_PAGE, attempts=2)
        except (FailedError, NotFoundError):
            return {UNREAD: "the annotator fails to show it (500)"}
        except TooLargeError:
            return {UNREAD: f"it is longer than {LARGEST_PAGE:,} bytes, or nested too deep"}
        return read["result"]

    def _ask(self, ids: Sequence[int], include: str, attempts: int = 1) -> tuple[list[Row], int]:
        self._left -= 1
        return _page(
            self._client,
            self._project,
            [numbered(ids)],
            include,
            len(ids),
            everything=self._everything,
            attempts=attempts,
        )

    def _name(self, ids: Sequence[int]) -> None:
        """Find out which items they are about, where at least that can be shown."""
        for some in [*chunks(ids), *([one] for one in ids)]:
            if not some or all(one in self._found for one in some):
                continue
            try:
                rows, _ = _page(self._client, self._project, [numbered(some)], "id,data", len(some), attempts=1)
                self._found |= {int(row["id"]): row for row in rows}
            except (FailedError, TooLargeError):
                continue


def _page(
    client: Client,
    project: int,
    filters: Sequence[Filter],
    include: str,
    size: int,
    *,
    order: str = "id",
    everything: bool = False,
    attempts: int = 0,
) -> tuple[list[Row], int]:
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
        most=LARGEST_PAGE,
        attempts=attempts,
    )
    with understood(client.url):
        rows, total = list(answer["tasks"]), int(answer["total"])
        if total < 0 or len(rows) > size or not all(isinstance(row["id"], int) for row in rows):
            raise ValueError(f"{len(rows)} tasks of {total}, where at most {size} were asked for")
        return rows, total


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
            refuse_standing_still(client, last, int(rows[-1]["id"]))
            last = int(rows[-1]["id"])
        if len(rows) >= total or not rows:
            return


def refuse_standing_still(client: Client, before: Any, after: Any) -> None:
    """Pages that do not advance would be read for ever.

    Raises:
        BackendError: The last task of a page comes no later than that of the page before.
    """
    if not after > before:
        raise BackendError(
            f"Label Studio at {client.url} answers with the same tasks again and again, up to {after}",
            "check the annotator's url, and what stands before Label Studio",
        )


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
    sized = ((uid, len(quote(json.dumps(uid).replace("%", "%25") + ","))) for uid in uids)
    return by_size(sized, LONGEST_LIST, max(1, len(uids)))


def moment(stamp: str) -> datetime:
    """A time of Label Studio's as an aware UTC datetime."""
    return datetime.fromisoformat(stamp).astimezone(UTC)


def stamp_of(time: datetime) -> str:
    """A time in the one format the Data Manager's filters take; any other is a server error there."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
