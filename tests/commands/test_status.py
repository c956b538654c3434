"""The loop in words, for scripts, and as the views of a report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labelloop.commands.report import report_view
from labelloop.commands.status import seldom_in_words, set_aside_in_words, status_as_dict, status_in_words
from labelloop.commands.tick import learned_as_dict, learned_in_words, outcome_as_dict, outcome_in_words
from labelloop.evaluation.savings import Savings
from labelloop.ledger.annotations import Changes
from labelloop.loop.decide import Wait
from labelloop.loop.gatekeeper import Gatekeeper
from labelloop.loop.stages import Outcome

from support.small_world import LABELS, NOW, World


def test_the_status_before_the_first_round_says_what_comes(animals: World) -> None:
    assert status_in_words(animals.loop()).splitlines() == [
        "dataset   animals: 40 items, 0 unreadable",
        "answers   0 of 0 questions, 0 skipped, 0 held out for the score",
        "next      start: nothing has been asked yet",
    ]
    assert status_as_dict(animals.loop())["round"] is None


def test_the_status_counts_what_people_did(animals: World) -> None:
    animals.play(1)
    animals.tick()
    animals.people.skip("animals", animals.dataset.open_items()[0])
    animals.tick()

    now = status_as_dict(animals.loop())

    assert (now["asked"], now["answered"], now["skipped"], now["held_out"]) == (20, 10, 1, 8)
    assert now["next"] == {"action": "wait", "reason": "1 of 10 answers to round 2"}
    json.dumps(now)


def test_the_status_says_what_choosing_had_saved_when_it_was_looked_at_and_computes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.add(120)
    loss = Savings(100, 80, 60, 40, 90, 500, True)
    monkeypatch.setattr(Gatekeeper, "savings", lambda *_: loss)
    world.play(7, loop__gate="always")
    assert status_as_dict(world.loop())["saved"] == {}
    assert "saved " not in status_in_words(world.loop())

    world.play(2, loop__gate="always")
    monkeypatch.setattr(Gatekeeper, "savings", lambda *_: pytest.fail("computed"))

    told = status_as_dict(world.loop())["saved"]
    assert (told["needed"], told["of_round"], told["auto_chooses"]) == (60, 8, 0.5)
    assert f"saved     {loss.in_words()} (as of round 8, and auto chooses 50%)" in status_in_words(world.loop())


def test_an_outcome_tells_what_was_heard_lost_and_set_aside() -> None:
    outcome = Outcome(Wait("2 of 9 answers to round 1"), Changes(3, 2, 1, 4), None, 5, {"x": "label 'fish' is unknown"})

    assert outcome_in_words(outcome).splitlines() == [
        "heard 3 new, 2 edited, 1 removed answer(s); 4 to questions this loop never asked",
        "5 question(s) were deleted in the annotator; their answers are kept in the history",
        "set aside: x: label 'fish' is unknown",
        "wait: 2 of 9 answers to round 1",
    ]
    assert outcome_as_dict(outcome)["set_aside"] == {"x": "label 'fish' is unknown"}


def test_many_answers_set_aside_are_not_all_listed() -> None:
    lines = set_aside_in_words({str(i): "odd" for i in range(8)})

    assert lines[0] == "set aside: 0: odd"
    assert lines[-1] == "... and 3 more answer(s) set aside; all of them with --json"


def test_what_was_learned_is_told_with_its_interval(animals: World) -> None:
    animals.play(3)

    learned = animals.loop().study()

    words = learned_in_words(learned)
    assert words.startswith(f"learned from 18 answer(s), model {learned.judged.version}: ")
    assert "held-out items" in words
    told = learned_as_dict(learned)
    assert (told["examples"], told["version"], told["set_aside"]) == (18, learned.judged.version, {})
    json.dumps(told)


def test_the_report_shows_the_rounds_the_labels_and_the_last_batch(animals: World) -> None:
    animals.play(3)
    animals.tick()

    shown = report_view(animals.loop())

    assert [one.number for one in shown.rounds] == [1, 2, 3, 4]
    assert {one.label for one in shown.per_label} == set(LABELS)
    assert shown.confusion is not None
    assert len(shown.batch) == 6
    assert all(one.why and one.text for one in shown.batch)
    assert (shown.totals.items, shown.totals.tasks) == (40, len(animals.questions()))
    assert shown.annotator_url.startswith("fake://annotator/")


def test_the_report_needs_no_annotator(animals: World) -> None:
    animals.play(2)
    animals.people.delete("animals")

    assert report_view(animals.loop()).annotator_url == ""


def test_labels_that_are_hardly_found_are_named_with_what_helps() -> None:
    told = seldom_in_words({"owl": 0.0, "dog": 0.07})

    assert "hardly finds owl (0% of them), dog (7% of them)" in told
    assert "balanced(uherding)" in told
    assert "macro-f1" in told


def test_the_status_names_labels_that_the_model_hardly_finds(animals: World) -> None:
    animals.play(3)
    loop = animals.loop()
    last = animals.last()
    score = {"owl": {"precision": None, "recall": 0.0, "f1": 0.0, "support": 4, "recall_interval": [0.0, 0.49]}}
    loop.ledger.rounds.plan(
        replace(last, number=last.number + 1, metrics={**last.metrics, "per_label": score}), [], NOW
    )

    assert status_as_dict(loop)["hardly_found"] == {"owl": 0.0}
    assert "the model hardly finds owl" in status_in_words(loop)
    assert ("Rare labels", seldom_in_words({"owl": 0.0})) in report_view(loop).notes
