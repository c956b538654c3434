"""The built-in steps of a round, and the pure choices between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from labelloop.errors import ConfigError, LabelLoopError
from labelloop.evaluation import answers, halving, holdout, label_errors, metrics, savings
from labelloop.evaluation.metrics import Metrics
from labelloop.kinds import LabelSchema, consensus, labels
from labelloop.kinds.kind import Answer, Kind
from labelloop.kinds.predicted import Predicted, joined, nothing_said, read_back, written
from labelloop.ledger.answers import Asking
from labelloop.ledger.items import ItemColumns
from labelloop.ledger.opinions import Opinion, named
from labelloop.loop.embedding import embed_items, embed_what_can_be
from labelloop.protocols import Backbone, Learner, Progress, Selector, WarmLearner
from labelloop.selection import select, selector_of
from labelloop.selection.names import needs_probabilities
from labelloop.selection.relabel import Relabelling
from labelloop.storage.runs import step
from labelloop.types import Annotation, Examples, Inputs, Item, Metric, Pool, Prediction, only

RANKED = 1024
"""Open questions that a selector ranks after each promotion: more than people answer until the next one."""

CHUNK = 1024
"""Items embedded, and scored, as one step: what a crash can cost, and what one artifact holds."""


@step(name="labelloop.embed", ignore=("items", "read"))
def embed(
    backbone: Backbone,
    digests: Sequence[str],
    items: Sequence[Item],
    read: Callable[[Item], bytes | str],
    progress: Progress,
) -> np.ndarray:
    """Embed items: (n, d) float32, L2-normalised; a row of NaN for an item that cannot be read or decoded."""
    return embed_items(backbone, items, read, progress)


@step(name="labelloop.embed_again", cache=False)
def embed_again(
    backbone: Backbone, items: Sequence[Item], read: Callable[[Item], bytes | str], progress: Progress
) -> dict[str, Any]:
    """Try items that could not be embedded once more, and say why those that still cannot be: plain data.

    Returns:
        The `rows` of those that can now, with their `values` (m, d), and of the others `row` -> (reason, away).
    """
    matrix, missing = embed_what_can_be(backbone, items, read, progress)
    rows = [int(row) for row in np.flatnonzero(~np.isnan(matrix[:, 0]))]
    left = {str(row): [why.reason, why.away] for row, why in missing.items()}
    return {"rows": rows, "values": matrix[rows].tolist(), "missing": left}


@step(name="labelloop.patched")
def patched(embeddings: np.ndarray, rows: Sequence[int], values: Sequence[Sequence[float]]) -> np.ndarray:
    """The embeddings of a chunk, with those of some rows in place of what was there."""
    made = embeddings.copy()
    made[list(rows)] = np.asarray(values, np.float32)
    return made


@step(name="labelloop.train")
def train(learner: Learner, examples: Examples, out: Path) -> Path:
    """Train a model into the folder `out`.

    Raises:
        LabelLoopError: An example is held out; the score would no longer be honest.
    """
    refuse_held_out(examples)
    learner.train(examples, out)
    return out


@step(name="labelloop.train_from")
def train_from(learner: WarmLearner, examples: Examples, model: Path, out: Path) -> Path:
    """Train a model into the folder `out`, from an earlier one.

    Raises:
        LabelLoopError: An example is held out; the score would no longer be honest.
    """
    refuse_held_out(examples)
    learner.train_from(examples, model, out)
    return out


@step(name="labelloop.spoiling", cache=False)
def spoiling(learner: Learner, examples: Examples) -> list[int]:
    """The rows of examples without which a learner that fails on all learns: see `labelloop.evaluation.halving`."""

    def works(rows: np.ndarray) -> bool:
        with TemporaryDirectory(prefix="labelloop-") as folder:
            try:
                learner.train(only(examples, rows), Path(folder))
            except Exception:  # noqa: BLE001 - whatever a learner of others raises about one item
                return False
        return True

    return [int(row) for row in halving.spoilers(len(examples), works)]


def refuse_held_out(examples: Examples) -> None:
    """Training on these is fine.

    Raises:
        LabelLoopError: One is held out.
    """
    if examples.held_out.any():
        leaked = examples.inputs.ids[examples.held_out]
        raise LabelLoopError(
            f"{len(leaked)} held-out item(s) were about to be trained on, such as {leaked[0]}",
            "leave them out: examples with held_out set are only for evaluation",
        )


@step(name="labelloop.random_curve")
def random_curve(learner: Learner, examples: Examples, judged: np.ndarray) -> np.ndarray:
    """How models of random samples do: see `labelloop.evaluation.savings.random_curve`."""
    return savings.random_curve(learner, examples, judged)


def both(first: Examples, second: Examples) -> Examples:
    """The examples of the first, then those of the second. Pure."""
    embeddings = [one for one in (first.inputs.features, second.inputs.features) if one is not None]
    inputs = Inputs(
        np.concatenate([first.inputs.ids, second.inputs.ids]),
        np.concatenate(embeddings) if embeddings else None,
        (*first.inputs.items, *second.inputs.items),
    )
    return replace(
        first,
        inputs=inputs,
        targets=np.concatenate([first.targets, second.targets]),
        held_out=np.concatenate([first.held_out, second.held_out]),
        answers=(*first.answers, *second.answers),
    )


@step(name="labelloop.out_of_sample")
def out_of_sample(learner: Learner, examples: Examples, groups: np.ndarray) -> np.ndarray:
    """What models say about examples that they did not learn from: see `label_errors.out_of_sample`."""
    return label_errors.out_of_sample(learner, examples, groups)


@step(name="labelloop.answered_out_of_sample")
def answered_out_of_sample(learner: Learner, examples: Examples, groups: np.ndarray) -> Any:
    """The same as a table, where what is asked are no labels of the whole item."""
    return written(label_errors.answered_out_of_sample(learner, examples, groups), examples.kind)


@step(name="labelloop.predict", ignore=("ids",))
def predict(learner: Learner, model: Path, features: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) float32 of embedded items; rows of NaN stay NaN, and come where the model fails on one."""
    return halving.predicted(learner.load(model), Inputs(ids, features))


@step(name="labelloop.predict_items")
def predict_items(learner: Learner, model: Path, inputs: Inputs) -> np.ndarray:
    """Probabilities (n, k) float32 of items that the learner reads itself; rows of NaN where the model fails on one."""
    return halving.predicted(learner.load(model), inputs)


@step(name="labelloop.predict_answers", ignore=("ids",))
def predict_answers(learner: Learner, model: Path, features: np.ndarray, ids: np.ndarray, kind: Kind) -> Any:
    """What a model says about embedded items, in answers of a kind, as a table; nothing about rows of NaN."""
    readable = np.flatnonzero(~np.isnan(features[:, 0]))
    said = halving.answered(learner.load(model), Inputs(ids[readable], features[readable]), kind)
    return written(spread(said, readable, len(features)), kind)


@step(name="labelloop.predict_answers_of_items")
def predict_answers_of_items(learner: Learner, model: Path, inputs: Inputs, kind: Kind) -> Any:
    """What a model says about items that the learner reads itself, in answers of a kind, as a table."""
    return written(halving.answered(learner.load(model), inputs, kind), kind)


def spread(said: Predicted, rows: np.ndarray, n: int) -> Predicted:
    """What is said of the items at these positions, among n; nothing about the others. Pure."""
    places = np.full(n, len(said), np.intp)
    places[rows] = np.arange(len(said))
    return joined([said, nothing_said(1)]).at(places)


def judgeable(known: Snapshot, said: Predicted, looked: np.ndarray | None = None) -> Snapshot:
    """The items, without those that a model said nothing about. Pure.

    Args:
        looked: (n,) bool, those that it was asked about; None is all. Of the others only those stay that nobody is to
            choose: what was asked, which is covered, and what is held out.
    """
    there = said.known if looked is None else said.known | (~looked & (known.asked | known.held_out))
    return replace(known, columns=replace(known.columns, readable=known.columns.readable & there))


@step(name="labelloop.evaluate", version="2")
def evaluate(probabilities: np.ndarray, examples: Examples, groups: Sequence[str], metric: Metric) -> Metrics:
    """The honest score of a model: on held-out examples only; near duplicates, of one group, count for less."""
    return metrics.evaluate(
        probabilities,
        examples.targets,
        examples.labels,
        multiple=examples.multiple,
        metric=metric,
        groups=np.asarray(groups, np.str_),
    )


@step(name="labelloop.evaluate_answers")
def evaluate_answers(said: Any, examples: Examples, groups: Sequence[str]) -> Metrics:
    """The honest score of a model whose answers are no labels of the whole item, from the table of what it said."""
    found = read_back(said, examples.kind)
    return answers.evaluate(found, examples.answers, examples.kind, np.asarray(groups, np.str_))


@dataclass(frozen=True)
class Snapshot:
    """The items and what is believed about them, as columns; row i of every column is the item at position i.

    Attributes:
        columns: The n items.
        believed: (n,) bool, whether people's answer is believed.
        targets: (n, k) bool, the believed labels.
        asked: (n,) bool, whether the item is, or was, a question.
        held_out: (n,) bool, protected for the honest score.
        set_aside: Item id -> why its answer was set aside.
        answers: (n,) object, the believed answers where they are no labels of the whole item; None elsewhere.
    """

    columns: ItemColumns
    believed: np.ndarray
    targets: np.ndarray
    asked: np.ndarray
    held_out: np.ndarray
    set_aside: Mapping[str, str]
    answers: np.ndarray | None = None


@dataclass(frozen=True)
class OutOfSample:
    """Examples, with what models say about them that did not learn from them.

    Attributes:
        said: About each example; nothing where nothing can be said.
    """

    examples: Examples
    said: Predicted

    @property
    def probabilities(self) -> np.ndarray:
        """(n, k) float32, where what is asked are choices; a row of NaN where nothing can be said."""
        assert self.said.probabilities is not None
        return self.said.probabilities


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How to choose: which selector, how many, and the share drawn at random."""

    selector: str
    n: int
    random_share: float


@dataclass(frozen=True)
class ConsensusLabels:
    """Consensus labels by item, as a matrix: row i of `targets` (m, k) belongs to `ids[i]`.

    Attributes:
        answers: The m answers where they are no labels of the whole item; none elsewhere.
    """

    ids: Sequence[str]
    targets: np.ndarray
    set_aside: Mapping[str, str]
    answers: Sequence[Answer] = ()


def believed(
    schema: LabelSchema, answers: Mapping[str, Sequence[Annotation]], policy: consensus.ConsensusMethod
) -> ConsensusLabels:
    """Decide what to believe of what people said. Pure."""
    beliefs = consensus.consensus_of_all(schema, answers, policy=policy)
    names, said = list(beliefs.answers), list(beliefs.answers.values())
    if schema.asked is None:
        return ConsensusLabels(names, labels.targets(schema, said), beliefs.set_aside)
    there = labels.targets(schema, [labels.labels_in(schema, one) for one in said])
    return ConsensusLabels(names, there, beliefs.set_aside, said)


def know(columns: ItemColumns, held_out: np.ndarray, asked: Sequence[str], beliefs: ConsensusLabels) -> Snapshot:
    """Bring items, questions and beliefs into one order. Pure."""
    position = {str(item_id): row for row, item_id in enumerate(columns.ids)}
    ours = [i for i, item_id in enumerate(beliefs.ids) if item_id in position]
    rows = [position[beliefs.ids[i]] for i in ours]
    n = len(columns.ids)
    is_believed, is_asked = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    targets = np.zeros((n, beliefs.targets.shape[1]), np.bool_)
    is_believed[rows] = True
    targets[rows] = beliefs.targets[ours]
    is_asked[[position[item_id] for item_id in asked if item_id in position]] = True
    answers = None
    if beliefs.answers:
        answers = np.full(n, None, object)
        for row, i in zip(rows, ours, strict=True):
            answers[row] = beliefs.answers[i]
    return Snapshot(columns, is_believed, targets, is_asked, held_out, beliefs.set_aside, answers)


def examples_of(known: Snapshot, features: np.ndarray, schema: LabelSchema, *, held_out: bool) -> Examples:
    """The believed items on one side of the holdout, with their embeddings; unreadable ones left out."""
    rows = np.flatnonzero(known.believed & (known.held_out == held_out) & known.columns.readable)
    inputs = Inputs(known.columns.ids[rows], np.ascontiguousarray(features[rows]))
    made = Examples(inputs, known.targets[rows], schema.labels, schema.multiple, known.held_out[rows])
    if schema.asked is None:
        return made
    return replace(made, answers=() if known.answers is None else tuple(known.answers[rows]), kind=schema.asked)


def choose(
    known: Snapshot,
    seen: tuple[np.ndarray, Predicted | None],
    schema: LabelSchema,
    taste: BatchOptions,
    rng: np.random.Generator,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Choose items to learn from: (their positions, why each), most useful first. Pure.

    Args:
        seen: The embeddings (n, d) of all items, and what a model says about them; None before there is one.
    """
    features, said = seen
    unasked = np.flatnonzero(~known.asked & ~known.held_out & known.columns.readable)
    covered = np.flatnonzero(known.asked & ~known.held_out & known.columns.readable)
    pool = pool_of(features[unasked], None if said is None else said.at(unasked), features[covered], schema)
    chosen = select(pool, taste.n, taste.selector, rng, random_share=taste.random_share, labels=schema.labels)
    return unasked[chosen.positions], chosen.why


def pool_of(features: np.ndarray, said: Predicted | None, covered: np.ndarray, schema: LabelSchema) -> Pool:
    """What a selector sees of n items, of what a model says about them, and of the items that are covered. Pure."""
    if said is None:
        return Pool(features, None, covered, schema.multiple)
    if said.probabilities is not None:
        return Pool(features, said.probabilities, covered, schema.multiple)
    return Pool(features, None, covered, schema.multiple, said.uncertainty)


def ranked(
    known: Snapshot,
    rows: np.ndarray,
    seen: tuple[np.ndarray, Predicted],
    taste: BatchOptions,
    rng: np.random.Generator,
    *,
    schema: LabelSchema,
) -> np.ndarray:
    """The positions `rows` of open questions, in the order in which a selector would ask them now. Pure.

    What was asked otherwise counts as covered. Beyond the first `taste.n` the questions follow as they are given.

    Args:
        seen: The embeddings (n, d) of all items, and what a model says about them.
    """
    features, said = seen
    covered = np.setdiff1d(np.flatnonzero(known.asked & ~known.held_out & known.columns.readable), rows)
    pool = pool_of(features[rows], said.at(rows), features[covered], schema)
    first = select(pool, taste.n, taste.selector, rng, random_share=taste.random_share).positions
    order: np.ndarray = rows[np.concatenate([first, np.delete(np.arange(len(rows)), first)])]
    return order


def choose_held_out(known: Snapshot, n: int, salt: str) -> np.ndarray:
    """The next n protected items to ask, in an order that is random but fixed by their groups. Pure."""
    rows = np.flatnonzero(~known.asked & known.held_out & known.columns.readable)
    order = np.argsort(holdout.draw_order(known.columns.groups[rows], salt), kind="stable")
    chosen: np.ndarray = rows[order[:n]]
    return chosen


def predictions_of(
    known: Snapshot, rows: np.ndarray, said: Predicted, schema: LabelSchema, version: str
) -> list[Prediction]:
    """What a model says about the items at these positions, in the annotator's terms."""
    guesses = zip(known.columns.ids[rows], guesses_of(schema, said.at(rows)), strict=True)
    return [
        Prediction(str(item_id), labels.regions_saying(schema.main, answer), score, version)
        for item_id, (answer, score) in guesses
    ]


def guesses_of(schema: LabelSchema, said: Predicted) -> list[tuple[Any, float]]:
    """The answer that a model would give to each item, and its confidence in [0, 1] in it."""
    if said.probabilities is not None:
        return list(labels.guesses(schema, said.probabilities))
    return list(zip(said.answers, map(float, said.confidence), strict=True))


def asking(known: Snapshot, rows: np.ndarray, why: Sequence[str], guesses: Sequence[Prediction | None]) -> list[Asking]:
    """Questions to learn from."""
    chosen = zip(known.columns.ids[rows], why, guesses, strict=True)
    return [Asking(str(item_id), "train", reason, prediction=guess) for item_id, reason, guess in chosen]


def asking_blind(known: Snapshot, rows: np.ndarray) -> list[Asking]:
    """Questions for the honest score, without the model's guess."""
    return [
        Asking(str(item_id), "holdout", "drawn for the honest score, asked blind")
        for item_id in known.columns.ids[rows]
    ]


def partly_blind(batch: Sequence[Asking], share: float, rng: np.random.Generator) -> list[Asking]:
    """The batch, with this share of the questions that have a guess asked without it, drawn by chance alone."""
    return [
        replace(one, purpose="blind", prediction=None, hidden=one.prediction)
        if one.prediction is not None and rng.random() < share
        else one
        for one in batch
    ]


def selector_for(schema: LabelSchema, name: str, policy: consensus.ConsensusMethod) -> Selector:
    """The selector that is written so, if it can choose for this dataset.

    Raises:
        NotFoundError: A name in it is unknown.
        ConfigError: It is not written as a selector is, or asks again where a second opinion does not help.
    """
    found = selector_of(name)
    if schema.asked is not None and (needy := needs_probabilities(name)):
        raise ConfigError(
            f"selector {needy!r} needs a probability for each label of an item, and {schema.control!r} asks for more",
            "use a selector that goes by uncertainty: auto, uherding, least-confident",
        )
    if isinstance(found, Relabelling):
        refuse_relabelling(schema, policy)
    return found


def refuse_relabelling(schema: LabelSchema, policy: consensus.ConsensusMethod) -> None:
    """Second opinions help only where several answers make a belief.

    Raises:
        ConfigError: A second answer would replace the first one, or veto it; or there may be several labels.
    """
    if schema.multiple:
        raise ConfigError(
            "relabel(...) takes one label per item, and this dataset takes several", "loop.selector = auto"
        )
    if policy not in ("majority", "weighted"):
        raise ConfigError(
            f"relabel(...) asks items again, and loop.belief = {policy!r} does not weigh answers against each other",
            'set belief = "weighted" or "majority" under [loop]',
        )


def votes_of(
    schema: LabelSchema, ids: np.ndarray, said: Mapping[str, Sequence[Annotation]]
) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """(m, p) float, the class each of p people gives each of these items, NaN for none; and who they are, by item."""
    each = [consensus.votes(schema, said.get(str(item_id), ())) for item_id in ids]
    people = {name: column for column, name in enumerate(sorted({name for one in each for name in one}))}
    votes = np.full((len(each), len(people)), np.nan)
    for row, one in enumerate(each):
        for name, answer in one.items():
            votes[row, people[name]] = schema.labels.index(answer[0])
    return votes, [tuple(sorted(one)) for one in each]


def opinion(
    schema: LabelSchema, unseen: OutOfSample, row: int, givers: Sequence[tuple[str, ...]], about: Mapping[str, str]
) -> Opinion:
    """One more question about an answered item.

    Args:
        about: Question -> item, of the second opinions there are.
    """
    item_id, likely = str(unseen.examples.inputs.ids[row]), unseen.probabilities[row]
    given = int(unseen.examples.targets[row].argmax())
    return Opinion(
        named(item_id, about),
        item_id,
        "noisy people",
        f"second opinion: people and model are less sure of {schema.labels[given]} here than of new items",
        labels.regions_of(schema, [schema.labels[given]]),
        labels.regions_of(schema, [schema.labels[int(likely.argmax())]]),
        float(likely[given]),
        givers[row],
    )


def mixed(useful: Sequence[Asking], blind: Sequence[Asking], rng: np.random.Generator) -> list[Asking]:
    """One batch in the order people see it: most useful first, the blind ones among them at random."""
    turns = rng.permutation(np.repeat([0, 1], [len(useful), len(blind)]))
    queues = (iter(useful), iter(blind))
    return [next(queues[turn]) for turn in turns]
