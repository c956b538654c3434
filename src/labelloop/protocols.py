"""The extension points, on one page, each with a public contract test in `labelloop.testing`.

What is optional is a capability: a protocol of its own, which a component has or has not. A backend is one class, found
by name through an entry point or `module:attribute`. Its constructor is its configuration schema: keyword arguments
with types and defaults, checked before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, BinaryIO, ParamSpec, Protocol, TypeVar, runtime_checkable

from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.types import (
    Annotation,
    AnnotatorState,
    Answers,
    Asked,
    Bucket,
    DatasetStats,
    DatasetSummary,
    Examples,
    Inputs,
    Item,
    Missing,
    Modality,
    Pool,
    Question,
    Survey,
    Template,
)

if TYPE_CHECKING:
    import numpy as np

    from labelloop.kinds.predicted import Predicted

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


@runtime_checkable
class LocalFiles(Protocol):
    """An artifact store whose bodies are files of this machine: they are read in place, and not copied."""

    def local_path(self, key: str) -> Path | None:
        """The file with this body; None where there is none."""
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


@runtime_checkable
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


@runtime_checkable
class Overlapping(Protocol):
    """A dataset that can show each question to several people."""

    @property
    def people(self) -> int:
        """To how many people a question is shown that is asked from now on."""
        ...

    def share(self, people: int, only: Collection[str] | None = None) -> None:
        """Show what is asked from now on to so many people; killed anywhere and repeated, it is complete.

        Args:
            people: How many.
            only: Of the questions that there are, these are shown to so many, too, and no other to anybody more who
                has not seen it; None for all that there are.
        """
        ...

    def widen(self, items: Collection[str], people: int) -> None:
        """Show these questions to so many people, whatever others are shown to. Repeating is harmless."""
        ...


@runtime_checkable
class Pruning(Protocol):
    """A dataset that can delete the predictions of models that nobody needs any more."""

    def prune(self, versions: Sequence[str]) -> int:
        """Delete the predictions of these model versions, but not those that people see; how many there were."""
        ...


@runtime_checkable
class Surveyed(Protocol):
    """A dataset that can be looked through as a whole, and put in order: what `labelloop doctor` needs."""

    def survey(self, since: str | None = None) -> Survey:
        """Everything there is, read once; changes nothing.

        Args:
            since: The cursor of the last hearing.
        """
        ...

    def tidy(self, items: Sequence[str]) -> None:
        """Have each of these items be one question: of several, those that nobody has answered go."""
        ...

    def show(self, version: str, *, by_turns: bool) -> None:
        """Have people see the predictions of this version, of none if it is empty, and get questions by their turns."""
        ...


@runtime_checkable
class Retracting(Protocol):
    """A dataset whose annotations can be taken back, so that items are asked again: for changes of the labels."""

    def retract(self, again: Mapping[str, str], labels: Collection[str]) -> int:
        """Delete these annotations; how many that were.

        Args:
            again: Annotation id -> item id.
            labels: One that says none of these labels any more was edited meanwhile, and stays.
        """
        ...


@runtime_checkable
class Restoring(Protocol):
    """A dataset that takes annotations back in, in the names of those who made them."""

    def restore(self, annotations: Sequence[Annotation]) -> int:
        """Put annotations that were deleted back; how many. Where an item has another one, it stays as it is."""
        ...


@runtime_checkable
class Revealing(Protocol):
    """A dataset whose predictions somebody may have switched off, and that can show them again."""

    @property
    def hides_predictions(self) -> bool:
        """Whether people saw no predictions when the dataset was looked at last."""
        ...

    def reveal(self, version: str) -> None:
        """Have people see predictions again, those of this version."""
        ...


@runtime_checkable
class Owned(Protocol):
    """A dataset that knows as whom we are there."""

    @property
    def owner(self) -> str:
        """Whose ground truth counts unless somebody says otherwise: the name that our own annotations would bear."""
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


@runtime_checkable
class Managed(Protocol):
    """A component that labelloop starts and stops; one that somebody else runs is left alone."""

    def up(self, progress: Progress) -> object:
        """Start it if it is down, and wait until it answers. Repeating is harmless."""
        ...

    def down(self) -> bool:
        """Stop it; whether it was running."""
        ...


@runtime_checkable
class SigningIn(Protocol):
    """An annotator that can sign the browser of whoever runs labelloop in."""

    def signed_in(self, page: str) -> AbstractContextManager[tuple[str, Event]]:
        """A one-time address of this page that signs the browser in, and the event of its use."""
        ...


@runtime_checkable
class ChangingLabels(Protocol):
    """An annotator that can have people choose from other labels in a dataset that there is already."""

    def relabel(self, name: str, schema: LabelSchema, *, dry_run: bool = False) -> None:
        """Ask for these labels from now on, with no prediction shown; what people said stays. Repeating is harmless.

        Args:
            dry_run: Only find out whether it could be done.

        Raises:
            NotFoundError: There is no dataset of this name.
            ConfigError: It cannot be done.
        """
        ...


@runtime_checkable
class AskingBeside(Protocol):
    """An annotator that can ask more than the labels in a dataset."""

    def ask_beside(self, name: str, schema: LabelSchema) -> Sequence[str]:
        """Ask the controls beside the main one that are not asked yet, in every question; their names.

        What people said stays. Repeating is harmless.

        Raises:
            NotFoundError: There is no dataset of this name.
            ConfigError: One cannot be asked.
        """
        ...


@runtime_checkable
class Templating(Protocol):
    """An annotator that ships label configs to begin with; asked of its class, as there is no workspace yet."""

    def templates(self, progress: Progress) -> Sequence[Template]:
        """Every one of them.

        Raises:
            BackendError: They cannot be read.
        """
        ...


@runtime_checkable
class Notifying(Protocol):
    """An annotator that calls an address when somebody has answered."""

    def subscribe(self, name: str, url: str, headers: Mapping[str, str]) -> None:
        """Call this address with these headers after answers in the dataset. Repeating is harmless.

        Raises:
            NotFoundError: There is no dataset of this name.
            ConfigError: This address may not be called.
        """
        ...

    def unsubscribe(self, name: str, path: str) -> int:
        """Call no more addresses of this path; how many it had called.

        Raises:
            NotFoundError: There is no dataset of this name.
        """
        ...


@runtime_checkable
class ModelAsking(Protocol):
    """An annotator that asks a model server of ours about what has no prediction."""

    def connect(self, name: str, url: str, user: tuple[str, str], version: str) -> None:
        """Ask the server at this address, with this name and password. Repeating is harmless.

        Args:
            version: The model version whose predictions people go on seeing.

        Raises:
            NotFoundError: There is no dataset of this name.
            ConfigError: This address may not be called.
            BackendError: The server does not answer.
        """
        ...

    def disconnect(self, name: str, url: str) -> int:
        """Ask that server no more; how many connections that removed.

        Raises:
            NotFoundError: There is no dataset of this name.
        """
        ...


@runtime_checkable
class TaskReading(Protocol):
    """An annotator whose own tasks, also those that somebody else made, can be read as items: for the model server."""

    def item_of(self, task: Mapping[str, Any], schema: LabelSchema) -> Item:
        """The item that a task shows; its id is empty where it is not one of ours."""
        ...

    def misfits(self, config: str, schema: LabelSchema) -> Sequence[str]:
        """Why predictions cannot be shown where the annotator asks with this config of its own; empty when they can."""
        ...

    def fetch(self, item: Item) -> bytes:
        """The picture of an item that is not one of ours, from the annotator itself.

        Raises:
            BadItemError: It lies elsewhere, or is too large.
            NotFoundError: It is not there.
        """
        ...


@runtime_checkable
class PictureChecking(Protocol):
    """An annotator that can find out what a browser gets of the pictures of a dataset."""

    def look(self, name: str) -> str:
        """What a browser gets of one that lies in the bucket, in words; empty without a bucket.

        Raises:
            BackendError: It gets nothing.
            ConfigError: It would not show it.
        """
        ...

    def looked_at(self, name: str) -> Sequence[tuple[bool, str, str]]:
        """What it gets of one of each sort that was asked about: (whether it is shown, words, way out)."""
        ...


@runtime_checkable
class Hiding(Protocol):
    """An annotator in which somebody may switch the predictions of a dataset off."""

    def hides_predictions(self, name: str) -> bool:
        """Whether people see no predictions in the dataset of this name; not where there is none."""
        ...


@runtime_checkable
class Peopled(Protocol):
    """An annotator that knows who has an account."""

    def people(self) -> int:
        """How many people can sign in and answer."""
        ...

    def exposed(self) -> tuple[str, str]:
        """What somebody else with an account gets that she should not, and the way out; both empty for nothing."""
        ...


@runtime_checkable
class Reached(Protocol):
    """An annotator that other machines may stand before: proxies, firewalls, limits of size."""

    def comes_through(self) -> tuple[str, str]:
        """What comes through of what a tick sends, and what to set where not all does; changes nothing there.

        Raises:
            ConfigError, BackendError: A shape of request is refused on the way.
        """
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


class KindPredictor(Protocol):
    """A loaded model of answers of a kind."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def predict(self, inputs: Inputs) -> Predicted:
        """What it says about n items."""
        ...


class KindLearner(Protocol):
    """A learner of answers of another kind than choices: it reads `examples.answers`, which are of `examples.kind`."""

    @property
    def backbone(self) -> Backbone | None:
        """What makes `Inputs.features`; None for a learner that reads the items itself."""
        ...

    def train(self, examples: Examples, out: Path) -> None:
        """Write a model folder into the existing empty folder `out`. Deterministic: same examples, same bytes."""
        ...

    def load(self, model: Path) -> KindPredictor:
        """A predictor of a model folder this learner wrote."""
        ...


@runtime_checkable
class Sketching(Protocol):
    """A learner that has a cheaper recipe for models that are thrown away, of which only the answers are looked at."""

    def sketch(self) -> Learner:
        """The recipe: its models give the same answers, and may not know how sure they are."""
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
