"""Spans that cannot be, or are about a text that is another now: set aside by name, never learned, never lost."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labelloop.commands.add import Added, add_items
from labelloop.commands.doctor import examine
from labelloop.commands.export import write_labels
from labelloop.commands.history import history_as_dict
from labelloop.commands.status import status_as_dict, status_in_words
from labelloop.data.sources import Columns
from labelloop.kinds.ratings import Rating
from labelloop.types import Region

from support.small_spans import SpanWorld, text_of
from support.small_world import NAME
from support.span_world import BEARS, spans_in

EMOJI = "\N{GRINNING FACE}\N{FAMILY} Ann met Bob in \u6771\u4eac"
CRLF = "Carol wrote\r\nabout Oslo\r\n"


@dataclass(frozen=True)
class Careless(Rating):
    """A kind of somebody's own that reads what is not there."""

    def read(self, regions: Sequence[Region]) -> Any:
        return sum(region["value"]["more"] for region in regions) or None


@pytest.fixture
def world(tmp_path: Path) -> SpanWorld:
    made = SpanWorld(tmp_path)
    made.add_texts([text_of(i) for i in range(40)])
    made.tick()
    return made


def span(start: int, end: int, *labels: str) -> Region:
    value = {"start": start, "end": end, "labels": list(labels)}
    return {"from_name": "entities", "to_name": "text", "type": "labels", "value": value}


def asked(world: SpanWorld, purpose: str) -> list[str]:
    return [one.item_id for one in world.questions() if one.purpose == purpose and one.round == 1]


def answer_all_but(world: SpanWorld, odd: Mapping[str, Sequence[Region]]) -> None:
    """People mark what is true, and something odd in some."""
    texts = world.texts()
    for item in world.dataset.open_items():
        if item in odd:
            world.people.answer(NAME, item, odd[item])
        else:
            world.say(item, spans_in(texts[item]))
    world.tick()


def set_aside(world: SpanWorld) -> Mapping[str, str]:
    with world.loop() as loop:
        found: Mapping[str, str] = status_as_dict(loop)["unusable"]["set_aside"]
    return found


def exported(world: SpanWorld) -> dict[str, dict[str, Any]]:
    with world.loop() as loop:
        write_labels(loop, str(world.root / "all.jsonl"))
    return {row["id"]: row for row in map(json.loads, (world.root / "all.jsonl").read_text().splitlines())}


@pytest.mark.parametrize(
    ("regions", "why"),
    [
        ([span(0, 500, "PER")], "marks PER 0-500 in a text of"),
        ([span(500, 503, "PER")], "marks PER 500-503 in a text of"),
        ([span(0, 3, "PER"), span(4, 900, "LOC")], "marks LOC 4-900 in a text of"),
        ([span(3, 3, "PER")], "from 3 to 3, which is no span"),
        ([span(-1, 3, "PER")], "from -1 to 3, which is no span"),
        ([span(0, 3, "PER", "LOC")], "has 2 labels, a span has one"),
        ([span(0, 3)], "has 0 labels, a span has one"),
        ([span(0, 3, "ORG")], "label 'ORG' is not in the label schema"),
        ([span(0, 3, "PER"), span(2, 5, "LOC")], "the spans PER 0-3, LOC 2-5 overlap"),
        ([{**span(0, 3, "PER"), "value": {"start": "0", "end": 3, "labels": ["PER"]}}], "which is no span"),
    ],
)
def test_an_answer_that_spans_cannot_be_is_set_aside_by_name_and_the_others_are_learned(
    world: SpanWorld, regions: list[Region], why: str
) -> None:
    odd = {asked(world, purpose)[0]: regions for purpose in ("train", "holdout")}

    answer_all_but(world, odd)

    found = set_aside(world)
    assert set(found) == set(odd)
    assert all(why in words for words in found.values())
    with world.loop() as loop:
        assert "answers to 2 items set aside, 2 of them without a label: nothing else was said" in status_in_words(loop)
    assert world.last().learned_from == len(asked(world, "train")) - 1
    assert world.last().metrics["n"] == len(asked(world, "holdout")) - 1
    assert not set(odd) & set(exported(world))


def test_where_somebody_else_marked_what_there_is_that_counts_and_both_are_exported_as_they_were_said(
    world: SpanWorld,
) -> None:
    item = asked(world, "train")[0]
    right = spans_in(world.texts()[item])
    world.people.answer(NAME, item, [span(0, 500, "PER")], "bob@example.com")
    world.say(item, right)
    world.people.answer(NAME, item, [span(1, 700, "PER")], "cat@example.com")

    world.tick()

    row = exported(world)[item]
    assert [(one["start"], one["end"], one["label"]) for one in row["answers"]["entities"]] == list(right)
    assert [[region["value"]["end"] for region in one["result"]] for one in row["annotations"]] == [
        [500],
        [end for _, end, _ in right],
        [700],
    ]
    assert row["extra"] == {}
    with world.loop() as loop:
        assert "start 1, end 700, labels PER" in json.dumps(history_as_dict(loop, item))


def test_spans_across_emoji_and_line_ends_are_what_they_are_counted_in_characters(tmp_path: Path) -> None:
    world = SpanWorld(tmp_path)
    ids = world.add_texts([EMOJI, CRLF])
    world.tick(loop__batch=2, holdout__share=0.0)
    marked = {ids[0]: (0, len(EMOJI), "LOC"), ids[1]: (6, 18, "PER")}

    for item, one in marked.items():
        world.say(item, [one])
    world.tick(loop__batch=2, holdout__share=0.0)

    assert set_aside(world) == {}
    for item, row in exported(world).items():
        [one] = row["answers"]["entities"]
        assert row["text"][one["start"] : one["end"]] == {ids[0]: EMOJI, ids[1]: "wrote\r\nabout"}[item]


def test_a_client_that_counts_emoji_twice_marks_outside_of_the_text_and_is_found_out(tmp_path: Path) -> None:
    world = SpanWorld(tmp_path)
    (item,) = world.add_texts([EMOJI])
    world.tick(loop__batch=1, holdout__share=0.0)
    in_halves = len(EMOJI.encode("utf-16-le")) // 2

    world.say(item, [(in_halves - 2, in_halves, "LOC")])
    world.tick(loop__batch=1, holdout__share=0.0)

    assert f"in a text of {len(EMOJI)} characters, which may have been edited since" in set_aside(world)[item]


def test_what_people_say_beside_the_spans_in_controls_of_their_own_is_kept_and_exported(world: SpanWorld) -> None:
    item = asked(world, "train")[0]
    right = spans_in(world.texts()[item])
    note = {"from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["who is that?"]}}
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    regions = [*(span(*one) for one in right), note, relation]

    world.people.answer(NAME, item, regions)
    world.tick()

    row = exported(world)[item]
    assert [(one["start"], one["end"], one["label"]) for one in row["answers"]["entities"]] == list(right)
    assert row["extra"]["note"][0]["value"] == {"text": ["who is that?"]}
    assert row["annotations"][0]["result"] == regions
    with world.loop() as loop:
        assert "people also answer in note (1), relation (1): kept and exported" in status_in_words(loop)


def test_an_answer_of_spans_in_a_control_beside_the_label_is_looked_at_too(world: SpanWorld) -> None:
    path = world.root / "labelloop.toml"
    path.write_text(path.read_text() + '[controls.more]\nkind = "spans"\nlabels = ["WORD"]\n')
    world.tick()
    one, other = asked(world, "train")[:2]
    texts = world.texts()

    for item, end in ((one, 3), (other, 600)):
        beside = {**span(0, end, "WORD"), "from_name": "more"}
        world.people.answer(NAME, item, [*(span(*marked) for marked in spans_in(texts[item])), beside])
    world.tick()

    with world.loop() as loop:
        told = status_as_dict(loop)["controls"]["more"]
    assert told["answered"] == 1
    assert "marks WORD 0-600" in told["set_aside"][other]
    rows = exported(world)
    assert rows[one]["answers"]["more"] == [{"start": 0, "end": 3, "label": "WORD"}]
    assert rows[other]["answers"]["more"] is None
    assert len(rows[other]["answers"]["entities"]) == len(spans_in(texts[other]))


def test_spans_of_a_column_beside_the_text_are_not_measured_by_the_text(tmp_path: Path) -> None:
    world = SpanWorld(tmp_path)
    path = tmp_path / "labelloop.toml"
    section = '[controls.more]\nkind = "spans"\nlabels = ["WORD"]\nshown = "note"\n'
    path.write_text(path.read_text().replace('"text"\n', '"text"\nshow = ["note"]\n', 1) + section)
    note = "a note that is far longer than its text"
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text", "note"), (1, "Ann in Rome", note), (2, "Bob", note)])
    ledger = world.ledger()
    add_items(ledger, [str(tmp_path / "texts.csv")], "text", Columns(id="id"))
    ledger.close()
    world.tick(holdout__share=0.0)
    beside = {**span(30, 39, "WORD"), "from_name": "more", "to_name": "note"}

    world.people.answer(NAME, "1", [span(0, 3, "PER"), beside])
    world.tick(holdout__share=0.0)

    assert exported(world)["1"]["answers"]["more"] == [{"start": 30, "end": 39, "label": "WORD"}]


def test_a_kind_of_somebodys_own_that_raises_costs_the_answers_that_it_raises_on(
    world: SpanWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    path = world.root / "labelloop.toml"
    path.write_text(path.read_text() + '[controls.sure]\nkind = "test_odd_spans:Careless"\n')
    world.tick()
    item = asked(world, "train")[0]
    rating = {"from_name": "sure", "to_name": "text", "type": "rating", "value": {"rating": 3}}
    right = spans_in(world.texts()[item])

    answer_all_but(world, {item: [*(span(*one) for one in right), rating]})

    with world.loop() as loop:
        told = status_as_dict(loop)["controls"]["sure"]
    assert "Careless raised KeyError: 'more'" in told["set_aside"][item]
    assert world.last().learned_from == len(asked(world, "train"))


def corrected(world: SpanWorld, texts: Mapping[int, str]) -> Added:
    """A table of texts with ids of their own, added as it is by now."""
    path = world.root / "texts.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *texts.items()])
    ledger = world.ledger()
    try:
        return add_items(ledger, [str(path)], "text", Columns(id="id"))
    finally:
        ledger.close()


@pytest.fixture
def table() -> dict[int, str]:
    return {number: text_of(number) for number in range(24)}


@pytest.fixture
def edited(tmp_path: Path, table: dict[int, str]) -> SpanWorld:
    """People have marked spans of texts, of which two are others now: one is short, in one all words have moved."""
    world = SpanWorld(tmp_path)
    corrected(world, table)
    world.play(2, holdout__share=0.0, loop__batch=12)
    world.tick(holdout__share=0.0, loop__batch=12)
    taken = corrected(world, {**table, 3: "Ann", 4: f"It is said: {table[4]}"})
    assert sorted(taken.changed) == ["3", "4"]
    return world


def test_what_was_marked_in_a_text_before_it_was_edited_is_set_aside_by_name_and_asked_again(
    edited: SpanWorld,
) -> None:
    outcome = edited.tick(holdout__share=0.0, loop__batch=12)

    assert any(one.startswith("2 answer(s) set aside, 2 question(s) asked again") for one in outcome.notes)
    assert {"3", "4"} <= set(edited.dataset.open_items())
    assert edited.dataset.shown("3").text == "Ann"
    shown = edited.dataset.shown("4").text
    guess = edited.dataset.prediction("4")  # of the round that followed, about the text of now
    places = [(one["value"]["start"], one["value"]["end"]) for one in guess.regions] if guess else []
    assert {shown[start:end] for start, end in places} <= set(BEARS)
    assert [one.change for one in edited.ledger().answers.past("4")] == ["created", "removed"]
    with edited.loop(holdout__share=0.0) as loop:
        assert [*examine(loop)] == []


def test_nothing_is_learned_or_exported_of_an_edited_text_until_it_is_answered_anew(
    edited: SpanWorld, table: dict[int, str]
) -> None:
    before = set(exported(edited))  # also before anybody is asked again
    edited.tick(holdout__share=0.0, loop__batch=12)
    asked_again = set(exported(edited))
    learned = edited.loop(holdout__share=0.0).learning.learn().learned_from
    edited.answer_all()
    edited.tick(holdout__share=0.0, loop__batch=12)

    assert not {"3", "4"} & before
    assert not {"3", "4"} & asked_again
    assert learned == len(asked_again)
    rows = exported(edited)
    assert rows["3"]["answers"]["entities"] == [{"start": 0, "end": 3, "label": "PER"}]
    assert [(one["start"], one["end"], one["label"]) for one in rows["4"]["answers"]["entities"]] == list(
        spans_in(f"It is said: {table[4]}")
    )
    assert set_aside(edited) == {}
