"""What the model in use says about every item, as a file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labelloop.errors import ConfigError
from labelloop.kinds import labels
from labelloop.loop import round_steps
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
    if not last.matches(loop.schema.labels):
        raise ConfigError(
            f"the model in use speaks other labels: {', '.join(last.labels)}", "labelloop tick learns the new ones"
        )
    controls = () if loop.schema.asked is None else (loop.schema.main,)
    return export(_predicted(loop, last.model, last.version), output, controls=controls)


def _predicted(loop: Loop, model: str, version: str) -> Iterator[PredictionRow]:
    columns, features = loop.learning.embeddings.embedded()
    said, kind = loop.learning.models.said(model, features), loop.schema.asked
    for start in range(0, len(columns.ids), BATCH):
        items = loop.ledger.items.between(start, start + BATCH)
        guesses = round_steps.guesses_of(loop.schema, said.at(np.arange(start, start + len(items))))
        for row, (item, (answer, score)) in enumerate(zip(items, guesses, strict=True), start=start):
            if columns.readable[row] and kind is None and said.probabilities is not None:
                shares = dict(zip(loop.schema.labels, map(float, said.probabilities[row]), strict=True))
                yield PredictionRow(item, answer, score, shares, version)
            elif columns.readable[row] and kind is not None and answer is not None:
                told = {loop.schema.control: kind.plain(answer)}
                yield PredictionRow(item, labels.labels_in(loop.schema, answer), score, {}, version, told)
