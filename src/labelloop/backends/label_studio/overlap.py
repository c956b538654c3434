"""To how many people Label Studio shows the tasks of a project: all alike, or some to more than the others.

A project has one number, and each task its overlap. Setting the number to one sets every overlap to one. Setting it to
more sets the overlap of the tasks that have more than one already, and of all others only where no task has: so a few
tasks are given theirs first, and those that are closed, however many, stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.client import WRITE_TIMEOUT, Client

_FIELDS = "id,data,overlap,is_labeled,total_annotations"


@dataclass
class Overlaps:
    """The overlaps of one project.

    Args:
        client: The server.
        project: The project.
        people: Its number, as it was seen last.
    """

    client: Client
    project: int
    people: int

    def share(self, people: int) -> None:
        """Give every task so many people."""
        self._look()
        if self.people == 1:
            self._set(max(people, 2))  # a task that has more already would be the only one that is set
        self._set(1)
        self._set(people)

    def share_only(self, people: int, items: Collection[str]) -> None:
        """Give these tasks and those to come so many people, and the others one: what has an answer stays closed."""
        self._look()
        self._set(1)
        spare = None if self.widen(items, people) else self._first()
        if spare is not None:  # where no task has more than one, all would be set: one has to, for a moment
            self._patch(spare, people, is_labeled=bool(spare.get("is_labeled", True)))
        self._set(people)
        if spare is not None:
            self._patch(spare, 1, is_labeled=bool(spare.get("is_labeled", True)))

    def widen(self, items: Collection[str], people: int) -> int:
        """Give these tasks so many people; how many of them there are. A request for each that has another number."""
        rows = [row for row in self._of(items) if not tasks.is_unread(row)]
        for row in rows:
            if row["overlap"] != people:
                self._patch(row, people, is_labeled=row["total_annotations"] >= people)
        return len(rows)

    def _of(self, items: Collection[str]) -> Iterator[tasks.Row]:
        return tasks.with_uids(self.client, self.project, sorted(items), _FIELDS)

    def _first(self) -> tasks.Row | None:
        rows, _ = tasks.page(self.client, self.project, [], "id,is_labeled", 1)
        return rows[0] if rows else None

    def _look(self) -> None:
        """Somebody may have set another number meanwhile."""
        path = f"/api/projects/{self.project}"
        self.people = int(
            self.client.call("GET", path, query={"include": "id,maximum_annotations"})["maximum_annotations"]
        )

    def _patch(self, row: tasks.Row, people: int, *, is_labeled: bool) -> None:
        """Label Studio does not look again whether a task has its answers."""
        body = {"overlap": people, "is_labeled": is_labeled}
        self.client.call("PATCH", f"/api/tasks/{row['id']}/", body=body)

    def _set(self, people: int) -> None:
        if people != self.people:
            path, body = f"/api/projects/{self.project}", {"maximum_annotations": people}
            self.client.call("PATCH", path, query={"include": "id"}, body=body, timeout=WRITE_TIMEOUT)
            self.people = people
