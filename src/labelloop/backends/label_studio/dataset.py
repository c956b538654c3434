"""One Label Studio project: questions go in once, answers come out as they change."""

from __future__ import annotations

from labelloop.backends.label_studio import marks, tasks
from labelloop.backends.label_studio.bounds import guarded
from labelloop.backends.label_studio.counts import counted
from labelloop.backends.label_studio.hearing import Hearing
from labelloop.backends.label_studio.questions import Questions
from labelloop.backends.label_studio.repairs import Repairs
from labelloop.backends.label_studio.tasks import UID, where
from labelloop.errors import NotFoundError
from labelloop.types import DatasetStats


@guarded
class LabelStudioDataset(Questions, Hearing, Repairs):
    """A project of Label Studio as a dataset. Made by `LabelStudioAnnotator.open`.

    What it does is in its parts: `Questions` (and in these `Display`), `Hearing`, `Repairs`.

    Args:
        place: The project.
        visible: What people see of it now.
    """

    def __repr__(self) -> str:
        return f"LabelStudioDataset({self.place.name!r}, {self.place.client.url!r})"

    @property
    def project(self) -> int:
        """Label Studio's id of the project."""
        return self.place.number

    @property
    def owner(self) -> str:
        """As whom we are here: whose ground truth counts unless somebody says otherwise."""
        return self._members.me()

    def mark(self) -> str:
        """The mark of the ledger that asks the questions: see `marks`."""
        with self.place.there():
            return marks.mark_of(self.place.client, self.place.number)

    def set_mark(self, mark: str) -> None:
        """Put this mark in place of the one before: see `marks`."""
        with self.place.writing():
            marks.set_mark(self.place.client, self.place.number, mark)

    def swap_mark(self, before: str, after: str) -> str:
        """Put a mark in place of the one before, unless another has followed on that: see `marks`."""
        with self.place.writing():
            return marks.swap_mark(self.place.client, self.place.number, before, after)

    def stats(self) -> DatasetStats:
        """Counts from Label Studio's own counters and filters."""
        with self.place.there():
            return counted(self.place.client, self.place.number)

    def url(self, item_id: str | None = None) -> str:
        """The label stream, or the page of one item.

        Raises:
            NotFoundError: The item is no task here.
        """
        page = f"{self.place.client.url}/projects/{self.place.number}/data"
        if item_id is None:
            return f"{page}?labeling=1"
        wanted = [where(f"data.{UID}", "equal", item_id, "String")]
        rows, _ = tasks.page(self.place.client, self.place.number, wanted, "id", 1)
        if not rows:
            raise NotFoundError(f"item {item_id!r} is no task of {self.place.name!r}", "ask it first")
        return f"{page}?task={rows[0]['id']}"
