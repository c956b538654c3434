"""A label schema as Label Studio's config: every character survives, every difference is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from labelloop.backends.label_studio.config import (
    config_of,
    differences,
    misfits,
    missing_controls,
    with_controls,
)
from labelloop.kinds import Control, LabelSchema
from labelloop.kinds.ratings import Rating
from labelloop.kinds.spans import TextSpans
from labelloop.kinds.task_data import data_of

SCHEMA = LabelSchema("image", ("cat", "dog"))


def parsed(schema: LabelSchema, **changes: Any) -> dict[str, Any]:
    """A project as Label Studio describes one that was made from the schema."""
    control = {
        "type": "Choices",
        "to_name": [schema.modality],
        "inputs": [{"type": schema.modality.capitalize(), "valueType": None, "value": schema.modality}],
        "labels": list(schema.labels),
    }
    return {"label_config": config_of(schema), "parsed_label_config": {schema.control: {**control, **changes}}}


SPANS = LabelSchema("text", ("PER", "LOC"), control="entities", asked=TextSpans(("PER", "LOC")))


@pytest.mark.parametrize("schema", [SCHEMA, LabelSchema("text", ("a", "b"), "multiple-choice"), SPANS])
def test_what_a_model_says_fits_the_config_that_we_write(schema: LabelSchema) -> None:
    assert misfits(schema, config_of(schema)) == []


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('name="entities"', 'name="names"', "the control 'entities' is not in it"),
        ("Labels ", "Choices ", "the control 'entities' is a Choices, not Labels"),
        ('toName="text"', 'toName="note"', "the control 'entities' points at 'note', not at 'text'"),
        ('value="$text"', 'value="$body"', "it does not show 'text' of each task"),
        ('value="LOC"', 'value="PLACE"', "labels missing in Label Studio: 'LOC'"),
        ("<View", "<Vi", "the control 'entities' is not in it"),
    ],
)
def test_why_spans_cannot_be_shown_with_a_config_is_said(before: str, after: str, words: str) -> None:
    config = (
        config_of(SPANS)
        .replace(before, after)
        .replace("</Labels>", f"</{after if before == 'Labels ' else 'Labels '}>")
    )

    assert misfits(SPANS, config) == [words]


def test_labels_and_looks_that_people_added_are_no_misfit() -> None:
    config = config_of(SPANS).replace('<Label value="LOC"', '<Label value="ORG"/><Label background="red" value="LOC"')

    assert misfits(SPANS, config) == []


@pytest.mark.parametrize("task", ["single-choice", "multiple-choice"])
@pytest.mark.parametrize("modality", ["image", "text"])
def test_every_task_type_agrees_with_itself(task: Any, modality: Any) -> None:
    schema = LabelSchema(modality, ("a", "b"), task)

    assert differences(schema, parsed(schema)) == []


def test_labels_and_instructions_survive_xml() -> None:
    schema = LabelSchema("text", ('<b> & "c"', "it's\tz"), instruction="Is 3 < 4 & $x?\nSay.")

    root = ElementTree.fromstring(config_of(schema))

    assert tuple(choice.get("value") for choice in root.iter("Choice")) == schema.labels
    header = next(root.iter("Header")).get("value")
    assert header is not None
    assert header.replace("\N{WORD JOINER}", "") == "Is 3 < 4 & $x? Say."
    assert "$x" not in header  # Label Studio would demand a field x of every task


def test_only_as_many_labels_as_there_are_digits_get_a_hotkey() -> None:
    root = ElementTree.fromstring(config_of(LabelSchema("text", tuple(f"label {n}" for n in range(12)))))

    assert [choice.get("hotkey") for choice in root.iter("Choice")] == [*"1234567890", None, None]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ["cat"]}, "labels missing in Label Studio: 'dog'"),
        ({"labels": ["cat", "dog", "fish"]}, "labels only in Label Studio: 'fish'"),
        ({"type": "Labels"}, "is a Labels, not Choices"),
        ({"to_name": ["other"]}, "points at ['other']"),
        ({"inputs": [{"type": "Image", "value": "picture"}]}, "not the image of each task's 'image'"),
    ],
)
def test_a_change_by_hand_is_named(changes: dict[str, Any], said: str) -> None:
    assert said in "; ".join(differences(SCHEMA, parsed(SCHEMA, **changes)))


def test_a_control_that_is_gone_is_named() -> None:
    assert differences(SCHEMA, {"parsed_label_config": {}}) == ["the control 'label' is gone"]


def test_a_single_choice_that_became_multiple_is_named() -> None:
    project = parsed(SCHEMA)
    project["label_config"] = project["label_config"].replace('choice="single"', 'choice="multiple"')

    assert differences(SCHEMA, project) == ["it is no single-choice any more"]


def test_columns_that_are_shown_stand_above_the_item_and_change_nothing_else() -> None:
    schema = LabelSchema("text", ("a", "b"), show=("author", "post.date & <time>", "text"))

    headers = [one.get("value") for one in ElementTree.fromstring(config_of(schema)).iter("Header")]

    assert headers[1:] == ["author: $author", "post.date & <time>: $post_date____time_", "text: $column_text"]
    assert differences(LabelSchema("text", ("a", "b")), parsed(schema)) == []
    assert schema == LabelSchema("text", ("a", "b"))


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        ({"author": "ann", "post": {"date": 2024}}, {"author": "ann", "post_date": "2024"}),
        ({"author": None, "post": {"date": ["a", "ü"]}}, {"author": "", "post_date": '["a", "ü"]'}),
        ({"post": "none"}, {"author": "", "post_date": ""}),
    ],
)
def test_a_task_holds_every_column_that_is_shown_as_a_text(meta: dict[str, Any], told: dict[str, str]) -> None:
    assert data_of(LabelSchema("text", ("a", "b"), show=("author", "post.date")), meta, "it") == {**told, "text": "it"}


BESIDE = (
    Control("parts", TextSpans(("HEAD", "TAIL")), "image", "Mark <each> part"),
    Control("tone", Rating(4), "image"),
)
MORE = LabelSchema("image", ("cat", "dog"), beside=BESIDE)


def test_each_control_stands_below_its_line_and_before_what_people_see() -> None:
    nodes = list(ElementTree.fromstring(config_of(MORE)))

    assert [node.tag for node in nodes] == ["Header", "Choices", "Header", "Labels", "Rating", "Image"]
    assert nodes[2].get("value") == "Mark <each> part"
    assert differences(MORE, parsed(MORE)) == []


def test_a_control_that_is_not_asked_yet_is_no_difference_and_is_put_in() -> None:
    before = config_of(SCHEMA)

    assert [one.name for one in missing_controls(MORE, before)] == ["parts", "tone"]
    assert differences(MORE, {**parsed(MORE), "label_config": before}) == []
    after = with_controls(MORE, before)
    assert missing_controls(MORE, after) == []
    assert with_controls(MORE, after) == after
    assert [node.tag for node in ElementTree.fromstring(after)][-3:] == ["Labels", "Rating", "Image"]


TITLED = LabelSchema(
    "text", ("a", "b"), show=("post.title", "author"), beside=(Control("cities", TextSpans(("CITY",)), "post_title"),)
)


def test_a_column_that_is_asked_about_is_an_object_and_the_others_are_lines() -> None:
    nodes = list(ElementTree.fromstring(config_of(TITLED)))

    assert [node.get("value") for node in nodes[3:]] == ["post.title", "$post_title", "author: $author", "$text"]
    assert [(node.tag, node.get("name")) for node in nodes if node.get("name")] == [
        ("Choices", "label"), ("Labels", "cities"), ("Text", "post_title"), ("Text", "text"),
    ]  # fmt: skip
    assert nodes[2].get("toName") == "post_title"
    assert differences(TITLED, parsed(TITLED)) == []


def test_a_column_that_is_asked_about_later_takes_the_place_of_its_line() -> None:
    before = config_of(replace(TITLED, beside=()))

    after = with_controls(TITLED, before)

    told = [(node.tag, node.get("name"), node.get("value")) for node in ElementTree.fromstring(after)]
    wanted = [(node.tag, node.get("name"), node.get("value")) for node in ElementTree.fromstring(config_of(TITLED))]
    assert sorted(told, key=str) == sorted(wanted, key=str)
    assert told.index(("Labels", "cities", None)) < told.index(("Text", "post_title", "$post_title"))
    assert with_controls(TITLED, after) == after


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ('<Label value="TAIL" hotkey="w"/>', ""),
        ('maxRating="4"', 'maxRating="5"'),
        ('<Rating name="tone" toName="image"', '<Number name="tone" toName="image"'),
        ('<Rating name="tone" toName="image"', '<Rating name="tone" toName="other"'),
    ],
)
def test_a_control_that_is_asked_otherwise_is_named_and_brought_back(ours: str, theirs: str) -> None:
    changed = config_of(MORE).replace(ours, theirs)

    [said] = differences(MORE, {**parsed(MORE), "label_config": changed})
    assert "is asked otherwise than [controls." in said
    assert differences(MORE, {**parsed(MORE), "label_config": with_controls(MORE, changed)}) == []


def test_looks_that_people_changed_are_no_difference() -> None:
    changed = config_of(MORE).replace('hotkey="q"', 'hotkey="z" background="red"')

    assert differences(MORE, {**parsed(MORE), "label_config": changed}) == []


def test_a_label_config_that_is_no_xml_has_none_of_the_controls() -> None:
    assert [one.name for one in missing_controls(MORE, "<View>")] == ["parts", "tone"]
