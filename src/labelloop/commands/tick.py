"""What one tick did, or a training without asking: for people and for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from labelloop.commands.status import round_view, set_aside_in_words
from labelloop.kinds.values import brief
from labelloop.loop.decide import Finish, Start
from labelloop.loop.listener import Repair
from labelloop.loop.stages import Outcome
from labelloop.loop.training import Learned
from labelloop.loop.unusable import unheard_in_words
from labelloop.report.plain import round_in_words


def outcome_as_dict(outcome: Outcome) -> Mapping[str, Any]:
    """What a tick did, for scripts."""
    return {
        "action": type(outcome.action).__name__.lower(),
        "reason": outcome.action.reason,
        "heard": outcome.changes.as_dict(),
        "lost": outcome.lost,
        "notes": list(outcome.notes),
        "repair": asdict(outcome.repair) if outcome.repair else None,
        "pruned": outcome.pruned,
        "set_aside": dict(outcome.set_aside),
        "unheard": [asdict(one) for one in outcome.unheard],
        "round": outcome.round.as_dict() if outcome.round else None,
    }


def outcome_in_words(outcome: Outcome) -> str:
    """What a tick did, for people."""
    heard = outcome.changes
    lines = []
    if heard.total or heard.foreign:
        lines.append(
            f"heard {heard.created} new, {heard.edited} edited, {heard.removed} removed answer(s)"
            + (f"; {heard.foreign} to questions this loop never asked" if heard.foreign else "")
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
        "set_aside": dict(learned.known.set_aside),
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
    return "\n".join([*lines, *set_aside_in_words(learned.known.set_aside)])
