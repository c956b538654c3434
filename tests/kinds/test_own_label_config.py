"""A label config that people wrote is read as far as kinds can, and kept as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from labelloop.errors import ConfigError
from labelloop.kinds.choices import Choices
from labelloop.kinds.kind import Kind
from labelloop.kinds.label_config import LabelConfig, read_label_config, text_in
from labelloop.kinds.ratings import Rating
from labelloop.kinds.regions import Regions
from labelloop.kinds.spans import TextSpans
from labelloop.kinds.task_data import data_of, object_name
from labelloop.kinds.taxonomies import Taxonomy
from labelloop.kinds.texts import FreeText
from labelloop.machine.registry import classes
from labelloop.testing.kind import KindContract
from labelloop.types import Region

KINDS = classes("kind")
LEARNED = ("choices", "spans", "rating", "taxonomy")


def read(body: str) -> LabelConfig:
    return read_label_config(f"<View>{body}</View>", KINDS)


def kinds_in(body: str) -> dict[str, Kind | None]:
    return {one.name: one.kind for one in read(body).asked}


class TestRegions(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Regions("BrushLabels")

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [f'[{{"type": "brushlabels", "value": {{"rle": [{number}]}}}}]' for number in (1, 2)]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [[{"type": "brushlabels"}], [{"value": {"rle": [1]}}], [{"type": 3, "value": {"rle": [1]}}]]


@pytest.mark.parametrize(
    ("control", "kind"),
    [
        (
            '<Choices name="c" toName="t"><Choice value="a"/><View><Choice value="b" alias="B"/></View></Choices>',
            Choices(("a", "B")),
        ),
        (
            '<Choices name="c" toName="t" choice="multiple"><Choice value="a"/><Choice value="b"/></Choices>',
            Choices(("a", "b"), multiple=True),
        ),
        ('<Choices name="c" toName="t"><Choice value="Two"/><Choice value="Two"/></Choices>', None),
        ('<Choices name="c" toName="t" value="$offered"/>', None),
        (
            '<Choices name="c" toName="t"><Choice value="a"><Choice value="b"/></Choice><Choice value="c"/></Choices>',
            None,
        ),
        ('<Choices name="c" toName="t" perRegion="true"><Choice value="a"/><Choice value="b"/></Choices>', None),
        ('<Labels name="c" toName="t"><Label value="a"/></Labels>', TextSpans(("a",), overlapping=True)),
        ('<Labels name="c" toName="s"><Label value="a"/></Labels>', None),
        ('<Rating name="c" toName="t" maxRating="7"/>', Rating(7)),
        ('<Rating name="c" toName="t"/>', Rating(5)),
        ('<TextArea name="c" toName="t" rows="2" placeholder="why"/>', FreeText(2, "why")),
        (
            '<Taxonomy name="c" toName="t"><Choice value="a"><Choice value="b"/></Choice>'
            '<Choice value="c"/></Taxonomy>',
            Taxonomy(("a", "a/b", "c"), multiple=True),
        ),
        (
            '<Taxonomy name="c" toName="t" leafsOnly="true" maxUsages="1">'
            '<Choice value="a"><Choice value="b"/></Choice><Choice value="c"/></Taxonomy>',
            Taxonomy(("a/b", "c")),
        ),
        ('<Taxonomy name="c" toName="t" apiUrl="https://example.com/tree"/>', None),
        ('<Taxonomy name="c" toName="t"><Choice value="and/or"/><Choice value="b"/></Taxonomy>', None),
        ('<BrushLabels name="c" toName="t"><Label value="a"/></BrushLabels>', None),
        ('<Unheard name="c" toName="t"/>', None),
    ],
)
def test_a_control_is_read_by_the_kind_that_can(control: str, kind: Kind | None) -> None:
    found = kinds_in(f'{control}<Text name="t" value="$text"/><Audio name="s" value="$sound"/>')

    assert found == {"c": kind}


@pytest.mark.parametrize(
    ("xml", "why"),
    [
        ("<View>\n  <Text>\n</View>", "line 3, column 3: mismatched tag"),
        ("no config", "line 1, column 1: syntax error"),
        ("", "line 1, column 1: no element found"),
        ('<View><Rating name="r" toName="nothing"/></View>', "'r' points at 'nothing', which is not shown"),
        ('<View><Text name="a" value="$a"/><Rating name="a" toName="a"/></View>', "two tags of the name 'a'"),
        (
            '<View><Text name="t" value="$t"/>'
            '<Choices name="c" toName="t"><Choice value="a"/><Choice/></Choices></View>',
            "the control 'c': label '' is empty",
        ),
        (
            '<View><Text name="t" value="$t"/><Rating name="c" toName="t" maxRating="many"/></View>',
            "maxRating = many, no number",
        ),
        ('<View><Text name="t" value="$t"/><Rating name="c" toName="t" maxRating="999"/></View>', "is no scale"),
        ("<View>" + " " * (1 << 20) + "</View>", "1,048,589 characters"),
        (
            '<!DOCTYPE v [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
            '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">'
            '<!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;"><!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;">'
            '<!ENTITY g "&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;"><!ENTITY h "&g;&g;&g;&g;&g;&g;&g;&g;&g;&g;">]>'
            "<View>&h;</View>",
            "limit on input amplification",
        ),
    ],
)
def test_what_is_no_label_config_is_refused_with_its_place(xml: str, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_label_config(xml, KINDS)

    assert why in refused.value.message


def test_labels_of_any_script_and_any_sign_are_read_as_they_are() -> None:
    labels = ["Ärger & <Zorn>", '"zitiert"', "笑", "نص", "👩‍👩‍👧", *(f"label {number}" for number in range(500))]
    escaped = [one.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;") for one in labels]
    choices = "".join(f'<Choice value="{one}"/>' for one in escaped)

    (found,) = kinds_in(f'<Choices name="c" toName="t">{choices}</Choices><Text name="t" value="$t"/>').values()

    assert found == Choices(tuple(labels))


BOTH = """
  <Text name="prompt" value="$question"/><Text name="reply" value="$answer"/><Header value="by $model"/>
  <TextArea name="why" toName="reply"/><Rating name="grade" toName="reply"/>
  <Pairwise name="better" toName="prompt,reply"/>
  <RectangleLabels name="boxes" toName="scan"><Label value="a"/></RectangleLabels><Image name="scan" value="$scan"/>
"""


def test_the_first_control_that_can_be_learned_from_is_the_main_one_unless_another_is_named() -> None:
    config = read(BOTH)

    assert config.main("", LEARNED).name == "grade"
    assert config.main("better", LEARNED).name == "better"
    with pytest.raises(ConfigError, match="has no control 'best'"):
        config.main("best", LEARNED)
    with pytest.raises(ConfigError, match="asks nothing"):
        read('<Text name="t" value="$t"/>').main()


def test_a_schema_of_it_asks_the_same_and_shows_its_columns() -> None:
    config = read(BOTH)
    schema = config.schema(config.main("", LEARNED))

    assert config.columns == ("question", "answer", "model", "scan")
    assert (schema.main.name, schema.main.shown, schema.main.kind) == ("grade", "reply", Rating(5))
    assert [one.name for one in schema.beside] == ["why", "better"]
    assert schema.objects == ("prompt", "reply", "scan")
    assert schema.own is not None
    assert schema.own.item == ("answer",)


def test_the_data_of_a_task_has_every_column_as_it_is() -> None:
    config = read(BOTH)
    schema = config.schema(config.main("", LEARNED))

    data = data_of(schema, {"question": "why?", "model": 7, "note": "hidden"}, "because")

    assert data == {"question": "why?", "answer": "because", "model": 7, "scan": ""}
    assert object_name(schema) == "answer"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ([{"author": "Ann", "text": "Hi"}, {"name": "Bob", "text": "Ho"}], "Ann: Hi\nBob: Ho"),
        ([{"role": "user", "content": "Hi"}], "user: Hi"),
        ([{"id": "1", "title": "One", "body": "first"}], "One: first"),
        ({"price": 12, "place": {"town": "Oslo"}}, "price: 12\nplace: town: Oslo"),
        (["a", ["b", None]], "a\nb\n"),
        (3.5, "3.5"),
    ],
)
def test_parts_are_one_text_for_learners(value: Any, text: str) -> None:
    assert text_in(value) == text
