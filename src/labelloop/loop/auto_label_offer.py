"""Which of a model's labels can be taken unseen, and what people's answers say about those that were. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelloop.errors import ConfigError
from labelloop.evaluation import holdout
from labelloop.evaluation.audit import ALPHA, Audit, audit
from labelloop.evaluation.certify import Bound, Column, bound, needed, per_label
from labelloop.kinds import LabelSchema, consensus
from labelloop.kinds.labels import answer_of, text_of
from labelloop.kinds.predicted import Predicted
from labelloop.ledger.answers import Asking
from labelloop.ledger.auto import Audited, AutoLabel, Certificate, Terms
from labelloop.loop.round_steps import Snapshot
from labelloop.types import Annotation

ALL = "all labels"


@dataclass(frozen=True)
class Offer:
    """Which labels of a model can be taken under some terms.

    Attributes:
        bounds: Label, or `ALL` -> how far its labels can be taken.
        rows: (m,) positions of the items that would get their label, `columns` of the label, and `confidence` in it.
        open: Items that nobody was asked about and that are not held out.
        calibration: Answers of the holdout it rests on.
        answers: The m answers as texts where they are no labels of the whole item; then `columns` means nothing.
    """

    terms: Terms
    names: tuple[str, ...]
    bounds: Mapping[str, Bound]
    rows: np.ndarray
    columns: np.ndarray
    confidence: np.ndarray
    open: int
    calibration: int
    answers: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """Why no label can be taken; empty if some can."""
        if len(self.rows):
            return ""
        if not self.open:
            return "every item was asked already, or is held out"
        first, *others = [one.why for one in self.bounds.values() if one.why]
        return f"{first}; and {len(others)} more label(s) like it" if others else first

    def take(self, name: str) -> int:
        """Items that would get this label; of `ALL`, any label."""
        return len(self.rows) if name == ALL else int((self.columns == self.names.index(name)).sum())

    def certificate(self, model: str, version: str) -> Certificate:
        """What is written down of it."""
        thresholds = {name: one.threshold for name, one in self.bounds.items() if one.taken}
        counted = [one for one in self.bounds.values() if one.taken]
        return Certificate(
            terms=self.terms,
            model=model,
            version=version,
            labels=self.names,
            thresholds=thresholds,
            taken=len(self.rows),
            open=self.open,
            checked=sum(one.checked for one in counted),
            wrong=sum(one.wrong for one in counted),
            state="active" if len(self.rows) else "refused",
            why=self.why,
        )

    def taken(self, ids: np.ndarray, salt: str) -> Iterator[AutoLabel]:
        """The labels, with the draw that decides which of them are audited."""
        said = self.answers or [self.names[column] for column in self.columns]
        named = [(str(ids[row]), one) for row, one in zip(self.rows, said, strict=True)]
        draws = holdout.draw_order([f"{item_id}\n{name}" for item_id, name in named], f"audit {salt}")
        for (item_id, name), confidence, draw in zip(named, self.confidence, draws, strict=True):
            yield AutoLabel(item_id, name, float(confidence), float(draw))

    def as_dict(self) -> dict[str, object]:
        """The offer for scripts."""
        return {
            "error": self.terms.error,
            "confidence": 1 - self.terms.delta,
            "open": self.open,
            "take": len(self.rows),
            "most_errors": int(self.terms.error * len(self.rows)),
            "audit": round(self.terms.audit * len(self.rows)),
            "calibration": self.calibration,
            "needed": needed(self.terms.error, self.terms.delta / max(1, len(self.bounds))),
            "labels": {
                name: {
                    "threshold": one.threshold if one.taken else None,
                    "take": self.take(name),
                    "checked": one.checked,
                    "wrong": one.wrong,
                    "why": one.why,
                }
                for name, one in self.bounds.items()
            },
            "why": self.why,
        }


def refuse_several(schema: LabelSchema) -> None:
    """Go on only with one label per item.

    Raises:
        ConfigError: It is a multiple choice.
    """
    if schema.multiple and schema.asked is None:
        raise ConfigError(
            'labels can be taken from a model for task = "single-choice" only, and this is a multiple choice: '
            "no bound on the error of a whole set of labels is built",
            "ask people, or make each label a dataset of its own",
        )


def offer(schema: LabelSchema, known: Snapshot, said: Predicted, closed: Collection[str], terms: Terms) -> Offer:
    """Find the labels that can be taken. Pure.

    Args:
        said: What the model says about every item.
        closed: Ids of the questions that people have answered or skipped. A question of the holdout that was skipped,
            or about which nothing can be believed, counts as one on which the model is wrong.

    Raises:
        ConfigError: It is a multiple choice, or a share is not between 0 and 1; or something is to be promised of
            each label, and what is asked are no labels of the whole item.
    """
    refuse_several(schema)
    if schema.asked is not None:
        return _offer_of_answers(schema, known, said, closed, terms)
    assert said.probabilities is not None
    likely = said.probabilities
    ids = known.columns.ids
    readable = known.columns.readable & np.isfinite(likely).all(axis=1)
    given = np.zeros(len(ids), np.intp)
    confidence = np.full(len(ids), -np.inf)
    given[readable] = likely[readable].argmax(axis=1)
    confidence[readable] = likely[readable].max(axis=1)
    right = known.believed & known.targets[np.arange(len(ids)), given]
    parts = _parts(known, readable, closed)
    held, _, open_ones = parts

    def column(rows: np.ndarray) -> Column:
        return _column(known, rows, parts, confidence, right)

    if terms.per_label:
        there = [i for i in range(len(schema.labels)) if (open_ones & (given == i)).any()]
        found = per_label([column(given == i) for i in there], terms.error, terms.delta)
        bounds = {schema.labels[i]: one for i, one in zip(there, found, strict=True)}
    else:
        bounds = {ALL: bound(column(readable), terms.error, terms.delta)}
    thresholds = [bounds[name].threshold if name in bounds else np.inf for name in schema.labels]
    if not terms.per_label:
        thresholds = [bounds[ALL].threshold] * len(schema.labels)
    rows = np.flatnonzero(open_ones & (confidence >= np.array(thresholds)[given]))
    return Offer(
        terms, schema.labels, bounds, rows, given[rows], confidence[rows], int(open_ones.sum()), int(held.sum())
    )


def _offer_of_answers(
    schema: LabelSchema, known: Snapshot, said: Predicted, closed: Collection[str], terms: Terms
) -> Offer:
    """The answers that can be taken whole: an answer that differs from people's in anything is wrong."""
    if terms.per_label:
        raise ConfigError(
            f"per_label promises something of each label, and {schema.control!r} asks for more than a label",
            "set per_label = false under [auto_label]: it is promised of whole answers",
        )
    readable = known.columns.readable & said.known
    confidence = np.where(readable, np.asarray(said.confidence, np.float64), -np.inf)
    parts = _parts(known, readable, closed)
    held, _, open_ones = parts
    right = np.zeros(len(readable), np.bool_)
    for row in np.flatnonzero(held & known.believed):
        right[row] = known.answers is not None and said.answers[int(row)] == known.answers[row]
    found = bound(_column(known, readable, parts, confidence, right), terms.error, terms.delta)
    rows = np.flatnonzero(open_ones & (confidence >= found.threshold))
    texts = tuple(text_of(schema, said.answers[int(row)]) for row in rows)
    columns = np.zeros(len(rows), np.intp)
    counts = int(open_ones.sum()), int(held.sum())
    return Offer(terms, schema.labels, {ALL: found}, rows, columns, confidence[rows], *counts, texts)


Parts = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(n,) bool each: calibration answers, one of each group; items outside the holdout, one of each group; open items."""


def _parts(known: Snapshot, readable: np.ndarray, closed: Collection[str]) -> Parts:
    first = _first_of_groups(known, readable)
    held = known.held_out & readable & first & np.isin(known.columns.ids, list(closed))
    return held, ~known.held_out & readable & first, ~known.held_out & readable & ~known.asked


def _column(known: Snapshot, rows: np.ndarray, parts: Parts, confidence: np.ndarray, right: np.ndarray) -> Column:
    inside, outside = rows & parts[0], rows & parts[1]
    return Column(confidence[inside], right[inside], confidence[outside], ~known.asked[outside])


def _first_of_groups(known: Snapshot, readable: np.ndarray) -> np.ndarray:
    """(n,) bool, one item of each group: near-duplicates go right and wrong together, and count once."""
    rows = np.flatnonzero(readable)
    first = np.zeros(len(readable), np.bool_)
    first[rows[np.unique(known.columns.groups[rows], return_index=True)[1]]] = True
    return first


def asking(due: Sequence[AutoLabel]) -> list[Asking]:
    """Questions about labels that were taken, asked blind."""
    return [Asking(one.item_id, "audit", "drawn to audit a label taken from the model, asked blind") for one in due]


def judged(
    schema: LabelSchema,
    certificate: Certificate,
    asked: Sequence[Audited],
    there: Mapping[str, Sequence[Annotation]],
    belief: consensus.ConsensusMethod,
) -> Audit:
    """What people's answers say about the labels that were taken. A skipped one counts as wrong. Pure."""
    closed = [one for one in asked if one.state in ("answered", "skipped")]
    beliefs = consensus.consensus_of_all(
        schema, {one.item_id: there.get(one.item_id, ()) for one in closed}, policy=belief
    )
    wrong = [beliefs.answers.get(one.item_id) != answer_of(schema, one.label) for one in closed]
    return audit(wrong, certificate.terms.error)


def why_revoked(found: Audit, certificate: Certificate) -> str:
    """Why the audit has ended a certificate."""
    return (
        f"{found.wrong} of {found.checked} audited labels are not what people say: an error of "
        f"{100 * certificate.terms.error:g} % or less would look like this with a chance of at most {100 * ALPHA:g} %"
    )
