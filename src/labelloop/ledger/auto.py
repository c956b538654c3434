"""Labels taken from a model without asking: certificates, the labels under them, and which of them are audited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any, Literal

from sqlalchemy import Engine, exists, func, select

from labelloop.errors import BusyError
from labelloop.ledger import _sql
from labelloop.ledger.tables import audits, auto_labels, certificates, questions

CertificateState = Literal["active", "suspended", "replaced", "refused", "revoked"]
ROWS = 5000


@dataclass(frozen=True, slots=True)
class Terms:
    """What is promised of labels that are taken unseen, and how it is watched.

    Attributes:
        error: The largest share of them that may be wrong.
        delta: The chance that a certificate is wrong about that.
        per_label: Whether it is promised of each label on its own.
        audit: The share of them that people are asked about nevertheless.
    """

    error: float
    delta: float
    per_label: bool
    audit: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """What one model's labels were certified for.

    Attributes:
        number: From 1; 0 before it is written down.
        order: The certificate that a person asked for, which this one goes on from; its own number for that one.
        state: Only the labels of the active one count; it is shown as suspended while the labels have changed since.
        model: Reference of the model, with its version.
        labels: The labels that the model speaks.
        thresholds: Label -> confidence from which it is taken.
        taken: Labels that were taken; `open` items could have got one.
        checked: Calibration answers above the thresholds; `wrong` of them were.
        at: When, ISO 8601.
        why: Why it was refused or revoked.
    """

    terms: Terms
    model: str
    version: str
    labels: tuple[str, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    taken: int = 0
    open: int = 0
    checked: int = 0
    wrong: int = 0
    number: int = 0
    order: int = 0
    state: CertificateState = "active"
    at: str = ""
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AutoLabel:
    """A label taken from a model.

    Attributes:
        draw: In [0, 1), by a hash of item and label: the lowest are audited.
    """

    item_id: str
    label: str
    confidence: float
    draw: float


@dataclass(frozen=True, slots=True)
class Audited:
    """A taken label that people are, or were, asked about; `certificate` is the one it was taken under."""

    item_id: str
    label: str
    certificate: int
    state: str


class AutoBook:
    """Certificates and taken labels of one dataset."""

    def __init__(self, engine: Engine, dataset: str) -> None:
        self._engine = engine
        self._dataset = dataset

    def all(self) -> list[Certificate]:
        """Every certificate, oldest first."""
        query = select(certificates.c.record).where(certificates.c.dataset == self._dataset)
        with _sql.reading(self._engine) as connection:
            return [_certificate(one) for one in connection.scalars(query.order_by(certificates.c.number))]

    def active(self) -> Certificate | None:
        """The certificate whose labels count."""
        return next((one for one in reversed(self.all()) if one.state == "active"), None)

    def note(self, certificate: Certificate, taken: Iterable[AutoLabel] = ()) -> Certificate:
        """Write a certificate down with its labels, in one transaction; an active one replaces the one before.

        Raises:
            BusyError: Another process has written one meanwhile.
        """
        history = self.all()
        number = len(history) + 1
        fresh = replace(certificate, number=number, order=certificate.order or number)
        rows = [self._row(fresh)]
        if fresh.state == "active":
            rows += [self._row(replace(one, state="replaced")) for one in history if one.state == "active"]
        with self._engine.begin() as connection:
            there = select(func.count()).select_from(certificates).where(certificates.c.dataset == self._dataset)
            if connection.scalar(there) != len(history):
                raise BusyError("another process is taking labels from the model", "run it again")
            for some in _parts(taken):
                named = [{"dataset": self._dataset, "certificate": number, **asdict(one)} for one in some]
                _sql.upsert(connection, auto_labels, named, update=["label", "confidence", "draw", "certificate"])
            _sql.upsert(connection, certificates, rows, update=["state", "record"])
        return fresh

    def revoke(self, certificate: Certificate, why: str) -> Certificate:
        """Let the labels of a certificate count no more; they stay in the ledger."""
        revoked = replace(certificate, state="revoked", why=why)
        with self._engine.begin() as connection:
            _sql.upsert(connection, certificates, [self._row(revoked)], update=["state", "record"])
        return revoked

    def taken(self) -> dict[str, AutoLabel]:
        """The labels that count, by item."""
        now = self.active()
        if now is None:
            return {}
        mine = (auto_labels.c.dataset == self._dataset, auto_labels.c.certificate == now.number)
        with _sql.reading(self._engine) as connection:
            rows = connection.execute(select(auto_labels).where(*mine).order_by(auto_labels.c.item_id))
            return {row.item_id: AutoLabel(row.item_id, row.label, row.confidence, row.draw) for row in rows}

    def due(self, certificate: Certificate, most: int) -> list[AutoLabel]:
        """The next labels to audit: of those that chance has drawn, and that nobody was asked about."""
        there = exists().where(questions.c.dataset == self._dataset, questions.c.item_id == auto_labels.c.item_id)
        query = (
            select(auto_labels)
            .where(
                auto_labels.c.dataset == self._dataset,
                auto_labels.c.certificate == certificate.number,
                auto_labels.c.draw < certificate.terms.audit,
                ~there,
            )
            .order_by(auto_labels.c.draw, auto_labels.c.item_id)
            .limit(most)
        )
        with _sql.reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [AutoLabel(row.item_id, row.label, row.confidence, row.draw) for row in rows]

    def remember(self, certificate: Certificate, asked: Sequence[AutoLabel]) -> None:
        """Keep what these labels were, before people are asked about them."""
        rows = [
            {
                "dataset": self._dataset,
                "item_id": one.item_id,
                "label": one.label,
                "certificate": certificate.number,
            }
            for one in asked
        ]
        with self._engine.begin() as connection:
            _sql.upsert(connection, audits, rows, update=["label", "certificate"])

    def audited(self, since: int) -> list[Audited]:
        """The labels that people were asked about, taken under this certificate or a later one, as they were asked."""
        query = (
            select(audits, questions.c.state)
            .join(questions, (questions.c.dataset == audits.c.dataset) & (questions.c.item_id == audits.c.item_id))
            .where(audits.c.dataset == self._dataset, audits.c.certificate >= since, questions.c.purpose == "audit")
            .order_by(questions.c.round, questions.c.rank)
        )
        with _sql.reading(self._engine) as connection:
            return [Audited(row.item_id, row.label, row.certificate, row.state) for row in connection.execute(query)]

    def _row(self, one: Certificate) -> dict[str, Any]:
        return {"dataset": self._dataset, "number": one.number, "state": one.state, "record": one.as_dict()}


def _certificate(record: Mapping[str, Any]) -> Certificate:
    return Certificate(**{**record, "terms": Terms(**record["terms"]), "labels": tuple(record["labels"])})


def _parts(taken: Iterable[AutoLabel]) -> Iterator[list[AutoLabel]]:
    rest = iter(taken)
    while some := list(islice(rest, ROWS)):
        yield some
