"""A clock that was set back or forward: the loop neither waits for days nor forgets who is at work."""

from __future__ import annotations

import math
import os
import time
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import select, update

from labelloop.backends.local_store import UNFINISHED, LocalArtifactStore
from labelloop.clocks import SKEW, elapsed
from labelloop.decide import Start, Wait
from labelloop.errors import BusyError
from labelloop.ledger import open_ledger
from labelloop.ledger.lease import TTL_SECONDS, Lease
from labelloop.ledger.tables import leases
from labelloop.loop import RECONCILED

from small_world import World

NOW = datetime(2026, 2, 3, tzinfo=UTC)
JUMPS = [timedelta(hours=1), timedelta(days=1), timedelta(days=30), timedelta(days=365)]


@pytest.mark.parametrize(
    ("ahead", "seconds"),
    [(-60.0, 60.0), (0.0, 0.0), (5.0, 0.0), (SKEW, 0.0), (SKEW + 1, math.inf), (3e7, math.inf)],
)
def test_a_time_far_ahead_was_told_by_a_wrong_clock(ahead: float, seconds: float) -> None:
    assert elapsed(NOW + timedelta(seconds=ahead), NOW) == seconds


@pytest.mark.parametrize("jump", JUMPS, ids=str)
@pytest.mark.parametrize("pause", [{"loop__cool_down": 3600}, {"loop__cool_down": 0}, {"loop__debounce": 60}], ids=str)
def test_a_clock_set_back_never_makes_a_round_wait(world: World, pause: dict[str, int], jump: timedelta) -> None:
    world.add()
    world.tick()
    world.answer_all()
    world.loop().hear()
    world.clock = lambda: NOW - jump

    assert isinstance(world.tick(**pause).action, Start)


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_after_a_clock_was_set_back_the_next_pause_counts_from_now(world: World, jump: timedelta) -> None:
    world.add()
    world.tick()
    world.answer_all()
    world.clock = lambda: NOW - jump
    world.tick(loop__cool_down=3600)
    world.answer_all()

    action = world.tick(loop__cool_down=3600).action

    assert isinstance(action, Wait)
    assert action.due <= 3600


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


def test_a_file_being_written_is_not_swept_away_when_the_clock_is_set_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalArtifactStore(path=str(tmp_path))
    folder = tmp_path / UNFINISHED
    folder.mkdir()
    mine, left = folder / f"{os.getpid()}-aa", folder / "999999999-aa"
    for file in (mine, left):
        file.touch()
    year_ahead = time.time() + 365 * 86400
    monkeypatch.setattr(time, "time", lambda: year_ahead)

    store.write("a/b", BytesIO(b"x"))

    assert mine.exists()
    assert not left.exists()
