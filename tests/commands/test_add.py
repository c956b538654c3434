"""Items come in once, near duplicates together, and what cannot be read is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labelloop.commands import add
from labelloop.commands.add import Added, add_items
from labelloop.data.sources import Columns, Unreadable
from labelloop.errors import BusyError, ConfigError
from labelloop.ledger import Ledger, open_ledger

LONG = "the quick brown fox jumps over the lazy dog while the band plays on and nobody goes home before midnight"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "texts")


def table(folder: Path, *texts: str) -> str:
    """A JSONL file of texts."""
    path = folder / f"{len(list(folder.iterdir()))}.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return str(path)


def test_adding_twice_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    place = table(tmp_path, "one", "two", "two")

    first, second = (add_items(ledger, [place], "text", Columns()) for _ in range(2))

    assert (first.new, first.known, first.total) == (2, 1, 2)
    assert (second.new, second.known, second.total) == (0, 3, 2)


def test_near_duplicates_share_a_group_also_when_they_come_later(ledger: Ledger, tmp_path: Path) -> None:
    add_items(ledger, [table(tmp_path, LONG, "something else altogether that shares nothing")], "text", Columns())

    later = add_items(ledger, [table(tmp_path, f"{LONG}!")], "text", Columns())

    assert (later.new, later.near_duplicates) == (1, 1)
    groups = ledger.items.columns().groups
    assert groups[2] == groups[0] != groups[1]


def test_a_dry_run_counts_and_adds_nothing(ledger: Ledger, tmp_path: Path) -> None:
    taken = add_items(ledger, [table(tmp_path, "one", "two")], "text", Columns(), dry_run=True)

    assert (taken.new, taken.total, ledger.items.count()) == (2, 2, 0)
    assert "2 new item(s) would be added" in taken.in_words(dry_run=True)


def test_a_killed_add_is_completed_by_the_next(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(add, "BATCH", 2)
    place = table(tmp_path, *(f"text number {i}" for i in range(7)))

    def end(what: str, done: int, total: int | None) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_items(ledger, [place], "text", Columns(), progress=end)
    taken = add_items(ledger, [place], "text", Columns())

    assert 0 < taken.known < 7
    assert (taken.new + taken.known, ledger.items.count()) == (7, 7)


def test_places_where_nothing_can_be_read_are_refused_with_the_first_reason(ledger: Ledger, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{\n{\n")

    with pytest.raises(ConfigError, match=r"none of the 2 item\(s\) in .*broken.jsonl can be read"):
        add_items(ledger, [str(broken)], "text", Columns())


def test_adding_waits_for_nobody(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.lease.held(), pytest.raises(BusyError):
        add_items(ledger, [table(tmp_path, "one")], "text", Columns())


def test_many_unreadable_files_are_not_all_listed() -> None:
    taken = Added(1, 0, 0, 1, tuple(Unreadable(f"{i}.png", "broken") for i in range(9)))

    lines = taken.in_words(dry_run=False).splitlines()

    assert lines[1] == "unreadable: 0.png: broken"
    assert lines[-1] == "... and 4 more unreadable; all of them with --json"
    assert len(taken.as_dict()["unreadable"]) == 9


def test_what_is_wrong_with_all_items_is_said_when_they_are_added() -> None:
    taken = Added(30, 0, 29, 30, (), warnings=("no item can be held out: share = 0",))

    assert "warning: no item can be held out: share = 0" in taken.in_words(dry_run=False)
    assert taken.as_dict()["warnings"] == ["no item can be held out: share = 0"]
