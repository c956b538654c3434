"""Taking a model's labels unseen: the plan, the order, the audit and the end of it. Each command may be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labelloop.errors import ConfigError, NotFoundError
from labelloop.evaluation.audit import ALPHA, Audit
from labelloop.ledger.auto import Certificate, Terms
from labelloop.loop import auto_label_offer
from labelloop.loop.auto_label_offer import Offer
from labelloop.loop.loop import Loop


@dataclass(frozen=True, slots=True)
class AutoLabelStatus:
    """Where automatic labelling stands.

    Attributes:
        certificate: The newest one that was granted; None if there never was one.
        refused: Why the newest model's labels were not taken, if so.
        counting: Labels that count now: those that nobody has answered since.
        audit: What people's answers say; None without a certificate.
        open: Audit questions that nobody has answered.
    """

    certificate: Certificate | None
    refused: str
    counting: int
    audit: Audit | None
    open: int

    def as_dict(self) -> Mapping[str, Any]:
        """For scripts."""
        audit = self.audit
        return {
            "state": self.certificate.state if self.certificate else "off",
            "counting": self.counting,
            "certificate": self.certificate.as_dict() if self.certificate else None,
            "refused": self.refused,
            "audited": audit.checked if audit else 0,
            "wrong": audit.wrong if audit else 0,
            "evidence": audit.evidence if audit else None,
            "revokes_at": 1 / ALPHA,
            "open": self.open,
        }

    def notes(self) -> list[tuple[str, str]]:
        """What about, and what is known; nothing where no label was ever taken."""
        one, audit = self.certificate, self.audit
        if one is None:
            return []
        terms, each = one.terms, " of each label" if one.terms.per_label else ""
        promise = f"at most {100 * terms.error:g} %{each} wrong, with {100 * (1 - terms.delta):g} % confidence"
        known = [
            ("state", one.state + (f": {one.why}" if one.why else "")),
            ("labels", f"{self.counting} count, of {one.taken} taken from model {one.version}"),
            ("promise", f"{promise}: {one.wrong} of {one.checked} calibration answers were"),
        ]
        if audit:
            answers = f"{audit.wrong} of {audit.checked} wrong, {self.open} open"
            known.append(("audit", f"{answers}; evidence {audit.evidence:.2g}, revoked at {1 / ALPHA:.0f}"))
        return [*known, ("newest", self.refused)] if self.refused else known

    def in_words(self) -> str:
        """For people."""
        words = "\n".join(f"{about:<9} {known}" for about, known in self.notes())
        return words or "off: no label was ever taken from a model (labelloop auto-label plan)"


def terms_of(loop: Loop) -> Terms:
    """The terms of the configuration."""
    wanted = loop.workspace.config.auto_label
    return Terms(wanted.error, 1.0 - wanted.confidence, wanted.per_label, wanted.audit)


def plan(loop: Loop) -> Offer:
    """Which labels of the model in use could be taken; changes nothing.

    Raises:
        ConfigError: There is no model, or it is a multiple choice.
    """
    auto_label_offer.refuse_several(loop.schema)
    last = loop.ledger.rounds.last()
    if last is None or not last.matches(loop.schema.labels) or not loop.learning.models.champion():
        raise ConfigError("there is no model yet whose labels could be taken", "labelloop watch")
    columns, features = loop.learning.embeddings.embedded()
    said = loop.learning.models.said(last.model, features)
    known = loop.learning.snapshots.know(columns)
    audited = np.isin(columns.ids, _being_audited(loop, last.model))
    known = replace(known, asked=known.asked & ~audited)
    return loop.taken.offer(known, said, terms_of(loop))


def apply(loop: Loop) -> Certificate:
    """Take the labels, and ask people about the first of those that chance draws. Under the lease; may be repeated.

    Raises:
        ConfigError: No label can be taken.
        BusyError: Another process is at work on the dataset.
    """
    with loop.ledger.lease.held():
        loop.preconditions.refuse_other_labels()
        loop.planner.settle()
        loop.hear()
        loop.taken.judge()
        found = plan(loop)
        if found.why:
            raise ConfigError(f"no label was taken: {found.why}", "labelloop auto-label plan shows what is missing")
        last = loop.ledger.rounds.last()
        assert last is not None
        made = found.certificate(last.model, last.version)
        before = loop.ledger.auto.active()
        ids = loop.ledger.items.columns().ids
        new = set(map(str, ids[found.rows])) - loop.ledger.auto.taken().keys()
        if before is None or new or _different(before, made):
            goes_on = before is not None and (before.terms, before.labels) == (made.terms, made.labels)
            order = before.order if before and goes_on else 0
            made = replace(made, order=order, at=loop.now().isoformat(timespec="seconds"))
            before = loop.ledger.auto.note(made, found.taken(ids, loop.learning.snapshots.salt))
        loop.planner.ask_audits("labels were taken from the model")
        return before


def audit(loop: Loop) -> int:
    """Hear what people say about audited labels, revoke if they must be, and ask the next ones; how many were asked.

    Raises:
        NotFoundError: No labels are taken now.
        BusyError: Another process is at work on the dataset.
    """
    with loop.ledger.lease.held():
        _active(loop)
        loop.preconditions.refuse_other_labels()
        loop.planner.settle()
        loop.hear()
        loop.taken.judge()
        made = loop.planner.ask_audits("labels that were taken from the model are audited")
        return made.asked if made else 0


def revoke(loop: Loop, why: str = "a person ended it") -> Certificate:
    """Let the taken labels count no more.

    Raises:
        NotFoundError: No labels are taken now.
        BusyError: Another process is at work on the dataset.
    """
    with loop.ledger.lease.held():
        return loop.ledger.auto.revoke(_active(loop), why)


def granted(loop: Loop) -> Certificate | None:
    """The newest certificate that was granted, suspended where the labels have changed since; None if there is none."""
    newest = next((one for one in reversed(loop.ledger.auto.all()) if one.state != "refused"), None)
    if newest is not None and newest.state == "active" and loop.taken.counting() is None:
        return replace(
            newest, state="suspended", why="the labels have changed; a model that learned the new ones follows"
        )
    return newest


def standing(loop: Loop) -> AutoLabelStatus:
    """Where automatic labelling stands, from the ledger alone."""
    history = loop.ledger.auto.all()
    newest = granted(loop)
    if newest is None:
        return AutoLabelStatus(None, "", 0, None, 0)
    refused = history[-1].why if history[-1].state == "refused" and newest.state == "active" else ""
    asked = loop.ledger.auto.audited(newest.order)
    said = loop.ledger.said(loop.schema)
    answered = {item_id for item_id, annotations in said.items() if annotations}
    return AutoLabelStatus(
        certificate=newest,
        refused=f"the labels of a newer model were not taken: {refused}" if refused else "",
        counting=len(loop.ledger.auto.taken().keys() - answered) if newest.state == "active" else 0,
        audit=None
        if newest.state == "suspended"
        else auto_label_offer.judged(loop.schema, newest, asked, said, loop.belief),
        open=sum(one.state in ("planned", "asked") for one in asked),
    )


def _active(loop: Loop) -> Certificate:
    found = loop.ledger.auto.active()
    if found is None:
        ended = [one for one in loop.ledger.auto.all() if one.state == "revoked"]
        why = f"; those of model {ended[-1].version} were revoked: {ended[-1].why}" if ended else ""
        raise NotFoundError(f"no labels are taken from a model now{why}", "labelloop auto-label plan")
    return found


def _being_audited(loop: Loop, model: str) -> list[str]:
    """Items whose label counts and that people have before them: open, as they were when this model's were taken."""
    now = loop.ledger.auto.active()
    if now is None or (now.model, now.terms, now.labels) != (model, terms_of(loop), loop.schema.labels):
        return []
    asked = loop.ledger.auto.audited(now.order)
    return [one.item_id for one in asked if one.state in ("planned", "asked")]


def _different(one: Certificate, other: Certificate) -> bool:
    same = ("terms", "model", "labels", "thresholds")
    return any(getattr(one, name) != getattr(other, name) for name in same)
