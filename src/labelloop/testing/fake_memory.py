"""What a dataset in memory remembers: its questions, who said what about them, and when each changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from labelloop.errors import NotFoundError
from labelloop.kinds import LabelSchema
from labelloop.kinds.label_changes import said_names
from labelloop.types import Annotation, DatasetStats, Item, Question, Region


@dataclass(frozen=True, slots=True)
class FakeTask:
    """One question as it is kept.

    Attributes:
        id: Its number.
        question: The item, and with what it was asked first.
        said: What people say now.
        versions: What each model version says, in the order in which they came.
        changed: When anything of it changed last.
    """

    id: str
    question: Question
    said: tuple[Annotation, ...] = ()
    versions: tuple[Question, ...] = ()
    changed: int = 0


class FakeMemory:
    """The questions of one dataset. Time is counted: each change happens one second after the one before.

    Attributes:
        schema: What people are asked.
        gone: Whether the dataset was deleted; every call says so.
        people: How many people a question is shown to, unless it has a number of its own.
    """

    def __init__(self, name: str, schema: LabelSchema, numbers: Iterator[int]) -> None:
        self.schema = schema
        self.gone = False
        self.people = 1
        self._own: dict[str, int] = {}
        self._name = name
        self._numbers = numbers
        self._now = 0
        self._tasks: dict[str, FakeTask] = {}
        self._model_version = ""
        self._by_turn = False

    def task(self, item_id: str) -> FakeTask:
        """All that is kept about one question."""
        return self._tasks[item_id]

    def forge(self, task: FakeTask) -> None:
        """Keep this of a question, at a time that every hearing has passed: as a server whose clock was set back."""
        self._tasks[task.question.item.id] = replace(task, changed=1)

    def say(self, item_id: str, regions: Sequence[Region], annotator: str, skipped: bool = False) -> str:
        """Answer or skip one question; the id of the annotation."""
        task, now = self._tasks[item_id], self._tick()
        at = _moment(now)
        said = Annotation(str(next(self._numbers)), item_id, tuple(regions), annotator, at, at, skipped, lead_time=1.0)
        self._tasks[item_id] = replace(task, said=(*task.said, said), changed=now)
        return said.id

    def change(self, annotation_id: str, regions: Sequence[Region] | None) -> None:
        """Replace the regions of one annotation, or delete it."""
        task = next((t for t in self._tasks.values() if any(one.id == annotation_id for one in t.said)), None)
        if task is None:
            raise NotFoundError(f"annotation {annotation_id!r} does not exist", "check the id")
        now = self._tick()
        said = tuple(one for one in task.said if one.id != annotation_id)
        if regions is not None:
            mine = next(one for one in task.said if one.id == annotation_id)
            said += (replace(mine, regions=tuple(regions), updated_at=_moment(now)),)
        self._tasks[task.question.item.id] = replace(task, said=said, changed=now)

    def forget(self, item_id: str) -> None:
        """Delete one question."""
        del self._tasks[item_id]

    def shown(self, item_id: str) -> Item:
        """The item as people see it."""
        return self._tasks[item_id].question.item

    def size(self) -> int:
        """How many questions there are."""
        return len(self.present())

    def present(self) -> set[str]:
        """The item ids of every question."""
        self._present()
        return set(self._tasks)

    def stats(self) -> DatasetStats:
        """Counts of what is in memory."""
        self._present()
        kept = list(self._tasks.values())
        answers = [one for task in kept for one in task.said if not one.skipped]
        labeled = sum(any(not one.skipped for one in task.said) for task in kept)
        return DatasetStats(
            total=len(kept),
            labeled=labeled,
            skipped=sum(bool(task.said) for task in kept) - labeled,
            with_predictions=sum(bool(task.versions) for task in kept),
            annotations=len(answers),
            model_version=self._model_version,
            per_label=counts(name for one in answers for name in said_names(self.schema, one.regions)),
            per_annotator=counts(one.annotator for one in answers),
        )

    def url(self, item_id: str | None = None) -> str:
        """An address that nobody can open."""
        if item_id is None:
            return f"fake://annotator/{self._name}"
        if item_id not in self._tasks:
            raise NotFoundError(f"item {item_id!r} is no question of {self._name!r}", "ask it first")
        return f"fake://annotator/{self._name}/{self._tasks[item_id].id}"

    def _present(self) -> None:
        if self.gone:
            raise NotFoundError(f"dataset {self._name!r} is gone", "choose another dataset name")

    def _tick(self) -> int:
        self._now += 1
        return self._now


def counts(names: Iterable[str]) -> dict[str, int]:
    """How often each name comes, in the order in which they come first."""
    counted: dict[str, int] = {}
    for name in names:
        counted[name] = counted.get(name, 0) + 1
    return counted


def _moment(now: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=now)
