"""The ledger's contract, the same on every database."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import inspect, update

from labelloop.errors import BackendError, BusyError, ConfigError
from labelloop.ledger import Ledger, connect, open_ledger
from labelloop.ledger.annotations import Changes
from labelloop.ledger.items import Chunk
from labelloop.ledger.questions import Asking
from labelloop.ledger.rounds import Round
from labelloop.ledger.tables import MIGRATIONS, leases
from labelloop.types import Annotation, Answers, Heard, Item, Missing, NewItem, Prediction, Seen, Turn

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def new(*ids: str, group: str = "") -> list[NewItem]:
    return [NewItem(Item(i, "text", text=f"text of {i}", group=group, meta={"row": 1}), i.encode()) for i in ids]


def said(
    annotation: str, item: str, label: str = "cat", minute: int = 0, skipped: bool = False, by: str = "ann"
) -> Annotation:
    region = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
    at = NOW + timedelta(minutes=minute)
    return Annotation(annotation, item, () if skipped else (region,), f"{by}@example.com", NOW, at, skipped=skipped)


def page(*heard: Heard, cursor: str = "c1") -> Answers:
    return Answers(heard, cursor)


def asked(ledger: Ledger, *ids: str, number: int = 1) -> None:
    ledger.items.add(new(*ids))
    one = Round(number, "because")
    ledger.rounds.plan(one, [Asking(i, "train", "why not") for i in ids], NOW)
    ledger.rounds.confirm(one, {i: f"task-{i}" for i in ids})


def test_adding_items_twice_changes_nothing(ledger: Ledger) -> None:
    first = ledger.items.add(new("a", "b"))
    again = ledger.items.add(new("b", "a", "c", "c"))

    assert (first, again) == (2, 1)
    assert [item.id for item in ledger.items.between(0, 10)] == ["a", "b", "c"]


def test_items_come_back_as_they_were_added(ledger: Ledger) -> None:
    (one,) = new("a", group="a")

    ledger.items.add([one])

    assert ledger.items.get(["a", "absent"]) == {"a": one.item}


def test_columns_follow_positions(ledger: Ledger) -> None:
    ledger.items.add(new("b", "a"))
    ledger.items.add([NewItem(Item("c", "text", text="near b", group="b"), b"c")])
    ledger.aside.put({"a": Missing("corrupt")}, NOW)

    columns = ledger.items.columns()

    assert columns.ids.tolist() == ["b", "a", "c"]
    assert columns.groups.tolist() == ["b", "a", "b"]
    assert columns.readable.tolist() == [True, False, True]
    assert ledger.items.leaders() == (["b", "a"], [b"b", b"a"], [2, 1])


def test_columns_of_nothing_are_empty(ledger: Ledger) -> None:
    assert len(ledger.items.columns().ids) == 0
    assert ledger.items.columns().readable.dtype == np.bool_


def test_more_items_than_one_statement_takes(ledger: Ledger) -> None:
    ids = [f"i{n}" for n in range(1500)]
    ledger.items.add(new(*ids))

    assert ledger.items.unknown([*ids, "stranger"]) == {"stranger"}
    assert len(ledger.items.get(ids)) == 1500


def test_embedded_chunks_are_remembered_in_order(ledger: Ledger) -> None:
    ledger.items.add_chunk("net", Chunk(10, 20, "npy:b"))
    ledger.items.add_chunk("net", Chunk(0, 10, "npy:a"))
    ledger.items.add_chunk("other", Chunk(0, 5, "npy:c"))

    assert ledger.items.chunks("net") == [Chunk(0, 10, "npy:a"), Chunk(10, 20, "npy:b")]


def test_hearing_a_page_again_changes_nothing(ledger: Ledger) -> None:
    asked(ledger, "a", "b")
    heard = page(Heard("a", "7", (said("1", "a"),)))

    first = ledger.answers.hear(heard, NOW)
    again = ledger.answers.hear(heard, NOW)

    assert (first, again) == (Changes(created=1), Changes())
    assert ledger.answers.current() == {"a": [said("1", "a")]}
    assert ledger.answers.cursor() == "c1"


@pytest.mark.parametrize(
    ("then", "changes", "state"),
    [
        ((said("1", "a", "dog", minute=1),), Changes(edited=1), "answered"),
        ((), Changes(removed=1), "asked"),
        ((said("2", "a", skipped=True),), Changes(created=1, removed=1), "skipped"),
        ((said("1", "a"), said("2", "a", "dog")), Changes(created=1), "answered"),
    ],
)
def test_edits_deletions_and_skips_are_heard(
    ledger: Ledger, then: tuple[Annotation, ...], changes: Changes, state: str
) -> None:
    asked(ledger, "a")
    ledger.answers.hear(page(Heard("a", "7", (said("1", "a"),))), NOW)

    heard = ledger.answers.hear(page(Heard("a", "7", then)), NOW)

    assert heard == changes
    assert ledger.answers.current().get("a", []) == list(then)
    assert [question.state for question in ledger.answers.questions()] == [state]


@pytest.mark.parametrize(
    ("heard", "state"),
    [
        ((), "asked"),
        ((said("1", "a"),), "asked"),
        ((said("1", "a"), said("2", "a", "dog")), "asked"),  # one person, twice
        ((said("1", "a"), said("2", "a", "dog", by="bob")), "answered"),
        ((said("1", "a"), said("2", "a", skipped=True, by="bob")), "answered"),
        ((said("1", "a", skipped=True), said("2", "a", skipped=True, by="bob")), "skipped"),
        ((said("1", "a", skipped=True),), "asked"),
        ((replace(said("1", "a"), ground_truth=True),), "answered"),
        ((replace(said("1", "a", skipped=True), ground_truth=True),), "asked"),
    ],
)
def test_a_question_for_two_people_is_closed_by_two_or_by_ground_truth(
    ledger: Ledger, heard: tuple[Annotation, ...], state: str
) -> None:
    asked(ledger, "a")
    ledger.overlap.share(2)

    ledger.answers.hear(page(Heard("a", "7", heard)), NOW)

    assert [question.state for question in ledger.answers.questions()] == [state]


def test_a_higher_number_of_people_opens_nothing_until_it_is_said_and_a_lower_one_closes(ledger: Ledger) -> None:
    asked(ledger, "a", "b", "c")
    ledger.rounds.plan(Round(2, "because"), [Asking("d", "train", "not sent yet")], NOW)
    one, two = Heard("a", "7", (said("1", "a"),)), Heard("b", "8", (said("2", "b"), said("3", "b", by="bob")))
    ledger.answers.hear(page(one, two), NOW)

    raised = ledger.overlap.share(2)
    kept = [question.state for question in ledger.answers.questions()]
    lacking = ledger.overlap.lacking(2)
    opened = ledger.overlap.reopen()
    states = [question.state for question in ledger.answers.questions()]
    again = ledger.overlap.reopen()
    closed = ledger.overlap.share(1)

    assert (raised, opened, again, closed) == (0, 1, 0, 1)
    assert kept == ["answered", "answered", "asked", "planned"]
    assert lacking == {"a": 1}
    assert states == ["asked", "answered", "asked", "planned"]
    assert ledger.overlap.people() == 1


def test_a_question_is_kept_closed_by_the_number_it_was_closed_with(ledger: Ledger) -> None:
    asked(ledger, "a", "b")
    ledger.overlap.share(2)
    both = (said("1", "a"), said("2", "a", by="bob"))
    ledger.answers.hear(page(Heard("a", "7", both)), NOW)
    ledger.overlap.share(3)

    states = {}
    for name, heard in {
        "edited": both,
        "one left": both[:1],
        "again": both,
        "three": (*both, said("4", "a", by="eve")),
    }.items():
        ledger.answers.hear(page(Heard("a", "7", heard), Heard("b", "8", heard[:2])), NOW)
        states[name] = [one.state for one in ledger.answers.questions()]

    assert states["edited"] == ["answered", "asked"]
    assert states["one left"] == ["asked", "asked"]
    assert states["again"] == ["answered", "asked"]
    assert states["three"] == ["answered", "asked"]


def test_a_question_that_is_open_again_is_released_to_the_number_of_now(ledger: Ledger) -> None:
    asked(ledger, "a")
    ledger.answers.hear(page(Heard("a", "7", (said("1", "a"),))), NOW)
    ledger.overlap.share(2)
    before = ledger.overlap.reopened()
    ledger.answers.hear(page(Heard("a", "7", ())), NOW)

    reopened = ledger.overlap.reopened()
    ledger.overlap.release(reopened)
    ledger.answers.hear(page(Heard("a", "7", (said("5", "a"),))), NOW)

    assert before == []
    assert reopened == ["a"]
    assert ledger.overlap.reopened() == []
    assert [one.state for one in ledger.answers.questions()] == ["asked"]


def test_that_the_annotator_has_to_be_told_is_remembered_until_it_was(ledger: Ledger) -> None:
    asked(ledger, "a")
    told = [ledger.overlap.is_untold()]
    ledger.overlap.share(2)
    told.append(ledger.overlap.is_untold())
    ledger.overlap.told()
    told.append(ledger.overlap.is_untold())
    ledger.overlap.reopen()
    told.append(ledger.overlap.is_untold())

    assert told == [False, True, False, True]


def test_a_removed_annotation_that_comes_back_is_restored(ledger: Ledger) -> None:
    asked(ledger, "a")
    with_answer = page(Heard("a", "7", (said("1", "a"),)))
    ledger.answers.hear(with_answer, NOW)
    ledger.answers.hear(page(Heard("a", "7", ())), NOW)

    assert ledger.answers.hear(with_answer, NOW) == Changes(created=1)
    assert ledger.answers.changes() == 3


def test_answers_to_questions_we_never_asked_are_counted_and_set_aside(ledger: Ledger) -> None:
    asked(ledger, "a")

    changes = ledger.answers.hear(page(Heard("stranger", "9", (said("5", "stranger"),))), NOW)

    assert changes == Changes(foreign=1)
    assert ledger.answers.current() == {}


def test_questions_that_vanished_are_gone_and_their_answers_kept_in_history(ledger: Ledger) -> None:
    asked(ledger, "a", "b")
    ledger.answers.hear(page(Heard("a", "7", (said("1", "a"),))), NOW)

    lost = ledger.answers.lose({"b"}, NOW)

    assert lost == ["a"]
    assert ledger.answers.current() == {}
    assert {q.item_id: q.state for q in ledger.answers.questions()} == {"a": "gone", "b": "asked"}
    assert ledger.answers.changes() == 2


def test_a_round_is_planned_then_confirmed(ledger: Ledger) -> None:
    ledger.items.add(new("a", "b"))
    guess = Prediction("b", ({"value": {"choices": ["cat"]}},), 0.5, "m1")
    one = Round(1, "nothing has been asked yet", asked=2, metrics={"score": 0.5}, room=None)

    batch = [Asking("a", "holdout", "blind"), Asking("b", "train", "unsure", prediction=guess)]
    ledger.rounds.plan(one, batch, NOW)
    planned = ledger.rounds.last()
    ledger.rounds.confirm(one, {"a": "7", "b": "8"})

    assert planned == one
    last = ledger.rounds.last()
    assert last is not None
    assert last.state == "asked"
    assert [(q.item_id, q.purpose, q.task_id, q.state, q.prediction) for q in ledger.answers.questions(round=1)] == [
        ("a", "holdout", "7", "asked", None),
        ("b", "train", "8", "asked", guess),
    ]
    assert ledger.answers.counts() == {(1, "holdout", "asked"): 1, (1, "train", "asked"): 1}


def test_what_features_note_about_a_round_stands_beside_its_own_and_comes_back(ledger: Ledger) -> None:
    one = Round(1, "begin", asked=2, labels=("cat", "dog")).noting(trust=0.5, advice={"stop": False})

    ledger.rounds.plan(one, [], NOW)

    assert ledger.rounds.last() == one
    assert one.as_dict() == {**Round(1, "begin", asked=2, labels=("cat", "dog")).as_dict(), **one.notes}
    with pytest.raises(ValueError, match=r"a round cannot note \['asked'\]: these are its own"):
        one.noting(asked=3)


def test_planning_a_round_again_is_refused(ledger: Ledger) -> None:
    asked(ledger, "a")

    with pytest.raises(BusyError, match="round 1 of dataset 'pets' was planned by another process"):
        ledger.rounds.plan(Round(1, "again"), [Asking("b", "train", "again")], NOW)

    assert [q.state for q in ledger.answers.questions()] == ["asked"]


def test_a_new_round_refreshes_the_guesses_of_open_questions(ledger: Ledger) -> None:
    asked(ledger, "a")
    guess, turn = Prediction("a", (), 0.9, "m2"), Turn(0.25, "m2")

    ledger.rounds.plan(Round(2, "more"), [], NOW, [Asking("a", "train", "useful", prediction=guess, turn=turn)])

    kept = ledger.answers.questions()[0]
    assert (kept.prediction, kept.turn, kept.version) == (guess, turn, "m2")
    assert ledger.answers.turns(["a", "unknown"]) == {"a": turn}


def test_a_blind_question_has_a_turn_and_no_guess(ledger: Ledger) -> None:
    blind = Asking("a", "holdout", "drawn", turn=Turn(0.5, "m1"))

    ledger.rounds.plan(Round(1, "first"), [blind, Asking("b", "holdout", "drawn")], NOW)

    kept = ledger.answers.questions()
    assert [(one.prediction, one.turn, one.version) for one in kept] == [(None, blind.turn, "m1"), (None, None, "")]


def test_a_fact_is_fixed_once(ledger: Ledger) -> None:
    assert ledger.rounds.fix("holdout", {"share": 0.1}) == {"share": 0.1}
    assert ledger.rounds.fix("holdout", {"share": 0.5}) == {"share": 0.1}


def test_datasets_do_not_see_each_other(ledger: Ledger, url: str) -> None:
    asked(ledger, "a")

    other = open_ledger(url, "plants")

    assert other.items.count() == 0
    assert other.rounds.last() is None
    assert other.answers.questions() == []
    other.close()


def test_steps_are_recalled_by_key(ledger: Ledger) -> None:
    ledger.steps.remember("k", step="train", ref="npy:1", seconds=1.0)
    ledger.steps.remember("k", step="train", ref="npy:2", seconds=1.0)

    assert ledger.steps.recall("k") == "npy:2"
    assert ledger.steps.recall("absent") is None


def test_the_lease_tells_who_holds_it(ledger: Ledger, url: str) -> None:
    other = open_ledger(url, "pets")

    with ledger.lease.held(), pytest.raises(BusyError) as refused, other.lease.held():
        pass
    other.close()

    assert f"process {os.getpid()} on" in refused.value.message
    assert refused.value.exit_code == 75


def test_a_machine_of_whichever_clock_goes_by_the_time_that_all_share(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not url.startswith("postgresql"):
        pytest.skip("SQLite is for one machine, and has no other time than its")
    other = open_ledger(url, "pets")
    with ledger.lease.held():
        with ledger.engine.begin() as connection:
            connection.execute(update(leases).values(holder="elsewhere/1/1"))
        with monkeypatch.context() as ahead:
            ahead.setattr(time, "time", lambda: 4e9)
            with pytest.raises(BusyError), other.lease.held():
                pass
    other.close()


def test_the_lease_is_free_after_the_block_and_its_fence_grows(ledger: Ledger) -> None:
    with ledger.lease.held() as first:
        pass
    with ledger.lease.held() as second:
        pass

    assert second == first + 1


def _hold_for_ever(url: str, held: Event) -> None:
    with open_ledger(url, "pets").lease.held():
        held.set()
        signal.pause()


def test_the_lease_of_a_killed_process_is_taken_over_at_once(ledger: Ledger, url: str) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold_for_ever, args=(url, held))
    process.start()
    assert held.wait(30)
    with pytest.raises(BusyError), ledger.lease.held():
        pass

    process.kill()
    process.join()

    with ledger.lease.held():
        pass


def test_a_ledger_from_a_newer_labelloop_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'l.db'}"
    open_ledger(url, "pets").close()
    with connect(url).begin() as connection:
        connection.exec_driver_sql("UPDATE labelloop_version SET number = 99")

    with pytest.raises(ConfigError, match="version 99"):
        open_ledger(url, "pets")


def test_an_unknown_database_is_refused_with_examples() -> None:
    with pytest.raises(ConfigError, match="not a database") as refused:
        open_ledger("nonsense://x", "pets")

    assert "sqlite:///" in refused.value.hint


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="cannot be opened"):
        open_ledger(f"sqlite:///{tmp_path}/absent/ledger.db", "pets")


def test_a_password_in_the_url_never_shows() -> None:
    with pytest.raises(BackendError) as refused:
        open_ledger("postgresql+psycopg://me:hunter2@127.0.0.1:1/x?connect_timeout=1", "pets")

    assert "hunter2" not in str(refused.value)


def seen_as(item_id: str, uri: str, stamp: str) -> NewItem:
    (one,) = new(item_id)
    return NewItem(one.item, one.fingerprint, Seen(uri, stamp))


def test_files_are_remembered_by_their_stamp(ledger: Ledger) -> None:
    long = "file:///" + "x" * 5000
    ledger.items.add([seen_as("a", "s3://b/a", "1"), seen_as("b", "s3://b/b", ""), seen_as("c", long, "3")])

    found = ledger.items.unchanged(
        [Seen("s3://b/a", "1"), Seen("s3://b/b", ""), Seen(long, "3"), Seen("s3://b/d", "4")]
    )

    assert found == {"s3://b/a": "a", long: "c"}
    assert ledger.items.unchanged([Seen("s3://b/a", "2")]) == {}


def test_a_file_that_is_another_item_now_is_remembered_as_that(ledger: Ledger) -> None:
    ledger.items.add([seen_as("a", "s3://b/a", "1")])
    ledger.items.add([seen_as("b", "s3://b/a", "2")])

    assert ledger.items.unchanged([Seen("s3://b/a", "2")]) == {"s3://b/a": "b"}
    assert ledger.items.unchanged([Seen("s3://b/a", "1")]) == {}


def test_more_files_than_one_statement_takes_are_looked_up(ledger: Ledger) -> None:
    ledger.items.add([seen_as(f"i{n}", f"s3://b/{n}", "1") for n in range(1200)])

    assert len(ledger.items.unchanged([Seen(f"s3://b/{n}", "1") for n in range(1300)])) == 1200


NEWER = {
    "DROP TABLE seen": 1,
    "DROP INDEX questions_counts": 2,
    "DROP TABLE opinions": 3,
    "DROP TABLE guesses": 4,
    "DROP TABLE certificates": 5,
    "DROP TABLE auto_labels": 5,
    "DROP TABLE audits": 5,
    "ALTER TABLE questions DROP COLUMN people": 10,
}
"""What makes a ledger of today one of an older version, and the last version that had not what is dropped."""


def grow_old(url: str, number: int) -> None:
    engine = connect(url)
    with engine.begin() as connection:
        for statement, last in NEWER.items():
            if last >= number:
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"UPDATE labelloop_version SET number = {number}")
    engine.dispose()


def shape(ledger: Ledger) -> dict[str, tuple[object, ...]]:
    there = inspect(ledger.engine)
    return {
        table: (
            sorted(column["name"] for column in there.get_columns(table)),
            sorted(str(index["name"]) for index in there.get_indexes(table)),
        )
        for table in there.get_table_names()
    }


@pytest.mark.parametrize("number", range(1, len(MIGRATIONS)))
def test_a_ledger_of_every_older_version_opens_with_what_is_in_it(url: str, number: int) -> None:
    ledger = open_ledger(url, "pets")
    asked(ledger, "a")
    wanted = shape(ledger)
    ledger.close()
    grow_old(url, number)

    opened = open_ledger(url, "pets")

    assert [one.item_id for one in opened.answers.questions()] == ["a"]
    assert shape(opened) == wanted
    opened.close()


def test_several_processes_make_or_migrate_a_ledger_at_once(url: str) -> None:
    for number in (0, 1):
        if number:
            grow_old(url, number)
        with ThreadPoolExecutor(8) as pool:
            opened = list(pool.map(lambda _: open_ledger(url, "pets"), range(8)))
        assert all(one.items.count() == 0 for one in opened)
        for one in opened:
            one.close()
