"""The model in use answers about single texts with spans: on the words that people see, each with its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from labelloop.commands.ml_backend import PredictionService
from labelloop.errors import BadItemError
from labelloop.kinds.labels import prediction_of
from labelloop.types import Item, Question

from support.small_spans import SpanWorld, text_of
from support.span_world import spans_in

EMOJI = "\N{GRINNING FACE}\N{FAMILY} Ann met Bob in \u6771\u4eac, left Rome"
CRLF = "Carol wrote\r\nabout Oslo\r\n"


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> SpanWorld:
    world = SpanWorld(tmp_path_factory.mktemp("world"))
    world.add_texts([text_of(i) for i in range(80)])
    world.play(3)
    world.tick()
    return world


@pytest.fixture
def service(taught: SpanWorld) -> PredictionService:
    return PredictionService(taught.loop, lambda item: item.text.encode())


def other(text: str) -> Item:
    """A text that somebody else brought to the annotator."""
    return Item("", "text", text=text)


def marked(answer: Question | None) -> list[tuple[int, int, str]] | None:
    """The spans of an answer; None where there is none."""
    if answer is None or answer.prediction is None:
        return None
    values = [region["value"] for region in answer.prediction.regions]
    return [(value["start"], value["end"], *value["labels"]) for value in values]


def words(text: str, spans: Sequence[tuple[int, int, str]] | None) -> list[tuple[str, str]]:
    """What is marked, and as what."""
    return [(text[start:end], label) for start, end, label in spans or ()]


def test_spans_stand_on_the_words_of_a_text_counted_in_characters(service: PredictionService) -> None:
    emoji, lines = service.answer([other(EMOJI), other(CRLF)])

    assert marked(emoji) == list(spans_in(EMOJI))
    assert words(EMOJI, marked(emoji)) == [("Ann", "PER"), ("Bob", "PER"), ("Rome", "LOC")]
    assert words(CRLF, marked(lines)) == [("Carol", "PER"), ("Oslo", "LOC")]


def test_every_region_is_sent_with_its_control_the_confidence_and_the_version(
    service: PredictionService, taught: SpanWorld
) -> None:
    (answer,) = service.answer([other(EMOJI)])

    assert answer is not None
    assert answer.prediction is not None
    sent = prediction_of(answer.prediction, answer.turn)
    assert sent["model_version"] == service.version() == taught.last().version
    assert sent["score"] == 1.0  # it comes after the questions of the loop
    for region in sent["result"]:
        assert (region["from_name"], region["to_name"], region["type"]) == ("entities", "text", "labels")
        assert region["score"] == answer.prediction.score
    assert 0 < answer.prediction.score < 1


def test_items_of_ours_get_what_the_loop_says_and_the_holdout_nothing(
    service: PredictionService, taught: SpanWorld
) -> None:
    texts = taught.texts()
    open_ones = [one for one in taught.questions() if one.state == "asked"]

    answers = service.answer([Item(one.item_id, "text", text=texts[one.item_id]) for one in open_ones])

    assert {one.purpose for one in open_ones} == {"train", "holdout"}
    for one, answer in zip(open_ones, answers, strict=True):
        shown = answer.prediction.regions if answer and answer.prediction else None
        assert shown == (one.prediction.regions if one.prediction else None)
        assert (answer is None) == (one.purpose == "holdout")


def test_where_people_see_another_text_than_ours_the_spans_stand_on_what_they_see(
    service: PredictionService, taught: SpanWorld
) -> None:
    one = next(one for one in taught.questions() if one.state == "asked" and one.purpose == "train")
    seen = "Edited since: " + taught.texts()[one.item_id]

    (answer,) = service.answer([Item(one.item_id, "text", text=seen)])

    assert marked(answer) == list(spans_in(seen))


def test_a_text_that_the_model_fails_on_or_says_nothing_about_is_left_out_alone(service: PredictionService) -> None:
    good, bad, mute, empty = service.answer([other(EMOJI), other("broken Rome"), other("mute Oslo"), other("")])

    assert marked(good) == list(spans_in(EMOJI))
    assert (marked(bad), marked(mute)) == (None, None)
    assert marked(empty) == []


def test_asked_about_nothing_but_a_text_that_it_fails_on_it_says_so(service: PredictionService) -> None:
    with pytest.raises(BadItemError, match="fails on each of these 1 items: ValueError: this text breaks the tagger"):
        service.answer([other("broken Rome")])

    assert marked(service.answer([other(EMOJI)])[0]) == list(spans_in(EMOJI))


def test_before_there_is_a_model_nothing_is_said(tmp_path: Path) -> None:
    world = SpanWorld(tmp_path)
    world.add_texts([text_of(i) for i in range(20)])
    world.tick()

    assert PredictionService(world.loop, lambda item: b"").answer([other(EMOJI)]) == [None]


def test_a_picture_in_a_loop_of_texts_is_no_text(service: PredictionService) -> None:
    (answer,) = service.answer([replace(other(""), modality="image", uri="https://example.com/a.png")])

    assert answer is None
