"""What people are shown of items that have changed: from where they are now, anew, or no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from labelloop.ledger import Ledger
from labelloop.ledger.answers import Asking
from labelloop.ledger.changed import Kind
from labelloop.protocols import Dataset, Renewing
from labelloop.types import Missing, Question

AT_ONCE = 500
"""Questions that are shown from another address at one tick, the open ones first: each is a request."""

_WHY = "their content is another than people saw"
_OPEN, _THERE = ("planned", "asked"), ("asked", "answered", "skipped")


@dataclass(frozen=True)
class Renewal:
    """Brings the questions of a ledger's changed items up to date. Killed anywhere and called again, it goes on.

    Args:
        questions_of: Questions as the annotator is asked them.
        claim: Called before anything is asked.
    """

    ledger: Ledger
    dataset: Callable[[], Dataset]
    questions_of: Callable[[Sequence[Asking]], list[Question]]
    claim: Callable[[], None]

    def carry_out(self, now: datetime) -> list[str]:
        """Show people what has changed, after everything was heard; what that was, in words."""
        waiting = self.ledger.changed.waiting()
        if not waiting:
            return []
        about: dict[Kind, list[Asking]] = {"address": [], "content": [], "replaced": []}
        for one in self.ledger.answers.questions():
            if one.item in waiting:
                about[waiting[one.item]].append(one)
        dataset = self.dataset() if any(about.values()) else None
        if dataset is not None and not isinstance(dataset, Renewing):
            return [f"{len(waiting)} item(s) have changed, and this annotator cannot show what they are now"]
        notes, later = [], set()
        if dataset is not None:
            notes += self._closed(dataset, about["replaced"], now)
            notes += self._asked_again(dataset, about["content"], now)
            later = self._elsewhere(dataset, about["address"], now)
            shown = {one.item for one in about["address"]} - later
            notes += [f"{len(shown)} item(s) are shown from where they are now"] if shown else []
        self.ledger.changed.done([one for one in waiting if one not in later])
        return notes

    def _closed(self, dataset: Renewing, asked: Sequence[Asking], now: datetime) -> list[str]:
        """Nobody is asked any more about content that is not there any more."""
        closed = [one.item_id for one in asked if one.state in _OPEN]
        dataset.close([one.item_id for one in asked if one.state == "asked"])
        self.ledger.answers.close(closed, now)
        answered = {one.item for one in asked if one.state in ("answered", "skipped")}
        notes = [f"{len(closed)} question(s) closed: the files hold other content now"] if closed else []
        return [*notes, f"answers to {len(answered)} item(s) set aside: {_WHY}"] if answered else notes

    def _asked_again(self, dataset: Renewing, asked: Sequence[Asking], now: datetime) -> list[str]:
        """What was asked is asked about the content of now, without a guess about the old one."""
        second = [one.item_id for one in asked if one.about]
        dataset.close(second)
        self.ledger.answers.close(second, now)
        self.ledger.answers.unguess([one.item_id for one in asked if one.state == "planned" and not one.about])
        again = [replace(one, prediction=None, turn=None) for one in asked if one.state in _THERE and not one.about]
        if not again:
            return []
        dataset.close([one.item_id for one in again])
        removed = self.ledger.answers.reopen([one.item_id for one in again], now)
        self.claim()
        missing = self.dataset().ask(self.questions_of(again)).missing
        self._leave_out(missing, now)
        self.ledger.answers.close([one.item_id for one in again if one.item_id in missing], now)
        return [f"{removed} answer(s) set aside, {len(again)} question(s) asked again: {_WHY}"]

    def _elsewhere(self, dataset: Renewing, asked: Sequence[Asking], now: datetime) -> set[str]:
        """Show questions from where their items are now; those items that are left for later."""
        due = set(self.ledger.aside.due(now))
        resting = {one.item_id for one in self.ledger.aside.all()} - due
        there = sorted((one for one in asked if one.state in _THERE), key=lambda one: one.state != "asked")
        wanted = [one for one in there if one.item not in resting]
        missing = dataset.renew(self.questions_of(wanted[:AT_ONCE]))
        self._leave_out({one.item: missing[one.item_id] for one in wanted if one.item_id in missing}, now)
        late = [*wanted[AT_ONCE:], *(one for one in there if one.item in resting or one.item_id in missing)]
        return {one.item for one in late}

    def _leave_out(self, missing: Mapping[str, Missing], now: datetime) -> None:
        if missing:
            self.ledger.aside.put(missing, now)
