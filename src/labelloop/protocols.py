"""The extension points, on one page. Each has a public contract test in `labelloop.testing.contracts`.

A backend is one class, found by name through an entry point or `module:attribute`. Its constructor is its
configuration schema: keyword arguments with types and defaults, checked before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ParamSpec, Protocol, TypeVar, runtime_checkable

from labelloop.errors import ConfigError
from labelloop.types import (
    AnnotatorState,
    Answers,
    Asked,
    Bucket,
    DatasetStats,
    DatasetSummary,
    Examples,
    Inputs,
    LabelSchema,
    Missing,
    Modality,
    Pool,
    Question,
)

if TYPE_CHECKING:
    import numpy as np

P = ParamSpec("P")
T = TypeVar("T")

_KEY = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_SECRET_NAME = re.compile(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)*")
_LONGEST_SECRET_NAME = 64


def check_key(key: str) -> str:
    """The key of an artifact, if it is `/`-separated segments of `[A-Za-z0-9._-]`, none of them `.` or `..`.

    Raises:
        ConfigError: It is not.
    """
    if _KEY.fullmatch(key) and not {".", ".."} & set(key.split("/")):
        return key
    raise ConfigError(f"{key!r} is not a key of an artifact store", "use letters, digits, . _ - and / between them")


def is_secret_name(name: str) -> bool:
    """Whether every secrets manager can keep a secret of this name."""
    return _SECRET_NAME.fullmatch(name) is not None and len(name) <= _LONGEST_SECRET_NAME


def check_secret_name(name: str) -> str:
    """The name of a secret, if every secrets manager can keep it: letters and digits, single `-` and `_` between.

    Raises:
        ConfigError: It is not.
    """
    if is_secret_name(name):
        return name
    raise ConfigError(
        f"{name!r} is not a name for a secret",
        f"use letters and digits, single - or _ between them, at most {_LONGEST_SECRET_NAME} characters: team-key",
    )


PROBE = "check/probe"
"""The key of a small body that checks write and read back, always the same."""


class ArtifactStore(Protocol):
    """Bytes by key. Writes are atomic: a reader sees the whole body or nothing. Picklable, comparable.

    Keys are `/`-separated segments of `[A-Za-z0-9._-]`. Missing keys raise `NotFoundError`. A bucket that refuses
    us, or is not there, raises `ConfigError`: somebody must change something. A full disk, or a service that fails,
    raises `BackendError`.
    """

    def read(self, key: str) -> BinaryIO:
        """Open a body for reading; the caller closes it."""
        ...

    def write(self, key: str, body: BinaryIO) -> None:
        """Store everything left in `body` under `key`, replacing what was there."""
        ...

    def exists(self, key: str) -> bool:
        """Whether `key` has a body."""
        ...


class BucketStore(ArtifactStore, Protocol):
    """An artifact store in a bucket: what people look at can live there too, and be shown from there."""

    @property
    def path(self) -> str:
        """The URL of the bucket with the prefix in it, such as `s3://bucket/prefix`."""
        ...

    def bucket(self) -> Bucket:
        """The bucket, with the credentials resolved now."""
        ...

    def filesystem(self) -> Any:
        """An fsspec filesystem of the bucket's protocol with the store's own credentials."""
        ...


class SecretsManager(Protocol):
    """Named sets of values. Missing names raise `NotFoundError`; no value ever shows in a repr or an error.

    Picklable, comparable, safe to use from several threads. `check_secret_name` says what a name may be; any other
    raises `ConfigError`.
    """

    def get(self, name: str) -> Mapping[str, str]:
        """The values of one secret."""
        ...

    def set(self, name: str, values: Mapping[str, str]) -> None:
        """Create or replace one secret as a whole."""
        ...

    def delete(self, name: str) -> None:
        """Remove one secret."""
        ...

    def names(self) -> Sequence[str]:
        """The names there are, sorted."""
        ...


class ExclusiveSecrets(SecretsManager, Protocol):
    """A secrets manager that can tell who was first."""

    def add(self, name: str, values: Mapping[str, str]) -> bool:
        """Create one secret where there is none of this name; whether it did. Of several at once, one creates it."""
        ...


class Orchestrator(Protocol):
    """Where steps execute: the shape of `concurrent.futures.Executor`."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start `fn` and return at once."""
        ...


class Dataset(Protocol):
    """One dataset of an annotator: ask people, hear their answers."""

    def ask(self, questions: Sequence[Question], *, unasked: bool = False) -> Asked:
        """Make these items questions. Declarative: asking twice changes nothing, whoever asked before.

        Where questions have turns, people get the open ones by these, the lowest first, and those without one last.

        Args:
            questions: The items, each with the guess to fill in, or blind; with its turn, or without.
            unasked: The caller is sure that none of them is a question yet, because it has just compared `size` with
                its own records: the dataset may spare itself a look, and must still end with each item once.

        Raises:
            ConfigError: A prediction does not fit the label schema, or a turn is none (names the field); nothing was
                sent.
            BackendError: The service failed; `retryable` says whether asking again may help.
        """
        ...

    def answers(self, since: str | None) -> Iterator[Answers]:
        """Pages of what people say now, about items changed since the cursor; None is the complete set.

        Pages come in the order of change, so that a cursor saved after each page never loses one. A page may
        repeat what an earlier one said.
        """
        ...

    def size(self) -> int:
        """How many questions there are, at the price of one small request."""
        ...

    def present(self) -> set[str]:
        """The item ids of every question there is; costs one scan of ids. Removes second copies of a question."""
        ...

    def stats(self) -> DatasetStats:
        """Counts, without downloading the questions."""
        ...

    def url(self, item_id: str | None = None) -> str:
        """The page where a person annotates the dataset, or sees one item of it."""
        ...


@runtime_checkable
class Marked(Protocol):
    """A dataset that keeps a short text of the ledger that asks its questions, where people do not stumble over it."""

    def mark(self) -> str:
        """The text that was left last; empty without one. A text that has one somewhere in it will do."""
        ...

    def set_mark(self, mark: str) -> None:
        """Leave this text, whatever was there."""
        ...

    def swap_mark(self, before: str, after: str) -> str:
        """Leave `after`, unless another text has followed on `before`: the one that did. Of many at once one succeeds.

        A mark that somebody has wiped does not count; whoever calls knows what was there before.
        """
        ...


@runtime_checkable
class Recognising(Protocol):
    """An annotator whose datasets stay the same when people rename them there."""

    def key_of(self, name: str) -> str:
        """What tells a dataset that was opened under this name from all others; empty where nobody knows."""
        ...

    def title_of(self, name: str) -> str:
        """What people call a dataset that was opened under this name now."""
        ...

    def recognise(self, name: str, key: str) -> None:
        """Take the dataset of this key for the one of this name, where no other one is known."""
        ...


@runtime_checkable
class Renewing(Protocol):
    """A dataset whose questions can be shown anew, or taken away."""

    def renew(self, questions: Sequence[Question]) -> Mapping[str, Missing]:
        """Show the items of these questions from where they are now; what people said stays. Repeating is harmless.

        Returns:
            Item id -> why it has nothing to show; its question is as it was.
        """
        ...

    def close(self, items: Sequence[str]) -> None:
        """Take the questions about these items away, with answers and guesses. Repeating is harmless."""
        ...


class Annotator(Protocol):
    """The service people annotate in."""

    def describe(self) -> AnnotatorState:
        """Whether the service is up and lets us in. Never raises for a service that is down."""
        ...

    def datasets(self) -> Sequence[DatasetSummary]:
        """The datasets there are."""
        ...

    def open(self, name: str, schema: LabelSchema, *, create: bool = True) -> Dataset:
        """Get the dataset of exactly this name; create it if it is missing and `create` allows.

        Raises:
            ConfigError: The dataset exists with a label schema that contradicts `schema`.
            NotFoundError: It is missing and `create` is False.
        """
        ...

    def stats(self, name: str) -> DatasetStats:
        """Counts of the dataset of exactly this name, without downloading its questions.

        Raises:
            NotFoundError: There is none.
        """
        ...

    def page(self, name: str) -> str:
        """The page where a person annotates the dataset of exactly this name.

        Raises:
            NotFoundError: There is none.
        """
        ...

    def delete(self, name: str) -> None:
        """Delete a dataset with all its annotations."""
        ...


class Backbone(Protocol):
    """A frozen pretrained network that turns an item into an embedding."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the embeddings would change."""
        ...

    @property
    def modality(self) -> Modality: ...

    @property
    def dimension(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    def prepare(self, content: bytes | str) -> Any:
        """Decode one item (image bytes, or a text) into what `embed` takes. Thread-safe.

        Raises:
            BadItemError: The content cannot be decoded.
        """
        ...

    def embed(self, batch: Sequence[Any]) -> np.ndarray:
        """(n, dimension) float32, L2-normalised, of n prepared items."""
        ...


class Predictor(Protocol):
    """A loaded model."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def predict(self, inputs: Inputs) -> np.ndarray:
        """(n, k) float32 probabilities, a column per label, in the order of `labels`."""
        ...


class Learner(Protocol):
    """A recipe: frozen options, no state. A model is a folder; its version is the folder's digest."""

    @property
    def backbone(self) -> Backbone | None:
        """What makes `Inputs.features`; None for a learner that reads the items itself."""
        ...

    def train(self, examples: Examples, out: Path) -> None:
        """Write a model folder into the existing empty folder `out`. Deterministic: same examples, same bytes."""
        ...

    def load(self, model: Path) -> Predictor:
        """A predictor of a model folder this learner wrote."""
        ...


@runtime_checkable
class WarmLearner(Learner, Protocol):
    """A learner that can also begin from an earlier model. Whether a round does is decided by evidence."""

    def train_from(self, examples: Examples, model: Path, out: Path) -> None:
        """Like `train`, from the folder `model` that this learner wrote; `examples` are all there are, old and new."""
        ...


Selector = Callable[[Pool, int, "np.random.Generator"], "np.ndarray"]
"""Chooses the batch: (pool, n, generator) -> min(n, len(pool)) distinct positions in the pool, most useful first."""

Progress = Callable[[str, int, int | None], None]
"""Told about long work: (what, done so far, total or None). Called often; must be cheap."""


def silent(what: str, done: int, total: int | None) -> None:
    """The progress that nobody watches."""


def watched(what: str, things: Iterable[T], total: int | None, progress: Progress) -> Iterator[T]:
    """Pass `things` through, telling `progress` about each."""
    for done, thing in enumerate(things):
        progress(what, done, total)
        yield thing
    progress(what, total or 0, total)
