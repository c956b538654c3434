"""What people said about an item, and where they disagree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from labelloop.errors import NotFoundError
from labelloop.kinds import LabelSchema, consensus
from labelloop.ledger.annotations import HistoryEntry
from labelloop.loop.loop import Loop
from labelloop.loop.unusable import regions_in_words


def disagreements_as_dict(loop: Loop) -> list[Mapping[str, Any]]:
    """Where people differ, for scripts."""
    found = consensus.disagreements(loop.schema, loop.ledger.said(loop.schema), loop.belief)
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
        says = None if one.change == "removed" else _said(loop.schema, one)
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


def _said(schema: LabelSchema, one: HistoryEntry) -> str:
    """What an annotation says, in the labels that there were at the time."""
    if one.skipped:
        return "skipped"
    return regions_in_words(schema, one.regions) or "none of them"
