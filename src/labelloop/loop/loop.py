"""The loop: hear what people said, decide what to do, do it once. Idempotent, so that anything can drive it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self

import numpy as np

import labelloop
from labelloop.data.addresses import Addressing
from labelloop.data.locations import access_of
from labelloop.errors import ConfigError, NoSecretError, NotFoundError, OtherLabelsError
from labelloop.evaluation.budget import Budget, Spent
from labelloop.kinds import LabelSchema, labels
from labelloop.kinds.kind import answer_in
from labelloop.kinds.label_changes import translated
from labelloop.ledger import Ledger, aside, open_ledger
from labelloop.ledger.answers import Asking, Changes
from labelloop.ledger.opinions import Opinion
from labelloop.ledger.rounds import Round
from labelloop.loop.asker import Asker
from labelloop.loop.auto_labels import TakenLabels
from labelloop.loop.batch import Choosing, Proposal
from labelloop.loop.beside import Controls
from labelloop.loop.decide import Action, Finish, Policy, Situation, Start, Stop, decide, why_nothing
from labelloop.loop.gatekeeper import Judged
from labelloop.loop.listener import Listener, Repair
from labelloop.loop.notices import noticed_anew
from labelloop.loop.overlap import Overlap
from labelloop.loop.ownership import Ownership
from labelloop.loop.renewal import Renewal
from labelloop.loop.situation import situation
from labelloop.loop.stop_advice import advise
from labelloop.loop.training import Learned, Learning
from labelloop.loop.unusable import Unusable, unusable
from labelloop.loop.vanished import Losses
from labelloop.machine.registry import build
from labelloop.protocols import Dataset, Learner, Progress, Recognising, silent
from labelloop.selection import RANDOM
from labelloop.storage.artifacts import Artifacts
from labelloop.storage.runs import Line, Run, nobody
from labelloop.types import Region, Unheard
from labelloop.workspace.config import Workspace
from labelloop.workspace.stack import Stack

KEY, TITLE = "dataset_key", "dataset_title"
"""What the annotator tells the dataset by, and what people called it when that was said last."""


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


class Loop:
    """One dataset, its people, and its model.

    Args:
        workspace: Configuration and folder.
        stack: The components.
        progress: Told about long work.
        clock: The time, for tests.
        tell: Told each step of a pipeline when it has ended.
    """

    def __init__(
        self,
        workspace: Workspace,
        stack: Stack,
        progress: Progress = silent,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        tell: Callable[[Line], None] = nobody,
    ) -> None:
        config = workspace.config
        if not config.dataset.name:
            raise ConfigError("the dataset has no name", "labelloop init, or set name = ... under [dataset]")
        self.schema: LabelSchema = config.schema_of()
        self.policy = Policy(**{one.name: getattr(config.loop, one.name) for one in fields(Policy)})
        self.budget = Budget(**config.budget.model_dump())
        self._config = config
        if ":" not in config.learner_of().flavor:
            _ = self.learner  # a mistake in its options is said at once
        self.ledger: Ledger = open_ledger(workspace.ledger_url, config.dataset.name)
        self.artifacts = Artifacts(stack.artifact_store, workspace.home / "cache")
        self.run = Run(self.artifacts, self.ledger.steps, stack.orchestrator, progress, tell)
        self.access = access_of(stack.artifact_store, config.dataset.hosts, config.dataset.ca_bundle)
        self.address = Addressing(config.dataset.address)
        self.learning = Learning(
            config,
            self.ledger,
            self.run,
            lambda: self.learner,
            progress,
            access=self.access,
            address=self.address,
            clock=clock,
        )
        self.choosing = Choosing(config, self.ledger, self.learning)
        self.taken = TakenLabels(config, self.ledger, self.learning, clock)
        self.belief = config.loop.belief
        self.workspace = workspace
        self.stack = stack
        self.progress = progress
        self._clock = clock
        self._dataset: Dataset | None = None
        self._label_changes = self.ledger.labels.changes()
        self.controls = Controls(stack, self.ledger, config.dataset.name, self.schema, self.belief, clock)
        self.ownership = Ownership(self.ledger.answers, config.dataset.name)
        self.overlap = Overlap(self.ledger, config.dataset.people_per_item)
        self.asker = Asker(lambda: self.dataset, self.ledger, self.ownership, self.address, self.access, clock)
        renewal = Renewal(
            self.ledger,
            lambda: self.dataset,
            self.asker.questions_of,
            lambda: self.ownership.claim(self.dataset),
        )
        self.listener = Listener(
            lambda: self.dataset,
            self.ledger,
            config,
            self.ownership,
            self.address,
            renewal,
            self.overlap,
            clock,
        )

    @cached_property
    def learner(self) -> Learner:
        """The learner; code of the workspace is loaded when it is first needed, not when somebody looks at the loop.

        Raises:
            ConfigError: It cannot be loaded, or nobody has allowed the workspace's code to run.
        """
        chosen = self._config.learner_of()
        made: Learner = build("learner", chosen.flavor, chosen.options, {"schema": self.schema})
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    @property
    def dataset(self) -> Dataset:
        """The dataset in the annotator; created by the first round, never silently created anew.

        Raises:
            NotFoundError: It existed, and is gone.
        """
        if self._dataset is None:
            fresh = all(state == "planned" for _, _, state in self.ledger.answers.counts())
            name = self._config.dataset.name
            try:
                self._dataset = self._opened(name, create=fresh)
            except NoSecretError:
                raise
            except NotFoundError as error:
                kept = self.ledger.answers.changes()
                raise NotFoundError(
                    f"dataset {name!r} is gone from the annotator; what people said is in the ledger ({kept} changes):"
                    f" {error.message}",
                    "restore the annotator's data, or begin anew: another dataset.name, then labelloop add",
                ) from error
        return self._dataset

    def _opened(self, name: str, *, create: bool) -> Dataset:
        """The dataset that this ledger has known, whatever it is called now and from whichever machine."""
        annotator = self.stack.annotator
        if isinstance(annotator, Recognising) and (key := self.ledger.answers.recall(KEY)):
            annotator.recognise(name, key)
        return annotator.open(name, self.schema, create=create)

    def _identify(self) -> list[str]:
        """Keep what tells the dataset from others; that people call it something else now, said once."""
        annotator, answers, name = self.stack.annotator, self.ledger.answers, self._config.dataset.name
        if not isinstance(annotator, Recognising):
            return []
        if (key := annotator.key_of(name)) != answers.recall(KEY):
            answers.remember(KEY, key)
        if (title := annotator.title_of(name)) == (answers.recall(TITLE) or name):
            return []
        answers.remember(TITLE, title)
        return [f"the dataset {name!r} is called {title!r} in the annotator now, and is the same one"]

    def reconnect(self) -> None:
        """Forget the connection to the annotator, which may be elsewhere after an outage."""
        self._dataset = None
        self.listener.agreed = False

    def tick(self, *, reconcile: bool = False, take_over: bool = False, believe_losses: bool = False) -> Outcome:
        """Hear, decide, act once. Idempotent: killed anywhere and called again, it continues where it stopped.

        Args:
            reconcile: Compare everything with the annotator first, which is done once in `loop.reconcile_every` anyway.
            take_over: Make the dataset this ledger's, whosever it was.
            believe_losses: Go on however many questions and answers are gone at once.

        Raises:
            BackendError: The annotator is away; nothing was computed.
            BusyError: Another process is at it.
            OtherOwnerError: The dataset is another ledger's, or not as this one left it; nothing was believed.
            VanishedError: Much of what was there is gone; nothing of that was believed.
            ConfigError: There are no items.
        """
        with self.ledger.lease.held():
            self.refuse_other_labels()
            self.refuse_no_items()
            self.choosing.prove()
            self.address.prove()
            _ = self.learner  # before anything is computed for people who cannot be asked
            taken = self.ownership.take_over(self.dataset) if take_over else False
            self.listener.losses = Losses(believed=believe_losses or taken)
            changes = self.listener.take_in()
            asked = self.controls.ask()
            self.asker.ask_opinions()
            self.learning.embeddings.retry()
            now = self.look()
            lost = self.listener.notice_lost(now)
            repair = self.listener.reconcile() if reconcile or self.listener.is_due_to_reconcile() else None
            notes = [*self._identify(), *asked, *self.listener.notes, *self.taken.judge()]
            action = decide(self.look() if lost or repair or notes else now, self.policy)
            set_aside: Mapping[str, str] = {}
            if isinstance(action, Start):
                set_aside, more = self._plan(action)
                notes += more
            if isinstance(action, Start | Finish):
                self.asker.send(sure=isinstance(action, Start) and self.listener.agreed)
            elif isinstance(action, Stop) and (made := self.ask_audits("labels taken from the model are audited")):
                action = Start(made.number, 0, made.reason)
            self._refuse_lost_pool()
            pruned = self.asker.prune() if self._config.loop.old_predictions == "prune" else 0
            unheard, last = self.ledger.answers.unheard(), self.ledger.rounds.last()
            return Outcome(action, changes, last, lost, set_aside, repair, notes, pruned, unheard)

    def hear(self, *, believe_losses: bool = False) -> tuple[Changes, int]:
        """Take in what people said since the last time: (what changed, questions that have vanished)."""
        self.listener.losses = Losses(believed=believe_losses)
        changes = self.listener.take_in()
        return changes, self.listener.notice_lost(self.look())

    def unusable(self) -> Unusable:
        """What people said that is not learned from, from the ledger alone."""
        return unusable(self.ledger, self.schema, self.belief)

    def study(self) -> Learned:
        """Hear, learn and judge, without asking or promoting anything; a tick that follows reuses the result."""
        with self.ledger.lease.held():
            self.refuse_other_labels()
            self.hear()
            return self.learning.learn()

    def refuse_no_items(self) -> None:
        """Go on only where there is something to ask about.

        Raises:
            ConfigError: Nothing was added yet.
        """
        if self.ledger.items.count() == 0:
            raise ConfigError("there are no items to ask about", "labelloop add FOLDER_OR_FILE")

    def refuse_other_labels(self) -> None:
        """Go on only with the labels that hold now.

        Raises:
            OtherLabelsError: They were changed since this loop was made, or a change of them was interrupted.
        """
        changes = self.ledger.labels.changes()
        if changes and changes[-1].state == "planned":
            raise OtherLabelsError(
                f"a change of the labels was interrupted: {changes[-1].in_words()}", "labelloop labels resume"
            )
        if changes != self._label_changes:
            raise OtherLabelsError(f"the labels were changed: {changes[-1].in_words()}", "run it again", True)

    def look(self) -> Situation:
        """Where the loop stands, from the ledger and the clock alone."""
        return situation(self.ledger, self.schema, self.policy, self.budget, self._clock())

    def names_in(self, regions: Sequence[Region]) -> tuple[str, ...] | None:
        """What regions say, part by part, in the labels of now; None where these cannot say it."""
        now = translated(self.schema, self._label_changes, regions)
        try:
            if self.schema.asked is None:
                return labels.names_of(self.schema, now)
            answer = answer_in(self.schema.asked, [one for one in now if one.get("from_name") == self.schema.control])
            return None if answer is None else labels.words_in(self.schema, answer)
        except ConfigError:
            return None

    @property
    def version(self) -> str:
        """The model version whose guesses and turns hold; empty before there is one that speaks the labels of now."""
        last = self.ledger.rounds.last()
        return last.version if last is not None and last.speaks(self.schema.labels) else ""

    def now(self) -> datetime:
        """The time."""
        return self._clock()

    def ask_audits(self, reason: str) -> Round | None:
        """Ask about the next taken labels that are to be audited, in a round of their own; None if there are none.

        Not while people have questions of an audit before them.
        """
        if self.taken.is_audited():
            return None
        due = self.choosing.order.by_chance(self.taken.due(), self.version)
        return self.record(reason, due) if due else None

    def _plan(self, start: Start) -> tuple[Mapping[str, str], list[str]]:
        """Learn and write the next round down; returns the answers that were set aside, and what labels were taken."""
        started = self._clock().isoformat()
        learned = self.learning.learn()
        with learned.watch.stage("evaluate"):
            advice = advise(self.learning, self.schema, learned, self.ledger.rounds.all())
        if advice.stop and self.policy.stop_on_advice:
            start = replace(start, room=0)
        with learned.watch.stage("select"):
            trust = self.choosing.trust(learned, start.number)
        proposal = self.choosing.propose(learned, start.number, start.room, trust.share)
        notes = [*self._left_out(), *self.taken.take(learned)]
        if trust.share < 1.0:
            notes.append(f"auto chooses {trust.share:.0%}, the others are drawn at random: random was cheaper so far")
        audits = self.choosing.order.by_chance(self.taken.due(), proposal.version)
        proposal = proposal.with_audits(audits, [self._config.loop.seed, start.number, 1])
        planned = self._round(start, learned, proposal, started)
        planned = replace(planned, trust=trust.share, trust_looked=trust.looked, saved=trust.saved)
        planned = replace(planned, advice=advice.as_dict()) if planned.model else planned
        if planned.stopped and start.room == 0:
            planned = replace(planned, stopped=self._why_no_room(planned))
        self.ledger.rounds.plan(planned, proposal.batch, self._clock(), proposal.refreshed, proposal.opinions)
        return learned.known.strange, notes

    def _round(self, start: Start, learned: Learned, proposal: Proposal, started: str) -> Round:
        return Round(
            **self._now(proposal.batch, start.room, crowded=start.crowded, again=len(proposal.opinions)),
            **judgement(learned.judged),
            number=start.number,
            reason=start.reason,
            learned_from=learned.learned_from,
            changes=self.ledger.answers.changes(),
            seconds=learned.watch.seconds,
            started_at=started,
            labels=self.schema.labels,
            barred=self.learning.models.barred(),
        )

    def _refuse_lost_pool(self) -> None:
        """Go on unless nothing is left to ask because most items cannot be read.

        Raises:
            UnreadableError: That is so.
        """
        last, lost = self.ledger.rounds.last(), self.ledger.aside.count()
        if last is None or not last.stopped or last.room == 0:
            return
        if 2 * lost > self.ledger.items.count() - self.ledger.changed.count():
            raise self.learning.embeddings.nothing_left()

    def _left_out(self) -> list[str]:
        """The items that a round leaves out as they cannot be read now, and what is wrong with all, in words."""
        words = aside.in_words(self.ledger.aside.all(), self._clock())
        return [*([words] if words else []), *noticed_anew(self.ledger, self._config)]

    def _why_no_room(self, planned: Round) -> str:
        """Why a round may ask nothing, in words."""
        if self.policy.stop_on_advice and planned.advice.get("stop"):
            return str(planned.advice["words"])
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
            "seed": self._config.loop.seed,
            "learner": self.learning.recipe,
            "versions": {"labelloop": labelloop.__version__, "numpy": np.__version__},
            "stopped": "" if batch or again or crowded else why_nothing(self.policy, room, left_out),
        }

    def record(
        self,
        reason: str,
        batch: Sequence[Asking],
        refreshed: Sequence[Asking] = (),
        opinions: Sequence[Opinion] = (),
        **known: Any,
    ) -> Round:
        """Write a round down, send its questions and new guesses, confirm it; for pipelines, under the lease.

        Args:
            refreshed: Open questions with the guesses and turns that they get.
            opinions: Questions about items that have an answer.
            known: What the round knows anew, such as `judgement`; the rest is as in the round before.
        """
        before = self.ledger.rounds.last() or Round(0, "")
        self.refuse_other_labels()
        room = None if batch or opinions else 0
        known = {"labels": self.schema.labels, **known} if "model" in known else known
        blank = {"state": "planned", "promoted": False, "gate": "", "seconds": {}, "rolled_back": False}
        fresh = {**blank, **self._now(batch, room, again=len(opinions)), **known}
        started = self._clock().isoformat()
        made = replace(before, number=before.number + 1, reason=reason, started_at=started, **fresh)
        self.ledger.rounds.plan(made, batch, self._clock(), refreshed, opinions)
        self.asker.send(sure=False)
        return made

    def settle(self) -> int:
        """Complete a round, and second opinions of none, that were planned and interrupted; under the lease.

        Returns:
            How many of these second opinions there were.
        """
        self.refuse_other_labels()
        last = self.ledger.rounds.last()
        if last is not None and last.state == "planned":
            self.asker.send(sure=False)
        return self.asker.ask_opinions()


def judgement(judged: Judged) -> dict[str, Any]:
    """What a round records of the model it ends with."""
    return {
        "model": judged.model,
        "version": judged.version,
        "promoted": judged.promoted,
        "gate": judged.gate,
        "metrics": asdict(judged.metrics),
    }
