"""A dataset in memory that keeps the contract: it asks, is heard, is put in order, and fails when it is told to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import inf

from labelloop.backends.label_studio.config import checked_version
from labelloop.errors import BackendError
from labelloop.kinds import LabelSchema
from labelloop.kinds.label_changes import said_names
from labelloop.testing.fake_memory import FakeMemory, FakeTask, counts
from labelloop.types import Annotation, Answers, Asked, Heard, Missing, Prediction, Question, Survey, Unheard


class FakeQueue(FakeMemory):
    """What people get to see of a dataset in memory: which question next, and what is filled in."""

    def prediction(self, item_id: str) -> Prediction | None:
        """What a person sees filled in: the prediction of the newest model version, if the item has one."""
        shown = self._shown(item_id)
        return shown.prediction if shown else None

    def open_items(self) -> list[str]:
        """The items that more people may answer, in the order they were asked."""
        said = {item: len({one.annotator for one in task.said}) for item, task in self._tasks.items()}
        return [item for item, people in said.items() if people < self._own.get(item, self.people)]

    def queue(self) -> list[str]:
        """The items nobody answered or skipped, in the order people get them."""
        waiting = self.open_items()
        if not self._by_turn:
            return waiting
        turns = {item: shown.turn.at for item in waiting if (shown := self._shown(item)) and shown.turn}
        return sorted(waiting, key=lambda item: turns.get(item, inf))

    def share(self, people: int, only: Collection[str] | None = None) -> None:
        """Show every question to so many people; or these, and those to come."""
        self._present()
        self._own = {} if only is None else {item: 1 for item in self._tasks if item not in only}
        self.people = people

    def widen(self, items: Collection[str], people: int) -> None:
        """Show these questions to so many people."""
        self._present()
        self._own |= {item: people for item in items if item in self._tasks}

    def relabel(self, schema: LabelSchema) -> None:
        """Ask for other labels; every guess is out of date."""
        self._present()
        self.schema, self._model_version, self._by_turn = schema, "", False

    def prune(self, versions: Sequence[str]) -> int:
        """Forget the predictions of these versions, unless people see them."""
        doomed, before = {*versions} - {self._model_version}, sum(len(task.versions) for task in self._tasks.values())
        for item, task in self._tasks.items():
            kept = tuple(one for one in task.versions if one.version not in doomed)
            self._tasks[item] = replace(task, versions=kept)
        return before - sum(len(task.versions) for task in self._tasks.values())

    def _shown(self, item_id: str) -> Question | None:
        """What the model version that people see says about an item."""
        shown = (one for one in self._tasks[item_id].versions if one.version == self._model_version)
        return next(shown, None)


class FakeMark(FakeMemory):
    """The mark that a dataset in memory keeps for its ledger."""

    def __init__(self, name: str, schema: LabelSchema, numbers: Iterator[int]) -> None:
        super().__init__(name, schema, numbers)
        self._mark = ""
        self._followed: dict[str, str] = {}

    def mark(self) -> str:
        """What was left last."""
        self._present()
        return self._mark

    def set_mark(self, mark: str) -> None:
        """Leave a text."""
        self._present()
        self._mark = mark

    def swap_mark(self, before: str, after: str) -> str:
        """Leave a text, if none has followed on the one before; the one that did."""
        self._present()
        followed = self._followed.setdefault(before, after)
        if followed == after:
            self._mark = after
        return followed

    def lose_mark(self) -> None:
        """Have no mark, and remember none: as a project that was restored from before."""
        self._mark, self._followed = "", {}


class FakeOrder(FakeMemory):
    """What is heard and found amiss in a dataset in memory, and put in order."""

    def __init__(self, name: str, schema: LabelSchema, numbers: Iterator[int]) -> None:
        super().__init__(name, schema, numbers)
        self._amiss = Survey({})
        self._spoilt: set[str] = set()

    def go_wrong(self, amiss: Survey) -> None:
        """Have a survey say so too.

        Of `twins` until `tidy`, of `unconfirmed` and what is `stale` until all is heard, of the `queue` until `show`.
        """
        self._amiss = amiss

    def spoil(self, item_id: str) -> None:
        """Have the answers to this question be what cannot be shown, until `mend`."""
        self._spoilt.add(item_id)
        self._tasks[item_id] = replace(self._tasks[item_id], changed=self._tick())

    def mend(self, item_id: str) -> None:
        """Have the answers to this question be shown again."""
        self._spoilt.discard(item_id)
        self._tasks[item_id] = replace(self._tasks[item_id], changed=self._tick())

    def answers(self, since: str | None, page_size: int = 100) -> Iterator[Answers]:
        """What people say now, about items changed since the cursor."""
        self._present()
        if since is None:
            self._amiss = replace(self._amiss, stale="", unconfirmed=0)
        start = int(since) if since else 0
        changed = sorted((t for t in self._tasks.values() if t.changed > start), key=lambda task: task.changed)
        left = iter(changed)
        while some := list(islice(left, page_size)):
            shown = [task for task in some if task.question.item.id not in self._spoilt]
            heard = tuple(Heard(task.question.item.id, task.id, task.said) for task in shown)
            yield Answers(heard, str(some[-1].changed), self._unheard())

    def survey(self, since: str | None = None) -> Survey:
        """Everything in memory."""
        self._present()
        guesses = (one.version for task in self._tasks.values() for one in task.versions)
        heard = {
            item: Heard(item, task.id, task.said) for item, task in self._tasks.items() if item not in self._spoilt
        }
        fresh = frozenset(item for item, task in self._tasks.items() if task.changed > int(since or 0))
        queue = self._amiss.queue or ("turns" if self._by_turn else "asked")
        survey = replace(self._amiss, heard=heard, fresh=fresh, shown=self._model_version, queue=queue)
        survey = replace(survey, unheard=(*survey.unheard, *self._unheard()))
        return replace(survey, versions=counts(guesses))

    def tidy(self, items: Sequence[str]) -> None:
        """Have each of these items once."""
        self._amiss = replace(
            self._amiss, twins={item: ids for item, ids in self._amiss.twins.items() if item not in items}
        )

    def show(self, version: str, *, by_turns: bool) -> None:
        """Show the predictions of this version, and have the questions by their turns or as they were asked."""
        self._model_version, self._by_turn = version, by_turns
        self._amiss = replace(self._amiss, queue="")

    def retract(self, again: Mapping[str, str], labels: Collection[str]) -> int:
        """Delete the annotations that still say one of the labels."""
        found = 0
        for annotation_id, item_id in again.items():
            task = self._tasks.get(item_id)
            mine = [one for one in task.said if one.id == annotation_id] if task else []
            if mine and set(said_names(self.schema, mine[0].regions)) & set(labels):
                self.change(annotation_id, None)
                found += 1
        return found

    def restore(self, annotations: Sequence[Annotation]) -> int:
        """Put annotations back on the items that have none."""
        waiting = [one for one in annotations if one.item_id in self._tasks and not self._tasks[one.item_id].said]
        for one in waiting:
            self.say(one.item_id, one.regions, one.annotator)
        return len(waiting)

    def _unheard(self) -> tuple[Unheard, ...]:
        spoilt = [self._tasks[item] for item in sorted(self._spoilt) if item in self._tasks]
        return tuple(Unheard(task.id, task.question.item.id, "it is spoilt") for task in spoilt)


class FakeDataset(FakeQueue, FakeOrder, FakeMark):
    """One dataset of a `FakeAnnotator`."""

    def __init__(self, name: str, schema: LabelSchema, numbers: Iterator[int]) -> None:
        super().__init__(name, schema, numbers)
        self._failure: tuple[BackendError, int] | None = None

    def fail_next_ask(self, error: BackendError, after: int = 0) -> None:
        """Have the next `ask` store the first `after` new questions, then raise: a connection lost on the way."""
        self._failure = (error, after)

    def ask(self, questions: Sequence[Question], *, unasked: bool = False) -> Asked:
        """Keep questions that are new, and predictions that are."""
        self._present()
        version = checked_version(self.schema, questions)
        wanted = {question.item.id: question for question in questions}
        new = [question for item, question in wanted.items() if item not in self._tasks]
        failure, self._failure = self._failure, None
        for question in new if failure is None else new[: failure[1]]:
            self._tasks[question.item.id] = FakeTask(str(next(self._numbers)), question, changed=self._tick())
        if failure:
            raise failure[0]
        stored = sum(self._predict(question) for question in wanted.values())
        if version:
            self._model_version, self._by_turn = version, any(question.turn for question in wanted.values())
        ids = {item: self._tasks[item].id for item in wanted}
        return Asked(len(new), len(wanted) - len(new), stored, ids)

    def renew(self, questions: Sequence[Question]) -> Mapping[str, Missing]:
        """Show these items as they are now."""
        self._present()
        for question in questions:
            if task := self._tasks.get(question.item.id):
                shown = replace(task.question, item=question.item)
                self._tasks[question.item.id] = replace(task, question=shown, changed=self._tick())
        return {}

    def close(self, items: Sequence[str]) -> None:
        """Delete these questions."""
        self._present()
        for item in items:
            self._tasks.pop(item, None)

    def _predict(self, question: Question) -> bool:
        task = self._tasks[question.item.id]
        if not question.version:
            return False
        others = tuple(kept for kept in task.versions if kept.version != question.version)
        self._tasks[question.item.id] = replace(task, versions=(*others, question))
        return len(others) == len(task.versions)
