"""Hearing: pages of what people say now, as it changed; what cannot be read is set aside and tried again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.aside import LONG_AGO, Cursor, without
from labelloop.backends.label_studio.bounds import guarded
from labelloop.backends.label_studio.buckets import have_storage, is_stale
from labelloop.backends.label_studio.project import Project, ProjectPart, Visible
from labelloop.backends.label_studio.reading import ANSWER_FIELDS, heard_of
from labelloop.backends.label_studio.tasks import UID, Row, is_unread, where
from labelloop.backends.label_studio.twins import single
from labelloop.types import Answers

OVERLAP = timedelta(seconds=20)
"""How far before its cursor a hearing starts: a long import shows up seconds after its own time stamp."""

AGAIN = 3
"""How many tasks that could not be read are tried again at one hearing, those that have waited longest first."""


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
class Hearing(ProjectPart):
    """The answers of a project."""

    def __init__(self, place: Project, visible: Visible) -> None:
        super().__init__(place, visible)
        self._recent = Recent()

    def answers(self, since: str | None) -> Iterator[Answers]:
        """Pages of what people say now, about tasks changed since the cursor.

        Raises:
            ConfigError: The cursor is not one of ours.
            NotFoundError: The project was deleted.
        """
        cursor = self._not_ahead(Cursor.of(since))
        with self.place.there():
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

    def _page_of(self, rows: Sequence[Row], cursor: Cursor, *, again: bool = False) -> tuple[Answers, Cursor]:
        """What these rows say, and the cursor behind them; read `again`, they do not move its time."""
        large: dict[int, str] = {}
        heard = []
        for row in rows:
            if is_unread(row) or UID not in row["data"]:
                continue
            said, too_large = heard_of(row, self._members.email)
            heard.append(said)
            if too_large:
                large[int(row["id"])] = str(row["updated_at"])
        reached = cursor.at if again else self._reached(cursor, tasks.moment(rows[-1]["updated_at"]))
        after = Cursor(reached, without(cursor.aside, rows, large, self.place.clock()))
        return Answers(tuple(heard), str(after), after.unheard()), after

    def _not_ahead(self, cursor: Cursor) -> Cursor:
        """The cursor; from the beginning where the server's clock was set back behind it: it would miss what is new."""
        told = self.place.client.told_time
        is_ahead = cursor.at is not None and told is not None and cursor.at - told > 2 * OVERLAP
        return Cursor(None, cursor.aside) if is_ahead else cursor

    def _reached(self, cursor: Cursor, changed: datetime) -> datetime:
        """Up to when all was heard: a change that the server dates after its own time moves it no further than that."""
        told = self.place.client.told_time
        return max(cursor.at or LONG_AGO, changed if told is None else min(changed, told + OVERLAP / 2))

    def _again(self, cursor: Cursor) -> tuple[Answers, Cursor]:
        """Look at what is set aside: what has changed or is due is read, what is gone is forgotten."""
        found = _numbered(self.place, sorted(cursor.aside), "id,updated_at")
        there = {int(row["id"]): str(row["updated_at"]) for row in found}
        now, oldest = self.place.clock(), (cursor.at or LONG_AGO + OVERLAP) - OVERLAP
        kept = {
            number: one
            for number, one in cursor.aside.items()
            if number in there and (one.why or there[number] != one.changed or tasks.moment(one.changed) >= oldest)
        }
        changed = [number for number, one in kept.items() if there[number] != one.changed]
        due = sorted((one.tried, number) for number, one in kept.items() if number not in changed and one.is_due(now))
        again = [{"id": number, "updated_at": there[number]} for _, number in due[:AGAIN]]
        cursor = Cursor(cursor.at, kept)
        rows = _numbered(self.place, changed, ANSWER_FIELDS, everything=True)
        rows += tasks.alone(self.place.client, self.place.number, again, ANSWER_FIELDS)
        return self._page_of(rows, cursor, again=True) if rows else (Answers((), str(cursor), cursor.unheard()), cursor)

    def _resolve_doubts(self) -> None:
        if unsure := self.place.unconfirmed.ids():
            self.place.unconfirmed.found(single(self.place, sorted(unsure)).keys())

    def _keep_storage(self) -> None:
        """Give Label Studio the credentials of now, so that what was asked before can still be seen."""
        bucket = self.place.bucket()
        if bucket and is_stale(self.place.client, self.place.number, bucket):
            with self.place.writing():
                have_storage(self.place.client, self.place.number, bucket)

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
        rows, total = tasks.page(self.place.client, self.place.number, wanted, "id,updated_at", 1, order="-updated_at")
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
                tasks.refuse_standing_still(self.place.client, before, last)
                before = last
                yield [row for row in rows if row["updated_at"] != last] + self._same_moment(last, but)
                after = [where("updated_at", "greater", tasks.stamp_of(tasks.moment(last)), "Datetime")]
                continue
            if rows:
                yield rows
            return

    def _page(self, after: Sequence[tasks.Filter]) -> tuple[list[Row], int]:
        place = self.place
        return tasks.page(
            place.client, place.number, after, ANSWER_FIELDS, place.page_size, order="updated_at", everything=True
        )

    def _same_moment(self, stamp: str, but: list[tasks.Filter]) -> list[Row]:
        """Every task changed at exactly this time; a bulk action gives one time to thousands."""
        exactly = [where("updated_at", "equal", tasks.stamp_of(tasks.moment(stamp)), "Datetime"), *but]
        place = self.place
        pages = tasks.scan(place.client, place.number, exactly, ANSWER_FIELDS, size=place.page_size, everything=True)
        return [row for rows in pages for row in rows]


def _numbered(place: Project, ids: Sequence[int], include: str, *, everything: bool = False) -> list[Row]:
    """Those of these tasks that there are."""
    found: list[Row] = []
    for some in tasks.chunks(ids):
        one = tasks.numbered(some)
        found += tasks.page(place.client, place.number, [one], include, len(some), everything=everything)[0]
    return found


def _since(time: datetime) -> tasks.Filter:
    return where("updated_at", "greater_or_equal", tasks.stamp_of(time), "Datetime")
