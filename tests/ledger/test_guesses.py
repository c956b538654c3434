"""What a model said about each question, and how its labels changed, in the ledger; the same on every database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from labelloop.errors import BusyError
from labelloop.kinds import LabelSchema
from labelloop.kinds.label_changes import LabelChange, rename
from labelloop.ledger import Ledger
from labelloop.ledger.labels import LabelBook
from labelloop.ledger.questions import Asking
from labelloop.ledger.rounds import Guessed, Round
from labelloop.types import Item, NewItem, Prediction, Turn

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=2)
REGION = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["cat"]}}
SCHEMA = LabelSchema("text", ("cat", "dog"))


def guess(item: str, version: str = "m1") -> Prediction:
    return Prediction(item, (REGION,), 0.75, version)


@pytest.fixture
def guessed(ledger: Ledger) -> Ledger:
    """One question with the guess of the first model, one where it is hidden, one without."""
    ledger.items.add([NewItem(Item(one, "text", text=one), one.encode()) for one in "abc"])
    batch = [
        Asking("a", "train", "unsure", prediction=guess("a"), turn=Turn(0.5, "m1")),
        Asking("b", "blind", "unsure", hidden=guess("b")),
        Asking("c", "holdout", "drawn"),
    ]
    ledger.rounds.plan(Round(1, "first"), batch, NOW)
    return ledger


def test_a_guess_is_noted_as_shown_or_hidden_and_as_sent_once_that_is_certain(guessed: Ledger) -> None:
    planned = guessed.rounds.guesses()
    guessed.rounds.confirm(Round(1, "first"), {"a": "1", "b": "2", "c": "3"}, LATER)
    guessed.rounds.confirm(Round(1, "first"), {}, LATER + timedelta(days=1))

    said = {"a": [Guessed(1, True, (REGION,), "m1", NOW, None)], "b": [Guessed(1, False, (REGION,), "m1", NOW, None)]}
    assert planned == said
    assert guessed.rounds.guesses() == {item: [replace(one, sent_at=LATER)] for item, (one,) in said.items()}


def test_each_round_adds_its_guess_and_the_newest_is_shown_with_its_turn(guessed: Ledger) -> None:
    guessed.rounds.confirm(Round(1, "first"), {"a": "1", "b": "2", "c": "3"}, NOW)
    (asked,) = [one for one in guessed.answers.questions() if one.item_id == "a"]
    refreshed = replace(asked, prediction=guess("a", "m2"), turn=Turn(0.125, "m2"))

    guessed.rounds.plan(Round(2, "second"), [], LATER, [refreshed])

    assert [(one.round, one.version) for one in guessed.rounds.guesses()["a"]] == [(1, "m1"), (2, "m2")]
    (now,) = [one for one in guessed.answers.questions() if one.item_id == "a"]
    assert (now.prediction, now.turn) == (guess("a", "m2"), Turn(0.125, "m2"))


def test_a_change_of_the_labels_is_planned_once_and_takes_guesses_and_turns_away(guessed: Ledger) -> None:
    made = rename(SCHEMA, [], "dog", "hound")
    planned = guessed.labels.plan(made)
    before = guessed.labels.interrupted()

    guessed.labels.confirm(planned)

    assert before == planned == replace(made, number=1, state="planned")
    assert guessed.labels.changes() == [replace(planned, state="done")]
    assert guessed.labels.interrupted() is None
    assert not any(one.prediction or one.turn for one in guessed.answers.questions())


def test_a_change_that_another_process_has_planned_meanwhile_is_refused(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.labels.plan(rename(SCHEMA, [], "dog", "hound"))
    nothing: list[LabelChange] = []
    monkeypatch.setattr(LabelBook, "changes", lambda _: nothing)

    with pytest.raises(BusyError, match="another process"):
        ledger.labels.plan(rename(SCHEMA, [], "cat", "lion"))
