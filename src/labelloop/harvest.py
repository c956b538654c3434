"""Taking results out: the labels that are believed, and what the model says about every item."""

from __future__ import annotations

from collections.abc import Iterator

from labelloop import labels
from labelloop.errors import ConfigError
from labelloop.export import ExportRow, PredictionRow, export
from labelloop.loop import Loop

BATCH = 2000


def write_labels(loop: Loop, output: str) -> int:
    """Write the believed label of every answered item; returns how many.

    Raises:
        ConfigError: The ending of `output` names no format.
    """
    return export(_labelled(loop), output)


def write_predictions(loop: Loop, output: str) -> int:
    """Write what the model in use says about every readable item; returns how many.

    Raises:
        ConfigError: There is no model yet.
    """
    last = loop.ledger.rounds.last()
    if last is None or not last.model:
        raise ConfigError("there is no model yet: nobody's answers have been learned from", "labelloop watch")
    if not last.speaks(loop.schema.labels):
        raise ConfigError(
            f"the model in use speaks other labels: {', '.join(last.labels)}", "labelloop tick learns the new ones"
        )
    return export(_predicted(loop, last.model, last.version), output)


def _labelled(loop: Loop) -> Iterator[ExportRow]:
    said = loop.ledger.said(loop.schema)
    beliefs = labels.believe_all(loop.schema, said, policy=loop.belief)
    purposes = {one.item_id: one.purpose for one in loop.ledger.answers.questions()}
    ids = list(beliefs.names)
    for start in range(0, len(ids), BATCH):
        items = loop.ledger.items.get(ids[start : start + BATCH])
        for item_id in ids[start : start + BATCH]:
            newest = max((one for one in said[item_id] if not one.skipped), key=lambda one: one.updated_at)
            yield ExportRow(
                item=items[item_id],
                labels=beliefs.names[item_id],
                annotator=newest.annotator,
                source="human",
                held_out=purposes[item_id] == "holdout",
                updated_at=newest.updated_at,
            )


def _predicted(loop: Loop, model: str, version: str) -> Iterator[PredictionRow]:
    columns, features = loop.learning.embedded()
    probabilities = loop.learning.probabilities(model, features)
    for start in range(0, len(columns.ids), BATCH):
        items = loop.ledger.items.between(start, start + BATCH)
        guesses = labels.guesses(loop.schema, probabilities[start : start + BATCH])
        for row, (item, (names, score)) in enumerate(zip(items, guesses, strict=True), start=start):
            if columns.readable[row]:
                shares = dict(zip(loop.schema.labels, map(float, probabilities[row]), strict=True))
                yield PredictionRow(item, names, score, shares, version)
