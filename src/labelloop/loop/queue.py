"""When people get which open question: as the selector ranks them now, those drawn by chance among them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise

from labelloop.evaluation.holdout import draw_order
from labelloop.ledger.rounds import Round
from labelloop.machine.clocks import elapsed

PRUNED_AFTER = timedelta(days=1)
"""How long predictions are kept that people see no more: somebody may have begun an answer from one of them."""


def outdated(history: Sequence[Round], now: datetime) -> dict[str, str]:
    """The model versions that were replaced a day ago or earlier, the oldest first, and when that was.

    Args:
        history: Every round, oldest first.
    """
    replaced: dict[str, str] = {}
    for one, after in pairwise(history):
        if one.version != after.version:
            replaced[one.version] = after.started_at
    return {
        version: start
        for version, start in replaced.items()
        if version not in ("", history[-1].version)
        and elapsed(datetime.fromisoformat(start), now) > PRUNED_AFTER.total_seconds()
    }


def placed(order: Sequence[str], fixed: Mapping[str, float]) -> dict[str, float]:
    """A place in (0, 1) for every item that has no fixed one: behind as many fixed ones as stand before it.

    Args:
        order: All the items, the first to be asked first; of the fixed ones, which may be in another order by now,
            only the number counts.
        fixed: Item id -> its place, which stays.
    """
    ladder = [0.0, *sorted(fixed[item] for item in order if item in fixed), 1.0]
    passed, gaps = 0, []
    for item in order:
        if item in fixed:
            passed += 1
        else:
            gaps.append((passed, item))
    places: dict[str, float] = {}
    for gap, pairs in groupby(gaps, key=lambda pair: pair[0]):
        items = [item for _, item in pairs]
        low, high = ladder[gap], ladder[gap + 1]
        places |= {item: low + (high - low) * (i + 0.5) / len(items) for i, item in enumerate(items)}
    return places


def by_chance(waited: Mapping[str, int], salt: str) -> dict[str, float]:
    """A place in [0, 1) for each item that depends on nothing but its id and how long it has waited.

    Whatever part of such questions is answered is a random part of them. With every round of waiting they come nearer
    to the front (1/2, 1/3, ... of the first place), so that new questions cannot keep them back for ever.

    Args:
        waited: Item id -> rounds since it was asked.
        salt: Makes the draw of one dataset independent of another's.
    """
    drawn = draw_order(list(waited), f"{salt}/turns")
    return {item: float(place) / (1 + rounds) for (item, rounds), place in zip(waited.items(), drawn, strict=True)}
