"""Plain data that every part of labelloop shares: items, labels, answers, columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from labelloop.types.names import LATER, named

if TYPE_CHECKING:
    import numpy as np

Modality = Literal["image", "text"]
Task = Literal["single-choice", "multiple-choice"]

Metric = Literal["auto", "accuracy", "macro-f1"]
"""What the score is; `auto` is accuracy for a single choice, micro-F1 for a multiple choice."""

Gate = Literal["not-worse", "better", "always"]
"""What a new model has to show: that it is not worse by more than the holdout can tell, that it is better, nothing."""
Region = Mapping[str, Any]
"""One answer to one control, in Label Studio's own shape, kept lossless."""


@named("labelloop.Item")
@dataclass(frozen=True, slots=True)
class Item:
    """A thing to be labelled.

    Attributes:
        id: Ours, derived from the content or given; never changes.
        modality: What people see.
        uri: Where the bytes live (`file:///...`, `s3://...`, `https://...`); empty for inline text.
        text: The text itself, for inline text; empty otherwise.
        digest: blake2b-128 of the content in hex, where the content was read; empty otherwise.
        group: Id of the first item that this one is an exact or near duplicate of; its own id when unique.
        meta: What came with the item in its source (columns of a table, name of the file); shown to people,
            never learned from.
    """

    id: str
    modality: Modality
    uri: str = ""
    text: str = ""
    group: str = ""
    digest: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was listed.

    Attributes:
        uri: Its address.
        stamp: What is different once the file has changed; empty where nothing tells.
    """

    uri: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Why the content of an item cannot be had now.

    Attributes:
        reason: In words.
        away: What has it did not answer, which may be over soon; else it is gone, closed to us, or broken.
    """

    reason: str
    away: bool = False


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item as it was found in a source.

    Attributes:
        fingerprint: What near-duplicate search compares.
        seen: The file it was read from; None for a row of a table.
    """

    item: Item
    fingerprint: bytes
    seen: Seen | None = None


@named("labelloop.Annotation")
@dataclass(frozen=True, slots=True)
class Annotation:
    """What one person said about one item.

    Attributes:
        id: The annotator service's id of this annotation, unique within a dataset.
        annotator: Who said it, as the service names people.
        skipped: The person declined to answer.
        lead_time: Seconds the person took, when known.
        account: The number of that person's account in the service, where it has one; empty where nobody knows who it
            was. Not compared: whoever said something first stays its author, whatever becomes of the account.
        declared_by: Who wrote it last, and so declared it to be ground truth; empty where the service does not know,
            None where it does not say. Not compared.
    """

    id: str
    item_id: str
    regions: tuple[Region, ...]
    annotator: str
    created_at: datetime
    updated_at: datetime
    skipped: bool = False
    ground_truth: bool = False
    lead_time: float | None = None
    account: str | None = field(default=None, compare=False)
    declared_by: str | None = field(default=None, compare=False)


@named("labelloop.Prediction")
@dataclass(frozen=True, slots=True)
class Prediction:
    """What one model version says about one item.

    Attributes:
        score: In [0, 1]; the model's confidence in `regions`.
    """

    item_id: str
    regions: tuple[Region, ...]
    score: float
    model_version: str


@dataclass(frozen=True, slots=True)
class Turn:
    """When people get a question, among those that are open.

    Attributes:
        at: In [0, 1]; the lowest comes first.
        version: The model version it was found with. Only the turns of the version that people see count.
    """

    at: float
    version: str


@dataclass(frozen=True, slots=True)
class Question:
    """An item to be asked, with the model's guess filled in, or blind (`prediction` is None).

    Attributes:
        turn: When people get it; None leaves it to the order of asking.
    """

    item: Item
    prediction: Prediction | None = None
    turn: Turn | None = None

    @property
    def version(self) -> str:
        """The model version behind the guess or the turn; empty where there is neither."""
        return version_behind(self.prediction, self.turn)


def version_behind(guess: Prediction | None, turn: Turn | None) -> str:
    """The model version of a question's guess, or of its turn; empty where there is neither."""
    if guess is not None:
        return guess.model_version
    return turn.version if turn is not None else ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one `ask` did.

    Attributes:
        created: Questions that are new in the annotator.
        existing: Questions that were there before.
        predictions: Predictions stored by this call; a blind question's turn is kept as an empty one.
        tasks: Item id -> the annotator's own id of the question, for every question of the call that people can see.
        missing: Item id -> why there is nothing to show; not asked.
    """

    created: int
    existing: int
    predictions: int
    tasks: Mapping[str, str]
    missing: Mapping[str, Missing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heard:
    """Everything people say *now* about one asked item; annotations that are gone are absent."""

    item_id: str
    task_id: str
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True, slots=True)
class Unheard:
    """A question whose answers the service cannot show: it is set aside and tried again later.

    Attributes:
        task_id: The service's number of the question.
        item_id: The item; empty where the service cannot show that either.
        why: What went wrong, in words.
        tries: How often it was tried.
    """

    task_id: str
    item_id: str
    why: str
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Answers:
    """One page of answers, and the cursor to continue from once the page is safe in the ledger.

    Attributes:
        unheard: All questions that are set aside now; None where the service does not say.
    """

    heard: tuple[Heard, ...]
    cursor: str
    unheard: tuple[Unheard, ...] | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything a dataset has in the annotator, read once, with nothing changed.

    Attributes:
        heard: Item id -> what people say about it now.
        twins: Items that are asked more than once -> the annotator's ids of their questions.
        foreign: Questions that bear no item id: people added them.
        versions: Model version -> predictions of it.
        shown: The version whose predictions people see; empty for none.
        queue: What people get the questions by: `turns`, `asked` (the order of asking), or another thing by the
            annotator's name for it; empty where it does not say.
        stale: What is out of date about showing pictures, in words; empty if nothing is.
        unconfirmed: Questions that were sent without an answer.
        fresh: Items that have changed since the cursor, which the next hearing brings.
        unheard: Questions that are there, and whose answers cannot be shown.
        swapped: Items of which people are shown another thing than they were asked about.
        hidden: Whether people are kept from seeing predictions, by a setting of the dataset.
    """

    heard: Mapping[str, Heard]
    twins: Mapping[str, Sequence[str]] = field(default_factory=dict)
    foreign: int = 0
    versions: Mapping[str, int] = field(default_factory=dict)
    shown: str = ""
    queue: str = ""
    stale: str = ""
    unconfirmed: int = 0
    fresh: frozenset[str] = frozenset()
    unheard: tuple[Unheard, ...] = ()
    swapped: frozenset[str] = frozenset()
    hidden: bool = False

    @property
    def present(self) -> frozenset[str]:
        """The items that are questions, whether or not their answers can be shown."""
        return frozenset(self.heard) | {one.item_id for one in self.unheard if one.item_id}


@dataclass(frozen=True, slots=True)
class DatasetStats:
    """Counts of one dataset in the annotator, taken without downloading its questions.

    Attributes:
        with_predictions: Questions that carry a prediction. That of a blind one is empty, and only says when it is due.
    """

    total: int
    labeled: int
    skipped: int
    with_predictions: int
    annotations: int
    model_version: str = ""
    per_label: Mapping[str, int] = field(default_factory=dict)
    per_annotator: Mapping[str, int] = field(default_factory=dict)

    @property
    def unlabeled(self) -> int:
        """Questions that nobody has answered or skipped."""
        return self.total - self.labeled - self.skipped


@dataclass(frozen=True, slots=True)
class Template:
    """A label config that an annotator ships for people to begin with.

    Attributes:
        name: Unique, in small letters.
        title: What it is for, in a few words.
        group: What it belongs to, such as `Generative AI`.
        config: The label config.
    """

    name: str
    title: str
    group: str
    config: str


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """One line of `annotator dataset list`."""

    name: str
    url: str
    total: int
    labeled: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, and what another service needs to read it with its own client.

    Attributes:
        cloud: Whose protocol it speaks.
        name: The bucket, or container.
        prefix: Keys of ours begin with it; empty, or ending with a slash.
        endpoint: Where the protocol is spoken, for servers other than the cloud's own; empty otherwise.
        region: The region, where the cloud has them.
        account: The storage account, for Azure.
        credentials: The values of the store's secret, by the keys of its schema (`aws`, `gcp`, `azure`); empty where
            the cloud's own default chain is used. Never shown.
    """

    cloud: Literal["s3", "gcp", "azure"]
    name: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    account: str = ""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class AnnotatorState:
    """Where an annotator stands.

    Attributes:
        state: `outdated` is a version that lacks what labelloop asks of it.
        detail: Why it is not `up`.
        hint: What to do about it.
    """

    flavor: str
    url: str
    state: Literal["up", "down", "unauthorised", "outdated"]
    version: str = ""
    datasets: int = 0
    detail: str = ""
    hint: str = ""


@named("labelloop.Inputs")
@dataclass(frozen=True)
class Inputs:
    """Items as columns; row i of every column is the same item.

    Attributes:
        ids: (n,) item ids.
        features: (n, d) float32 embeddings, L2-normalised; None for a learner without a backbone.
        items: The n items, only for a learner without a backbone.
    """

    ids: np.ndarray
    features: np.ndarray | None = None
    items: Sequence[Item] = ()

    def __len__(self) -> int:
        return len(self.ids)


@named("labelloop.Examples")
@dataclass(frozen=True)
class Examples:
    """Items with the labels we decided to believe.

    Attributes:
        inputs: n items.
        targets: (n, k) bool, one column per label of the schema.
        labels: The k label names, in the order of the columns.
        multiple: Whether a row may have several labels.
        held_out: (n,) bool, items that must never be trained on.
        answers: Where what is asked are no labels of the whole item: n answers as `kind` has them. Then a column of
            `targets` says only whether its label is anywhere in the answer.
        kind: What an answer is (`labelloop.kinds.kind.Kind`); None where the targets say all.
    """

    inputs: Inputs
    targets: np.ndarray
    labels: tuple[str, ...]
    multiple: bool
    held_out: np.ndarray
    answers: tuple[Any, ...] = field(default=(), metadata=LATER)
    kind: Any = field(default=None, metadata=LATER)

    def __len__(self) -> int:
        return len(self.inputs)


def rows_of(inputs: Inputs, rows: np.ndarray) -> Inputs:
    """Some of the items, by position or as a mask (n,) bool; they stay what they are, with their ids. Pure."""
    ids = inputs.ids[rows]
    features = None if inputs.features is None else inputs.features[rows]
    if not inputs.items:
        return replace(inputs, ids=ids, features=features)
    positions = rows.nonzero()[0] if rows.dtype == bool else rows
    return replace(inputs, ids=ids, features=features, items=tuple(inputs.items[int(row)] for row in positions))


def only(examples: Examples, rows: np.ndarray) -> Examples:
    """Some of the examples, by position or as a mask (n,) bool. Pure."""
    inputs = rows_of(examples.inputs, rows)
    made = replace(examples, inputs=inputs, targets=examples.targets[rows], held_out=examples.held_out[rows])
    if not examples.answers:
        return made
    positions = rows.nonzero()[0] if rows.dtype == bool else rows
    return replace(made, answers=tuple(examples.answers[int(row)] for row in positions))


@named("labelloop.Pool")
@dataclass(frozen=True)
class Pool:
    """The items nobody has been asked about yet, as columns; row i of every column is the same item.

    Attributes:
        embeddings: (n, d) float32, L2-normalised, maybe memory-mapped.
        probabilities: (n, k) float32 of the current model, or None before the first one. Rows sum to 1 for a
            single choice; each entry is its own probability for a multiple choice.
        labeled: (m, d) float32 embeddings of the items already asked or answered: what is covered.
        multiple: Whether a row may have several labels.
        uncertainty: (n,) float32 in [0, 1] of the current model where what is asked are no labels of the whole item,
            so that there are no probabilities; None elsewhere.
    """

    embeddings: np.ndarray
    probabilities: np.ndarray | None
    labeled: np.ndarray
    multiple: bool = False
    uncertainty: np.ndarray | None = field(default=None, metadata=LATER)

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def has_model(self) -> bool:
        """Whether there is a model that says something about the items."""
        return self.probabilities is not None or self.uncertainty is not None

    def at(self, rows: np.ndarray) -> Pool:
        """Some of the items, by position; what is covered stays. Pure."""
        return replace(
            self,
            embeddings=self.embeddings[rows],
            probabilities=None if self.probabilities is None else self.probabilities[rows],
            uncertainty=None if self.uncertainty is None else self.uncertainty[rows],
        )


def __getattr__(name: str) -> Any:
    """`LabelSchema`, which stood here before and is imported from here by learners that people wrote."""
    if name == "LabelSchema":
        return getattr(import_module("labelloop.kinds"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
