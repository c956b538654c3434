"""Where a loop stands, from its ledger and the time alone: what `decide` decides by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import inf

from labelloop.evaluation.budget import Budget
from labelloop.kinds import LabelSchema
from labelloop.ledger import Ledger
from labelloop.ledger.answers import Purpose, State
from labelloop.ledger.rounds import Round
from labelloop.loop.decide import Policy, Situation
from labelloop.machine.clocks import elapsed


def situation(ledger: Ledger, schema: LabelSchema, policy: Policy, budget: Budget, now: datetime) -> Situation:
    """Read where the loop stands."""
    last = ledger.rounds.last()
    counts = ledger.answers.counts()
    there = {key: n for key, n in counts.items() if key[2] != "gone"}
    asking = _asking(last, there)
    newest = {key: n for key, n in there.items() if key[0] == asking}
    changes = ledger.answers.changes()
    open_ones = sum(n for key, n in there.items() if key[2] in ("planned", "asked"))
    times = _unlearned(ledger, policy, last, changes)
    since_first, since_newest = (elapsed(one, now) for one in times) if times else (inf, inf)
    began = datetime.fromisoformat(last.started_at) if last and last.started_at else None
    return Situation(
        items=ledger.items.count(),
        last=last,
        waiting=sum(newest.values()),
        closed=sum(n for key, n in newest.items() if key[2] in ("answered", "skipped")),
        asking=asking,
        asked=sum(there.values()),
        there=sum(n for key, n in there.items() if key[2] != "planned"),
        asking_rounds=len({key[0] for key in counts if key[0]}),
        changes=changes,
        open=open_ones,
        affordable=budget.left(ledger.answers.spent(), open_ones) if budget else None,
        since_round=elapsed(began, now) if began else inf,
        since_first=since_first,
        since_newest=since_newest,
        aside=ledger.aside.count(),
        relabelled=last is not None and bool(last.model) and not last.matches(schema.labels),
    )


def _unlearned(ledger: Ledger, policy: Policy, last: Round | None, changes: int) -> tuple[datetime, datetime] | None:
    """When the first and the newest change that no round has learned from was heard; only where a pause counts."""
    if not policy.debounce or last is None or changes == last.changes:
        return None
    return ledger.answers.times(last.changes)


def _asking(last: Round | None, there: Mapping[tuple[int, Purpose, State], int]) -> int:
    """The round whose answers are waited for: the newest, unless it only learned while people were at work."""
    if last is None or last.asked or last.stopped:
        return last.number if last else 0
    return max((key[0] for key in there), default=last.number)
