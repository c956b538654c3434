"""What people said is taken in, and what is gone from the annotator is noticed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from labelloop.data.addresses import Addressing
from labelloop.ledger import Ledger
from labelloop.ledger.answers import Changes
from labelloop.loop.decide import Situation
from labelloop.loop.overlap import Overlap
from labelloop.loop.ownership import Ownership
from labelloop.loop.renewal import Renewal
from labelloop.loop.vanished import Losses
from labelloop.machine.clocks import elapsed
from labelloop.protocols import Dataset, Owned, Revealing
from labelloop.workspace.config import Config

FOREIGN = "strangers"
"""The fact that somebody else has put questions of our kind into the dataset."""

RECONCILED = "answers_reconciled"
"""When everything was last compared with the annotator."""

SCANNED = "answers_scanned"
"""The numbers of questions, there and in the ledger, that a scan of all ids has explained."""

LINKED = "links_renewed"
"""When what is open was last shown at an address of its own time."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What was different between ledger and annotator after everything had been heard as usual, and is no more.

    Attributes:
        changes: Annotations that no hearing had noticed.
        lost: Questions that had vanished from the annotator.
        back: Questions that had been given up as vanished, and are there.
        twice: Second copies of a question, removed from the annotator.
    """

    changes: Changes = field(default_factory=Changes)
    lost: int = 0
    back: int = 0
    twice: int = 0

    @property
    def total(self) -> int:
        """How many things were different."""
        return self.changes.total + self.lost + self.back + self.twice


@dataclass
class Listener:
    """What is heard of one dataset.

    Attributes:
        dataset: Opened when it is first needed.
        renewal: Shows questions anew, or takes them away, where items moved or changed.
        clock: The time of now.
        losses: How much may be gone at once.
        agreed: Whether the annotator had the questions of the ledger and no others when it was last looked at.
        notes: What the last hearing brought about in the annotator, in words.
    """

    dataset: Callable[[], Dataset]
    ledger: Ledger
    config: Config
    ownership: Ownership
    address: Addressing
    renewal: Renewal
    overlap: Overlap
    clock: Callable[[], datetime]
    losses: Losses = field(default_factory=Losses)
    agreed: bool = False
    notes: list[str] = field(default_factory=list)

    def hear(self) -> Changes:
        """Take in what people said since the last time, and carry out in the annotator what waits for that."""
        changes = Changes()
        self.ownership.refuse_others(self.dataset())  # also before anything is computed for people who cannot be asked
        self.notes = []
        if self.ledger.rounds.last() is None:
            self.ownership.refuse_unmarked(self.dataset())
            self.ledger.changed.done(list(self.ledger.changed.waiting()))
            self.notes = self.overlap.carry_out(self.dataset())
            return changes
        self.trust()
        pages = self.dataset().answers(self.ledger.answers.cursor())
        for page in self.losses.believable(self.ledger.answers, pages):
            changes += self.ledger.answers.hear(page, self.clock())
        if changes.foreign:
            self.ledger.rounds.fix(FOREIGN, True)
        self._renew_links()
        renewed = self.renewal.carry_out(self.clock())
        self.notes = [*self.overlap.carry_out(self.dataset()), *renewed]
        return changes

    def reconcile(self) -> Repair:
        """Compare every question and every answer with the annotator, and repair the ledger; slow, under the lease.

        Killed anywhere, it leaves a cursor that is too old, never one that is too new.
        """
        if self.ledger.rounds.last() is None:
            return Repair()
        self.ownership.refuse_others(self.dataset())
        self.trust()
        before, gone = self.dataset().size(), self._gone()
        lost = self._lose(self.dataset().present())
        twice = max(0, before - self.dataset().size())
        changes = Changes()
        for page in self.losses.believable(self.ledger.answers, self.dataset().answers(None)):
            changes += self.ledger.answers.hear(page, self.clock())
        self.ledger.answers.remember(RECONCILED, self.clock().isoformat())
        return Repair(changes, lost, gone + lost - self._gone(), twice)

    def trust(self) -> None:
        """Have ground truth count where one of `loop.ground_truth_by` declared it: by default, who we are there."""
        setting = self.config.loop.ground_truth_by

        def trusted() -> Sequence[str] | None:
            if setting is not None:
                return None if "*" in setting else setting
            dataset = self.dataset()
            return [dataset.owner] if isinstance(dataset, Owned) else None

        self.ledger.answers.trust(setting, trusted)

    def notice_lost(self, now: Situation) -> int:
        """Note which questions are gone, where their number tells that some are; how many."""
        if now.last is None:
            return 0
        counted = (self.dataset().size(), now.there)
        note_seen(self.dataset(), self.ledger, self.clock())
        self.agreed = counted[0] == now.there and not self.ledger.rounds.fact(FOREIGN)
        if counted[0] == now.there or list(counted) == self.ledger.answers.recall(SCANNED):
            return 0
        lost = self._lose(self.dataset().present())
        left = [self.dataset().size(), now.there - lost]
        if left[0] != left[1]:  # tasks that people added by hand are no reason to scan at every tick
            self.ledger.answers.remember(SCANNED, left)
        return lost

    def is_due_to_reconcile(self) -> bool:
        """Whether everything is to be compared with the annotator again."""
        every = self.config.loop.reconcile_every
        since = self.ledger.answers.recall(RECONCILED) or self.ledger.rounds.began()
        return bool(every and since) and self._since(datetime.fromisoformat(since)) >= every

    def _renew_links(self) -> None:
        """Have what is open shown at its address of now, where addresses hold for a time that is over."""
        since = self.ledger.answers.recall(LINKED)
        if not self.address or (
            since and self._since(datetime.fromisoformat(since)) < self.config.dataset.address_lasts
        ):
            return
        asked = {one.item for one in self.ledger.answers.questions(["asked"])}
        self.ledger.changed.show_again(sorted(asked), self.clock())
        self.ledger.answers.remember(LINKED, self.clock().isoformat())

    def _lose(self, present: set[str]) -> int:
        """Note which questions are not among those that there are; how many."""
        self.losses.refuse_questions(self.ledger.answers, present)
        return len(self.ledger.answers.lose(present, self.clock()))

    def _gone(self) -> int:
        return sum(n for key, n in self.ledger.answers.counts().items() if key[2] == "gone")

    def _since(self, moment: datetime) -> float:
        return elapsed(moment, self.clock())


def note_seen(dataset: Dataset, ledger: Ledger, now: datetime) -> None:
    """Write down whether people see predictions, for an annotator that knows: somebody may switch them off."""
    if isinstance(dataset, Revealing):
        ledger.answers.note_seen(not dataset.hides_predictions, now)
