"""What the report of a loop shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from labelloop.commands.auto_label import standing
from labelloop.commands.bias import Bias, bias
from labelloop.commands.score import Scorecard, notes, scorecard
from labelloop.commands.status import SHOWN, round_view, seldom_in_words
from labelloop.data.decoding import opened_picture
from labelloop.data.sources import read_content
from labelloop.errors import LabelLoopError
from labelloop.evaluation.metrics import hardly_found
from labelloop.kinds import consensus
from labelloop.kinds.labels import words_in
from labelloop.ledger.answers import Asking
from labelloop.ledger.rounds import Round
from labelloop.loop.loop import Loop
from labelloop.loop.notices import noticed
from labelloop.report.views import (
    ArmView,
    Confusion,
    LabelScore,
    ReliabilityBin,
    ReportView,
    RoundView,
    Sample,
    Totals,
)
from labelloop.types import Item

THUMBNAIL = 128
PATIENCE = 5.0
"""Seconds of training above which a report does without what needs many models; `labelloop score` computes it."""


def report_view(loop: Loop) -> ReportView:
    """Everything a report shows, from the ledger and the artifacts; a link to the annotator if it is up."""
    history = loop.ledger.rounds.all()
    asked = loop.ledger.answers.questions()
    found = bias(loop)
    card = _card(loop, history)
    return ReportView(
        dataset=loop.ledger.dataset,
        modality=loop.schema.modality,
        labels=loop.schema.labels,
        task=loop.schema.task,
        asked="" if loop.schema.asked is None else loop.workspace.config.kinds_asked()[loop.schema.control],
        totals=_totals(loop, asked),
        annotator_url=_address(loop),
        rounds=_rounds(history, card),
        per_label=_per_label(history),
        confusion=_confusion(history, loop.schema.labels),
        reliability=_reliability(history),
        notes=(*_noticed(loop, history), *(notes(card) if card else ())),
        taken=standing(loop).notes(),
        batch=_last_batch(loop, history, asked),
        arms=_arms(found),
        anchoring=found.anchoring_in_words(),
        versions=history[-1].notes.get("versions", {}) if history else {},
        generated_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _noticed(loop: Loop, history: Sequence[Round]) -> list[tuple[str, str]]:
    """What is wrong with the items, and the labels that the newest model hardly finds."""
    seldom = hardly_found(history[-1].metrics.get("per_label", {})) if history else {}
    rare = [("Rare labels", seldom_in_words(seldom))] if seldom else []
    return [*(("Noticed", one) for one in noticed(loop.ledger, loop.workspace.config)), *rare]


def _arms(found: Bias) -> list[ArmView]:
    """Both sides, where some questions were blind: one alone says nothing."""
    if not found.blind.answers:
        return []
    return [
        ArmView(
            name,
            arm.answers,
            arm.accepted,
            arm.edited,
            arm.rejected,
            arm.agreement,
            arm.low,
            arm.high,
            arm.seconds[0] if arm.seconds else None,
        )
        for name, arm in (("assisted", found.assisted), ("blind", found.blind))
    ]


def _address(loop: Loop) -> str:
    try:
        return loop.dataset.url()
    except LabelLoopError:
        return ""


def _totals(loop: Loop, asked: Sequence[Asking]) -> Totals:
    return Totals(
        items=loop.ledger.items.count(),
        tasks=sum(one.state != "gone" for one in asked),
        annotations=sum(len(said) for said in loop.ledger.answers.current().values()),
        unreadable=loop.ledger.aside.count(),
        holdout=sum(one.purpose == "holdout" for one in asked),
        skipped=sum(one.state == "skipped" for one in asked),
    )


def _metrics(history: Sequence[Round]) -> Mapping[str, Any]:
    return next((one.metrics for one in reversed(history) if one.metrics.get("score") is not None), {})


def _per_label(history: Sequence[Round]) -> list[LabelScore]:
    scores = _metrics(history).get("per_label", {})
    return [
        LabelScore(
            label,
            one["precision"],
            one["recall"],
            one["f1"],
            one["support"],
            *(one.get("f1_interval") or (None, None)),
        )
        for label, one in scores.items()
    ]


def _card(loop: Loop, history: Sequence[Round]) -> Scorecard | None:
    """The scorecard, where there is a score and training is quick: it trains some fifty models."""
    slowest = max((one.seconds.get("train", 0.0) for one in history), default=0.0)
    if slowest > PATIENCE:
        return None
    try:
        return scorecard(loop)
    except LabelLoopError:
        return None


def _rounds(history: Sequence[Round], card: Scorecard | None) -> list[RoundView]:
    """The rounds; the newest one with the naive estimate of now."""
    views = [round_view(one) for one in history]
    if card is not None:
        views[-1] = replace(views[-1], naive_score=card.naive.score)
    return views


def _confusion(history: Sequence[Round], names: Sequence[str]) -> Confusion | None:
    counts = _metrics(history).get("confusion")
    return Confusion(names, counts) if counts else None


def _reliability(history: Sequence[Round]) -> list[ReliabilityBin]:
    return [ReliabilityBin(**one) for one in _metrics(history).get("reliability", [])]


def _last_batch(loop: Loop, history: Sequence[Round], asked: Sequence[Asking]) -> list[Sample]:
    newest = max((one.round for one in asked), default=0)
    chosen = [one for one in asked if one.round == newest and one.purpose in ("train", "blind")][:SHOWN]
    items = loop.ledger.items.get([one.item_id for one in chosen])
    answers = loop.ledger.said(loop.schema)
    return [_sample(loop, items[one.item_id], one, answers.get(one.item_id, ())) for one in chosen]


def _sample(loop: Loop, item: Item, one: Asking, said: Sequence[Any]) -> Sample:
    guess = _guessed(loop, one)
    belief = consensus.consensus_of(loop.schema, said)
    return Sample(
        item.id,
        one.why,
        guess,
        one.prediction.score if one.prediction else None,
        () if belief.answer is None else words_in(loop.schema, belief.answer),
        _thumbnail(loop, item),
        item.text[:300],
    )


def _guessed(loop: Loop, one: Asking) -> tuple[str, ...]:
    """What a question had filled in, in the labels of now; nothing where they cannot say it."""
    return (loop.names_in(one.prediction.regions) or ()) if one.prediction else ()


def _thumbnail(loop: Loop, item: Item) -> bytes:
    if item.modality != "image":
        return b""
    import io

    try:
        content = read_content(loop.address(item), loop.access)
        picture = opened_picture(content if isinstance(content, bytes) else content.encode())
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        body = io.BytesIO()
        picture.convert("RGB").save(body, "PNG")
    except Exception:  # noqa: BLE001 - a report is written without a picture that cannot be shown
        return b""
    return body.getvalue()
