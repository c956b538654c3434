"""The built-in steps of a round, and the pure choices between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelloop import holdout, labels, metrics
from labelloop.errors import LabelLoopError
from labelloop.ledger.answers import Asking
from labelloop.ledger.items import ItemColumns
from labelloop.metrics import Metrics
from labelloop.protocols import Backbone, Learner, Progress
from labelloop.runs import step
from labelloop.selection import Selection, select
from labelloop.types import Annotation, Examples, Inputs, Item, LabelSchema, Pool, Prediction

CHUNK = 1024
"""Items embedded, and scored, as one step: what a crash can cost, and what one artifact holds."""


@step(ignore=("items", "read", "progress"))
def embed(
    backbone: Backbone,
    digests: Sequence[str],
    items: Sequence[Item],
    read: Callable[[Item], bytes | str],
    progress: Progress,
) -> np.ndarray:
    """Embed items: (n, d) float32, L2-normalised; a row of NaN for an item that cannot be read or decoded."""
    from labelloop.learners.embedding import embed_items

    return embed_items(backbone, items, read, progress)


@step
def train(learner: Learner, examples: Examples, out: Path) -> Path:
    """Train a model into the folder `out`.

    Raises:
        LabelLoopError: An example is held out; the score would no longer be honest.
    """
    if examples.held_out.any():
        leaked = examples.inputs.ids[examples.held_out]
        raise LabelLoopError(
            f"{len(leaked)} held-out item(s) were about to be trained on, such as {leaked[0]}",
            "leave them out: examples with held_out set are only for evaluation",
        )
    learner.train(examples, out)
    return out


@step
def predict(learner: Learner, model: Path, features: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) float32 of embedded items; rows of NaN stay NaN."""
    ids = np.arange(len(features)).astype(np.str_)
    return learner.load(model).predict(Inputs(ids, features))


@step
def evaluate(probabilities: np.ndarray, examples: Examples) -> Metrics:
    """The honest score of a model: on held-out examples only."""
    return metrics.evaluate(probabilities, examples.targets, examples.labels, multiple=examples.multiple)


@dataclass(frozen=True)
class Known:
    """What is believed about the items, as columns beside `ItemColumns`; row i is the item at position i.

    Attributes:
        believed: (n,) bool, whether people's answer is believed.
        targets: (n, k) bool, the believed labels.
        asked: (n,) bool, whether the item is, or was, a question.
        held_out: (n,) bool, protected for the honest score.
        strange: Item id -> why its answer was set aside.
    """

    believed: np.ndarray
    targets: np.ndarray
    asked: np.ndarray
    held_out: np.ndarray
    strange: Mapping[str, str]


def know(
    columns: ItemColumns,
    answers: Mapping[str, Sequence[Annotation]],
    asked: Sequence[str],
    schema: LabelSchema,
    policy: str,
    holdout_share: float,
    salt: str,
) -> Known:
    """Turn what people said into columns. Pure."""
    position = {str(item_id): i for i, item_id in enumerate(columns.ids)}
    beliefs = labels.believe_all(schema, answers, policy=policy)
    targets = np.zeros((len(columns.ids), len(schema.labels)), dtype=np.bool_)
    believed = np.zeros(len(columns.ids), dtype=np.bool_)
    ids = [item_id for item_id in beliefs.names if item_id in position]
    rows = np.array([position[item_id] for item_id in ids], dtype=np.intp)
    if len(rows):
        targets[rows] = labels.targets(schema, [beliefs.names[item_id] for item_id in ids])
        believed[rows] = True
    questions = np.zeros(len(columns.ids), dtype=np.bool_)
    questions[[position[item_id] for item_id in asked if item_id in position]] = True
    held = holdout.held_out(columns.groups, holdout_share, salt)
    return Known(believed, targets, questions, held, beliefs.strange)


def examples_of(
    columns: ItemColumns, known: Known, features: np.ndarray, schema: LabelSchema, *, held_out: bool
) -> Examples:
    """The believed items on one side of the holdout, with their embeddings; unreadable ones left out."""
    rows = np.flatnonzero(known.believed & (known.held_out == held_out) & columns.readable)
    inputs = Inputs(columns.ids[rows], np.ascontiguousarray(features[rows]))
    return Examples(inputs, known.targets[rows], schema.labels, schema.multiple, known.held_out[rows])


def choose(
    columns: ItemColumns,
    known: Known,
    features: np.ndarray,
    probabilities: np.ndarray | None,
    schema: LabelSchema,
    selector: str,
    n: int,
    random_share: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, Selection]:
    """Choose the next n items to learn from: (positions of the items, the selection with its reasons). Pure."""
    open_rows = np.flatnonzero(~known.asked & ~known.held_out & columns.readable)
    covered = np.flatnonzero(known.asked & columns.readable)
    pool = Pool(
        features[open_rows],
        None if probabilities is None else probabilities[open_rows],
        features[covered],
        schema.multiple,
    )
    selection = select(pool, n, selector, rng, random_share=random_share, labels=schema.labels)
    return open_rows[selection.positions], selection


def choose_held_out(columns: ItemColumns, known: Known, n: int, salt: str) -> np.ndarray:
    """The next n protected items to ask, in an order that is random but fixed by their groups. Pure."""
    rows = np.flatnonzero(~known.asked & known.held_out & columns.readable)
    order = np.argsort(holdout.draw_order(columns.groups[rows], salt), kind="stable")
    chosen: np.ndarray = rows[order[:n]]
    return chosen


def batch_of(
    columns: ItemColumns,
    chosen: np.ndarray,
    why: Sequence[str],
    guesses: Sequence[Prediction | None],
    protected: np.ndarray,
    rng: np.random.Generator,
) -> list[Asking]:
    """One batch in the order people see it: most useful first, the protected items mixed in. Pure."""
    useful = [
        Asking(str(columns.ids[row]), "train", reason, prediction=guess)
        for row, reason, guess in zip(chosen, why, guesses, strict=True)
    ]
    blind = [Asking(str(columns.ids[row]), "holdout", "drawn for the honest score, asked blind") for row in protected]
    turns = rng.permutation(np.repeat([0, 1], [len(useful), len(blind)]))
    queues = (iter(useful), iter(blind))
    return [next(queues[turn]) for turn in turns]


def predictions_of(
    ids: Sequence[str], probabilities: np.ndarray, schema: LabelSchema, version: str
) -> list[Prediction]:
    """What a model says about items, in the annotator's terms."""
    return [
        Prediction(item_id, labels.regions_of(schema, names), score, version)
        for item_id, (names, score) in zip(ids, labels.guesses(schema, probabilities), strict=True)
    ]
