"""Certificates, taken labels and their audit in the ledger, the same on every database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from labelloop.errors import BusyError
from labelloop.ledger import Ledger
from labelloop.ledger.auto import ROWS, AutoLabel, Certificate, Terms
from labelloop.ledger.questions import Asking
from labelloop.ledger.rounds import Round
from labelloop.types import Item, NewItem

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TERMS = Terms(0.02, 0.05, per_label=False, audit=0.5)
CERTIFICATE = Certificate(TERMS, "tree:1", "m1", ("cat", "dog"), {"all labels": 0.9}, 2, 4, 100, 1, at="then")


def taken(*ids: str, label: str = "cat") -> list[AutoLabel]:
    """Labels whose draws grow in the order of the ids."""
    return [AutoLabel(one, label, 0.95, number / 10) for number, one in enumerate(ids)]


def test_a_certificate_comes_back_as_it_was_noted_with_its_labels(ledger: Ledger) -> None:
    noted = ledger.auto.note(CERTIFICATE, taken("b", "a"))

    assert (noted.number, noted.order) == (1, 1)
    assert ledger.auto.all() == [noted]
    assert ledger.auto.active() == noted
    assert list(ledger.auto.taken().values()) == sorted(taken("b", "a"), key=lambda one: one.item_id)


def test_a_newer_one_takes_the_place_of_the_one_before_and_goes_on_with_its_order(ledger: Ledger) -> None:
    first = ledger.auto.note(CERTIFICATE, taken("a", "b"))

    second = ledger.auto.note(
        Certificate(TERMS, "tree:2", "m2", ("cat", "dog"), order=first.order), taken("b", label="dog")
    )

    assert [one.state for one in ledger.auto.all()] == ["replaced", "active"]
    assert (second.number, second.order) == (2, 1)
    assert {one.item_id: one.label for one in ledger.auto.taken().values()} == {"b": "dog"}


def test_a_refused_one_leaves_the_labels_before_it(ledger: Ledger) -> None:
    ledger.auto.note(CERTIFICATE, taken("a"))

    ledger.auto.note(Certificate(TERMS, "tree:2", "m2", ("cat", "dog"), state="refused", why="too few"))

    assert [one.state for one in ledger.auto.all()] == ["active", "refused"]
    assert ledger.auto.taken().keys() == {"a"}


def test_after_the_end_no_label_counts(ledger: Ledger) -> None:
    noted = ledger.auto.note(CERTIFICATE, taken("a"))

    ended = ledger.auto.revoke(noted, "they differ")
    ledger.auto.revoke(noted, "they differ")

    assert (ended.state, ended.why) == ("revoked", "they differ")
    assert ledger.auto.all() == [ended]
    assert ledger.auto.active() is None
    assert ledger.auto.taken() == {}


def test_one_that_another_process_has_written_meanwhile_is_refused(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.auto.note(CERTIFICATE, taken("a"))
    monkeypatch.setattr(type(ledger.auto), "all", lambda _: [])

    with pytest.raises(BusyError, match="another process"):
        ledger.auto.note(CERTIFICATE, taken("b"))

    monkeypatch.undo()
    assert ledger.auto.taken().keys() == {"a"}


def test_more_labels_than_one_statement_takes(ledger: Ledger) -> None:
    many = [f"{number:05}" for number in range(ROWS + 3)]

    def reading() -> Iterator[AutoLabel]:
        for one in many:
            yield AutoLabel(one, "cat", 0.95, 0.9)

    ledger.auto.note(CERTIFICATE, reading())

    assert list(ledger.auto.taken()) == many


def test_the_lowest_draws_that_nobody_was_asked_about_are_audited_next(ledger: Ledger) -> None:
    noted = ledger.auto.note(CERTIFICATE, taken("a", "b", "c", "d", "e", "f", "g"))
    ask(ledger, "b")

    due = ledger.auto.due(noted, 3)

    assert [one.item_id for one in due] == ["a", "c", "d"]
    assert [one.item_id for one in ledger.auto.due(noted, 99)] == ["a", "c", "d", "e"], "the share of the terms"


def test_what_was_audited_is_known_by_order_as_it_was_asked(ledger: Ledger) -> None:
    noted = ledger.auto.note(CERTIFICATE, taken("a", "b", "c"))
    ledger.auto.remember(noted, taken("b", "a", "c"))
    ledger.auto.remember(noted, taken("b"))
    ask(ledger, "b", "a", purpose="audit")

    assert [(one.item_id, one.label, one.certificate, one.state) for one in ledger.auto.audited(1)] == [
        ("b", "cat", 1, "asked"),
        ("a", "cat", 1, "asked"),
    ]
    assert ledger.auto.audited(2) == []


def ask(ledger: Ledger, *ids: str, purpose: str = "train") -> None:
    ledger.items.add([NewItem(Item(one, "text", text=one), one.encode()) for one in ids])
    one = Round(1, "because")
    ledger.rounds.plan(one, [Asking(item, purpose, "why not") for item in ids], NOW)  # type: ignore[arg-type]
    ledger.rounds.confirm(one, {item: f"task {item}" for item in ids}, NOW)
