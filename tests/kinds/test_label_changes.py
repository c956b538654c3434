"""What a change of the labels makes of what people said before: pure, and with a way back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labelloop.errors import ConfigError, LabelLoopError
from labelloop.kinds import LabelSchema, label_changes
from labelloop.kinds.label_changes import LabelChange, active, meaning, said_names, translated
from labelloop.kinds.labels import regions_of

SCHEMA = LabelSchema("text", ("cat", "dog", "owl"))


class History:
    """The labels of a dataset, change after change."""

    def __init__(self, schema: LabelSchema = SCHEMA) -> None:
        self.first = schema
        self.schema = schema
        self.changes: list[LabelChange] = []

    def then(self, verb: str, *arguments: object) -> History:
        """One more change."""
        change = getattr(label_changes, verb)(self.schema, self.changes, *arguments)
        self.changes.append(replace(change, number=len(self.changes) + 1))
        self.schema = replace(self.schema, labels=change.after)
        return self

    def means(self, name: str) -> tuple[str, ...]:
        """What a label means now."""
        return meaning(name, active(self.changes))

    def says(self, *names: str) -> list[str]:
        """What an answer that said these says now."""
        schema = replace(self.first, labels=tuple(dict.fromkeys([*self.first.labels, *names])))
        return said_names(self.schema, translated(self.schema, self.changes, regions_of(schema, names)))


def test_a_renamed_label_keeps_its_place_and_its_answers() -> None:
    history = History().then("rename", "dog", "hound")
    assert history.schema.labels == ("cat", "hound", "owl")
    assert history.says("dog") == ["hound"]
    assert history.says("cat") == ["cat"]


def test_an_answer_follows_its_label_through_every_change() -> None:
    history = History().then("rename", "dog", "hound").then("merge", ["hound", "cat"], "pet").then("add", ["fish"])
    assert history.schema.labels == ("pet", "owl", "fish")
    assert history.says("dog") == history.says("hound") == history.says("cat") == ["pet"]


def test_a_label_can_be_renamed_back() -> None:
    history = History().then("rename", "dog", "hound").then("rename", "hound", "dog")
    assert history.says("dog") == history.says("hound") == ["dog"]


def test_labels_merged_into_one_of_them_keep_its_name() -> None:
    history = History().then("merge", ["cat", "dog"], "dog")
    assert history.schema.labels == ("dog", "owl")
    assert history.says("cat") == ["dog"]


def test_an_answer_with_a_removed_label_is_not_bent() -> None:
    history = History(replace(SCHEMA, labels=("cat", "dog", "owl", "elk"))).then("remove", ["dog"])
    assert history.means("dog") == ()
    assert history.says("dog") == ["dog"]


def test_a_multiple_choice_loses_only_the_removed_label() -> None:
    history = History(replace(SCHEMA, task="multiple-choice")).then("remove", ["dog"])
    assert history.says("cat", "dog") == ["cat"]
    assert translated(history.schema, history.changes, regions_of(SCHEMA, ["dog"])) == ()


def test_a_split_label_means_one_of_several() -> None:
    history = History().then("split", "dog", ["wolf", "poodle"])
    assert history.schema.labels == ("cat", "wolf", "poodle", "owl")
    assert history.means("dog") == ("wolf", "poodle")
    assert history.says("dog") == ["dog"]


def test_what_was_split_and_merged_again_is_certain_again() -> None:
    history = History().then("split", "dog", ["wolf", "poodle"]).then("merge", ["wolf", "poodle"], "canine")
    assert history.says("dog") == ["canine"]


def test_what_was_split_stays_uncertain_when_one_part_is_removed() -> None:
    history = History().then("split", "dog", ["wolf", "poodle"]).then("remove", ["wolf"])
    assert history.means("dog") == ("wolf", "poodle")


def test_a_removed_label_that_is_added_again_brings_its_answers() -> None:
    history = History(replace(SCHEMA, labels=("cat", "dog", "owl"))).then("remove", ["dog"]).then("add", ["dog"])
    assert history.schema.labels == ("cat", "owl", "dog")
    assert history.says("dog") == ["dog"]
    assert history.then("undo").means("dog") == ()


@pytest.mark.parametrize(
    ("change", "since", "earlier", "later"),
    [
        (("rename", "dog", "hound"), "hound", ["dog"], ["dog"]),
        (("add", ["elk"]), "elk", ["dog"], ["elk"]),
        (("remove", ["dog"]), "cat", ["dog"], ["cat"]),
        (("merge", ["cat", "dog"], "pet"), "pet", ["dog"], ["pet"]),
        (("merge", ["cat", "dog"], "cat"), "cat", ["dog"], ["cat"]),
        (("split", "dog", ["wolf", "poodle"]), "wolf", ["dog"], ["dog"]),
    ],
)
def test_every_change_can_be_undone(
    change: tuple[object, ...], since: str, earlier: list[str], later: list[str]
) -> None:
    history = History().then(str(change[0]), *change[1:]).then("undo")
    assert history.schema.labels == SCHEMA.labels
    assert history.says("dog") == earlier
    assert history.says(since) == later


def test_changes_are_undone_one_after_the_other() -> None:
    history = History().then("rename", "dog", "hound").then("add", ["elk"]).then("undo").then("undo")
    assert history.schema.labels == SCHEMA.labels
    with pytest.raises(ConfigError, match="no change"):
        history.then("undo")


@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        ("rename", ("elk", "deer"), "no label 'elk'"),
        ("rename", ("cat", "dog"), "'dog' is there already"),
        ("add", (["cat"],), "'cat' is there already"),
        ("remove", (["cat", "dog"],), "at least 2"),
        ("merge", (["cat"], "pet"), "only 'cat'"),
        ("merge", (["cat", "dog"], "owl"), "'owl' is there already"),
        ("split", ("cat", ["lion"]), "split into 'lion'"),
        ("split", ("cat", ["cat", "lion"]), "into itself"),
        ("add", ([" elk"],), "spaces around"),
    ],
)
def test_what_cannot_be_is_refused(verb: str, arguments: tuple[object, ...], said: str) -> None:
    with pytest.raises(LabelLoopError) as caught:
        History().then(verb, *arguments)
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_a_name_never_comes_back_with_another_meaning() -> None:
    history = History().then("rename", "dog", "hound")
    with pytest.raises(ConfigError, match="had another meaning before"):
        history.then("add", ["dog"])
    with pytest.raises(ConfigError, match="had another meaning before"):
        history.then("rename", "cat", "dog")


def test_a_change_survives_being_written_down() -> None:
    change = History().then("split", "dog", ["wolf", "poodle"]).changes[0]
    assert LabelChange.of(change.as_dict()) == change
