"""Every kind of ours beside the labels, on a real Label Studio: asked as it says, heard as people said it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.kinds import Control, LabelSchema
from labelloop.kinds.choices import Choices
from labelloop.kinds.dates import Day
from labelloop.kinds.kind import Kind
from labelloop.kinds.labels import regions_of, regions_saying
from labelloop.kinds.numbers import Number
from labelloop.kinds.preferences import Preference
from labelloop.kinds.ratings import Rating
from labelloop.kinds.spans import TextSpans
from labelloop.kinds.taxonomies import Taxonomy
from labelloop.kinds.texts import FreeText
from labelloop.testing.annotator import LabelStudioPerson
from labelloop.types import Item, Question, Region

from support.browser import browsing

pytestmark = [pytest.mark.live, pytest.mark.slow]

NAME = "of every kind"
ASKED: Mapping[str, tuple[Kind, str, Any]] = {
    "topics": (Choices(("work", "play"), multiple=True), "text", ("play",)),
    "parts": (TextSpans(("HEAD", "TAIL")), "text", ((0, 5, "HEAD"),)),
    "stars": (Rating(4), "text", 3),
    "why": (FreeText(), "text", "as it says\nso"),
    "price": (Number(0, 100, 0.5), "text", 12.5),
    "begins": (Day("2020-01-01"), "text", "2026-11-30"),
    "place": (Taxonomy(("animal/bird/owl", "animal/cat", "plant")), "text", ("animal/bird/owl",)),
    "better": (Preference(), "one_answer,other_answer", "right"),
}
SCHEMA = LabelSchema(
    "text",
    ("cat", "dog"),
    show=("one answer", "other answer"),
    beside=tuple(Control(name, kind, shown) for name, (kind, shown, _) in ASKED.items()),
)
ITEM = Item("one", "text", text="hello world", meta={"one answer": "It is a cat.", "other answer": "It is a dog."})


@pytest.fixture(autouse=True)
def _fresh(annotator: LabelStudioAnnotator) -> Iterator[None]:
    yield
    annotator.delete(NAME)


def everything() -> list[Region]:
    """What somebody says who answers everything."""
    beside = (one for control in SCHEMA.beside for one in regions_saying(control, ASKED[control.name][2]))
    return [*regions_of(SCHEMA, ("cat",)), *beside]


def test_what_people_say_in_each_kind_is_heard_as_they_said_it(annotator: LabelStudioAnnotator) -> None:
    dataset = annotator.open(NAME, SCHEMA)
    dataset.ask([Question(ITEM)])

    LabelStudioPerson(annotator.client()).answer(NAME, "one", everything())
    (said,) = (one for page in dataset.answers(None) for heard in page.heard for one in heard.annotations)

    for name, (kind, _, answer) in ASKED.items():
        assert kind.read([one for one in said.regions if one["from_name"] == name]) == answer, name


PAGE = """
(() => {
  const store = window.Htx && window.Htx.annotationStore
  const shown = store && (store.annotations.find(one => one.pk) || store.selected)
  if (!shown) return null
  if (store.selected !== shown) { store.selectAnnotation(shown.id); return null }
  const said = shown.serializeAnnotation()
  return said.length ? said : null
})()"""


@pytest.mark.browser
def test_the_page_says_again_what_was_said_in_each_kind(annotator: LabelStudioAnnotator, tmp_path: Path) -> None:
    dataset = annotator.open(NAME, SCHEMA)
    dataset.ask([Question(ITEM)])
    LabelStudioPerson(annotator.client()).answer(NAME, "one", everything())

    with browsing(annotator, dataset.url("one"), tmp_path) as page:
        again = page.await_(PAGE, "what the page would submit")

    for name, (kind, _, answer) in ASKED.items():
        assert kind.read([one for one in again if one["from_name"] == name]) == answer, name
    assert {one["to_name"] for one in again} == {"text", "one_answer"}
