"""Where the loop stands, in words and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelloop.commands.auto_label import granted
from labelloop.evaluation.metrics import hardly_found
from labelloop.evaluation.savings import Trust
from labelloop.evaluation.stopping import advice_in
from labelloop.ledger import aside
from labelloop.ledger.rounds import Round
from labelloop.loop.beside import Beside
from labelloop.loop.decide import decide
from labelloop.loop.loop import Loop
from labelloop.loop.notices import noticed
from labelloop.loop.scoring import sampled_in
from labelloop.loop.unusable import Unusable
from labelloop.report.plain import round_in_words
from labelloop.report.views import (
    RoundView,
)

SHOWN = 12
SET_ASIDE = 5


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
        advice=advice_in(one.notes).get("words", ""),
        promoted=one.promoted,
        gate_reason=one.gate,
        model_version=one.version,
        started_at=one.started_at,
    )


def status_as_dict(loop: Loop) -> Mapping[str, Any]:
    """Where the loop stands, for scripts."""
    return _as_dict(loop, loop.unusable(), loop.controls.beside())


def _as_dict(loop: Loop, unusable: Unusable, beside: Mapping[str, Beside]) -> Mapping[str, Any]:
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
        "advice": advice_in(now.last.notes) if now.last else {},
        "hardly_found": hardly_found(now.last.metrics.get("per_label", {})) if now.last else {},
        "unusable": unusable.as_dict(),
        "controls": {name: one.as_dict() for name, one in beside.items()},
        "spent": _spent(loop),
        "saved": _saved(now.last),
        "scored": _scored(now.last),
        "auto_label": _taken(loop),
        "next": {"action": type(action).__name__.lower(), "reason": action.reason},
        "round": now.last.as_dict() if now.last else None,
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
    trust = Trust.of(last.notes) if last else Trust()
    if not trust.saved:
        return {}
    gave_way = f", and auto chooses {trust.share:.0%}" if trust.share < 1.0 else ""
    words = f"{trust.saved['words']} (as of round {trust.looked}{gave_way})"
    return {**trust.saved, "of_round": trust.looked, "auto_chooses": trust.share, "words": words}


def _scored(last: Round | None) -> Mapping[str, Any]:
    """The sample that the newest batch comes from; empty where it comes from all."""
    sampled = sampled_in(last) if last else None
    return {"scored": sampled.scored, "pool": sampled.pool, "words": sampled.in_words()} if sampled else {}


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
    unusable, beside = loop.unusable(), loop.controls.beside()  # each reads all answers
    now = _as_dict(loop, unusable, beside)
    lines = [
        f"dataset   {now['dataset']}: {now['items']} items, {now['unreadable']} unreadable",
        f"answers   {now['answered']} of {now['asked']} questions, {now['skipped']} skipped, "
        f"{now['held_out']} held out for the score",
        *(f"{word:9} {line}" for word, line in unusable.in_words(now["answered"], now["asked"])),
    ]
    lines += [f"beside    {one.in_words()}" for one in beside.values()]
    lines += [f"left out  {now['left_out']}"] if now["left_out"] else []
    lines += [f"warning   {one}" for one in now["warnings"]]
    last = loop.ledger.rounds.last()
    lines += [f"last      {round_in_words(round_view(last))}"] if last else []
    lines += [f"advice    {now['advice']['words']}"] if now["advice"] else []
    lines += [f"rare      {seldom_in_words(now['hardly_found'])}"] if now["hardly_found"] else []
    lines += [f"saved     {now['saved']['words']}"] if now["saved"] else []
    lines += [f"scored    {now['scored']['words']}"] if now["scored"] else []
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


def set_aside_in_words(set_aside: Mapping[str, str]) -> list[str]:
    """Answers that cannot be learned from, the first few of them one by one."""
    lines = [f"set aside: {item}: {reason}" for item, reason in list(set_aside.items())[:SET_ASIDE]]
    more = len(set_aside) - len(lines)
    return [*lines, f"... and {more} more answer(s) set aside; all of them with --json"] if more else lines
