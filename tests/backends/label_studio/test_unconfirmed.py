"""Imports of unknown outcome are remembered over a kill, and forgotten when none can be in flight."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.backends.label_studio.unconfirmed import UnconfirmedImports
from labelloop.errors import BackendError


def test_a_doubt_outlives_the_process(tmp_path: Path) -> None:
    UnconfirmedImports(tmp_path / "home" / "doubts.json").add(["a", "b"])

    again = UnconfirmedImports(tmp_path / "home" / "doubts.json")
    again.settle(["a"])

    assert again.ids() == {"b"}


def test_settling_everything_leaves_no_file(tmp_path: Path) -> None:
    unconfirmed = UnconfirmedImports(tmp_path / "doubts.json")
    unconfirmed.add(["a"])

    unconfirmed.settle(["a"])

    assert list(tmp_path.iterdir()) == []


def test_a_doubt_ends_when_no_request_can_be_in_flight_any_more(tmp_path: Path) -> None:
    now = [0.0]
    unconfirmed = UnconfirmedImports(tmp_path / "doubts.json", clock=lambda: now[0])
    unconfirmed.add(["a"])

    now[0] = 3600.0

    assert unconfirmed.ids() == set()


def test_a_broken_file_is_no_doubt(tmp_path: Path) -> None:
    (tmp_path / "doubts.json").write_text("{")

    assert UnconfirmedImports(tmp_path / "doubts.json").ids() == set()


def test_an_item_sent_once_and_found_is_certain_but_not_one_sent_again(tmp_path: Path) -> None:
    unconfirmed = UnconfirmedImports(tmp_path / "doubts.json")
    unconfirmed.add(["once", "twice", "lost"])
    unconfirmed.add(["twice"])

    unconfirmed.found({"once", "twice"})

    assert unconfirmed.ids() == {"twice", "lost"}


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BackendError, match="cannot be written"):
        UnconfirmedImports(tmp_path / "file" / "doubts.json").add(["a"])
