"""Who said something is fixed when it is first heard, and whose ground truth overrules is a setting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of
from labelloop.ledger import Ledger, open_ledger
from labelloop.ledger.annotations import Changes
from labelloop.ledger.questions import Asking
from labelloop.ledger.remembered import AUTHORS
from labelloop.ledger.rounds import Round
from labelloop.ledger.tables import annotated, version
from labelloop.types import Annotation, Answers, Heard

SCHEMA = LabelSchema("text", ("cat", "dog"))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with one question for two people."""
    made = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "animals")
    made.rounds.plan(Round(1, "begin"), [Asking("a", "train", "why"), Asking("b", "train", "why")], NOON)
    made.rounds.confirm(Round(1, "begin"), {"a": "1", "b": "2"}, NOON)
    made.overlap.share(2)
    yield made
    made.close()


def said(number: str, name: str, account: str | None, label: str = "cat", item: str = "a") -> Annotation:
    return Annotation(number, item, regions_of(SCHEMA, [label]), name, NOON, NOON, lead_time=1.0, account=account)


def hear(ledger: Ledger, *annotations: Annotation) -> Changes:
    items = dict.fromkeys(one.item_id for one in annotations)
    heard = tuple(Heard(one, "1", tuple(a for a in annotations if a.item_id == one)) for one in items)
    return ledger.answers.hear(Answers(heard, "1"), NOON)


def names(ledger: Ledger, item: str = "a") -> list[str]:
    return sorted(one.annotator for one in ledger.answers.current()[item])


def test_people_whose_accounts_are_deleted_stay_the_authors_of_what_they_said(ledger: Ledger) -> None:
    hear(ledger, said("1", "fay@example.com", "5"), said("2", "gus@example.com", "6", "dog"))

    gone = hear(ledger, said("1", "unknown (1)", ""), said("2", "unknown (2)", "", "dog"))
    again = hear(ledger, said("1", "unknown (1)", ""), said("2", "unknown (2)", "", "dog"))

    assert gone == Changes(left=("fay@example.com", "gus@example.com"))
    assert again == Changes()
    assert names(ledger) == ["fay@example.com", "gus@example.com"]
    assert ledger.answers.counts() == {(1, "train", "answered"): 1, (1, "train", "asked"): 1}


def test_an_account_that_is_renamed_stays_one_person(ledger: Ledger) -> None:
    hear(ledger, said("1", "fay@example.com", "5"))

    renamed = hear(ledger, said("1", "fay@married.example", "5"))
    hear(ledger, said("3", "fay@married.example", "5", item="b"))

    assert renamed == Changes()
    assert names(ledger) == names(ledger, "b") == ["fay@example.com"]


def test_answers_given_to_another_account_afterwards_keep_their_author(ledger: Ledger) -> None:
    hear(ledger, said("1", "gus@example.com", "6"), said("2", "owner@example.com", "1", item="b"))

    hear(ledger, said("1", "owner@example.com", "1"))
    hear(ledger, said("2", "owner@example.com", "1", "dog", item="b"))

    assert names(ledger) == ["gus@example.com"]
    assert ledger.answers.recall(AUTHORS) == {"6": "gus@example.com", "1": "owner@example.com"}


def test_several_unknown_authors_are_several_people(ledger: Ledger) -> None:
    hear(ledger, said("1", "unknown (1)", ""), said("2", "unknown (2)", "", "dog"))

    assert ledger.answers.counts()[1, "train", "answered"] == 1


def test_an_edit_by_somebody_who_has_left_is_an_edit(ledger: Ledger) -> None:
    hear(ledger, said("1", "fay@example.com", "5"))

    assert hear(ledger, said("1", "unknown (1)", "", "dog")).edited == 1
    assert names(ledger) == ["fay@example.com"]


def test_a_ledger_that_took_people_who_left_for_one_gets_them_back_from_its_history(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    old = open_ledger(url, "animals")
    old.rounds.plan(Round(1, "begin"), [Asking("a", "train", "why")], NOON)
    old.rounds.confirm(Round(1, "begin"), {"a": "1"}, NOON)
    hear(old, said("1", "fay@example.com", None), said("2", "gus@example.com", None, "dog"))
    with old.engine.begin() as connection:
        connection.execute(update(annotated).values(annotator="0"))
        connection.execute(version.update().values(number=7))
    old.close()

    new = open_ledger(url, "animals")
    assert names(new) == ["fay@example.com", "gus@example.com"]
    new.close()


@pytest.mark.parametrize(
    ("declared_by", "trusted", "counts"),
    [
        ("ann@example.com", ["ann@example.com"], True),
        ("bob@example.com", ["ann@example.com"], False),
        ("", ["ann@example.com"], False),
        (None, ["ann@example.com"], True),
        ("bob@example.com", None, True),
        ("bob@example.com", [], False),
    ],
)
def test_ground_truth_counts_where_somebody_declared_it_who_has_a_say(
    ledger: Ledger, declared_by: str | None, trusted: list[str] | None, counts: bool
) -> None:
    ledger.answers.trust(None, lambda: trusted)
    one = replace(said("1", "ann@example.com", "1"), ground_truth=True, declared_by=declared_by)

    hear(ledger, one)

    assert [kept.ground_truth for kept in ledger.answers.current()["a"]] == [counts]
    assert bool(ledger.answers.claims()) is not counts
    assert ledger.answers.counts().get((1, "train", "answered"), 0) == counts  # alone it closes a question for two


def test_another_setting_has_everything_heard_again(ledger: Ledger) -> None:
    ledger.answers.trust(None, lambda: ["ann@example.com"])
    bob = replace(said("1", "bob@example.com", "2"), ground_truth=True, declared_by="bob@example.com")
    hear(ledger, bob)

    ledger.answers.trust(["bob@example.com"], lambda: ["bob@example.com"])

    assert ledger.answers.cursor() is None
    assert hear(ledger, bob).edited == 1
    assert ledger.answers.claims() == {}
    assert hear(ledger, replace(bob, updated_at=NOON + timedelta(1), ground_truth=False)).edited == 1


def test_a_question_that_was_never_asked_is_said_once(ledger: Ledger) -> None:
    foreign = said("9", "ann@example.com", "1", item="nobody")

    assert hear(ledger, foreign).foreign == 1
    assert hear(ledger, foreign).foreign == 0
