"""Clocks that are set back or forward: nothing waits for a time that may never come, nothing is skipped."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from labelloop.backends.label_studio.client import _wanted_pause
from labelloop.backends.label_studio.doubts import Doubts
from labelloop.backends.local_store import STALE, UNFINISHED, LocalArtifactStore
from labelloop.decide import Start, Wait
from labelloop.doctor import _is_left
from labelloop.ledger.rounds import Round
from labelloop.loop import RECONCILED
from labelloop.turns import outdated

from small_world import NOW, World

JUMPS = [timedelta(hours=1), timedelta(days=1), timedelta(days=365)]
BOTH = [sign * jump for jump in JUMPS for sign in (1, -1)]


@pytest.mark.parametrize("jump", BOTH)
@pytest.mark.parametrize("pause", ["cool_down", "retrain_every"])
def test_a_loop_whose_clock_jumps_goes_on_at_once(tmp_path: Path, jump: timedelta, pause: str) -> None:
    now = [NOW]
    settings: dict[str, Any] = {f"loop__{pause}": 600.0}
    world = World(tmp_path, clock=lambda: now[0])
    world.add()
    world.tick(**settings)
    world.answer_all()
    world.loop().hear()
    now[0] += jump

    assert isinstance(world.tick(**settings).action, Start)

    world.answer_all()
    world.loop().hear()
    held = world.tick(**settings).action
    assert isinstance(held, Start) or (isinstance(held, Wait) and 0 < held.due <= 600)
    now[0] += timedelta(seconds=601)
    assert isinstance(held, Start) or isinstance(world.tick(**settings).action, Start)


@pytest.mark.parametrize("jump", BOTH)
def test_a_loop_whose_clock_jumps_ends_as_an_undisturbed_one(tmp_path: Path, jump: timedelta) -> None:
    calm, shaken, now = World(tmp_path / "calm"), World(tmp_path / "shaken", clock=lambda: now[0]), [NOW]
    for world in (calm, shaken):
        world.add()
    for number in range(4):
        for world in (calm, shaken):
            world.tick()
            world.answer_all()
        now[0] += jump if number % 2 else -jump

    for world in (calm, shaken):
        world.tick()
    wanted, found = dict(calm.dump()), dict(shaken.dump())
    for held in (wanted, found):
        held["facts"] = [one for one in held["facts"] if RECONCILED not in one]
    assert found == wanted


@pytest.mark.parametrize("jump", BOTH)
def test_everything_is_compared_again_though_the_last_time_is_yet_to_come(tmp_path: Path, jump: timedelta) -> None:
    now = [NOW + jump]
    world = World(tmp_path, clock=lambda: now[0])
    world.add()
    world.tick()
    world.loop().reconcile()
    now[0] = NOW

    due = world.loop(loop__reconcile_every=600.0)._is_due_to_reconcile()

    assert due


@pytest.mark.parametrize("jump", BOTH)
def test_predictions_are_pruned_whatever_the_clock_said_when_they_were_replaced(jump: timedelta) -> None:
    first = Round(1, "", state="asked", version="v1", started_at=NOW.isoformat())
    history = [first, replace(first, number=2, version="v2", started_at=(NOW + jump).isoformat())]

    assert bool(outdated(history, NOW)) == (jump != -timedelta(hours=1) and jump != -timedelta(days=1))


@pytest.mark.parametrize("jump", BOTH)
def test_an_import_in_doubt_is_certain_again_whatever_the_clock_does(tmp_path: Path, jump: timedelta) -> None:
    now = [1e9]
    doubts = Doubts(tmp_path / "doubts", lambda: now[0])
    doubts.add(["a"])
    now[0] += jump.total_seconds()

    assert doubts.ids() == set()


@pytest.mark.parametrize("jump", BOTH)
def test_what_is_being_written_is_not_swept_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    store = LocalArtifactStore(path=str(tmp_path))
    mine = tmp_path / UNFINISHED / f"{os.getpid()}-0123456789abcdef"
    mine.parent.mkdir()
    mine.write_bytes(b"half")
    monkeypatch.setattr("time.time", lambda: mine.stat().st_mtime + jump.total_seconds())

    store.write("key", io.BytesIO(b"x"))

    assert mine.exists()
    assert store.read("key").read() == b"x"


def test_what_a_killed_writer_left_is_still_swept(tmp_path: Path) -> None:
    left = tmp_path / UNFINISHED / "4194304-0123456789abcdef"  # above the largest number of a process
    left.parent.mkdir()
    left.write_bytes(b"half")
    os.utime(left, (0, left.stat().st_mtime - STALE - 1))

    LocalArtifactStore(path=str(tmp_path)).write("key", io.BytesIO(b"x"))

    assert not left.exists()


@pytest.mark.parametrize("jump", [-one for one in JUMPS])
def test_a_leftover_of_a_time_to_come_is_still_a_leftover(tmp_path: Path, jump: timedelta) -> None:
    left = tmp_path / "~4194304-0123456789abcdef"
    left.write_bytes(b"half")
    to_come = left.stat().st_mtime - jump.total_seconds()
    os.utime(left, (to_come, to_come))

    assert _is_left(left)


@pytest.mark.parametrize("jump", BOTH)
def test_a_server_that_is_busy_is_waited_for_by_its_own_clock(jump: timedelta) -> None:
    theirs = datetime.now(UTC) + jump
    answer = httpx.Response(
        429,
        headers={
            "Date": f"{theirs:%a, %d %b %Y %H:%M:%S GMT}",
            "Retry-After": f"{theirs + timedelta(seconds=7):%a, %d %b %Y %H:%M:%S GMT}",
        },
    )

    assert _wanted_pause(answer) == pytest.approx(7, abs=1)
