"""What the model in use says about every item, as a file."""

from __future__ import annotations

from collections.abc import Iterator

from labelloop.errors import ConfigError
from labelloop.kinds import labels
from labelloop.loop.loop import Loop
from labelloop.report.rows import PredictionRow, export

BATCH = 2000


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


def _predicted(loop: Loop, model: str, version: str) -> Iterator[PredictionRow]:
    columns, features = loop.learning.embeddings.embedded()
    probabilities = loop.learning.models.probabilities(model, features)
    for start in range(0, len(columns.ids), BATCH):
        items = loop.ledger.items.between(start, start + BATCH)
        guesses = labels.guesses(loop.schema, probabilities[start : start + BATCH])
        for row, (item, (names, score)) in enumerate(zip(items, guesses, strict=True), start=start):
            if columns.readable[row]:
                shares = dict(zip(loop.schema.labels, map(float, probabilities[row]), strict=True))
                yield PredictionRow(item, names, score, shares, version)
