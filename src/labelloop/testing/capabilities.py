"""For whoever brings an annotator: a contract for each capability. Inherit those that yours has."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex
from typing import Any, ClassVar

import pytest

from labelloop.errors import BackendError, BadItemError, ConfigError, NotFoundError
from labelloop.kinds import Control, LabelSchema
from labelloop.kinds.kind import Kind
from labelloop.kinds.labels import regions_of
from labelloop.kinds.ratings import Rating
from labelloop.kinds.spans import TextSpans
from labelloop.protocols import (
    Annotator,
    AskingBeside,
    ChangingLabels,
    Dataset,
    Hiding,
    Managed,
    ModelAsking,
    Notifying,
    Overlapping,
    Owned,
    Peopled,
    PictureChecking,
    Pruning,
    Reached,
    Recognising,
    Restoring,
    Retracting,
    Revealing,
    SigningIn,
    Surveyed,
    TaskReading,
    Templating,
    silent,
)
from labelloop.testing.people import Person
from labelloop.types import Item, Prediction, Question

NOWHERE = "http://127.0.0.1:9"
"""An address where nothing listens."""


class AskedDataset:
    """What the contracts share: a dataset with the questions a, b and c, and predictions for them by `m1`."""

    NAME: ClassVar[str] = "capabilities"
    SCHEMA: ClassVar[LabelSchema] = LabelSchema("text", ("cat", "dog"))

    def asked(self, annotator: Annotator, version: str = "m1") -> Dataset:
        """The dataset, new."""
        if any(summary.name == self.NAME for summary in annotator.datasets()):
            annotator.delete(self.NAME)
        dataset = annotator.open(self.NAME, self.SCHEMA)
        self.ask(dataset, version)
        return dataset

    def ask(self, dataset: Dataset, version: str) -> None:
        """Ask about a, b and c, with predictions by this model."""
        dataset.ask(
            [
                Question(
                    Item(one, "text", text=f"an animal called {one}"),
                    Prediction(one, regions_of(self.SCHEMA, ["cat"]), 0.5, version),
                )
                for one in "abc"
            ]
        )

    def say(self, person: Person, item: str, label: str = "cat") -> str:
        """Somebody answers; the id of the annotation."""
        return person.answer(self.NAME, item, regions_of(self.SCHEMA, [label]))

    def said(self, dataset: Dataset) -> dict[str, list[str]]:
        """Item id -> the ids of what people say about it now."""
        heard = {one.item_id: one for page in dataset.answers(None) for one in page.heard}
        return {name: [one.id for one in heard[name].annotations] for name in sorted(heard) if heard[name].annotations}


class OverlappingContract(AskedDataset):
    """A dataset that is `Overlapping`."""

    def test_sharing_questions_keeps_what_was_said_and_may_be_repeated(
        self, annotator: Annotator, person: Person
    ) -> None:
        dataset = self.asked(annotator)
        assert isinstance(dataset, Overlapping)
        given = self.say(person, "a")
        for people in (2, 2, 1):
            dataset.share(people)
        assert self.said(dataset) == {"a": [given]}
        assert dataset.size() == 3

    def test_some_questions_are_shown_to_more_people_and_what_is_closed_stays_closed(
        self, annotator: Annotator, person: Person
    ) -> None:
        dataset = self.asked(annotator)
        assert isinstance(dataset, Overlapping)
        given = self.say(person, "a")
        for people in (2, 3, 3):
            dataset.share(people, only=["b", "c"])
            dataset.widen(["b"], people)
            assert dataset.people == people
            assert person.next_item(self.NAME) in ("b", "c")
        assert self.said(dataset) == {"a": [given]}


class PruningContract(AskedDataset):
    """A dataset that is `Pruning`."""

    def test_the_predictions_of_an_earlier_model_go_and_those_that_people_see_stay(
        self, annotator: Annotator, person: Person
    ) -> None:
        dataset = self.asked(annotator, "m1")
        assert isinstance(dataset, Pruning)
        self.ask(dataset, "m2")
        dataset.prune(["m1", "m2"])
        assert dataset.prune(["m1", "never there"]) == 0
        assert person.filled_in(self.NAME, "b") == ("cat",)


class SurveyedContract(AskedDataset):
    """A dataset that is `Surveyed`."""

    def test_a_survey_shows_questions_answers_and_predictions_and_changes_nothing(
        self, annotator: Annotator, person: Person
    ) -> None:
        dataset = self.asked(annotator)
        assert isinstance(dataset, Surveyed)
        given = self.say(person, "a")
        for _ in range(2):
            found = dataset.survey(None)
            assert found.present == {"a", "b", "c"}
            assert [one.id for one in found.heard["a"].annotations] == [given]
            assert set(found.versions) == {"m1"}
            assert found.shown == "m1"

    def test_tidying_what_is_asked_once_changes_nothing(self, annotator: Annotator, person: Person) -> None:
        dataset = self.asked(annotator)
        assert isinstance(dataset, Surveyed)
        given = self.say(person, "a")
        dataset.tidy(["a", "b"])
        assert dataset.survey(None).present == {"a", "b", "c"}
        assert self.said(dataset) == {"a": [given]}

    def test_people_see_no_predictions_where_those_of_no_model_are_shown(
        self, annotator: Annotator, person: Person
    ) -> None:
        dataset = self.asked(annotator)
        assert isinstance(dataset, Surveyed)
        dataset.show("", by_turns=False)
        assert dataset.survey(None).shown == ""
        dataset.show("m1", by_turns=False)
        assert dataset.survey(None).shown == "m1"


class RetractingContract(AskedDataset):
    """A dataset that is `Retracting` and `Restoring`."""

    def test_an_answer_is_taken_back_and_restored(self, annotator: Annotator, person: Person) -> None:
        dataset = self.asked(annotator)
        assert isinstance(dataset, Retracting)
        assert isinstance(dataset, Restoring)
        given, other = self.say(person, "a"), self.say(person, "b", "dog")
        before = [one for page in dataset.answers(None) for heard in page.heard for one in heard.annotations]

        assert dataset.retract({given: "a", other: "b"}, ["cat"]) == 1
        assert self.said(dataset) == {"b": [other]}

        assert dataset.restore(before) == 1
        assert dataset.restore(before) == 0
        assert sorted(self.said(dataset)) == ["a", "b"]


class RevealingContract(AskedDataset):
    """A dataset that is `Revealing`."""

    def test_predictions_are_shown_and_revealing_them_may_be_repeated(
        self, annotator: Annotator, person: Person
    ) -> None:
        dataset = self.asked(annotator)
        assert isinstance(dataset, Revealing)
        for _ in range(2):
            dataset.reveal("m1")
            dataset.size()
            assert not dataset.hides_predictions


class OwnedContract(AskedDataset):
    """A dataset that is `Owned`."""

    def test_it_knows_as_whom_we_are_there(self, annotator: Annotator, person: Person) -> None:
        dataset = self.asked(annotator)
        assert isinstance(dataset, Owned)
        assert dataset.owner == dataset.owner != ""


class RecognisingContract(AskedDataset):
    """An annotator that is `Recognising`."""

    BEFORE: ClassVar[str] = "capabilities before"

    def test_a_dataset_has_one_key_of_its_own_for_as_long_as_it_is_there(self, annotator: Annotator) -> None:
        assert isinstance(annotator, Recognising)
        self.asked(annotator)
        key = annotator.key_of(self.NAME)

        annotator.open(self.NAME, self.SCHEMA, create=False)

        assert annotator.key_of(self.NAME) == key != ""
        assert annotator.title_of(self.NAME) == self.NAME
        assert annotator.key_of(f"{self.NAME} of nobody") == ""

    def test_a_dataset_that_people_call_otherwise_now_is_opened_by_its_key(self, annotator: Annotator) -> None:
        assert isinstance(annotator, Recognising)
        self.asked(annotator)
        before = f"{self.BEFORE} {token_hex(4)}"  # what was recognised once is known from then on

        annotator.recognise(before, annotator.key_of(self.NAME))
        found = annotator.open(before, self.SCHEMA, create=False)

        assert found.present() == {"a", "b", "c"}
        assert annotator.title_of(before) == self.NAME
        assert annotator.key_of(before) == annotator.key_of(self.NAME)

    def test_a_dataset_that_is_known_is_not_taken_for_another(self, annotator: Annotator) -> None:
        assert isinstance(annotator, Recognising)
        self.asked(annotator)
        key, other = annotator.key_of(self.NAME), f"{self.BEFORE} {token_hex(4)}"
        annotator.open(other, self.SCHEMA)

        annotator.recognise(self.NAME, annotator.key_of(other))

        assert annotator.key_of(self.NAME) == key != annotator.key_of(other)
        assert annotator.open(self.NAME, self.SCHEMA, create=False).present() == {"a", "b", "c"}
        annotator.delete(other)


class ManagedContract(AskedDataset):
    """An annotator that is `Managed`, and up."""

    def test_starting_what_is_up_changes_nothing(self, annotator: Annotator) -> None:
        assert isinstance(annotator, Managed)
        before = annotator.describe()
        annotator.up(lambda *_: None)
        assert annotator.describe().url == before.url
        assert annotator.describe().state == "up"


class SigningInContract(AskedDataset):
    """An annotator that is `SigningIn`."""

    def test_a_page_has_a_link_whose_use_is_told(self, annotator: Annotator) -> None:
        assert isinstance(annotator, SigningIn)
        page = self.asked(annotator).url()
        with annotator.signed_in(page) as (link, used):
            assert link.startswith("http")
            assert not used.is_set()


class ChangingLabelsContract(AskedDataset):
    """An annotator that is `ChangingLabels`."""

    def test_other_labels_are_asked_for_and_what_was_said_stays(self, annotator: Annotator, person: Person) -> None:
        dataset, other = self.asked(annotator), LabelSchema("text", ("cat", "wolf"))
        assert isinstance(annotator, ChangingLabels)
        given = self.say(person, "a")

        annotator.relabel(self.NAME, other, dry_run=True)
        assert annotator.open(self.NAME, self.SCHEMA, create=False).size() == 3
        for _ in range(2):
            annotator.relabel(self.NAME, other)

        assert self.said(annotator.open(self.NAME, other, create=False)) == {"a": [given]}
        with pytest.raises(ConfigError):
            annotator.open(self.NAME, self.SCHEMA, create=False)
        with pytest.raises(NotFoundError):
            annotator.relabel(f"{self.NAME} of nobody", other)
        del dataset


class AskingBesideContract(AskedDataset):
    """An annotator that is `AskingBeside`."""

    def test_what_is_asked_beside_the_labels_is_asked_once_and_heard(
        self, annotator: Annotator, person: Person
    ) -> None:
        assert isinstance(annotator, AskingBeside)
        dataset, more = self.asked(annotator), self._asking("tone", "parts")
        before = self.say(person, "a")

        assert list(annotator.ask_beside(self.NAME, more)) == ["tone", "parts"]
        assert list(annotator.ask_beside(self.NAME, more)) == []
        annotator.open(self.NAME, more, create=False)

        rated = {"from_name": "tone", "to_name": "text", "type": "rating", "value": {"rating": 4}}
        said = person.answer(self.NAME, "b", [*regions_of(self.SCHEMA, ["dog"]), rated])
        assert self.said(dataset) == {"a": [before], "b": [said]}
        heard = [one for page in dataset.answers(None) for one in page.heard if one.item_id == "b"]
        values = [region["value"] for region in heard[0].annotations[0].regions if region["from_name"] == "tone"]
        assert values == [{"rating": 4}]

    def test_nothing_is_asked_beside_the_labels_of_a_dataset_that_is_not_there(self, annotator: Annotator) -> None:
        assert isinstance(annotator, AskingBeside)
        with pytest.raises(NotFoundError):
            annotator.ask_beside("nobody made this", self._asking("tone"))

    def _asking(self, *names: str) -> LabelSchema:
        kinds: dict[str, Kind] = {"tone": Rating(5), "parts": TextSpans(("head", "tail"))}
        return replace(self.SCHEMA, beside=tuple(Control(name, kinds[name], "text", name) for name in names))


class NotifyingContract(AskedDataset):
    """An annotator that is `Notifying`."""

    def test_an_address_is_called_until_it_is_given_up(self, annotator: Annotator) -> None:
        self.asked(annotator)
        assert isinstance(annotator, Notifying)
        for _ in range(2):
            annotator.subscribe(self.NAME, f"{NOWHERE}/hooks/one", {"Authorization": "Bearer one"})
        assert annotator.unsubscribe(self.NAME, "/hooks/one") == 1
        assert annotator.unsubscribe(self.NAME, "/hooks/one") == 0
        with pytest.raises(NotFoundError):
            annotator.subscribe(f"{self.NAME} of nobody", f"{NOWHERE}/hooks/one", {})


class ModelAskingContract(AskedDataset):
    """An annotator that is `ModelAsking`."""

    def test_a_server_that_does_not_answer_is_not_connected(self, annotator: Annotator) -> None:
        self.asked(annotator)
        assert isinstance(annotator, ModelAsking)
        with pytest.raises((BackendError, ConfigError)):
            annotator.connect(self.NAME, NOWHERE, ("labelloop", "a password"), "m1")
        assert annotator.disconnect(self.NAME, f"{NOWHERE}/never") == 0
        with pytest.raises(NotFoundError):
            annotator.disconnect(f"{self.NAME} of nobody", NOWHERE)


class TaskReadingContract(AskedDataset):
    """An annotator that is `TaskReading`."""

    def test_a_task_that_is_not_ours_has_no_id_and_a_picture_elsewhere_is_not_fetched(
        self, annotator: Annotator
    ) -> None:
        assert isinstance(annotator, TaskReading)
        assert annotator.item_of({}, self.SCHEMA).id == ""
        assert annotator.misfits("what asks for nothing", self.SCHEMA)
        with pytest.raises((BadItemError, NotFoundError)):
            annotator.fetch(Item("", "image", uri=f"{NOWHERE}/cat.png"))


class PictureCheckingContract(AskedDataset):
    """An annotator that is `PictureChecking`."""

    def test_of_a_dataset_without_pictures_nothing_is_said(self, annotator: Annotator) -> None:
        self.asked(annotator)
        assert isinstance(annotator, PictureChecking)
        assert isinstance(annotator.look(self.NAME), str)
        assert list(annotator.looked_at(self.NAME)) == []


class HidingContract(AskedDataset):
    """An annotator that is `Hiding`."""

    def test_predictions_are_shown_until_somebody_switches_them_off(self, annotator: Annotator) -> None:
        self.asked(annotator)
        assert isinstance(annotator, Hiding)
        assert not annotator.hides_predictions(self.NAME)
        assert not annotator.hides_predictions(f"{self.NAME} of nobody")


class TemplatingContract(AskedDataset):
    """An annotator that is `Templating`."""

    def test_templates_have_names_of_their_own_and_something_is_asked_in_each(self, annotator: Annotator) -> None:
        made: Any = type(annotator)
        assert isinstance(made, Templating)
        found = made.templates(silent)
        assert found
        assert len({one.name for one in found}) == len(found)
        assert all(one.title and one.group and one.config for one in found)


class PeopledContract(AskedDataset):
    """An annotator that is `Peopled`."""

    def test_somebody_can_sign_in_and_what_is_exposed_has_its_way_out(self, annotator: Annotator) -> None:
        assert isinstance(annotator, Peopled)
        assert annotator.people() >= 1
        words, way = annotator.exposed()
        assert bool(words) == bool(way)


class ReachedContract(AskedDataset):
    """An annotator that is `Reached`."""

    def test_what_comes_through_is_said_and_nothing_changes(self, annotator: Annotator) -> None:
        dataset = self.asked(annotator)
        assert isinstance(annotator, Reached)
        assert len(annotator.comes_through()) == 2
        assert dataset.size() == 3
