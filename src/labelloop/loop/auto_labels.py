"""Labels taken from the model, from round to round: which count, what people say against them, what to audit next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from labelloop.kinds.predicted import Predicted
from labelloop.ledger import Ledger
from labelloop.ledger.answers import Asking
from labelloop.ledger.auto import Certificate, Terms
from labelloop.loop import auto_label_offer
from labelloop.loop.auto_label_offer import Offer
from labelloop.loop.round_steps import Snapshot
from labelloop.loop.training import Learned, Learning
from labelloop.workspace.config import Config

AUDITED = "audits_judged"
"""The order and the number of changes at which the audit of taken labels was judged last."""


class TakenLabels:
    """The labels taken from the model, over a ledger and what was learned. Asks nobody."""

    def __init__(self, config: Config, ledger: Ledger, learning: Learning, clock: Callable[[], datetime]) -> None:
        self._schema = config.schema_of()
        self._belief = config.loop.belief
        self._per_round = config.auto_label.audit_per_round
        self._ledger = ledger
        self._learning = learning
        self._clock = clock

    def counting(self) -> Certificate | None:
        """The certificate whose labels count; none where they are labels of before a change of the labels."""
        now = self._ledger.auto.active()
        return now if now is not None and now.labels == self._schema.labels else None

    def offer(self, known: Snapshot, said: Predicted, terms: Terms) -> Offer:
        """Which labels could be taken: see `labelloop.loop.auto_label_offer.offer`."""
        closed = {one.item_id for one in self._ledger.answers.questions(["answered", "skipped"])}
        return auto_label_offer.offer(self._schema, known, said, closed, terms)

    def take(self, learned: Learned) -> list[str]:
        """Where labels are taken from the model: take those of a new one, if they are certified; what happened."""
        now, judged = self._ledger.auto.active(), learned.judged
        if now is None or not judged.model or self._ledger.auto.all()[-1].model == judged.model:
            return []
        found = self.offer(learned.known, self._learning.models.said(judged.model, learned.features), now.terms)
        order = now.order if now.labels == self._schema.labels else 0  # else the audit begins anew, in the new labels
        made = replace(found.certificate(judged.model, judged.version), order=order, at=self._clock().isoformat())
        self._ledger.auto.note(made, found.taken(learned.known.columns.ids, self._learning.snapshots.salt))
        if found.why:
            return [f"the labels of model {made.version} were not taken, those before it stay: {found.why}"]
        return [f"{made.taken} of {made.open} open items have the label of model {made.version} now"]

    def judge(self) -> list[str]:
        """Revoke the labels if people's answers speak against them; what happened.

        Under the lease. Looks only at what was heard since the last time.
        """
        now = self.counting()
        if now is None:
            return []
        changes = self._ledger.answers.changes()
        if self._ledger.answers.recall(AUDITED) == [now.order, changes]:
            return []
        asked = self._ledger.auto.audited(now.order)
        found = auto_label_offer.judged(self._schema, now, asked, self._ledger.said(self._schema), self._belief)
        notes = []
        if found.revoked_at is not None:
            ended = self._ledger.auto.revoke(now, auto_label_offer.why_revoked(found, now))
            notes = [f"revoked: the {ended.taken} labels taken from model {ended.version}: {ended.why}"]
        self._ledger.answers.remember(AUDITED, [now.order, changes])
        return notes

    def is_audited(self) -> bool:
        """Whether people have questions of the audit before them."""
        now = self.counting()
        asked = self._ledger.auto.audited(now.order) if now else []
        return any(one.state in ("planned", "asked") for one in asked)

    def due(self) -> list[Asking]:
        """The next labels to audit, as blind questions; the ledger keeps what they were."""
        now = self.counting()
        if now is None:
            return []
        due = self._ledger.auto.due(now, self._per_round)
        self._ledger.auto.remember(now, due)
        return auto_label_offer.asking(due)
