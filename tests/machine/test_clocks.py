"""Clocks that are set back or forward: nothing waits for a time that may never come, nothing is skipped."""

from __future__ import annotations

import io
import math
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from labelloop.backends.label_studio.answers import wanted_pause
from labelloop.backends.label_studio.unconfirmed import UnconfirmedImports
from labelloop.backends.local_store import STALE, UNFINISHED, LocalArtifactStore
from labelloop.commands.doctor import is_left_over
from labelloop.errors import BusyError
from labelloop.ledger import open_ledger
from labelloop.ledger.lease import TTL_SECONDS, Lease
from labelloop.ledger.rounds import Round
from labelloop.ledger.tables import leases
from labelloop.loop.decide import Start, Wait
from labelloop.loop.listener import RECONCILED
from labelloop.loop.queue import outdated
from labelloop.machine.clocks import SKEW, elapsed

from support.small_world import NOW, World

JUMPS = [timedelta(hours=1), timedelta(days=1), timedelta(days=365)]
BOTH = [sign * jump for jump in JUMPS for sign in (1, -1)]


@pytest.mark.parametrize(
    ("ahead", "seconds"),
    [(-60.0, 60.0), (0.0, 0.0), (5.0, 0.0), (SKEW, 0.0), (SKEW + 1, math.inf), (3e7, math.inf)],
)
def test_a_time_far_ahead_was_told_by_a_wrong_clock(ahead: float, seconds: float) -> None:
    assert elapsed(NOW + timedelta(seconds=ahead), NOW) == seconds


@pytest.mark.parametrize("jump", BOTH)
@pytest.mark.parametrize("pause", ["cool_down", "debounce", "retrain_every"])
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


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_a_reconciliation_in_the_future_is_no_reason_to_put_off_the_next(world: World, jump: timedelta) -> None:
    world.add()
    world.tick()
    world.tick(loop__reconcile_every=3600)
    world.loop().ledger.answers.remember(RECONCILED, (NOW + jump).isoformat())

    assert world.tick(loop__reconcile_every=3600).repair is not None


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_a_lease_from_the_future_ends_as_soon_as_any_other(tmp_path: Path, jump: timedelta) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = open_ledger(url, "pets")
    now = time.time()
    with ledger.lease.held():
        pass
    with ledger.engine.begin() as connection:
        later = now + jump.total_seconds() + TTL_SECONDS
        connection.execute(update(leases).values(holder="elsewhere/1/1", expires=later))

    with pytest.raises(BusyError), Lease(ledger.engine, "pets", lambda: now).held():
        pass

    with Lease(ledger.engine, "pets", lambda: now + TTL_SECONDS + 1).held():
        pass
    with ledger.engine.connect() as connection:
        assert connection.execute(select(leases.c.expires)).scalar() == 0.0
    ledger.close()


@pytest.mark.parametrize("jump", BOTH)
def test_predictions_are_pruned_whatever_the_clock_said_when_they_were_replaced(jump: timedelta) -> None:
    first = Round(1, "", state="asked", version="v1", started_at=NOW.isoformat())
    history = [first, replace(first, number=2, version="v2", started_at=(NOW + jump).isoformat())]

    assert bool(outdated(history, NOW)) == (jump != -timedelta(hours=1) and jump != -timedelta(days=1))


@pytest.mark.parametrize("jump", BOTH)
def test_an_import_in_doubt_is_certain_again_whatever_the_clock_does(tmp_path: Path, jump: timedelta) -> None:
    now = [1e9]
    unconfirmed = UnconfirmedImports(tmp_path / "doubts", lambda: now[0])
    unconfirmed.add(["a"])
    now[0] += jump.total_seconds()

    assert unconfirmed.ids() == set()


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

    assert is_left_over(left)


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

    assert wanted_pause(answer) == pytest.approx(7, abs=1)


def test_another_time_zone_at_each_tick_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calm, travelling = World(tmp_path / "calm"), World(tmp_path / "travelling", clock=lambda: datetime.now(UTC))
    for world in (calm, travelling):
        world.add()
    try:
        for zone in ("UTC", "Pacific/Kiritimati", "America/New_York", "Asia/Kathmandu"):
            for world in (calm, travelling):
                monkeypatch.setenv("TZ", "UTC" if world is calm else zone)
                time.tzset()
                world.tick()
                world.answer_all()
    finally:
        monkeypatch.undo()
        time.tzset()

    assert travelling.dump() == calm.dump()
