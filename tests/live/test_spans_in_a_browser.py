"""Spans in a real browser: predicted ones stand on the right words, drawn ones come back where they were drawn."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.dataset import LabelStudioDataset
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_saying
from labelloop.kinds.schema import Control, object_of
from labelloop.kinds.spans import Span, Spans, TextSpans
from labelloop.types import Annotation, Item, Prediction, Question

from support.browser import CALM, PATIENCE, Page, browsing

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.browser]

NAME = "marked in a browser"
KIND = TextSpans(("PER", "LOC"))
SCHEMA = LabelSchema("text", KIND.labels, control="names", instruction="Mark every name", asked=KIND)
ASTRONAUT = "👩\u200d🚀"
TEXTS = {
    "emoji": f"{ASTRONAUT}👍🏽 says: Peter went to 東京, then Ko\u0308ln.",
    "cjk": "猫が好きです。Peter は 東京 に, then Ko\u0308ln.",
    "windows": f"One\r\ntwo {ASTRONAUT}\r\n\r\nPeter went to 東京,\r\nthen Ko\u0308ln.\r\n",
    "indented": "  Peter\twent   to 東京 & <b>then</b>\nKo\u0308ln.",
}
SIGHT = """
[...document.querySelectorAll('.htx-highlight[data-label]')]
  .map(one => [one.dataset.label.split(':')[1], one.textContent])"""
WORD = """
(() => {
  for (const shown of document.querySelectorAll('.lsf-htx-richtext')) {
    const walk = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT)
    while (walk.nextNode()) {
      const at = walk.currentNode.data.indexOf(%s), range = document.createRange()
      if (at < 0) continue
      range.setStart(walk.currentNode, at)
      range.setEnd(walk.currentNode, at + %s.length)
      const box = range.getBoundingClientRect()
      return [box.left + 0.5, box.top + box.height / 2, box.right - 0.5]
    }
  }
  return null
})()"""
MIDDLE = """
(() => {
  const found = [...document.querySelectorAll(%s)].find(one => one.textContent.includes(%s))
  if (!found || found.disabled) return null
  const box = found.getBoundingClientRect()
  return [box.left + box.width / 2, box.top + box.height / 2]
})()"""


@pytest.fixture
def dataset(annotator: LabelStudioAnnotator) -> Iterator[LabelStudioDataset]:
    yield annotator.open(NAME, SCHEMA)
    annotator.delete(NAME)


def span(text: str, word: str, label: str) -> Span:
    return text.index(word), text.index(word) + len(word), label


def seen(page: Page, spans: int) -> list[tuple[str, str]]:
    """Label and words of what is marked, once so much is."""
    marked = f"(found => found.length >= {spans} && found)({SIGHT.strip()})"
    return [(label, words) for label, words in page.await_(marked, f"{spans} marked word(s)")]


def choose(page: Page, label: str) -> None:
    """Click a label."""
    chosen = f"[...document.querySelectorAll('.lsf-label_selected')].some(one => one.textContent.includes('{label}'))"
    page.click_until(chosen, MIDDLE % ("'.lsf-label'", json.dumps(label)), f"the label {label}")


def mark(page: Page, label: str, first: str, last: str) -> None:
    """Choose a label, and draw with the mouse from the first word to the end of the last."""
    left, top, _ = page.await_(WORD % ((json.dumps(first),) * 2), first)
    _, bottom, right = page.await_(WORD % ((json.dumps(last),) * 2), last)
    choose(page, label)
    page.drag((left, top), (right, bottom))


def submitted(page: Page, dataset: LabelStudioDataset) -> Spans:
    """What our hearing makes of the annotation that the page submits."""
    (only,) = submission(page, dataset)
    return KIND.read(only.regions)


def submission(page: Page, dataset: LabelStudioDataset) -> list[Annotation]:
    """The annotations that are heard once the page has submitted one."""
    deadline = time.monotonic() + PATIENCE
    said: list[Annotation] = []
    while not said and time.monotonic() < deadline:
        if button := page.says(MIDDLE % ("'button[name=submit]'", '"Submit"')):
            page.click(button)
        time.sleep(CALM)
        said = [one for found in dataset.answers(None) for heard in found.heard for one in heard.annotations]
    return said


@pytest.mark.parametrize("what", TEXTS)
def test_predicted_spans_stand_on_their_words_and_come_back_as_they_were(
    what: str, annotator: LabelStudioAnnotator, dataset: LabelStudioDataset, tmp_path: Path
) -> None:
    text = TEXTS[what]
    spans = (span(text, "Peter", "PER"), span(text, "東京", "LOC"))
    guess = Prediction("one", regions_saying(SCHEMA.main, spans), 0.5, "m1")
    dataset.ask([Question(Item("one", "text", text=text), guess)])

    with browsing(annotator, dataset.url("one"), tmp_path) as page:
        shown = seen(page, 2)
        heard = submitted(page, dataset)

    assert shown == [("PER", "Peter"), ("LOC", "東京")]
    assert heard == spans


@pytest.mark.parametrize("what", TEXTS)
def test_spans_drawn_with_the_mouse_come_back_in_code_points(
    what: str, annotator: LabelStudioAnnotator, dataset: LabelStudioDataset, tmp_path: Path
) -> None:
    text = TEXTS[what]
    dataset.ask([Question(Item("one", "text", text=text))])

    with browsing(annotator, dataset.url("one"), tmp_path) as page:
        mark(page, "PER", "Peter", "Peter")
        seen(page, 1)
        mark(page, "LOC", "東京", "東京")
        seen(page, 2)
        mark(page, "LOC", "Ko\u0308ln", "Ko\u0308ln")
        seen(page, 3)
        heard = submitted(page, dataset)

    assert heard == (span(text, "Peter", "PER"), span(text, "東京", "LOC"), span(text, "Ko\u0308ln", "LOC"))


def test_a_span_over_line_ends_of_windows_comes_back_with_both_signs(
    annotator: LabelStudioAnnotator, dataset: LabelStudioDataset, tmp_path: Path
) -> None:
    text = TEXTS["windows"]
    dataset.ask([Question(Item("one", "text", text=text))])

    with browsing(annotator, dataset.url("one"), tmp_path) as page:
        mark(page, "LOC", "went", "then")
        seen(page, 1)
        heard = submitted(page, dataset)

    assert [text[start:end] for start, end, _ in heard] == ["went to 東京,\r\nthen"]


def test_spans_drawn_on_a_column_beside_the_item_come_back_as_said_about_that_column(
    annotator: LabelStudioAnnotator, tmp_path: Path
) -> None:
    shown = object_of("post.title")
    places = Control("places", TextSpans(("CITY",)), shown, "Mark every city of the title")
    schema = replace(SCHEMA, show=("post.title", "author"), beside=(places,))
    dataset = annotator.open(NAME, schema)
    title, text = "Trains to 東京", "Peter went there."
    item = Item("one", "text", text=text, meta={"post": {"title": title}, "author": "Ann"})
    try:
        dataset.ask([Question(item)])
        with browsing(annotator, dataset.url("one"), tmp_path) as page:
            mark(page, "PER", "Peter", "Peter")
            seen(page, 1)
            mark(page, "CITY", "東京", "東京")
            seen(page, 2)
            (said,) = submission(page, dataset)
    finally:
        annotator.delete(NAME)

    by_control = {one["from_name"]: (one["to_name"], one) for one in said.regions}
    assert {name: about for name, (about, _) in by_control.items()} == {"names": "text", "places": shown}
    assert KIND.read([by_control["names"][1]]) == (span(text, "Peter", "PER"),)
    assert places.kind.read([by_control["places"][1]]) == (span(title, "東京", "CITY"),)
