"""Taking results out: the labels that are believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from labelloop.kinds import LabelSchema, consensus
from labelloop.loop.beside import Beside
from labelloop.loop.loop import Loop
from labelloop.loop.unusable import extra, other_controls
from labelloop.report.rows import ExportRow, export
from labelloop.types import Annotation

BATCH = 2000


def write_labels(loop: Loop, output: str, *, only_human: bool = False) -> int:
    """Write what is believed of every answered item, then the labels that were taken from a model; returns how many.

    Args:
        only_human: Leave those of a model out.

    Raises:
        ConfigError: The ending of `output` names no format.
    """
    return export(_labelled(loop, only_human), output, controls=loop.schema.beside)


def _labelled(loop: Loop, only_human: bool) -> Iterator[ExportRow]:
    said = loop.ledger.said(loop.schema)
    believed = consensus.believe_all(loop.schema, said, policy=loop.belief).answers
    others, labels_alone = loop.controls.beside(said), replace(loop.schema, beside=())
    purposes = {one.item_id: one.purpose for one in loop.ledger.answers.questions()}
    ids = [*believed, *(one for one in said if one not in believed and _says_more(labels_alone, said[one]))]
    for start in range(0, len(ids), BATCH):
        items = loop.ledger.items.get(ids[start : start + BATCH])
        for item_id in ids[start : start + BATCH]:
            newest = max((one for one in said[item_id] if not one.skipped), key=lambda one: one.updated_at)
            yield ExportRow(
                item=items[item_id],
                labels=believed.get(item_id),
                annotator=newest.annotator,
                source="human",
                held_out=purposes[item_id] == "holdout",
                updated_at=newest.updated_at,
                answers={name: _plain(one, item_id) for name, one in others.items()},
                extra=extra(loop.schema, said[item_id]),
                annotations=said[item_id],
            )

    if not only_human:
        yield from _taken(loop, set(ids))


def _says_more(schema: LabelSchema, annotations: Sequence[Annotation]) -> bool:
    """Whether somebody says something in a control that the schema does not know."""
    return any(other_controls(schema, one.regions) for one in annotations if not one.skipped)


def _plain(one: Beside, item_id: str) -> Any:
    answer = one.answers.get(item_id)
    return None if answer is None else one.control.kind.plain(answer)


def _taken(loop: Loop, answered: set[str]) -> Iterator[ExportRow]:
    """The labels that were taken from a model and count, of items that nobody has answered."""
    certificate = loop.taken.counting()
    if certificate is None:
        return
    taken = loop.ledger.auto.taken()
    ids = [item_id for item_id in taken if item_id not in answered]
    for start in range(0, len(ids), BATCH):
        items = loop.ledger.items.get(ids[start : start + BATCH])
        for item_id in ids[start : start + BATCH]:
            yield ExportRow(
                item=items[item_id],
                labels=(taken[item_id].label,),
                annotator=certificate.version,
                source="model",
                held_out=False,
                updated_at=datetime.fromisoformat(certificate.at),
                answers=dict.fromkeys((one.name for one in loop.schema.beside), None),
            )
