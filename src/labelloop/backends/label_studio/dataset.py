"""One Label Studio project: questions go in once, answers come out as they change."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from labelloop.backends.label_studio import loads, marks, relabelling, tasks
from labelloop.backends.label_studio.aside import LONG_AGO, Cursor, without
from labelloop.backends.label_studio.bounds import EndlessError, guarded
from labelloop.backends.label_studio.buckets import have_storage, is_stale
from labelloop.backends.label_studio.client import WRITE_TIMEOUT, Client
from labelloop.backends.label_studio.config import checked_version, columns_of, object_name
from labelloop.backends.label_studio.doubts import UnconfirmedImports
from labelloop.backends.label_studio.media import shown
from labelloop.backends.label_studio.reading import annotation_of
from labelloop.backends.label_studio.refusals import ForeignError
from labelloop.backends.label_studio.repeats import FailedError
from labelloop.backends.label_studio.served import Root
from labelloop.backends.label_studio.tasks import BY_SCORE, IN_ORDER, UID, UNREAD, Row, is_unread, where
from labelloop.data.locations import ALONE, Access
from labelloop.errors import BackendError, LabelLoopError, NotFoundError
from labelloop.kinds.labels import brief, prediction_of
from labelloop.types import (
    Annotation,
    Answers,
    Asked,
    Bucket,
    DatasetStats,
    Heard,
    Item,
    LabelSchema,
    Missing,
    Question,
    Survey,
    Unheard,
)

CHUNK = 1000
"""The most tasks of one import call: larger ones are not faster, and lock a SQLite server for longer."""

OVERLAP = timedelta(seconds=20)
"""How far before its cursor a hearing starts: a long import shows up seconds after its own time stamp."""

AGAIN = 3
"""How many tasks that could not be read are tried again at one hearing, those that have waited longest first."""

_REFUSED, _NOT_FOUND = 400, 404
_QUEUES = {BY_SCORE: "turns", IN_ORDER: "asked"}
_TASK_FIELDS = "id,data,total_annotations,cancelled_annotations"
SHOWS = "show_collab_predictions"
"""The setting of a project that lets people see predictions at all: "Show predictions to annotators"."""

SHOWN = "labelloop_shown"
"""The key of a task's meta that holds what people are shown, so that a picture that somebody swapped is noticed."""

_ANSWER_FIELDS = (
    "id,data,updated_at,annotations,result,completed_by,updated_by,was_cancelled,ground_truth,lead_time,created_at"
)


@dataclass(frozen=True, slots=True)
class ProjectAccess:
    """Which project this is, and how we may treat its server.

    Attributes:
        served: Below it the server may show our local files; None when it cannot see them.
        writing: Serialises writes of all processes; Label Studio on SQLite stalls on concurrent ones.
        bucket: Where pictures can be shown from, with the credentials of now.
        access: How pictures that are uploaded are read.
    """

    client: Client
    project: int
    name: str
    served: Root | None
    writing: Callable[[], AbstractContextManager[None]]
    bucket: Callable[[], Bucket | None] = lambda: None
    access: Access = ALONE


class Recent:
    """The tasks heard shortly before the newest one: what a hearing need not repeat if nothing joined them.

    Attributes:
        newest: The latest time of change heard.
    """

    def __init__(self) -> None:
        self.newest = LONG_AGO
        self._times: dict[int, datetime] = {}

    def __len__(self) -> int:
        return len(self._times)

    def remember(self, rows: Sequence[Row], but: Collection[int] = ()) -> None:
        """These tasks were heard, in the order of their change, `but` these, which are passed over from now on."""
        self._times |= {int(row["id"]): tasks.moment(row["updated_at"]) for row in rows}
        self._times = {task: time for task, time in self._times.items() if task not in but}
        self.newest = max(self.newest, tasks.moment(rows[-1]["updated_at"]))
        oldest = self.newest - OVERLAP
        self._times = {task: time for task, time in self._times.items() if time >= oldest}

    def forget(self) -> None:
        """Some of them are gone, or others came: all will be heard again."""
        self._times = {}

    def and_also(self, rows: Sequence[Row]) -> int:
        """How many they are with these, which have changed since."""
        return len(self._times.keys() | {int(row["id"]) for row in rows})


@guarded
class LabelStudioDataset:
    """A project of Label Studio as a dataset. Made by `LabelStudioAnnotator.open`.

    Args:
        place: The project.
        schema: What people are asked.
        doubts: Remembers imports whose outcome is unknown.
        model_version: The version whose predictions annotators see now.
        sampling: What the label stream goes by now.
        people: How many people each task is shown to now.
        page_size: The most tasks per page of answers.
        clock: The time, for tests.
    """

    def __init__(
        self,
        place: ProjectAccess,
        schema: LabelSchema,
        doubts: UnconfirmedImports,
        *,
        model_version: str = "",
        sampling: str = IN_ORDER,
        people: int = 1,
        page_size: int = 500,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._place = place
        self._client = place.client
        self._project = place.project
        self._schema = schema
        self._doubts = doubts
        self._page_size = page_size
        self._clock = clock
        self._shown = (model_version, sampling)
        self._people_wanted = people
        self._people: dict[int, str] = {}
        self._recent = Recent()
        self._owner = ""
        self._hides = False
        self._size: int | None = None
        self._refused: dict[str, Missing] = {}

    def __repr__(self) -> str:
        return f"LabelStudioDataset({self._place.name!r}, {self._client.url!r})"

    @property
    def project(self) -> int:
        """Label Studio's id of the project."""
        return self._project

    def _numbered(self, ids: Sequence[int], include: str, *, everything: bool = False) -> list[Row]:
        """Those of these tasks that there are."""
        found: list[Row] = []
        for some in tasks.chunks(ids):
            one = tasks.numbered(some)
            found += tasks.page(self._client, self._project, [one], include, len(some), everything=everything)[0]
        return found

    @property
    def owner(self) -> str:
        """As whom we are here: whose ground truth counts unless somebody says otherwise."""
        if not self._owner:
            self._owner = str(self._client.whoami().get("email", ""))
        return self._owner

    def ask(self, questions: Sequence[Question], *, unasked: bool = False) -> Asked:
        """Make these items tasks, each once, with the predictions visible to annotators.

        What is there is looked up by our own id in the task's data, so asking again after any failure is safe. With
        `unasked` the tasks are counted instead: where the count is not what it was plus what was sent, somebody else
        was there too, and what is double is found and removed.

        Raises:
            ConfigError: A prediction does not fit; nothing was sent.
            NotFoundError: The project was deleted.
            BackendError: Label Studio failed, or stored less than it was sent.
        """
        version = checked_version(self._schema, questions)
        wanted = {question.item.id: question for question in questions}
        self._refused = {}
        if not wanted:
            return Asked(0, 0, 0, {})
        try:
            with self._place.writing():
                return self._ask(wanted, version, self._size if unasked else None)
        except NotFoundError as error:
            raise self._gone() from error

    def answers(self, since: str | None) -> Iterator[Answers]:
        """Pages of what people say now, about tasks changed since the cursor.

        Raises:
            ConfigError: The cursor is not one of ours.
            NotFoundError: The project was deleted.
        """
        cursor = self._not_ahead(Cursor.of(since))
        try:
            self._resolve_doubts()
            self._keep_storage()
            if cursor.aside:
                page, cursor = self._again(cursor)
                yield page
            start, passed = cursor.at, cursor.recent(OVERLAP)[: tasks.MOST_NUMBERS // 2]
            for rows in self._pages(start, [tasks.numbered(passed, but=True)] if passed else []):
                page, cursor = self._page_of(rows, cursor)
                self._recent.remember(rows, cursor.aside)
                yield page
        except NotFoundError as error:
            raise self._gone() from error

    def _page_of(self, rows: Sequence[Row], cursor: Cursor, *, again: bool = False) -> tuple[Answers, Cursor]:
        """What these rows say, and the cursor behind them; read `again`, they do not move its time."""
        large: dict[int, str] = {}
        heard = []
        for row in rows:
            if is_unread(row) or UID not in row["data"]:
                continue
            said, too_large = self._heard(row)
            heard.append(said)
            if too_large:
                large[int(row["id"])] = str(row["updated_at"])
        reached = cursor.at if again else self._reached(cursor, tasks.moment(rows[-1]["updated_at"]))
        after = Cursor(reached, without(cursor.aside, rows, large, self._clock()))
        return Answers(tuple(heard), str(after), after.unheard()), after

    def _not_ahead(self, cursor: Cursor) -> Cursor:
        """The cursor; from the beginning where the server's clock was set back behind it: it would miss what is new."""
        told = self._client.told_time
        is_ahead = cursor.at is not None and told is not None and cursor.at - told > 2 * OVERLAP
        return Cursor(None, cursor.aside) if is_ahead else cursor

    def _reached(self, cursor: Cursor, changed: datetime) -> datetime:
        """Up to when all was heard: a change that the server dates after its own time moves it no further than that."""
        told = self._client.told_time
        return max(cursor.at or LONG_AGO, changed if told is None else min(changed, told + OVERLAP / 2))

    def _again(self, cursor: Cursor) -> tuple[Answers, Cursor]:
        """Look at what is set aside: what has changed or is due is read, what is gone is forgotten."""
        there = {
            int(row["id"]): str(row["updated_at"]) for row in self._numbered(sorted(cursor.aside), "id,updated_at")
        }
        now, oldest = self._clock(), (cursor.at or LONG_AGO + OVERLAP) - OVERLAP
        kept = {
            number: one
            for number, one in cursor.aside.items()
            if number in there and (one.why or there[number] != one.changed or tasks.moment(one.changed) >= oldest)
        }
        changed = [number for number, one in kept.items() if there[number] != one.changed]
        due = sorted((one.tried, number) for number, one in kept.items() if number not in changed and one.is_due(now))
        again = [{"id": number, "updated_at": there[number]} for _, number in due[:AGAIN]]
        cursor = Cursor(cursor.at, kept)
        rows = self._numbered(changed, _ANSWER_FIELDS, everything=True)
        rows += tasks.alone(self._client, self._project, again, _ANSWER_FIELDS)
        return self._page_of(rows, cursor, again=True) if rows else (Answers((), str(cursor), cursor.unheard()), cursor)

    def present(self) -> set[str]:
        """The item ids of every task there is; costs one scan. An item that is a task twice is one afterwards.

        That happens where another machine was cut off while it sent, and what it had sent arrived late.
        """
        try:
            rows = (row for rows in tasks.scan(self._client, self._project, [], "id,data") for row in rows)
            found = Counter(str(row["data"][UID]) for row in rows if UID in row["data"])
            if twice := [item for item, times in found.items() if times > 1]:
                with self._place.writing():
                    self._lookup(twice)
        except NotFoundError as error:
            raise self._gone() from error
        return set(found)

    def size(self) -> int:
        """How many tasks there are, from a counter."""
        try:
            project = self._get(f"task_number,model_version,{SHOWS}")
            self._size = int(project["task_number"])
            self._hides = not (project.get(SHOWS, True) and project["model_version"])
            return self._size
        except NotFoundError as error:
            raise self._gone() from error

    @property
    def hides_predictions(self) -> bool:
        """Whether people saw no predictions when the project was looked at last, by `size` or `ask`.

        Somebody who switches them off in the project's settings empties what is shown with it.
        """
        return self._hides

    def reveal(self, version: str) -> None:
        """Have people see predictions again, those of this version."""
        body = {SHOWS: True, "model_version": version}
        with self._place.writing():
            self._client.call("PATCH", f"/api/projects/{self._project}", body=body)

    def share(self, people: int) -> None:
        """Show every task, also those that were asked before, to so many people; repeating changes nothing."""
        if people == self._people_wanted:
            return
        path, body = f"/api/projects/{self._project}", {"maximum_annotations": people}
        with self._place.writing():
            self._client.call("PATCH", path, query={"include": "id"}, body=body, timeout=WRITE_TIMEOUT)
        self._people_wanted = people

    def mark(self) -> str:
        """The mark of the ledger that asks the questions: see `marks`."""
        try:
            return marks.mark_of(self._client, self._project)
        except NotFoundError as error:
            raise self._gone() from error

    def set_mark(self, mark: str) -> None:
        """Put this mark in place of the one before: see `marks`."""
        with self._place.writing():
            marks.set_mark(self._client, self._project, mark)

    def swap_mark(self, before: str, after: str) -> str:
        """Put a mark in place of the one before, unless another has followed on that: see `marks`."""
        with self._place.writing():
            return marks.swap_mark(self._client, self._project, before, after)

    def stats(self) -> DatasetStats:
        """Counts from Label Studio's own counters and filters."""
        try:
            return counted(self._client, self._project)
        except NotFoundError as error:
            raise self._gone() from error

    def retract(self, again: Mapping[str, str], labels: Collection[str]) -> int:
        """Delete these annotations, so that their items are asked again; how many that were.

        Args:
            again: Annotation id -> item id.
            labels: One that says none of these labels any more was edited meanwhile, and stays.
        """
        with self._place.writing():
            return sum(relabelling.retract(self._client, self._schema, one, labels) for one in again)

    def restore(self, annotations: Sequence[Annotation]) -> int:
        """Put annotations that were deleted back, in the names of those who made them; how many.

        An item that has another annotation by now, or is gone, is left as it is. Repeating is harmless.
        """
        wanted: dict[str, list[Annotation]] = {}
        for one in annotations:
            wanted.setdefault(one.item_id, []).append(one)
        with self._place.writing():
            people = {email: number for number, email in everybody(self._client).items()}
            rows = tasks.with_uids(self._client, self._project, list(wanted), _ANSWER_FIELDS, everything=True)
            shown = [row for row in rows if not is_unread(row)]
            return sum(relabelling.restore(self._client, row, wanted[str(row["data"][UID])], people) for row in shown)

    def survey(self, since: str | None = None) -> Survey:
        """Everything there is, read once; changes nothing.

        Args:
            since: The cursor of the last hearing.
        """
        try:
            return self._survey(Cursor.of(since).at or LONG_AGO)
        except NotFoundError as error:
            raise self._gone() from error

    def tidy(self, items: Sequence[str]) -> None:
        """Have each of these items once: of several tasks, those that nobody has answered are deleted."""
        with self._place.writing():
            self._lookup(items)

    def renew(self, questions: Sequence[Question]) -> Mapping[str, Missing]:
        """Show the items of these questions from where they are now, task by task; what people said stays."""
        wanted, name = {one.item.id: one for one in questions}, object_name(self._schema)
        self._refused = {}
        with self._place.writing():
            rows = {str(row["data"][UID]): row for row in self._tasks_of(list(wanted), "id,data,meta")}
            values = self._values([wanted[item].item for item in rows])
            for item, value in values.items():
                row, meta = rows[item], _meta(wanted[item], value)
                if row["data"].get(name) == value and (row.get("meta") or {}).get(SHOWN) == value:
                    continue
                beside = columns_of(self._schema, _plain(wanted[item].item.meta))
                body = {"data": {**row["data"], **beside, name: value}, "meta": {**(row.get("meta") or {}), **meta}}
                self._client.call("PATCH", f"/api/tasks/{row['id']}/", body=body)
        return self._missing()

    def close(self, items: Sequence[str]) -> None:
        """Delete the tasks of these items, with their annotations and predictions."""
        with self._place.writing():
            numbers = [int(row["id"]) for row in self._tasks_of(items, "id,data")]
            for some in tasks.chunks(numbers):
                self._delete(some)

    def _tasks_of(self, items: Sequence[str], include: str) -> Iterator[Row]:
        return tasks.with_uids(self._client, self._project, items, include)

    def prune(self, versions: Sequence[str]) -> int:
        """Delete the predictions of these model versions, some 150 a second; how many there were.

        Those that people see are left alone. Label Studio refuses an answer that somebody began from a prediction
        which is gone by then.
        """
        path, deleted = f"/api/projects/{self._project}/model-versions", 0
        with self._place.writing():
            shown = self._get("model_version")["model_version"]
            for version in versions:
                if version == shown:
                    continue
                answer = self._client.call("DELETE", path, body={"model_version": version}, timeout=WRITE_TIMEOUT)
                deleted += int(answer["deleted_predictions"])
        return deleted

    def show(self, version: str, *, by_turns: bool) -> None:
        """Have annotators see the predictions of this version, which must have one; of none if it is empty.

        Args:
            by_turns: They get the questions by their turns, and not as they were asked.
        """
        shown = (version, BY_SCORE if by_turns else IN_ORDER)
        body = {"model_version": version, "sampling": shown[1]}
        with self._place.writing():
            self._client.call("PATCH", f"/api/projects/{self._project}", body=body)
        self._shown = shown

    def _survey(self, since: datetime) -> Survey:
        rows = [row for page in self._everything() for row in page]
        ours = [row for row in rows if UID in row["data"]]
        shown = [row for row in ours if not is_unread(row)]
        unread = [row for row in rows if is_unread(row) or row.get(tasks.PARTLY)]
        ids: dict[str, list[str]] = {}
        for row in ours:
            ids.setdefault(str(row["data"][UID]), []).append(str(row["id"]))
        path = f"/api/projects/{self._project}/model-versions"
        versions = self._client.call("GET", path, query={"extended": "true"})["static"]
        bucket = self._place.bucket()
        stale = bool(bucket and is_stale(self._client, self._project, bucket))
        project = self._get(f"model_version,sampling,{SHOWS}")
        sampling = str(project["sampling"])
        return Survey(
            heard={item.item_id: item for item, _ in map(self._heard, shown)},
            twins={item: tasks for item, tasks in ids.items() if len(tasks) > 1},
            strangers=sum(not is_unread(row) and UID not in row["data"] for row in rows),
            versions={str(one["model_version"] or ""): int(one["count"]) for one in versions},
            shown=str(project["model_version"] or ""),
            hidden=not project.get(SHOWS, True),
            queue=_QUEUES.get(sampling, sampling),
            stale="Label Studio has older credentials of the bucket, or several storages of it" if stale else "",
            doubts=len(self._doubts.ids()),
            fresh=frozenset(str(row["data"][UID]) for row in ours if tasks.moment(row["updated_at"]) > since),
            swapped=frozenset(str(row["data"][UID]) for row in shown if _is_swapped(row, object_name(self._schema))),
            unheard=tuple(Unheard(str(row["id"]), str(row["data"].get(UID, "")), _why(row)) for row in unread),
        )

    def _everything(self) -> Iterator[list[Row]]:
        size = self._page_size
        return tasks.scan(self._client, self._project, [], f"{_ANSWER_FIELDS},meta", size=size, everything=True)

    def url(self, item_id: str | None = None) -> str:
        """The label stream, or the page of one item.

        Raises:
            NotFoundError: The item is no task here.
        """
        page = f"{self._client.url}/projects/{self._project}/data"
        if item_id is None:
            return f"{page}?labeling=1"
        wanted = [where(f"data.{UID}", "equal", item_id, "String")]
        rows, _ = tasks.page(self._client, self._project, wanted, "id", 1)
        if not rows:
            raise NotFoundError(f"item {item_id!r} is no task of {self._place.name!r}", "ask it first")
        return f"{page}?task={rows[0]['id']}"

    def _ask(self, wanted: Mapping[str, Question], version: str, size: int | None) -> Asked:
        if size is not None and not self._doubts.ids() & wanted.keys():
            return self._ask_new(wanted, version, size)
        there = self._lookup(list(wanted))
        self._doubts.found(there.keys())
        missing = [question for item, question in wanted.items() if item not in there]
        known = self._predicted(list(there), version)
        moved = {
            int(known[item]["id"]): question.turn.at
            for item, question in wanted.items()
            if question.turn and item in known and known[item].get("score") not in (None, question.turn.at)
        }
        stale = {
            int(there[item]["id"]): question
            for item, question in wanted.items()
            if question.version and item in there and item not in known
        }
        created, stored = self._import(missing)
        stored += self._predict(stale)
        self._move(moved)
        self._show(version, list(wanted.values()))
        ids = {item: str(row["id"]) for item, row in there.items()} | created
        known_ids = {item: ids[item] for item in wanted if item in ids}
        return Asked(len(created), len(there), stored, known_ids, self._missing())

    def _ask_new(self, wanted: Mapping[str, Question], version: str, size: int) -> Asked:
        """Import what nobody has asked yet; the count afterwards tells whether that was so."""
        created, stored = self._import(list(wanted.values()))
        shown = self._show(version, list(wanted.values()))
        self._size = self.size() if shown is None else shown
        if self._size != size + len(created):
            self._lookup(list(wanted))  # which deletes what is double
            return self._ask(wanted, version, None)
        return Asked(len(created), 0, stored, created, self._missing())

    def _missing(self) -> dict[str, Missing]:
        """What this call could not send, as it cannot be read or is too large for the way."""
        return dict(self._refused)

    def _lookup(self, items: Sequence[str]) -> dict[str, Row]:
        """The task of each item that has one; of several, the unanswered newer ones are deleted."""
        kept: dict[str, Row] = {}
        twins = []
        for row in tasks.with_uids(self._client, self._project, items, _TASK_FIELDS):
            item = str(row["data"][UID])
            first = kept.get(item, row)
            better, worse = (row, first) if _is_answered(row) and not _is_answered(first) else (first, row)
            kept[item] = better
            if worse is not better and not _is_answered(worse):
                twins.append(int(worse["id"]))
        if twins:
            self._delete(twins)
        return kept

    def _predicted(self, items: Sequence[str], version: str) -> dict[str, Row]:
        """The prediction of this version, for those of the items that have one.

        Label Studio narrows it down to versions with the name in theirs, so that tasks with many older predictions
        need not be read after a promotion.
        """
        if not version:
            return {}
        similar = where("predictions_model_versions", "contains", [version], "List")
        fields = "id,data,predictions,model_version,score"
        rows = tasks.with_uids(self._client, self._project, items, fields, [similar], everything=True)
        return {
            str(row["data"][UID]): guess
            for row in rows
            for guess in ([{}] if is_unread(row) else row["predictions"])
            if not guess or guess["model_version"] == version
        }

    def _import(self, questions: Sequence[Question]) -> tuple[dict[str, str], int]:
        """Import in requests that fit the road: (item id -> task id, predictions stored)."""
        created: dict[str, str] = {}
        doubted = self._doubts.ids()
        for start in range(0, len(questions), CHUNK):
            payload = self._payload(questions[start : start + CHUNK])
            for some in loads.by_size(((one, loads.written(one)) for one in payload), self._client.most_bytes, CHUNK):
                created |= self._deliver(some, doubted)
        if doubted & created.keys():
            kept = self._lookup(list(created))  # an import of unknown outcome may have arrived meanwhile
            created = {item: str(kept[item]["id"]) for item in created}
        return created, sum(bool(one.version) for one in questions if one.item.id in created)

    def _deliver(self, some: Sequence[Mapping[str, Any]], doubted: set[str]) -> dict[str, str]:
        """Import these tasks, in halves where a request was too large; one that is alone is set aside with words.

        Args:
            doubted: Items that may arrive twice; those of a connection that was cut are added.
        """
        if not some:
            return {}
        items = [str(one["data"][UID]) for one in some]
        size = sum(map(loads.written, some))
        try:
            answer = self._send(some, items, doubted)
        except LabelLoopError as error:
            if loads.was_too_large(error, size):
                if len(some) == 1:
                    self._refused[items[0]] = Missing(loads.words(f"item {items[0]!r}", size, error))
                    return {}
                return self._deliver_halves(some, doubted)
            if not loads.may_be_too_large(error, size) or len(some) == 1:
                raise
            return self._deliver_again(some, items, doubted)
        self._compare("tasks", len(some), answer["task_count"])
        self._compare("predictions", sum("predictions" in one for one in some), answer["prediction_count"])
        return {item: str(int(task)) for item, task in zip(items, answer["task_ids"], strict=True)}

    def _deliver_again(
        self, some: Sequence[Mapping[str, Any]], items: Sequence[str], doubted: set[str]
    ) -> dict[str, str]:
        """What has not arrived by a connection that was cut, in halves."""
        there = self._lookup(items)
        self._doubts.found(there.keys())
        doubted.update(items)
        rest = [one for one in some if str(one["data"][UID]) not in there]
        return {item: str(row["id"]) for item, row in there.items()} | self._deliver_halves(rest, doubted)

    def _deliver_halves(self, some: Sequence[Mapping[str, Any]], doubted: set[str]) -> dict[str, str]:
        first, second = loads.halves(some)
        return self._deliver(first, doubted) | self._deliver(second, doubted)

    def _send(self, payload: Sequence[Mapping[str, Any]], items: Sequence[str], doubted: set[str]) -> Any:
        path = f"/api/projects/{self._project}/import"
        certain = [item for item in items if item not in doubted]
        self._doubts.add(items)
        try:
            answer = self._client.call(
                "POST", path, query={"return_task_ids": "true"}, body=list(payload), timeout=WRITE_TIMEOUT
            )
        except LabelLoopError as error:
            if _never_arrived(error):
                self._doubts.settle(certain)
            raise
        self._doubts.settle(certain)
        return answer

    def _payload(self, questions: Sequence[Question]) -> list[dict[str, Any]]:
        values = self._values([question.item for question in questions])
        return [_task(one, self._schema, values[one.item.id]) for one in questions if one.item.id in values]

    def _values(self, items: Sequence[Item]) -> dict[str, str]:
        """What people are shown of these items, but of those that are refused."""
        place = self._place
        root, bucket = place.served, place.bucket()
        found = shown(self._client, self._project, items, root, bucket, access=place.access, refused=self._refused)
        return {item: value for item, value in found.items() if item not in self._refused}

    def _predict(self, stale: Mapping[int, Question]) -> int:
        """Add predictions to tasks that lack the ones of this model version."""
        bodies = [{"task": task, **prediction_of(one.prediction, one.turn)} for task, one in stale.items()]
        for some in loads.by_size(((one, loads.written(one)) for one in bodies), self._client.most_bytes, CHUNK):
            self._predict_some(some)
        return len(bodies)

    def _predict_some(self, some: Sequence[Mapping[str, Any]]) -> None:
        path = f"/api/projects/{self._project}/import/predictions"
        try:
            answer = self._client.call("POST", path, body=list(some), timeout=WRITE_TIMEOUT)
        except BackendError as error:
            if len(some) == 1 or not loads.was_too_large(error, sum(map(loads.written, some))):
                raise
            for half in loads.halves(some):
                self._predict_some(half)
            return
        self._compare("predictions", len(some), answer["created"])

    def _move(self, moved: Mapping[int, float]) -> None:
        """Give predictions another place, one by one: of a model that came back, which had been asked about them."""
        for guess, place in moved.items():
            self._client.call("PATCH", f"/api/predictions/{guess}/", body={"score": place})

    def _show(self, version: str, questions: Sequence[Question]) -> int | None:
        """Have annotators see the predictions of this version, and get the questions by their turns if they have some.

        Label Studio shows one version, or none.

        Returns:
            How many tasks there are, where that had to be said.
        """
        shown = (version, BY_SCORE if any(question.turn for question in questions) else IN_ORDER)
        if not version or shown == self._shown:
            return None
        path, body = f"/api/projects/{self._project}", {"model_version": version, "sampling": shown[1]}
        answer = self._client.call("PATCH", path, query={"include": f"id,task_number,{SHOWS}"}, body=body)
        self._shown, self._hides = shown, not answer.get(SHOWS, True)
        return int(answer["task_number"]) if "task_number" in answer else None

    def _compare(self, what: str, sent: int, stored: int) -> None:
        if stored != sent:
            raise BackendError(
                f"Label Studio stored {stored} of {sent} {what} sent to {self._place.name!r}",
                "ask again; what is missing is added",
                retryable=True,
            )

    def _resolve_doubts(self) -> None:
        if doubted := self._doubts.ids():
            self._doubts.found(self._lookup(sorted(doubted)).keys())

    def _keep_storage(self) -> None:
        """Give Label Studio the credentials of now, so that what was asked before can still be seen."""
        bucket = self._place.bucket()
        if bucket and is_stale(self._client, self._project, bucket):
            with self._place.writing():
                have_storage(self._client, self._project, bucket)

    def _delete(self, ids: Sequence[int]) -> None:
        self._client.call(
            "POST",
            "/api/dm/actions",
            query={"id": "delete_tasks", "project": self._project},
            body={"selectedItems": {"all": False, "included": list(ids)}},
            timeout=WRITE_TIMEOUT,
        )

    def _pages(self, cursor: datetime | None, but: list[tasks.Filter]) -> Iterator[list[Row]]:
        """Pages of tasks changed since the cursor, and of those that a slow import showed only after it.

        Args:
            cursor: Up to when all was heard.
            but: What is passed over.
        """
        if cursor is None or cursor != self._recent.newest:
            yield from self._changed([_since(cursor - OVERLAP)] if cursor else [], but)
            return
        newest, there = self._newest(cursor - OVERLAP, but)
        if newest <= cursor and there == len(self._recent):
            return
        rows, total = self._page([where("updated_at", "greater", tasks.stamp_of(cursor), "Datetime"), *but])
        if total > len(rows) or there != self._recent.and_also(rows):
            self._recent.forget()
            yield from self._changed([_since(cursor - OVERLAP)], but)
        elif rows:
            yield rows

    def _newest(self, since: datetime, but: list[tasks.Filter]) -> tuple[datetime, int]:
        """The latest change since this time, and how many tasks have changed: one small request."""
        wanted = [_since(since), *but]
        rows, total = tasks.page(self._client, self._project, wanted, "id,updated_at", 1, order="-updated_at")
        return (tasks.moment(rows[0]["updated_at"]) if rows else LONG_AGO), total

    def _changed(self, after: list[tasks.Filter], but: list[tasks.Filter]) -> Iterator[list[Row]]:
        """Pages of tasks by growing time of change, each page complete up to its last time stamp.

        Asks for the first page again and again from an advancing time, since offsets shift while people work.
        """
        before = ""
        while True:
            rows, total = self._page([*after, *but])
            if rows and len(rows) < total:
                last = rows[-1]["updated_at"]
                tasks.refuse_standing_still(self._client, before, last)
                before = last
                yield [row for row in rows if row["updated_at"] != last] + self._same_moment(last, but)
                after = [where("updated_at", "greater", tasks.stamp_of(tasks.moment(last)), "Datetime")]
                continue
            if rows:
                yield rows
            return

    def _page(self, after: Sequence[tasks.Filter]) -> tuple[list[Row], int]:
        size = self._page_size
        return tasks.page(self._client, self._project, after, _ANSWER_FIELDS, size, order="updated_at", everything=True)

    def _same_moment(self, stamp: str, but: list[tasks.Filter]) -> list[Row]:
        """Every task changed at exactly this time; a bulk action gives one time to thousands."""
        exactly = [where("updated_at", "equal", tasks.stamp_of(tasks.moment(stamp)), "Datetime"), *but]
        pages = tasks.scan(self._client, self._project, exactly, _ANSWER_FIELDS, size=self._page_size, everything=True)
        return [row for rows in pages for row in rows]

    def _heard(self, row: Row) -> tuple[Heard, bool]:
        """What people say about a task, and whether some of it is too large to be kept."""
        item = str(row["data"][UID])
        made = [annotation_of(item, said, self._person) for said in row["annotations"]]
        return Heard(item, str(row["id"]), tuple(said for said, _ in made)), any(large for _, large in made)

    def _person(self, number: int) -> str:
        """The email of a user by number; the number itself for someone who is no member."""
        if number not in self._people:
            self._people |= everybody(self._client)
            self._people.setdefault(number, str(number))
        return self._people[number]

    def _get(self, fields: str) -> Mapping[str, Any]:
        project: Mapping[str, Any] = self._client.call(
            "GET", f"/api/projects/{self._project}", query={"include": f"id,{fields}"}
        )
        return project

    def _gone(self) -> NotFoundError:
        return NotFoundError(
            f"dataset {self._place.name!r} (project {self._project}) is gone from {self._client.url}",
            "restore the project in Label Studio, or choose another dataset name",
        )


def everybody(client: Client) -> dict[int, str]:
    """The people who are members: id of the user -> email."""
    listed = client.call("GET", "/api/users")
    known = listed["results"] if isinstance(listed, Mapping) else listed
    return {int(person["id"]): str(person["email"]) for person in known}


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


def _task(question: Question, schema: LabelSchema, value: str) -> dict[str, Any]:
    beside = columns_of(schema, _plain(question.item.meta))
    task: dict[str, Any] = {
        "data": {**beside, object_name(schema): value, UID: question.item.id},
        "meta": _meta(question, value),
    }
    if question.version:
        task["predictions"] = [prediction_of(question.prediction, question.turn)]
    return task


def _meta(question: Question, value: str) -> dict[str, Any]:
    return {**_plain(question.item.meta), UID: question.item.id, SHOWN: value}


def _never_arrived(error: LabelLoopError) -> bool:
    """Whether it is certain that a request was refused: not where the answer was lost, or somebody else's."""
    if isinstance(error, ForeignError):
        return error.status >= _REFUSED
    return not (isinstance(error, BackendError) and (error.retryable or isinstance(error, EndlessError)))


def _plain(meta: Mapping[str, Any]) -> Any:
    """What JSON can say of what came with an item; NaN, which no database takes, becomes null."""
    text = json.dumps({str(key): value for key, value in meta.items()}, default=str)
    return json.loads(text, parse_constant=lambda _: None)


def _is_answered(row: Row) -> bool:
    return bool(row["total_annotations"] or row["cancelled_annotations"])


def _is_swapped(row: Row, name: str) -> bool:
    """Whether a task shows another thing than it was made with."""
    made = row.get("meta") or {}
    return SHOWN in made and row["data"].get(name) != made[SHOWN]


def _why(row: Row) -> str:
    """Why a task, or some of its answers, could not be read."""
    return str(row.get(UNREAD) or row[tasks.PARTLY])


def _since(time: datetime) -> tasks.Filter:
    return where("updated_at", "greater_or_equal", tasks.stamp_of(time), "Datetime")
