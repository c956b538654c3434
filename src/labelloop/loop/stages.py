"""What one tick does, stage by stage: hear, decide, act once. Each stage is idempotent, and may be killed anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labelloop.ledger.answers import Changes
from labelloop.ledger.rounds import Round
from labelloop.loop.decide import Action, Finish, Situation, Start, Stop, decide
from labelloop.loop.listener import Repair
from labelloop.loop.vanished import Losses
from labelloop.types import Unheard

if TYPE_CHECKING:
    from labelloop.loop.loop import Loop


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one tick did.

    Attributes:
        action: What was decided, with its reason.
        changes: What people said since the tick before.
        round: The newest round after the tick.
        lost: Questions that have vanished from the annotator.
        set_aside: Item id -> why its answer cannot be learned from; known when the tick learned.
        repair: What a reconciliation found; None where there was none.
        notes: What happened to labels taken from the model, and to the trust in `auto`.
        pruned: Predictions of an older model that were deleted from the annotator.
        unheard: Questions whose answers the annotator cannot show; they are tried again later.
    """

    action: Action
    changes: Changes
    round: Round | None
    lost: int = 0
    set_aside: Mapping[str, str] = field(default_factory=dict)
    repair: Repair | None = None
    notes: Sequence[str] = ()
    pruned: int = 0
    unheard: Sequence[Unheard] = ()


@dataclass
class Tick:
    """A tick under way: what was wished, and what its stages have found and done so far; `Outcome` says what each is.

    Attributes:
        reconciles: Compare everything with the annotator, also before its time.
        takes_over: Make the dataset this ledger's, whosever it was.
        believes_losses: Go on however many questions and answers are gone at once.
        situation: Where the loop stood when it was looked at last.
        action: None until it is decided.
    """

    reconciles: bool = False
    takes_over: bool = False
    believes_losses: bool = False
    situation: Situation | None = None
    action: Action | None = None
    changes: Changes = field(default_factory=Changes)
    lost: int = 0
    set_aside: Mapping[str, str] = field(default_factory=dict)
    repair: Repair | None = None
    notes: list[str] = field(default_factory=list)
    pruned: int = 0

    def outcome(self, loop: Loop) -> Outcome:
        """What the tick did, after its last stage."""
        assert self.action is not None
        unheard, last = loop.ledger.answers.unheard(), loop.ledger.rounds.last()
        did = (self.changes, last, self.lost, self.set_aside, self.repair, self.notes, self.pruned, unheard)
        return Outcome(self.action, *did)


Stage = Callable[["Loop", Tick], None]


def refuse(loop: Loop, tick: Tick) -> None:
    """Whatever cannot go well is refused before anything is heard, or computed for people who cannot be asked."""
    loop.preconditions.refuse_other_labels()
    loop.preconditions.refuse_no_items()
    loop.choosing.prove()
    loop.address.prove()
    _ = loop.learner


def take_over(loop: Loop, tick: Tick) -> None:
    """The dataset becomes this ledger's, where that is wished."""
    taken = loop.ownership.take_over(loop.dataset) if tick.takes_over else False
    loop.listener.losses = Losses(believed=tick.believes_losses or taken)


def hear(loop: Loop, tick: Tick) -> None:
    """What people said since the last time is taken in."""
    tick.changes = loop.listener.hear()


def ask_beside(loop: Loop, tick: Tick) -> None:
    """Controls beside the main one get into what is open, and second opinions that were planned are asked."""
    asked = loop.controls.ask()
    loop.asker.ask_opinions()
    tick.notes += [*loop.opened.identify(), *asked, *loop.listener.notes]


def retry_unreadable(loop: Loop, tick: Tick) -> None:
    """Items that could not be read are tried again when they are due."""
    loop.learning.embeddings.retry()


def notice_losses(loop: Loop, tick: Tick) -> None:
    """Questions that are gone from the annotator are given up, and what no hearing noticed is repaired."""
    tick.situation = loop.look()
    tick.lost = loop.listener.notice_lost(tick.situation)
    if tick.reconciles or loop.listener.is_due_to_reconcile():
        tick.repair = loop.listener.reconcile()


def judge_taken_labels(loop: Loop, tick: Tick) -> None:
    """Labels taken from the model are revoked where people's answers speak against them."""
    tick.notes += loop.taken.judge()


def choose_action(loop: Loop, tick: Tick) -> None:
    """What to do is decided by where the loop stands now."""
    if tick.situation is None or tick.lost or tick.repair or tick.notes:
        tick.situation = loop.look()
    tick.action = decide(tick.situation, loop.policy)


def plan_round(loop: Loop, tick: Tick) -> None:
    """Learn, choose, and write the next round down."""
    if isinstance(tick.action, Start):
        tick.set_aside, notes = loop.planner.plan(tick.action)
        tick.notes += notes


def send(loop: Loop, tick: Tick) -> None:
    """The questions of a round that is written down go to the annotator."""
    if isinstance(tick.action, Start | Finish):
        loop.asker.send(sure=isinstance(tick.action, Start) and loop.listener.agreed)


def audit(loop: Loop, tick: Tick) -> None:
    """Where nothing else is asked, taken labels are audited in a round of their own."""
    if isinstance(tick.action, Stop) and (made := loop.planner.ask_audits("labels taken from the model are audited")):
        tick.action = Start(made.number, 0, made.reason)


def refuse_lost_pool(loop: Loop, tick: Tick) -> None:
    """A loop that has nothing to ask as most items cannot be read says so."""
    loop.preconditions.refuse_lost_pool()


def prune(loop: Loop, tick: Tick) -> None:
    """Predictions of older models are deleted from the annotator, where the configuration says so."""
    tick.pruned = loop.asker.prune() if loop.prunes else 0


STAGES: Sequence[Stage] = (
    refuse,
    take_over,
    hear,
    ask_beside,
    retry_unreadable,
    notice_losses,
    judge_taken_labels,
    choose_action,
    plan_round,
    send,
    audit,
    refuse_lost_pool,
    prune,
)
"""A tick, in its order."""
