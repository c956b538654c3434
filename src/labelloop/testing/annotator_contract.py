"""The contract of every annotator, part by part: opening, asking, queue, hearing, marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from labelloop.errors import ConfigError, LabelLoopError, NotFoundError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import names_of, regions_of
from labelloop.protocols import Annotator, Dataset, Marked, Renewing
from labelloop.testing.people import Person
from labelloop.types import Annotation, Asked, Item, Prediction, Question, Turn


class AnimalQuestions:
    """What the parts share: a dataset called `NAME`, which is made anew, and questions about animals."""

    NAME = "labelloop contract"
    SCHEMA = LabelSchema("text", ("cat", "dog", "bird"), instruction="Which animal is it?")

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

    def _said(self, dataset: Dataset, since: str | None = None) -> dict[str, tuple[Annotation, ...]]:
        heard = [one for page in dataset.answers(since) for one in page.heard]
        return {one.item_id: one.annotations for one in heard if one.annotations}


class OpeningContract(AnimalQuestions):
    """Datasets are opened, counted, found and deleted."""

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


class AskingContract(AnimalQuestions):
    """Each item is one question, however often it is asked, with the predictions of the newest model."""

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
        for field, guess in _misfits(self._guess("bad", "cat")):
            bad = Question(Item("bad", "text", text="bad"), guess)
            error = _refusal(lambda bad=bad: dataset.ask([self._question("good"), bad]))  # type: ignore[misc]
            assert isinstance(error, ConfigError), field
            assert field in error.message
            assert "bad" in error.message
        assert dataset.stats().total == 0


class QueueContract(AnimalQuestions):
    """People get questions in the order asked, or by their turns."""

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


class HearingContract(AnimalQuestions):
    """What people say is heard as it was said, and once more when it changes."""

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


class MarkingContract(AnimalQuestions):
    """A dataset keeps the mark of its ledger."""

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


class AnnotatorContract(OpeningContract, AskingContract, QueueContract, HearingContract, MarkingContract):
    """What every annotator does. Inherit, and provide the pytest fixtures `annotator` and `person`.

    The tests create and delete a dataset called `NAME`.
    """


def _refusal(call: Callable[[], object]) -> LabelLoopError:
    """The error a call raises; fails when there is none."""
    try:
        call()
    except LabelLoopError as error:
        return error
    raise AssertionError("nothing was refused")


def _misfits(fitting: Prediction) -> Iterator[tuple[str, Prediction]]:
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
