"""Asking: each item one task with the newest prediction, shown anew or taken away when that is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.bounds import guarded
from labelloop.backends.label_studio.config import checked_version
from labelloop.backends.label_studio.delivery import Delivery, shown_anew
from labelloop.backends.label_studio.display import Display
from labelloop.backends.label_studio.predictions import Predictions
from labelloop.backends.label_studio.tasks import UID, Row
from labelloop.backends.label_studio.twins import delete, single
from labelloop.types import Asked, Missing, Question


@guarded
class Questions(Display):
    """The questions of a project."""

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
        version = checked_version(self.place.schema, questions)
        wanted = {question.item.id: question for question in questions}
        if not wanted:
            return Asked(0, 0, 0, {})
        delivery = Delivery(self.place)
        with self.place.there(), self.place.writing():
            size = self._visible.size if unasked else None
            if size is not None and not self.place.unconfirmed.ids() & wanted.keys():
                return self._ask_new(wanted, version, size, delivery)
            return self._ask(wanted, version, delivery)

    def present(self) -> set[str]:
        """The item ids of every task there is; costs one scan. An item that is a task twice is one afterwards.

        That happens where another machine was cut off while it sent, and what it had sent arrived late.
        """
        place = self.place
        with place.there():
            rows = (row for rows in tasks.scan(place.client, place.number, [], "id,data") for row in rows)
            found = Counter(str(row["data"][UID]) for row in rows if UID in row["data"])
            if twice := [item for item, times in found.items() if times > 1]:
                with place.writing():
                    single(place, twice)
        return set(found)

    def renew(self, questions: Sequence[Question]) -> Mapping[str, Missing]:
        """Show the items of these questions from where they are now, task by task; what people said stays."""
        wanted, delivery = {one.item.id: one for one in questions}, Delivery(self.place)
        with self.place.writing():
            rows = {str(row["data"][UID]): row for row in self._tasks_of(list(wanted), "id,data,meta")}
            values = delivery.values([wanted[item].item for item in rows])
            for item, value in values.items():
                if body := shown_anew(rows[item], wanted[item], self.place.schema, value):
                    self.place.client.call("PATCH", f"/api/tasks/{rows[item]['id']}/", body=body)
        return delivery.refused

    def close(self, items: Sequence[str]) -> None:
        """Delete the tasks of these items, with their annotations and predictions."""
        with self.place.writing():
            numbers = [int(row["id"]) for row in self._tasks_of(items, "id,data")]
            for some in tasks.chunks(numbers):
                delete(self.place, some)

    def _tasks_of(self, items: Sequence[str], include: str) -> Iterator[Row]:
        return tasks.with_uids(self.place.client, self.place.number, items, include)

    def _ask(self, wanted: Mapping[str, Question], version: str, delivery: Delivery) -> Asked:
        there = single(self.place, list(wanted))
        self.place.unconfirmed.found(there.keys())
        missing = [question for item, question in wanted.items() if item not in there]
        predictions = Predictions(self.place)
        known = predictions.there(list(there), version)
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
        created, stored = delivery.send(missing)
        stored += predictions.add(stale)
        predictions.move(moved)
        self._show(version, list(wanted.values()))
        ids = {item: str(row["id"]) for item, row in there.items()} | created
        known_ids = {item: ids[item] for item in wanted if item in ids}
        return Asked(len(created), len(there), stored, known_ids, delivery.refused)

    def _ask_new(self, wanted: Mapping[str, Question], version: str, size: int, delivery: Delivery) -> Asked:
        """Import what nobody has asked yet; the count afterwards tells whether that was so."""
        created, stored = delivery.send(list(wanted.values()))
        shown = self._show(version, list(wanted.values()))
        self._visible.size = self.size() if shown is None else shown
        if self._visible.size != size + len(created):
            single(self.place, list(wanted))  # which deletes what is double
            return self._ask(wanted, version, delivery)
        return Asked(len(created), 0, stored, created, delivery.refused)
