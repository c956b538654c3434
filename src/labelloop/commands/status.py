"""The loop in words, as JSON, and as the views that the terminal and the report show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from labelloop.commands.auto_label import granted, standing
from labelloop.commands.bias import Bias, bias
from labelloop.commands.score import Scorecard, notes, scorecard
from labelloop.data.decoding import opened_picture
from labelloop.data.sources import read_content
from labelloop.errors import LabelLoopError, NotFoundError
from labelloop.evaluation.metrics import hardly_found
from labelloop.kinds import labels
from labelloop.kinds.labels import brief
from labelloop.ledger import aside
from labelloop.ledger.answers import Asking, HistoryEntry
from labelloop.ledger.rounds import Round
from labelloop.loop.decide import Finish, Start, decide
from labelloop.loop.loop import Loop, Outcome, Repair
from labelloop.loop.training import Learned, noticed
from labelloop.loop.unusable import region_in_words, unheard_in_words
from labelloop.report.plain import round_in_words
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

SHOWN = 12
THUMBNAIL = 128
SET_ASIDE = 5
PATIENCE = 5.0
"""Seconds of training above which a report does without what needs many models; `labelloop score` computes it."""


def round_view(one: Round) -> RoundView:
    """A round as people read it."""
    score = one.metrics
    return RoundView(
        number=one.number,
        asked=one.asked,
        asked_holdout=one.held_out,
        asked_random=one.at_random,
        answered=one.answered,
        trained_on=one.learned_from,
        score=score.get("score"),
        low=score.get("low"),
        high=score.get("high"),
        score_name=score.get("score_name", "accuracy"),
        n_holdout=score.get("n", 0),
        seconds=one.seconds,
        reason=one.stopped or one.reason,
        advice=one.advice.get("words", ""),
        promoted=one.promoted,
        gate_reason=one.gate,
        model_version=one.version,
        started_at=one.started_at,
    )


def outcome_as_dict(outcome: Outcome) -> Mapping[str, Any]:
    """What a tick did, for scripts."""
    return {
        "action": type(outcome.action).__name__.lower(),
        "reason": outcome.action.reason,
        "heard": asdict(outcome.changes),
        "lost": outcome.lost,
        "notes": list(outcome.notes),
        "repair": asdict(outcome.repair) if outcome.repair else None,
        "pruned": outcome.pruned,
        "set_aside": dict(outcome.set_aside),
        "unheard": [asdict(one) for one in outcome.unheard],
        "round": asdict(outcome.round) if outcome.round else None,
    }


def outcome_in_words(outcome: Outcome) -> str:
    """What a tick did, for people."""
    heard = outcome.changes
    lines = []
    if heard.total or heard.strangers:
        lines.append(
            f"heard {heard.created} new, {heard.edited} edited, {heard.removed} removed answer(s)"
            + (f"; {heard.strangers} to questions this loop never asked" if heard.strangers else "")
        )
    if heard.left:
        who = ", ".join(map(brief, heard.left))
        lines.append(f"{len(heard.left)} of the people have no account any more: {who}; what they said stays theirs")
    lines += [unheard_in_words(outcome.unheard)] if outcome.unheard else []
    if outcome.lost:
        lines.append(f"{outcome.lost} question(s) were deleted in the annotator; their answers are kept in the history")
    lines += [repair_in_words(outcome.repair)] if outcome.repair else []
    if outcome.pruned:
        lines.append(f"deleted {outcome.pruned} prediction(s) of an older model from the annotator")
    lines += set_aside_in_words(outcome.set_aside)
    lines += outcome.notes
    if isinstance(outcome.action, Start | Finish) and outcome.round:
        lines.append(round_in_words(round_view(outcome.round)))
    else:
        lines.append(f"{type(outcome.action).__name__.lower()}: {outcome.action.reason}")
    return "\n".join(lines)


def repair_in_words(repair: Repair) -> str:
    """What a reconciliation found."""
    changes = repair.changes
    found = {
        "new answer(s) unheard": changes.created,
        "edit(s) unheard": changes.edited,
        "removal(s) unheard": changes.removed,
        "question(s) vanished": repair.lost,
        "question(s) back": repair.back,
        "second copies removed": repair.twice,
    }
    return "reconciled with the annotator: " + (
        ", ".join(f"{count} {what}" for what, count in found.items() if count) or "nothing was different"
    )


def status_as_dict(loop: Loop) -> Mapping[str, Any]:
    """Where the loop stands, for scripts."""
    now = loop.look()
    action = decide(now, loop.policy)
    counts = loop.ledger.answers.counts()
    return {
        "dataset": loop.ledger.dataset,
        "items": now.items,
        "unreadable": now.aside,
        "left_out": aside.in_words(loop.ledger.aside.all(), loop.now()),
        "asked": now.asked,
        "answered": sum(n for key, n in counts.items() if key[2] == "answered"),
        "skipped": sum(n for key, n in counts.items() if key[2] == "skipped"),
        "held_out": sum(n for key, n in counts.items() if key[1] == "holdout" and key[2] != "gone"),
        "warnings": noticed(loop.ledger, loop.workspace.config),
        "advice": now.last.advice if now.last else {},
        "hardly_found": hardly_found(now.last.metrics.get("per_label", {})) if now.last else {},
        "unusable": loop.unusable().as_dict(),
        "spent": _spent(loop),
        "saved": _saved(now.last),
        "auto_label": _taken(loop),
        "next": {"action": type(action).__name__.lower(), "reason": action.reason},
        "round": asdict(now.last) if now.last else None,
    }


def _spent(loop: Loop) -> Mapping[str, Any]:
    spent = loop.ledger.answers.spent()
    return {
        "answers": spent.answers,
        "hours": spent.hours,
        "money": loop.budget.cost(spent),
        "words": loop.budget.in_words(spent),
    }


def _saved(last: Round | None) -> Mapping[str, Any]:
    """What choosing had saved when a round last looked; empty where none has. `labelloop score` computes it anew."""
    if last is None or not last.saved:
        return {}
    gave_way = f", and auto chooses {last.trust:.0%}" if last.trust < 1.0 else ""
    words = f"{last.saved['words']} (as of round {last.trust_looked}{gave_way})"
    return {**last.saved, "of_round": last.trust_looked, "auto_chooses": last.trust, "words": words}


def _taken(loop: Loop) -> Mapping[str, Any]:
    """The labels taken from a model, and whether they count; empty where none ever was."""
    one = granted(loop)
    if one is None:
        return {}
    holds = f"at most {100 * one.terms.error:g} % of them wrong; labelloop auto-label status"
    ended = f"{one.state}, none counts: {one.why}"
    words = f"{one.taken} labels of model {one.version}, {holds if one.state == 'active' else ended}"
    return {**one.as_dict(), "words": words}


def status_in_words(loop: Loop) -> str:
    """Where the loop stands, for people."""
    now = status_as_dict(loop)
    lines = [
        f"dataset   {now['dataset']}: {now['items']} items, {now['unreadable']} unreadable",
        f"answers   {now['answered']} of {now['asked']} questions, {now['skipped']} skipped, "
        f"{now['held_out']} held out for the score",
        *(f"{word:9} {line}" for word, line in loop.unusable().in_words(now["answered"], now["asked"])),
    ]
    lines += [f"left out  {now['left_out']}"] if now["left_out"] else []
    lines += [f"warning   {one}" for one in now["warnings"]]
    last = loop.ledger.rounds.last()
    lines += [f"last      {round_in_words(round_view(last))}"] if last else []
    lines += [f"advice    {last.advice['words']}"] if last and last.advice else []
    lines += [f"rare      {seldom_in_words(now['hardly_found'])}"] if now["hardly_found"] else []
    lines += [f"saved     {now['saved']['words']}"] if now["saved"] else []
    lines += [f"taken     {now['auto_label']['words']}"] if now["auto_label"] else []
    lines += [f"spent     {now['spent']['words']}"] if loop.budget else []
    return "\n".join([*lines, f"next      {now['next']['action']}: {now['next']['reason']}"])


def seldom_in_words(seldom: Mapping[str, float]) -> str:
    """The labels that the model hardly finds, and what brings more answers of them."""
    some = [f"{label} ({recall:.0%} of them)" for label, recall in list(seldom.items())[:SHOWN]]
    more = f" and {len(seldom) - SHOWN} more" if len(seldom) > SHOWN else ""
    helps = (
        'learner.class_weight = "balanced" lets each label weigh the same, loop.selector = "balanced(uherding)" asks '
        'more of them, holdout.metric = "macro-f1" makes the score count them'
    )
    return f"the model hardly finds {', '.join(some)}{more}: {helps}"


def learned_as_dict(learned: Learned) -> Mapping[str, Any]:
    """What learning brought, for scripts."""
    judged = learned.judged
    return {
        "examples": learned.learned_from,
        "model": str(judged.model) if judged.model else None,
        "version": judged.version,
        "promote": judged.promoted,
        "gate": judged.gate,
        "metrics": asdict(judged.metrics),
        "seconds": dict(learned.watch.seconds),
        "set_aside": dict(learned.known.strange),
    }


def learned_in_words(learned: Learned) -> str:
    """What learning brought, for people."""
    judged = learned.judged
    score = judged.metrics
    lines = [f"learned from {learned.learned_from} answer(s), model {judged.version or 'none'}: {judged.gate}"]
    if score.score is not None:
        lines.append(
            f"{score.score_name} {score.score:.3f} ({score.low:.3f} to {score.high:.3f}) on {score.n} held-out items"
        )
    return "\n".join([*lines, *set_aside_in_words(learned.known.strange)])


def set_aside_in_words(strange: Mapping[str, str]) -> list[str]:
    """Answers that cannot be learned from, the first few of them one by one."""
    lines = [f"set aside: {item}: {reason}" for item, reason in list(strange.items())[:SET_ASIDE]]
    more = len(strange) - len(lines)
    return [*lines, f"... and {more} more answer(s) set aside; all of them with --json"] if more else lines


def disagreements_as_dict(loop: Loop) -> list[Mapping[str, Any]]:
    """Where people differ, for scripts."""
    found = labels.disagreements(loop.schema, loop.ledger.said(loop.schema), loop.belief)
    return [asdict(one) for one in found]


def history_as_dict(loop: Loop, item_id: str) -> list[Mapping[str, Any]]:
    """Who said what about an item, when, and what that annotation said before; oldest first.

    Raises:
        NotFoundError: There is no such item.
    """
    past = loop.ledger.answers.past(item_id)
    if not past and loop.ledger.items.unknown([item_id]):
        raise NotFoundError(f"item {item_id!r} is not in the ledger", "labelloop export lists items with their ids")
    lines: list[Mapping[str, Any]] = []
    before: dict[str, str | None] = {}
    for one in past:
        says = None if one.change == "removed" else _said(one)
        lines.append(
            {
                "heard_at": one.heard_at.isoformat(timespec="seconds"),
                "annotator": one.annotator,
                "change": one.change,
                "says": says,
                "before": before.get(one.annotation_id),
                "ground_truth": one.ground_truth,
                "annotation_id": one.annotation_id,
            }
        )
        before[one.annotation_id] = says
    return lines


def _said(one: HistoryEntry) -> str:
    """What an annotation says, in the labels that there were at the time."""
    if one.skipped:
        return "skipped"
    return "; ".join(words for region in one.regions if (words := region_in_words(region))) or "none of them"


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
        versions=history[-1].versions if history else {},
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
    belief = labels.believe(loop.schema, said)
    return Sample(
        item.id,
        one.why,
        guess,
        one.prediction.score if one.prediction else None,
        belief.names or (),
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
