"""What to ask next: the batch of a round, and new guesses and turns of what is open. Records nothing, asks nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelloop.evaluation.label_errors import FEWEST, suspects
from labelloop.evaluation.savings import Trust
from labelloop.ledger import Ledger
from labelloop.ledger.answers import Asking
from labelloop.ledger.opinions import Opinion
from labelloop.loop import round_steps
from labelloop.loop.models import version_of
from labelloop.loop.pool import refuse_blind, refuse_unknown_backbone
from labelloop.loop.queue_order import QueueOrder, Scored
from labelloop.loop.round_steps import BatchOptions, Snapshot
from labelloop.loop.scoring import Sampled, Scorer
from labelloop.loop.training import Learned, Learning
from labelloop.selection.names import AUTO
from labelloop.selection.relabel import Answered, Relabelling, again
from labelloop.storage.artifacts import Ref
from labelloop.types import Prediction, Turn
from labelloop.workspace.config import Config


@dataclass(frozen=True)
class Proposal:
    """What to ask next, anew and again, and the questions that are still open, where they get new guesses and turns.

    Attributes:
        version: Of the model behind guesses and turns; empty before there is one.
        sampled: The sample that the batch comes from; None where it comes from all.
    """

    batch: Sequence[Asking]
    refreshed: Sequence[Asking]
    opinions: Sequence[Opinion] = ()
    version: str = ""
    sampled: Sampled | None = None

    def with_audits(self, audits: Sequence[Asking], seed: Sequence[int]) -> Proposal:
        """The same with blind questions mixed in; an item that was chosen to be learned from, too, is asked blind."""
        blind = {one.item_id for one in audits}
        useful = [one for one in self.batch if one.item_id not in blind]
        return replace(self, batch=round_steps.mixed(useful, audits, np.random.default_rng(list(seed))))


class Choosing:
    """The choosing part of a loop, over its ledger and what it learned.

    Raises:
        ConfigError: A selector of the configuration, that is not code of the workspace, cannot choose for this dataset.
        NotFoundError: It, or the backbone to choose by, has an unknown name.
    """

    def __init__(self, config: Config, ledger: Ledger, learning: Learning) -> None:
        self._config = config
        self._ledger = ledger
        self._learning = learning
        self._schema = config.schema_of()
        self.order = QueueOrder(config, self._schema, learning.snapshots)
        self._scorer = Scorer(config, ledger, learning.models, learning.snapshots)
        self._prove(code=False)

    def prove(self) -> None:
        """Load the selectors of the configuration, also those that are code of the workspace.

        Raises:
            ConfigError: One cannot be loaded, or cannot choose for this dataset.
            NotFoundError: It has an unknown name.
        """
        self._prove(code=True)

    def _prove(self, *, code: bool) -> None:
        if wanted := self._config.selection.backbone:
            refuse_unknown_backbone(wanted, self._schema)
        for name in (self._config.loop.cold_start, self._config.loop.selector):
            if code or ":" not in name:
                round_steps.selector_for(self._schema, name, self._config.loop.belief)
            if code:
                refuse_blind(self._learning.embeddings.chooser, name)

    def trust(self, learned: Learned, number: int) -> Trust:
        """How far `auto` chooses in round `number`; looked at ever more rarely, as each look trains small models.

        A model that was not promoted this time tells nothing of what the newest answers were worth: no look.
        """
        last = self._ledger.rounds.last()
        trust = Trust.of(last.notes) if last else Trust()
        if self._config.loop.selector != AUTO or not learned.judged.promoted or not trust.is_due(number):
            return trust
        now = self._learning.gate.standing(learned.judged.model)
        return trust.after(number, self._learning.gate.savings(now, learned.learned_from))

    def propose(self, learned: Learned, number: int, room: int | None, trust: float = 1.0) -> Proposal:
        """Choose the batch of round `number`, at most `room` questions; pure but for what is cached.

        Args:
            trust: The share that `auto` chooses where it is the selector.
        """
        with learned.watch.stage("score"):
            model, features = learned.judged.model, learned.features
            looked = self._scorer.look(model, learned.known, features, number) if model else None
        with learned.watch.stage("select"):
            known, said = (learned.known, None) if looked is None else (looked.known, looked.said)
            scored = Scored(known, features, said, learned.judged.version)
            doubtful = trust < 1.0 and model and self._config.loop.selector == AUTO
            proposal = self.choose(scored, number, room, f"mix({AUTO}, random, {trust})" if doubtful else "")
            return proposal if looked is None else replace(proposal, sampled=looked.sampled)

    def choose(self, scored: Scored, number: int, room: int | None, selector: str = "") -> Proposal:
        """Choose the batch of round `number`, the new guesses for what is open, and when people get which.

        Args:
            room: The most questions to ask; None is as many as a round asks.
            selector: Instead of the configured one.
        """
        rng = np.random.default_rng([self._config.loop.seed, number])
        loop, sizes = self._config.loop, self._grown(scored.known, self._sizes(room), rng)
        wanted = selector or (loop.selector if scored.said is not None else loop.cold_start)
        opinions = self._again(scored, sizes[0], wanted)
        taste = BatchOptions(wanted, sizes[0] - len(opinions), loop.random_share)
        proposal = self._queued(scored, number, self._batch(scored, taste, sizes[1], rng), selector)
        due = self.order.turns_by_chance([one.question for one in opinions], scored.version)
        return replace(proposal, opinions=[replace(one, turn=due.get(one.question)) for one in opinions])

    def refreshed(self, model: str, number: int) -> Sequence[Asking]:
        """The open questions with what a model says about them, and with their turns from round `number` on."""
        columns, features = self._learning.embeddings.embedded()
        looked = self._scorer.look_at_questions(model, self._learning.snapshots.know(columns), features)
        scored = Scored(looked.known, features, looked.said, version_of(Ref.parse(model)))
        return self._queued(scored, number, []).refreshed

    def _queued(self, scored: Scored, number: int, batch: Sequence[Asking], selector: str = "") -> Proposal:
        """A batch beside the open questions: new guesses for these, and a turn for each where people go by turns."""
        waiting = self._ledger.answers.questions(["asked"])
        refreshed = self._refreshed(scored, [one for one in waiting if one.version != scored.version])
        if scored.said is None or self._config.loop.queue == "asked":
            return Proposal(batch, [one for one in refreshed if one.prediction or one.hidden], version=scored.version)
        staying = [one for one in waiting if one.version == scored.version]
        at = self.order.turns(scored, [*refreshed, *batch], staying, number, selector)
        batch, refreshed = (
            [replace(one, turn=Turn(at[one.item_id], scored.version)) for one in some] for some in (batch, refreshed)
        )
        return Proposal(batch, refreshed, version=scored.version)

    def _batch(self, scored: Scored, taste: BatchOptions, protected: int, rng: np.random.Generator) -> list[Asking]:
        known, said = scored.known, scored.said
        held = round_steps.choose_held_out(known, protected, self._learning.snapshots.salt)
        rows, why = round_steps.choose(known, (scored.features.chosen_by, said), self._schema, taste, rng)
        guesses: Sequence[Prediction | None] = [None] * len(rows)
        if said is not None:
            guesses = round_steps.predictions_of(known, rows, said, self._schema, scored.version)
        mixed = round_steps.mixed(
            round_steps.asking(known, rows, why, guesses), round_steps.asking_blind(known, held), rng
        )
        return round_steps.partly_blind(mixed, self._config.loop.blind_share, rng)

    def _again(self, scored: Scored, n: int, selector: str) -> list[Opinion]:
        """Second opinions that are worth more than new items, of a batch of n; none unless `relabel` is the selector.

        Raises:
            ConfigError: A second answer could not help: it would replace the first one, or there may be several labels.
        """
        form = round_steps.selector_for(self._schema, selector, self._config.loop.belief)
        if not isinstance(form, Relabelling) or scored.probabilities is None or n < 1:
            return []
        if np.count_nonzero(scored.known.believed & ~scored.known.held_out) < FEWEST:
            return []
        unseen = self._learning.out_of_sample_of(scored.known, scored.features)
        known, columns = scored.known, scored.known.columns
        said, asked = self._ledger.said(self._schema), self._ledger.opinions.all()
        waiting = {one.item_id for one in asked if one.state in ("planned", "asked")}
        votes, givers = round_steps.votes_of(self._schema, unseen.examples.inputs.ids, said)
        usable = ~np.isnan(unseen.probabilities).any(axis=1) & ~np.isin(unseen.examples.inputs.ids, list(waiting))
        rows = np.flatnonzero(usable)
        pool = np.flatnonzero(~known.asked & ~known.held_out & columns.readable)
        new = scored.probabilities[pool]
        if not len(rows):
            return []
        found = suspects(unseen.examples.targets, unseen.probabilities).rows
        answered = Answered(votes[rows], unseen.probabilities[rows], np.isin(rows, found))
        chosen = rows[again(answered, new, n, form.share)]
        about = self._ledger.opinions.about()
        return [round_steps.opinion(self._schema, unseen, int(row), givers, about) for row in chosen]

    def _grown(self, known: Snapshot, sizes: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
        """The sizes, with a share of the random questions for the holdout once it has the size that was wished."""
        useful, protected = sizes
        left = int(np.count_nonzero(known.held_out & ~known.asked & known.columns.readable))
        if protected or not self._config.holdout.size:
            return sizes
        wanted = useful * self._config.loop.random_share * self._config.holdout.growth
        grown = min(left, useful, int(wanted + rng.random()))
        return useful - grown, grown

    def _sizes(self, room: int | None) -> tuple[int, int]:
        """How many to ask to learn from, and how many for the holdout."""
        config = self._config
        counts = self._ledger.answers.counts()
        drawn = sum(n for (_, purpose, state), n in counts.items() if purpose == "holdout" and state != "gone")
        protected = min(config.holdout.per_round, max(0, config.holdout.size - drawn))
        if room is None:
            return config.loop.batch, protected
        useful = config.loop.batch
        if useful + protected > room:
            protected = min(round(room * protected / (useful + protected)), max(0, room - 1))
            useful = min(useful, room - protected)
        return useful, protected

    def _refreshed(self, scored: Scored, old: Sequence[Asking]) -> list[Asking]:
        """Open questions with a new guess, shown or hidden; with none where one must not be, or they cannot be read."""
        if scored.said is None:
            return []
        columns, seen = scored.known.columns, [one.item_id for one in old if one.purpose in ("train", "blind")]
        rows = np.flatnonzero(np.isin(columns.ids, seen) & columns.readable)
        made = round_steps.predictions_of(scored.known, rows, scored.said, self._schema, scored.version)
        guesses = {guess.item_id: guess for guess in made}
        shown = [replace(one, prediction=guesses.get(one.item_id)) for one in old]
        return [
            replace(one, prediction=None, hidden=one.prediction) if one.purpose == "blind" else one for one in shown
        ]
