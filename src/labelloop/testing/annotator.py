"""For whoever brings or needs an annotator: the contract, a fake with a memory, and simulated people."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count, islice
from math import inf
from typing import Any, Protocol

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.config import checked_version
from labelloop.errors import BackendError, ConfigError, LabelLoopError, NotFoundError
from labelloop.kinds.label_changes import said_names
from labelloop.kinds.labels import names_of, regions_of
from labelloop.protocols import Annotator, Dataset, Marked, Progress, Renewing, silent
from labelloop.types import (
    Annotation,
    AnnotatorState,
    Answers,
    Asked,
    DatasetStats,
    DatasetSummary,
    Heard,
    Item,
    LabelSchema,
    Missing,
    Prediction,
    Question,
    Region,
    Survey,
    Turn,
    Unheard,
)


class Person(Protocol):
    """Someone who annotates: what a contract needs to act on the other side of an annotator."""

    def answer(self, dataset: str, item_id: str, regions: Sequence[Region]) -> str:
        """Answer one question; the id of the annotation."""
        ...

    def skip(self, dataset: str, item_id: str) -> str:
        """Decline one question; the id of the annotation."""
        ...

    def edit(self, dataset: str, annotation_id: str, regions: Sequence[Region]) -> None:
        """Change an answer."""
        ...

    def retract(self, dataset: str, annotation_id: str) -> None:
        """Delete an answer."""
        ...

    def next_item(self, dataset: str) -> str:
        """The item of the question that this person is given next."""
        ...

    def filled_in(self, dataset: str, item_id: str) -> tuple[str, ...]:
        """The labels that are filled in when this person opens a question; none where it is blind."""
        ...


class AnnotatorContract:
    """What every annotator does. Inherit, and provide the pytest fixtures `annotator` and `person`.

    The tests create and delete a dataset called `NAME`.
    """

    NAME = "labelloop contract"
    SCHEMA = LabelSchema("text", ("cat", "dog", "bird"), instruction="Which animal is it?")

    def test_the_service_says_that_it_is_up(self, annotator: Annotator, person: Person) -> None:
        assert annotator.describe().state == "up"

    def test_opening_twice_gives_the_same_dataset(self, annotator: Annotator, person: Person) -> None:
        self._open(annotator).ask([self._question("a")])
        again = annotator.open(self.NAME, self.SCHEMA)
        assert again.present() == {"a"}
        assert [summary.name for summary in annotator.datasets()].count(self.NAME) == 1

    def test_a_missing_dataset_is_not_created_unless_allowed(self, annotator: Annotator, person: Person) -> None:
        self._open(annotator)
        annotator.delete(self.NAME)
        error = _refusal(lambda: annotator.open(self.NAME, self.SCHEMA, create=False))
        assert isinstance(error, NotFoundError)
        assert self.NAME in error.message

    def test_another_label_schema_is_refused_by_naming_the_label(self, annotator: Annotator, person: Person) -> None:
        self._open(annotator)
        error = _refusal(lambda: annotator.open(self.NAME, replace(self.SCHEMA, labels=("cat", "dog", "fish"))))
        assert isinstance(error, ConfigError)
        assert "fish" in error.message
        assert "bird" in error.message

    def test_asking_twice_changes_nothing(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        questions = [self._question("a", "cat"), self._question("b")]
        first = dataset.ask(questions)
        second = dataset.ask(questions)
        assert (first.created, first.existing, first.predictions) == (2, 0, 1)
        assert (second.created, second.existing, second.predictions) == (0, 2, 0)
        assert first.tasks == second.tasks
        assert dataset.stats().total == 2

    def test_whoever_is_wrongly_sure_that_nothing_was_asked_asks_nothing_twice(
        self, annotator: Annotator, person: Person
    ) -> None:
        dataset = self._open(annotator)
        dataset.size()
        annotator.open(self.NAME, self.SCHEMA).ask([self._question("a")])
        asked = dataset.ask([self._question("a", "cat"), self._question("b", "dog")], unasked=True)
        assert set(asked.tasks) == {"a", "b"}
        assert dataset.size() == 2

    def test_an_item_twice_in_one_call_is_one_question(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        asked = dataset.ask([self._question("a"), self._question("a")])
        assert asked.created == 1
        assert dataset.stats().total == 1

    def test_of_marks_that_would_follow_on_one_the_first_succeeds_and_the_others_are_told(
        self, annotator: Annotator, person: Person
    ) -> None:
        dataset = self._open(annotator)
        if not isinstance(dataset, Marked):
            return
        first, second, third = (f"labelloop:0123456789abcdef:{turn}:89abcdef" for turn in (1, 2, 3))
        assert dataset.swap_mark("", first) == first
        assert [dataset.swap_mark(first, one) for one in (second, third, second)] == [second, second, second]
        assert dataset.mark() == second
        dataset.set_mark(third)
        assert (dataset.mark(), dataset.swap_mark(third, second)) == (third, second)

    def test_asking_nothing_does_nothing(self, annotator: Annotator, person: Person) -> None:
        assert self._open(annotator).ask([]) == Asked(0, 0, 0, {})

    def test_only_new_items_are_created(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("a")])
        asked = dataset.ask([self._question("a"), self._question("b")])
        assert (asked.created, asked.existing) == (1, 1)
        assert set(asked.tasks) == {"a", "b"}
        assert dataset.present() == {"a", "b"}

    def test_a_blind_question_carries_no_prediction(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("a", "cat"), self._question("b")])
        stats = dataset.stats()
        assert (stats.total, stats.with_predictions) == (2, 1)

    def test_a_new_model_refreshes_the_predictions(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("a", "cat", "m1"), self._question("b")])
        asked = dataset.ask([self._question("a", "dog", "m2"), self._question("b", "dog", "m2")])
        assert (asked.created, asked.existing, asked.predictions) == (0, 2, 2)
        stats = dataset.stats()
        assert (stats.model_version, stats.with_predictions) == ("m2", 2)

    def test_without_turns_people_get_questions_as_they_were_asked(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("c", "cat"), self._question("a"), self._question("b", "dog")])
        assert self._served(person, 3) == ["c", "a", "b"]

    def test_people_get_questions_by_their_turns_blind_ones_among_them(
        self, annotator: Annotator, person: Person
    ) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._turned("a", 0.9, "cat"), self._turned("b", 0.1), self._turned("c", 0.5, "dog")])
        assert [person.filled_in(self.NAME, item) for item in "abc"] == [("cat",), (), ("dog",)]
        assert self._served(person, 3) == ["b", "c", "a"]

    def test_a_new_model_changes_the_turns_of_what_is_open(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._turned("a", 0.1, "cat"), self._turned("b", 0.5), self._turned("c", 0.9, "cat")])
        assert self._served(person, 1) == ["a"]
        again = [self._turned("b", 0.9, version="m2"), self._turned("c", 0.3, "dog", "m2")]
        asked = dataset.ask([*again, self._turned("d", 0.5, "dog", "m2")])
        assert (asked.created, asked.existing, asked.predictions) == (1, 2, 3)
        assert dataset.ask(again).predictions == 0
        assert person.filled_in(self.NAME, "c") == ("dog",)
        assert self._served(person, 3) == ["c", "d", "b"]

    def test_another_turn_of_the_same_model_moves_a_question(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._turned("a", 0.1, "cat"), self._turned("b", 0.5), self._turned("c", 0.9, "cat")])
        asked = dataset.ask([self._turned("c", 0.25, "cat"), self._turned("a", 0.75, "cat")])
        assert (asked.existing, asked.predictions) == (2, 0)
        assert self._served(person, 3) == ["c", "b", "a"]

    def test_a_turn_fills_nothing_in(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._turned("a", 0.9, "cat"), self._turned("b", 0.1)])
        stats = dataset.stats()
        assert (stats.total, stats.with_predictions, stats.model_version) == (2, 2, "m1")
        assert [person.filled_in(self.NAME, one) for one in "ab"] == [("cat",), ()]

    def test_a_turn_that_is_none_is_refused_before_anything_is_sent(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        turns = [("turn.at", Turn(1.5, "m1")), ("turn.at", Turn(float("nan"), "m1")), ("turn.version", Turn(0.5, ""))]
        for field, turn in turns:
            bad = Question(Item("bad", "text", text="bad"), None, turn)
            error = _refusal(lambda bad=bad: dataset.ask([self._question("good"), bad]))  # type: ignore[misc]
            assert isinstance(error, ConfigError), field
            assert field in error.message
            assert "bad" in error.message
        other = replace(self._turned("bad", 0.5, "cat", "m1"), turn=Turn(0.5, "m2"))
        assert "turn.version is 'm2'" in _refusal(lambda: dataset.ask([other])).message
        assert dataset.stats().total == 0

    def test_a_prediction_that_does_not_fit_is_refused_before_anything_is_sent(
        self, annotator: Annotator, person: Person
    ) -> None:
        dataset = self._open(annotator)
        for field, guess in self._misfits():
            bad = Question(Item("bad", "text", text="bad"), guess)
            error = _refusal(lambda bad=bad: dataset.ask([self._question("good"), bad]))  # type: ignore[misc]
            assert isinstance(error, ConfigError), field
            assert field in error.message
            assert "bad" in error.message
        assert dataset.stats().total == 0

    def test_answers_come_back_as_they_were_given(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("a"), self._question("b")])
        given = person.answer(self.NAME, "a", regions_of(self.SCHEMA, ["dog"]))
        said = self._said(dataset)
        assert set(said) == {"a"}
        only = said["a"][0]
        assert (only.id, only.item_id, only.skipped) == (given, "a", False)
        assert names_of(self.SCHEMA, only.regions) == ("dog",)
        assert only.annotator
        assert only.created_at.tzinfo is not None
        assert only.updated_at >= only.created_at

    def test_hearing_continues_from_the_cursor(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("a"), self._question("b")])
        person.answer(self.NAME, "a", regions_of(self.SCHEMA, ["dog"]))
        cursor = list(dataset.answers(None))[-1].cursor
        person.answer(self.NAME, "b", regions_of(self.SCHEMA, ["cat"]))
        assert "b" in self._said(dataset, cursor)

    def test_an_edit_is_heard_under_the_same_id(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("a")])
        given = person.answer(self.NAME, "a", regions_of(self.SCHEMA, ["dog"]))
        cursor = list(dataset.answers(None))[-1].cursor
        person.edit(self.NAME, given, regions_of(self.SCHEMA, ["bird"]))
        said = self._said(dataset, cursor)["a"]
        assert [(one.id, names_of(self.SCHEMA, one.regions)) for one in said] == [(given, ("bird",))]

    def test_a_deleted_answer_is_heard_as_an_item_without_answers(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("a")])
        given = person.answer(self.NAME, "a", regions_of(self.SCHEMA, ["dog"]))
        cursor = list(dataset.answers(None))[-1].cursor
        person.retract(self.NAME, given)
        assert {heard.item_id: heard.annotations for page in dataset.answers(cursor) for heard in page.heard} == {
            "a": ()
        }

    def test_a_skip_is_an_answer_that_says_so(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("a")])
        person.skip(self.NAME, "a")
        assert [one.skipped for one in self._said(dataset)["a"]] == [True]
        stats = dataset.stats()
        assert (stats.labeled, stats.skipped, stats.unlabeled) == (0, 1, 0)

    def test_a_question_is_shown_anew_with_what_was_said_or_closed(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("a"), self._question("b")])
        if not isinstance(dataset, Renewing):
            return
        said = person.answer(self.NAME, "a", regions_of(self.SCHEMA, ["cat"]))
        for _ in range(2):
            assert not dataset.renew([self._question("a"), self._question("never asked")])
            dataset.close(["b", "never asked"])
        assert [one.id for one in self._said(dataset)["a"]] == [said]
        assert dataset.present() == {"a"}
        assert dataset.ask([self._question("b")]).created == 1

    def test_counts_add_up(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question(name) for name in "abcd"])
        person.answer(self.NAME, "a", regions_of(self.SCHEMA, ["dog"]))
        person.answer(self.NAME, "b", regions_of(self.SCHEMA, ["cat"]))
        person.skip(self.NAME, "c")
        stats = dataset.stats()
        assert (stats.total, stats.labeled, stats.skipped, stats.unlabeled, stats.annotations) == (4, 2, 1, 1, 2)
        assert len(stats.per_annotator) == 1
        assert dict(stats.per_label) == {"dog": 1, "cat": 1}

    def test_pages_have_an_address(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("a")])
        assert dataset.url() != dataset.url("a")
        assert annotator.page(self.NAME) == dataset.url()
        assert isinstance(_refusal(lambda: annotator.page(f"{self.NAME} of nobody")), NotFoundError)
        assert isinstance(_refusal(lambda: dataset.url("nobody")), NotFoundError)

    def test_a_deleted_dataset_says_so(self, annotator: Annotator, person: Person) -> None:
        dataset = self._open(annotator)
        dataset.ask([self._question("a")])
        annotator.delete(self.NAME)
        for call in (
            lambda: dataset.ask([self._question("a")]),
            lambda: list(dataset.answers(None)),
            dataset.stats,
            dataset.present,
        ):
            error = _refusal(call)
            assert isinstance(error, NotFoundError)
            assert self.NAME in error.message
        assert isinstance(_refusal(lambda: annotator.delete(self.NAME)), NotFoundError)

    def _open(self, annotator: Annotator) -> Dataset:
        if any(summary.name == self.NAME for summary in annotator.datasets()):
            annotator.delete(self.NAME)
        return annotator.open(self.NAME, self.SCHEMA)

    def _question(self, name: str, guess: str = "", version: str = "m1") -> Question:
        item = Item(name, "text", text=f"an animal called {name}")
        return Question(item, self._guess(name, guess, version) if guess else None)

    def _turned(self, name: str, at: float, guess: str = "", version: str = "m1") -> Question:
        return replace(self._question(name, guess, version), turn=Turn(at, version))

    def _served(self, person: Person, count: int) -> list[str]:
        """The items of the next questions that a person answers."""
        served = []
        for _ in range(count):
            served.append(person.next_item(self.NAME))
            person.answer(self.NAME, served[-1], regions_of(self.SCHEMA, ["cat"]))
        return served

    def _guess(self, item: str, label: str, version: str = "m1", score: float = 0.5) -> Prediction:
        return Prediction(item, regions_of(self.SCHEMA, [label]), score, version)

    def _misfits(self) -> Iterator[tuple[str, Prediction]]:
        fitting = self._guess("bad", "cat")
        region = dict(fitting.regions[0])
        yield "score", replace(fitting, score=1.5)
        yield "score", replace(fitting, score=float("nan"))
        yield "model_version", replace(fitting, model_version="")
        yield "item_id", replace(fitting, item_id="other")
        yield "from_name", replace(fitting, regions=({**region, "from_name": "other"},))
        yield "to_name", replace(fitting, regions=({**region, "to_name": "other"},))
        yield "type", replace(fitting, regions=({**region, "type": "labels"},))
        yield "value.choices", replace(fitting, regions=({**region, "value": {"choices": ["fish"]}},))
        yield "value.choices", replace(fitting, regions=({**region, "value": {"choices": ["cat", "dog"]}},))
        yield "value.choices", replace(fitting, regions=({**region, "value": {}},))

    def _said(self, dataset: Dataset, since: str | None = None) -> dict[str, tuple[Annotation, ...]]:
        heard = [one for page in dataset.answers(since) for one in page.heard]
        return {one.item_id: one.annotations for one in heard if one.annotations}


class FakeAnnotator:
    """An annotator in memory that keeps the contract; also the person who answers.

    Time is counted, not measured: each change happens one second after the one before.
    """

    def __init__(self) -> None:
        self._datasets: dict[str, FakeDataset] = {}
        self._numbers = count(1)
        self._state: AnnotatorState = AnnotatorState("fake", "fake://annotator", "up", "1")

    def describe(self) -> AnnotatorState:
        """Up, unless `become` said otherwise."""
        return replace(self._state, datasets=len(self._datasets))

    def become(self, state: AnnotatorState) -> None:
        """Describe itself like this from now on."""
        self._state = state

    def datasets(self) -> Sequence[DatasetSummary]:
        """The datasets in memory."""
        return [
            DatasetSummary(name, kept.url(), kept.stats().total, kept.stats().labeled)
            for name, kept in self._datasets.items()
        ]

    def open(self, name: str, schema: LabelSchema, *, create: bool = True) -> FakeDataset:
        """Get or create a dataset."""
        if name not in self._datasets and not create:
            raise NotFoundError(f"dataset {name!r} does not exist", "check the name")
        kept = self._datasets.setdefault(name, FakeDataset(name, schema, self._numbers))
        differing = sorted(set(kept.schema.labels) ^ set(schema.labels))
        if differing or kept.schema.task != schema.task or kept.schema.modality != schema.modality:
            raise ConfigError(f"dataset {name!r} has other labels: {', '.join(differing)}", "change the schema back")
        return kept

    def stats(self, name: str) -> DatasetStats:
        """Counts of one dataset."""
        if name not in self._datasets:
            raise NotFoundError(f"dataset {name!r} does not exist", "check the name")
        return self._datasets[name].stats()

    def page(self, name: str) -> str:
        """An address that nobody can open."""
        if name not in self._datasets:
            raise NotFoundError(f"dataset {name!r} does not exist", "check the name")
        return self._datasets[name].url()

    def delete(self, name: str) -> None:
        """Forget a dataset."""
        if name not in self._datasets:
            raise NotFoundError(f"dataset {name!r} does not exist", "check the name")
        self._datasets.pop(name).gone = True

    def relabel(self, name: str, schema: LabelSchema, *, dry_run: bool = False) -> None:
        """Ask for other labels from now on, with no guess shown."""
        if name not in self._datasets:
            raise NotFoundError(f"dataset {name!r} does not exist", "check the name")
        if not dry_run:
            self._datasets[name].relabel(schema)

    def answer(self, dataset: str, item_id: str, regions: Sequence[Region], annotator: str = "ann@example.com") -> str:
        """Answer one question, as a person."""
        return self._datasets[dataset].say(item_id, regions, annotator)

    def skip(self, dataset: str, item_id: str, annotator: str = "ann@example.com") -> str:
        """Decline one question, as a person."""
        return self._datasets[dataset].say(item_id, (), annotator, skipped=True)

    def edit(self, dataset: str, annotation_id: str, regions: Sequence[Region]) -> None:
        """Change an answer, as a person."""
        self._datasets[dataset].change(annotation_id, regions)

    def retract(self, dataset: str, annotation_id: str) -> None:
        """Delete an answer, as a person."""
        self._datasets[dataset].change(annotation_id, None)

    def next_item(self, dataset: str) -> str:
        """The item of the question that is first in the queue."""
        return self._datasets[dataset].queue()[0]

    def filled_in(self, dataset: str, item_id: str) -> tuple[str, ...]:
        """The labels of the guess that is shown."""
        kept = self._datasets[dataset]
        guess = kept.prediction(item_id)
        return names_of(kept.schema, guess.regions) if guess else ()

    def remove(self, dataset: str, item_id: str) -> None:
        """Delete a question with its answers, as a person; leaves no trace to hear."""
        self._datasets[dataset].forget(item_id)


@dataclass(frozen=True, slots=True)
class _Task:
    id: str
    question: Question
    said: tuple[Annotation, ...] = ()
    versions: tuple[Question, ...] = ()
    changed: int = 0


class FakeDataset:
    """One dataset of a `FakeAnnotator`.

    Attributes:
        schema: What people are asked.
        gone: Whether it was deleted; every call says so.
        people: How many people each question is shown to.
    """

    def __init__(self, name: str, schema: LabelSchema, numbers: Iterator[int]) -> None:
        self.schema = schema
        self.gone = False
        self.people = 1
        self._name = name
        self._numbers = numbers
        self._now = 0
        self._tasks: dict[str, _Task] = {}
        self._model_version = ""
        self._by_turn = False
        self._failure: tuple[BackendError, int] | None = None
        self._amiss = Survey({})
        self._spoilt: set[str] = set()
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

    def go_wrong(self, amiss: Survey) -> None:
        """Have a survey say so too.

        Of `twins` until `tidy`, of `doubts` and what is `stale` until all is heard, of the `queue` until `show`.
        """
        self._amiss = amiss

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
            self._tasks[question.item.id] = _Task(str(next(self._numbers)), question, changed=self._tick())
        if failure:
            raise failure[0]
        stored = sum(self._predict(question) for question in wanted.values())
        if version:
            self._model_version, self._by_turn = version, any(question.turn for question in wanted.values())
        ids = {item: self._tasks[item].id for item in wanted}
        return Asked(len(new), len(wanted) - len(new), stored, ids)

    def spoil(self, item_id: str) -> None:
        """Have the answers to this question be what cannot be shown, until `mend`."""
        self._spoilt.add(item_id)
        self._tasks[item_id] = replace(self._tasks[item_id], changed=self._tick())

    def mend(self, item_id: str) -> None:
        """Have the answers to this question be shown again."""
        self._spoilt.discard(item_id)
        self._tasks[item_id] = replace(self._tasks[item_id], changed=self._tick())

    def _unheard(self) -> tuple[Unheard, ...]:
        spoilt = [self._tasks[item] for item in sorted(self._spoilt) if item in self._tasks]
        return tuple(Unheard(task.id, task.question.item.id, "it is spoilt") for task in spoilt)

    def answers(self, since: str | None, page_size: int = 100) -> Iterator[Answers]:
        """What people say now, about items changed since the cursor."""
        self._present()
        if since is None:
            self._amiss = replace(self._amiss, stale="", doubts=0)
        start = int(since) if since else 0
        changed = sorted((t for t in self._tasks.values() if t.changed > start), key=lambda task: task.changed)
        left = iter(changed)
        while some := list(islice(left, page_size)):
            shown = [task for task in some if task.question.item.id not in self._spoilt]
            heard = tuple(Heard(task.question.item.id, task.id, task.said) for task in shown)
            yield Answers(heard, str(some[-1].changed), self._unheard())

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
            per_label=_counts(name for one in answers for name in said_names(self.schema, one.regions)),
            per_annotator=_counts(one.annotator for one in answers),
        )

    def url(self, item_id: str | None = None) -> str:
        """An address that nobody can open."""
        if item_id is None:
            return f"fake://annotator/{self._name}"
        if item_id not in self._tasks:
            raise NotFoundError(f"item {item_id!r} is no question of {self._name!r}", "ask it first")
        return f"fake://annotator/{self._name}/{self._tasks[item_id].id}"

    def prediction(self, item_id: str) -> Prediction | None:
        """What a person sees filled in: the prediction of the newest model version, if the item has one."""
        shown = self._shown(item_id)
        return shown.prediction if shown else None

    def open_items(self) -> list[str]:
        """The items that more people may answer, in the order they were asked."""
        return [item for item, task in self._tasks.items() if len({one.annotator for one in task.said}) < self.people]

    def share(self, people: int) -> None:
        """Show every question to so many people."""
        self._present()
        self.people = people

    def queue(self) -> list[str]:
        """The items nobody answered or skipped, in the order people get them."""
        waiting = self.open_items()
        if not self._by_turn:
            return waiting
        turns = {item: shown.turn.at for item in waiting if (shown := self._shown(item)) and shown.turn}
        return sorted(waiting, key=lambda item: turns.get(item, inf))

    def relabel(self, schema: LabelSchema) -> None:
        """Ask for other labels; every guess is out of date."""
        self._present()
        self.schema, self._model_version, self._by_turn = schema, "", False

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
        return replace(survey, versions=_counts(guesses))

    def tidy(self, items: Sequence[str]) -> None:
        """Have each of these items once."""
        self._amiss = replace(
            self._amiss, twins={item: ids for item, ids in self._amiss.twins.items() if item not in items}
        )

    def prune(self, versions: Sequence[str]) -> int:
        """Forget the predictions of these versions, unless people see them."""
        doomed, before = {*versions} - {self._model_version}, sum(len(task.versions) for task in self._tasks.values())
        for item, task in self._tasks.items():
            kept = tuple(one for one in task.versions if one.version not in doomed)
            self._tasks[item] = replace(task, versions=kept)
        return before - sum(len(task.versions) for task in self._tasks.values())

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

    def shown(self, item_id: str) -> Item:
        """The item as people see it."""
        return self._tasks[item_id].question.item

    def _predict(self, question: Question) -> bool:
        task = self._tasks[question.item.id]
        if not question.version:
            return False
        others = tuple(kept for kept in task.versions if kept.version != question.version)
        self._tasks[question.item.id] = replace(task, versions=(*others, question))
        return len(others) == len(task.versions)

    def _shown(self, item_id: str) -> Question | None:
        """What the model version that people see says about an item."""
        shown = (one for one in self._tasks[item_id].versions if one.version == self._model_version)
        return next(shown, None)

    def _present(self) -> None:
        if self.gone:
            raise NotFoundError(f"dataset {self._name!r} is gone", "choose another dataset name")

    def _tick(self) -> int:
        self._now += 1
        return self._now


class LabelStudioPerson:
    """A `Person` who acts through Label Studio's REST API.

    Args:
        client: Signs in as that person.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def answer(self, dataset: str, item_id: str, regions: Sequence[Region]) -> str:
        """Submit an annotation."""
        return self._submit(dataset, item_id, {"result": [dict(one) for one in regions], "lead_time": 3.5})

    def skip(self, dataset: str, item_id: str) -> str:
        """Submit a skip."""
        return self._submit(dataset, item_id, {"result": [], "was_cancelled": True})

    def edit(self, dataset: str, annotation_id: str, regions: Sequence[Region]) -> None:
        """Update an annotation."""
        body = {"result": [dict(one) for one in regions]}
        self._client.call("PATCH", f"/api/annotations/{annotation_id}/", body=body)

    def retract(self, dataset: str, annotation_id: str) -> None:
        """Delete an annotation."""
        self._client.call("DELETE", f"/api/annotations/{annotation_id}/")

    def next_item(self, dataset: str) -> str:
        """The item of the task that the label stream shows next."""
        return str(self.next_task(dataset)["data"][tasks.UID])

    def filled_in(self, dataset: str, item_id: str) -> tuple[str, ...]:
        """The labels in the shown version's prediction of a task."""
        fields = {"include": "model_version"}
        version = self._client.call("GET", f"/api/projects/{self.project(dataset)}", query=fields)["model_version"]
        opened = self._client.call("GET", f"/api/tasks/{self._task(dataset, item_id)}")
        shown = [one["result"] for one in opened["predictions"] if one["model_version"] == version]
        return tuple(label for result in shown for region in result for label in region["value"]["choices"])

    def next_task(self, dataset: str) -> Mapping[str, Any]:
        """The task the label stream shows next, with the predictions shown on it."""
        shown: Mapping[str, Any] = self._client.call("GET", f"/api/projects/{self.project(dataset)}/next")
        return shown

    def project(self, dataset: str) -> int:
        """Label Studio's id of the project with this title."""
        found = self._client.call("GET", "/api/projects", query={"title": dataset, "include": "id,title"})
        return int(next(one["id"] for one in found["results"] if one["title"] == dataset))

    def _submit(self, dataset: str, item_id: str, body: Mapping[str, Any]) -> str:
        path = f"/api/tasks/{self._task(dataset, item_id)}/annotations/"
        return str(self._client.call("POST", path, body=dict(body))["id"])

    def _task(self, dataset: str, item_id: str) -> int:
        wanted = [tasks.where(f"data.{tasks.UID}", "equal", item_id, "String")]
        rows, _ = tasks.page(self._client, self.project(dataset), wanted, "id", 1)
        return int(rows[0]["id"])


class SimulatedAnnotator:
    """People who know the truth, err now and then, and answer through Label Studio's REST API.

    Whether and how an item is answered wrongly depends on the seed and the item alone: not on the order, not on
    the threads. An item the truth does not know is skipped.

    Args:
        client: Signs in as that person.
        project: Label Studio's id of the project (`LabelStudioDataset.project`).
        schema: What is asked.
        truth: Item id -> its labels.
        error_rate: The share of items answered wrongly.
        seed: Chooses which.
        threads: How many answer at once. Label Studio on SQLite serves about as many answers with 2 as with 8.
    """

    def __init__(
        self,
        client: Client,
        project: int,
        schema: LabelSchema,
        truth: Mapping[str, Sequence[str]],
        *,
        error_rate: float = 0.0,
        seed: int = 0,
        threads: int = 4,
    ) -> None:
        if not 0.0 <= error_rate <= 1.0:
            raise ConfigError(f"error_rate is {error_rate}, outside [0, 1]", "choose a share like 0.05")
        self._client = client
        self._project = project
        self._schema = schema
        self._truth = truth
        self._error_rate = error_rate
        self._seed = seed
        self._threads = threads

    def answer_open(self, limit: int | None = None, progress: Progress = silent) -> int:
        """Answer or skip every open task, the oldest first, at most `limit` of them; how many that were.

        Raises:
            BackendError: Label Studio failed; what was answered stays answered.
        """
        waiting = self._open_tasks(limit)
        with ThreadPoolExecutor(self._threads) as pool:
            submitted = [pool.submit(self._answer, *task) for task in waiting]
            try:
                for done, future in enumerate(submitted):
                    progress("answering", done, len(waiting))
                    future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        progress("answering", len(waiting), len(waiting))
        return len(waiting)

    def answer_to(self, item_id: str) -> tuple[str, ...] | None:
        """The labels this person gives an item; None when she skips it."""
        if item_id not in self._truth:
            return None
        right = tuple(label for label in self._schema.labels if label in set(self._truth[item_id]))
        if self._drawn(item_id, "err") >= self._error_rate:
            return right
        return self._wrong(item_id, right)

    def _wrong(self, item_id: str, right: tuple[str, ...]) -> tuple[str, ...]:
        labels = self._schema.labels
        if not self._schema.multiple:
            others = [label for label in labels if label not in right]
            return (others[int(self._drawn(item_id, "which") * len(others))],)
        flipped = labels[int(self._drawn(item_id, "which") * len(labels))]
        wrong = tuple(label for label in labels if (label in right) != (label == flipped))
        return wrong or (labels[(labels.index(flipped) + 1) % len(labels)],)

    def _open_tasks(self, limit: int | None) -> list[tuple[int, str]]:
        nobody = [
            tasks.where("total_annotations", "equal", 0, "Number"),
            tasks.where("cancelled_annotations", "equal", 0, "Number"),
        ]
        pages = tasks.scan(self._client, self._project, nobody, "id,data", size=min(limit or 1000, 1000))
        rows = (row for page in pages for row in page if tasks.UID in row["data"])
        return [(int(row["id"]), str(row["data"][tasks.UID])) for row in islice(rows, limit)]

    def _answer(self, task: int, item_id: str) -> None:
        labels = self.answer_to(item_id)
        regions = regions_of(self._schema, labels) if labels is not None else ()
        body = {
            "result": [dict(region) for region in regions],
            "was_cancelled": labels is None,
            "lead_time": round(2.0 + 6.0 * self._drawn(item_id, "lead time"), 2),
        }
        self._client.call("POST", f"/api/tasks/{task}/annotations/", body=body)

    def _drawn(self, item_id: str, what: str) -> float:
        """A number in [0, 1) that the seed, the item and the purpose decide."""
        digest = sha256(f"{self._seed}/{what}/{item_id}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64


def _refusal(call: Callable[[], object]) -> LabelLoopError:
    """The error a call raises; fails when there is none."""
    try:
        call()
    except LabelLoopError as error:
        return error
    raise AssertionError("nothing was refused")


def _counts(names: Iterator[str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for name in names:
        counted[name] = counted.get(name, 0) + 1
    return counted


def _moment(now: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=now)
