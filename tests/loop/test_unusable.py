"""What people said that is not learned from is said at once, by status, doctor, tick, history and exports."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from labelloop.backends.label_studio.reading import annotation_of
from labelloop.commands.doctor import examine
from labelloop.commands.export import write_labels
from labelloop.commands.history import history_as_dict
from labelloop.commands.status import status_as_dict, status_in_words
from labelloop.commands.tick import outcome_in_words
from labelloop.kinds import LabelSchema
from labelloop.kinds.consensus import consensus_of, unkept
from labelloop.kinds.label_changes import rename, translated
from labelloop.kinds.values import brief
from labelloop.loop.unusable import region_in_words
from labelloop.types import Annotation, Survey

from support.odd_answers import KINDS, odd
from support.small_world import NOW, SCHEMA, World

NOTE = {"from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["looks like a lynx"]}}
SURE = {"from_name": "sure", "to_name": "text", "type": "rating", "value": {"rating": 4}}


def choice(*labels: Any) -> dict[str, Any]:
    return {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": list(labels)}}


def test_status_says_at_once_which_answers_were_set_aside_and_why(animals: World) -> None:
    animals.tick()
    first, second = animals.dataset.open_items()[:2]
    animals.dataset.say(first, (choice("lynx"),), "ann@example.com")
    animals.dataset.say(second, (choice("cat"),), "ann@example.com")
    animals.tick()

    with animals.loop() as loop:
        words, told = status_in_words(loop), status_as_dict(loop)["unusable"]

    assert "2 of 10 answered, answers to 1 items set aside, 1 of them without a label" in words
    assert f"{first}: label 'lynx' is not in the label schema" in words
    assert told["without_label"] == [first]


def test_a_question_whose_answers_cannot_be_shown_is_named_and_does_not_hold_up_the_others(animals: World) -> None:
    animals.tick()
    bad, good = animals.dataset.open_items()[:2]
    number = animals.dataset.url(bad).rpartition("/")[2]
    animals.dataset.say(bad, (choice("cat"),), "ann@example.com")
    animals.dataset.say(good, (choice("cat"),), "ann@example.com")
    animals.dataset.spoil(bad)

    outcome = animals.tick()
    with animals.loop() as loop:
        status = status_in_words(loop)
        faults = [(one.what, one.detail, one.mend) for one in examine(loop)]
    animals.dataset.mend(bad)
    mended = animals.tick()

    assert outcome.changes.created == 1
    assert f"{number} (item {bad}" in outcome_in_words(outcome)
    assert f"{number} (item {bad}" in status
    assert [(what, mend) for what, detail, mend in faults if number in detail] == [("answers", None)]
    assert not any("gone" in detail for _, detail, _ in faults)
    assert mended.changes.created == 1
    assert mended.unheard == ()


def test_what_people_say_in_other_controls_is_named_told_and_exported(animals: World) -> None:
    animals.tick()
    item = animals.dataset.open_items()[0]
    animals.dataset.say(item, (choice("cat"), NOTE, SURE), "ann@example.com")
    animals.tick()

    with animals.loop() as loop:
        status = status_in_words(loop)
        history = history_as_dict(loop, item)
        write_labels(loop, str(animals.root / "labels.jsonl"))
        write_labels(loop, str(animals.root / "labels.csv"))
        write_labels(loop, str(animals.root / "labels.parquet"))

    assert "people also answer in note (1), sure (1): kept and exported, not learned from" in status
    assert history[0]["says"] == "cat; note: text looks like a lynx; sure: rating 4"
    (row,) = [json.loads(line) for line in (animals.root / "labels.jsonl").read_text().splitlines()]
    assert row["annotations"][0]["result"] == [choice("cat"), NOTE, SURE]
    assert row["extra"]["note"] == [{"annotator": "ann@example.com", "value": {"text": ["looks like a lynx"]}}]
    assert "looks like a lynx" in (animals.root / "labels.csv").read_text()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_answer_can_be_so_odd_that_it_is_not_passed_over(kind: str) -> None:
    schema = replace(SCHEMA, task="multiple-choice")
    changed = rename(SCHEMA, [], "cat", "tomcat")
    renamed = LabelSchema("text", changed.after)
    for seed in range(20):
        result = KINDS[kind](random.Random(seed))
        row = {
            "id": 1,
            "result": result,
            "completed_by": None,
            "was_cancelled": False,
            "ground_truth": False,
            "lead_time": -1e308,
            "created_at": "2026-02-03T00:00:00Z",
            "updated_at": "2026-02-03T00:00:00Z",
        }
        made, large = annotation_of("a", row, str)
        belief = consensus_of(SCHEMA, [made])
        words = "; ".join(region_in_words(region) for region in made.regions[:5])

        assert belief.answer is None
        assert belief.set_aside
        assert not large
        assert made.lead_time is None
        assert all(len(reason) < 400 for reason in belief.set_aside.values())
        assert len(words) < 3000
        words.encode()
        assert json.loads(json.dumps(made.regions)) == [dict(one) for one in made.regions]
        consensus_of(schema, [made])
        consensus_of(renamed, [replace(made, regions=translated(renamed, [changed], made.regions))])


def test_what_is_too_large_is_kept_as_a_word_about_it(animals: World) -> None:
    animals.tick()
    item = animals.dataset.open_items()[0]
    animals.dataset.say(item, (unkept("has 10,000,000 bytes"),), "ann@example.com")
    animals.tick()

    with animals.loop() as loop:
        assert "has 10,000,000 bytes" in status_in_words(loop)
        assert history_as_dict(loop, item)[0]["says"] == "(it has 10,000,000 bytes)"


def test_a_long_word_is_cut_and_half_an_emoji_is_printable() -> None:
    assert brief("x" * 10_000_000) == "x" * 80 + "… (10,000,000 characters)"
    assert brief("\ud800") == "\\ud800"
    assert brief("cat") == "cat"


def test_an_annotation_that_says_nothing_of_ours_gives_the_reason() -> None:
    one = Annotation("7", "a", (NOTE,), "ann", NOW, NOW)
    assert consensus_of(SCHEMA, [one]).set_aside == {"7": "annotation 7 says nothing in the control 'label'"}


def test_odd_answers_are_many_kinds() -> None:
    assert len({odd(random.Random(seed))[0] for seed in range(400)}) == len(KINDS)


def test_doctor_names_questions_that_show_another_thing_than_was_asked(animals: World) -> None:
    animals.tick()
    item = animals.dataset.open_items()[0]
    animals.dataset.go_wrong(Survey({}, swapped=frozenset({item, "nobody's"})))

    with animals.loop() as loop:
        (fault,) = [one for one in examine(loop) if "another thing" in one.detail]

    assert fault.detail == f"1 question(s) show another thing than was asked, such as {item}"
    assert fault.mend is None
