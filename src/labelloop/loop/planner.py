"""A round written down before anything of it is sent: what was learned, what is asked, what features note about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

import labelloop
from labelloop.evaluation.budget import Budget, Spent
from labelloop.ledger import Ledger, aside
from labelloop.ledger.answers import Asking
from labelloop.ledger.opinions import Opinion
from labelloop.ledger.rounds import Round
from labelloop.loop import scoring, warm_start, withdrawn
from labelloop.loop.asker import Asker
from labelloop.loop.auto_labels import TakenLabels
from labelloop.loop.batch import Choosing, Proposal
from labelloop.loop.decide import Policy, Start, why_nothing
from labelloop.loop.gatekeeper import Judged
from labelloop.loop.models import version_in_use
from labelloop.loop.notices import noticed_anew
from labelloop.loop.preconditions import Preconditions
from labelloop.loop.stop_advice import advise
from labelloop.loop.training import Learned, Learning
from labelloop.selection import RANDOM
from labelloop.workspace.config import Config


@dataclass(frozen=True)
class Planner:
    """What plans the rounds of one loop, and records those that a person or a pipeline makes; under the lease.

    Attributes:
        policy, budget: When a round may ask, and how much.
        clock: The time of now.
    """

    config: Config
    ledger: Ledger
    learning: Learning
    choosing: Choosing
    taken: TakenLabels
    asker: Asker
    preconditions: Preconditions
    policy: Policy
    budget: Budget
    clock: Callable[[], datetime]

    def plan(self, start: Start) -> tuple[Mapping[str, str], list[str]]:
        """Learn and write the next round down; returns the answers that were set aside, and what labels were taken."""
        started = self.clock().isoformat()
        learned = self.learning.learn()
        with learned.watch.stage("evaluate"):
            advice = advise(self.learning, self.config.schema_of(), learned, self.ledger.rounds.all())
        if advice.stop and self.policy.stop_on_advice:
            start = replace(start, room=0)
        with learned.watch.stage("select"):
            trust = self.choosing.trust(learned, start.number)
        proposal = self.choosing.propose(learned, start.number, start.room, trust.share)
        words = [*self._left_out(), *self.taken.take(learned)]
        if trust.share < 1.0:
            words.append(f"auto chooses {trust.share:.0%}, the others are drawn at random: random was cheaper so far")
        audits = self.choosing.order.by_chance(self.taken.due(), proposal.version)
        proposal = proposal.with_audits(audits, [self.config.loop.seed, start.number, 1])
        planned = self._round(start, learned, proposal, started)
        planned = planned.noting(**trust.noted(), **(advice.noted() if planned.model else {"advice": {}}))
        if planned.stopped and start.room == 0:
            planned = replace(planned, stopped=self._why_no_room(planned, advice.words if advice.stop else ""))
        planned = planned.noting(**(proposal.sampled.noted() if proposal.sampled else {}))
        self.ledger.rounds.plan(planned, proposal.batch, self.clock(), proposal.refreshed, proposal.opinions)
        return learned.known.set_aside, words

    def record(
        self,
        reason: str,
        batch: Sequence[Asking],
        refreshed: Sequence[Asking] = (),
        opinions: Sequence[Opinion] = (),
        notes: Mapping[str, Any] = {},
        **known: Any,
    ) -> Round:
        """Write a round down, send its questions and new guesses, confirm it; for pipelines, under the lease.

        Args:
            refreshed: Open questions with the guesses and turns that they get.
            opinions: Questions about items that have an answer.
            notes: What a feature notes about the round.
            known: What the round knows anew, such as `judgement`; the rest is as in the round before.
        """
        before = self.ledger.rounds.last() or Round(0, "")
        self.preconditions.refuse_other_labels()
        room = None if batch or opinions else 0
        known = {"labels": self.config.schema_of().labels, **known} if "model" in known else known
        blank = {"state": "planned", "promoted": False, "gate": "", "seconds": {}}
        fresh = {**blank, **self._now(batch, room, again=len(opinions)), **known}
        started = self.clock().isoformat()
        made = replace(before, number=before.number + 1, reason=reason, started_at=started, **fresh)
        made = scoring.carried_on(withdrawn.carried_on(made)).noting(**self._provenance(), **notes)
        self.ledger.rounds.plan(made, batch, self.clock(), refreshed, opinions)
        self.asker.send(sure=False)
        return made

    def settle(self) -> int:
        """Complete a round, and second opinions of none, that were planned and interrupted.

        Returns:
            How many of these second opinions there were.
        """
        self.preconditions.refuse_other_labels()
        last = self.ledger.rounds.last()
        if last is not None and last.state == "planned":
            self.asker.send(sure=False)
        return self.asker.ask_opinions()

    def ask_audits(self, reason: str) -> Round | None:
        """Ask about the next taken labels that are to be audited, in a round of their own; None if there are none.

        Not while people have questions of an audit before them.
        """
        if self.taken.is_audited():
            return None
        due = self.choosing.order.by_chance(self.taken.due(), version_in_use(self.ledger, self.config.schema_of()))
        return self.record(reason, due) if due else None

    def _round(self, start: Start, learned: Learned, proposal: Proposal, started: str) -> Round:
        made = Round(
            **self._now(proposal.batch, start.room, crowded=start.crowded, again=len(proposal.opinions)),
            **judgement(learned.judged),
            number=start.number,
            reason=start.reason,
            learned_from=learned.learned_from,
            changes=self.ledger.answers.changes(),
            seconds=learned.watch.seconds,
            started_at=started,
            labels=self.config.schema_of().labels,
        )
        return made.noting(**self._provenance(), **withdrawn.noted(self.learning.models.blocked()))

    def _provenance(self) -> Mapping[str, Any]:
        """What made a round, as it notes it."""
        return {
            "seed": self.config.loop.seed,
            "versions": {"labelloop": labelloop.__version__, "numpy": np.__version__},
            **warm_start.noted(self.learning.recipe),
        }

    def _left_out(self) -> list[str]:
        """The items that a round leaves out as they cannot be read now, and what is wrong with all, in words."""
        words = aside.in_words(self.ledger.aside.all(), self.clock())
        return [*([words] if words else []), *noticed_anew(self.ledger, self.config)]

    def _why_no_room(self, planned: Round, advice: str) -> str:
        """Why a round may ask nothing, in words."""
        if self.policy.stop_on_advice and advice:
            return advice
        spent = self.ledger.answers.spent() if self.budget else Spent()
        if self.budget.left(spent, 0) == 0:
            return f"the budget is spent: {self.budget.in_words(spent)}"
        return planned.stopped

    def _now(
        self, batch: Sequence[Asking], room: int | None, *, crowded: bool = False, again: int = 0
    ) -> dict[str, Any]:
        """What a round that asks this batch, and so many second opinions, records of the moment."""
        counts = self.ledger.answers.counts()
        left_out = self.ledger.aside.count()
        return {
            "asked": len(batch) + again,
            "again": again,
            "held_out": sum(one.purpose == "holdout" for one in batch),
            "at_random": sum(one.why == RANDOM for one in batch),
            "answered": sum(n for (_, _, state), n in counts.items() if state == "answered"),
            "room": room,
            "items": self.ledger.items.count(),
            "aside": left_out,
            "stopped": "" if batch or again or crowded else why_nothing(self.policy, room, left_out),
        }


def judgement(judged: Judged) -> dict[str, Any]:
    """What a round records of the model it ends with."""
    return {
        "model": judged.model,
        "version": judged.version,
        "promoted": judged.promoted,
        "gate": judged.gate,
        "metrics": asdict(judged.metrics),
    }
