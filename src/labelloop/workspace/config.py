"""labelloop.toml: the loop and every stack, with where each value comes from (default, file, environment, flag)."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from labelloop.errors import BusyError, ConfigError, NotFoundError
from labelloop.evaluation.budget import Budget
from labelloop.kinds import Control, LabelSchema
from labelloop.kinds.kind import Parted, Placed
from labelloop.kinds.label_config import ControlTag, LabelConfig
from labelloop.kinds.schema import OwnConfig, object_of, schema_around
from labelloop.machine.modules import look_in
from labelloop.machine.privacy import alone
from labelloop.machine.registry import BUILT_IN, KINDS, ComponentKind, build, flavors, unknown
from labelloop.types import Gate, Metric, Modality, Task
from labelloop.workspace import own_config
from labelloop.workspace.root import FILE, STATE
from labelloop.workspace.toml_edits import place

if TYPE_CHECKING:
    import tomlkit

VERSION = 1
"""Of the format of labelloop.toml; raised when an older labelloop would misunderstand it."""

PREFIX = "LABELLOOP_"

NO_LEARNER = "none"
"""The flavor of `[learner]` with which people are asked, heard and exported, and nothing is learned."""

NEAREST = "nearest"
"""The flavor that learns any kind that has no learner of its own."""

Origin = Literal["default", "file", "environment", "flag"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetConfig(_Section):
    """What is asked about."""

    name: str = ""
    """Name of the dataset, and of the project in Label Studio: 3 to 50 characters. `labelloop init` takes the
    folder's name.
    """

    modality: Modality = "image"
    """What people see."""

    task: Task = "single-choice"
    """One label per item, or several."""

    config: str = ""
    """A file with a label config (XML) of your own, which people see as it is written: modality, task, labels and
    controls come from it then, and each `$name` in it is a column of the table. `labelloop init --config` sets it. A
    path counts from the workspace.
    """

    main: str = ""
    """With `dataset.config` the control that is learned from; empty is the first that can be."""

    labels: tuple[str, ...] = ()
    """The labels to choose from, at least two, in the order people see them. Comma-separated in the environment. Empty
    where the first of [controls] is what is learned.
    """

    instruction: str = ""
    """The line above each item in Label Studio; empty is a line that fits the task."""

    show: tuple[str, ...] = ()
    """Columns of the table, or paths such as `post.author`, that people see beside each item. Comma-separated in the
    environment.
    """

    people_per_item: Annotated[int, Field(ge=1)] = 1
    """How many people each item is shown to. A question is closed once as many have answered or skipped it, or one
    answer is marked as ground truth. A higher number counts for what is open and for what is asked from then on.
    """

    duplicates: Literal["near", "exact"] = "near"
    """What stays on one side of the holdout: near duplicates, or only the very same words or picture. Counts for
    items added from then on.
    """

    hosts: tuple[str, ...] = ()
    """Hosts that pictures may be read from although they are this machine or on its own link, which a table must not
    name otherwise, nor an address redirect to. Comma-separated in the environment.
    """

    ca_bundle: str = ""
    """A file (PEM) of certificates that are trusted where pictures are read from the web; empty is what
    SSL_CERT_FILE, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names, else the system's.
    """

    address: str = ""
    """Where links to pictures hold for a day: `https://host/{id}.png?...` or `module:function`, which is given the
    item and returns its link of now. Used when a picture is read, and when it is shown.
    """

    address_lasts: Annotated[float, Field(gt=0)] = 43200.0
    """Seconds after which open questions are shown at a new link of `dataset.address`."""


class LoopConfig(_Section):
    """When to learn, and what to ask next."""

    batch: Annotated[int, Field(ge=1)] = 50
    """Items asked per round to learn from. Blind questions of the holdout come on top."""

    rounds: Annotated[int, Field(ge=0)] = 0
    """Rounds that ask; 0 is no limit."""

    budget: Annotated[int, Field(ge=0)] = 0
    """Questions in total, those of the holdout included; 0 is no limit."""

    enough: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of a round's questions that must be answered or skipped before the next round."""

    selector: str = "auto"
    """How the batch is chosen once there is a model: a name or a form of the tables below, or `module:function`."""

    cold_start: str = "centroids"
    """How the batch is chosen before there is a model."""

    random_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of each batch drawn at random from everything that is left."""

    length_cost: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much the length of a text counts as effort where more is asked than labels of the whole text, such as spans:
    how unsure the model is of a text is divided by its length to this power. With 0 every text costs the same, with 1
    every word does.
    """

    scored: Annotated[int | None, Field(ge=0)] = None
    """The most items that can be asked which a round has the model score: where there are more, so many are drawn, from
    `loop.seed`, and the batch comes from these. 0 scores all. By default 50000 where a learner reads the items
    themselves for answers that are no choices, such as spans, else all.
    """

    blind_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the questions to learn from that are asked without the model's guess, drawn by chance: what
    `annotator bias` compares with. 0.1 is a good share to begin with.
    """

    queue: Literal["selector", "asked"] = "selector"
    """In which order people get the open questions: as the selector ranks them with the newest model, those drawn at
    random or asked blind among them; or as they were asked. A change counts from the next model on.
    """

    old_predictions: Literal["keep", "prune"] = "keep"
    """Whether Label Studio keeps the predictions of models that were replaced, or they are deleted a day later, one
    model per tick.
    """

    retrain_after: Annotated[int, Field(ge=0)] = 0
    """New, edited or removed answers after which to learn although questions are still open, refresh the guesses of
    these, and ask again up to a batch of open questions; 0 waits for `loop.enough`.
    """

    retrain_every: Annotated[float, Field(ge=0)] = 0.0
    """Seconds after which to do so if there is any new answer; 0 is never."""

    debounce: Annotated[float, Field(ge=0)] = 0.0
    """Seconds without a new answer before a round begins, but at most ten times as many."""

    cool_down: Annotated[float, Field(ge=0)] = 0.0
    """Seconds between the beginnings of two rounds, at least."""

    stop_on_advice: bool = False
    """Whether to ask no more once a round advises so. `labelloop forecast` shows the advice."""

    reconcile_every: Annotated[float, Field(ge=0)] = 86400.0
    """Seconds after which a tick compares every question and answer with the annotator, and repairs the ledger; 0 is
    never, unless `tick --reconcile` asks for it.
    """

    gate: Gate = "not-worse"
    """What a new model has to show on the holdout to be used: `not-worse` by more than the holdout can tell,
    `better` at 5 %, or nothing, `always`.
    """

    belief: Literal["newest", "majority", "unanimous", "weighted"] = "newest"
    """Which answer counts where an item has several: the newest; what most say; what all say, else none; or what is
    most probable given how reliable each person has been.
    """

    ground_truth_by: list[str] | None = None
    """Whose ground truth overrules other answers, by e-mail; `["*"]` is everybody's, `[]` nobody's. By default that
    of the account that labelloop uses in the annotator alone.
    """

    seed: int = 0
    """Of everything that is drawn. Same seed and same answers, same batches."""


_FREE = Budget()


class BudgetConfig(_Section):
    """What answers may cost, beside `loop.budget`, which counts questions."""

    hours: Annotated[float, Field(ge=0)] = _FREE.hours
    """The most hours of people's time, as Label Studio measures it; 0 is no limit. One answer counts for at most ten
    minutes. `loop.budget` limits the number of questions.
    """

    money: Annotated[float, Field(ge=0)] = _FREE.money
    """The most money, in any currency; 0 is no limit."""

    per_hour: Annotated[float, Field(ge=0)] = _FREE.per_hour
    """What an hour of people's time costs."""

    per_label: Annotated[float, Field(ge=0)] = _FREE.per_label
    """What an answer costs."""


class HoldoutConfig(_Section):
    """The protected random set that the score comes from."""

    share: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    """Share of all items that is protected, drawn by hash. Fixed by the first round. With 0.1 a third of the first
    60 items is, later a tenth; any other share is taken as it is.
    """

    size: Annotated[int, Field(ge=0)] = 200
    """The most protected items that people are asked about."""

    per_round: Annotated[int, Field(ge=1)] = 50
    """The most of them asked in one round."""

    growth: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the questions drawn at random that go to the holdout once it has its size; the others are learned
    from.
    """

    metric: Metric = "auto"
    """What the score is, and the gate looks at: `auto` is accuracy for one label per item, micro-F1 for several;
    `accuracy`; `macro-f1`, where rare labels count as much as frequent ones.
    """


class SelectionConfig(_Section):
    """What items are chosen by."""

    backbone: str = ""
    """The network by whose embeddings items are compared when a batch is chosen and questions are put in order: any
    name that `backbone` has under [learner]. Empty is the learner's own; for a learner that reads the items itself
    that of the default learner. What is learned does not change with it.
    """


class AutoLabelConfig(_Section):
    """On what terms labels are taken from the model, once `labelloop auto-label apply` says so."""

    error: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """The most of the labels taken from the model that may be wrong. `labelloop auto-label apply` starts taking
    them.
    """

    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """How sure that is, for each model that is certified."""

    per_label: bool = False
    """Whether it is promised of each label on its own; needs more answers in the holdout."""

    audit: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Share of the taken labels that people are asked about, blind, for good."""

    audit_per_round: Annotated[int, Field(ge=1)] = 20
    """The most of them asked in one round."""


class WatchConfig(_Section):
    """Where `watch` is measured, and hears hints."""

    host: str = "127.0.0.1"
    """Address that `watch` listens on for Prometheus and for hints."""

    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port there; 0 is none."""

    url: str = ""
    """The same as the annotator reaches it, such as `http://loop.example.com:9100`; empty is `http://` with host and
    port.
    """

    certificate: str = ""
    """A file (PEM) with the certificate that `watch` is known by, to speak TLS. A path counts from the workspace."""

    key: str = ""
    """The file of its key, without a password; empty where it is in the same file."""


class MLBackendConfig(_Section):
    """The model in use as an ML backend of Label Studio."""

    host: str = "127.0.0.1"
    """Address that `ml-backend serve` listens on."""

    port: Annotated[int, Field(ge=0, le=65535)] = 9090
    """Port there."""

    url: str = ""
    """The same as Label Studio reaches it; empty is `http://` with host and port."""

    certificate: str = ""
    """A file (PEM) with the certificate that `ml-backend serve` is known by, to speak TLS. A path counts from the
    workspace.
    """

    key: str = ""
    """The file of its key, without a password; empty where it is in the same file."""

    patience: Annotated[float, Field(gt=0)] = 20.0
    """Seconds after which Label Studio is told to do without an answer."""


class LearnerConfig(BaseModel):
    """Which learner; every other key is an option of that flavor."""

    model_config = ConfigDict(extra="allow", frozen=True)
    flavor: str = "frozen"
    """The learner: a name of the table below, or `module:attribute`. Every other key of the section is an option of
    that learner. Where it is not set, and the main control asks for something else than choices, the learner that
    bears the name of its kind.
    """

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the flavor."""
        return self.__pydantic_extra__ or {}


class ControlConfig(BaseModel):
    """What people are asked about each item beside its labels; every other key is an option of that kind. Without
    labels under [dataset] the first control is the main one: what is learned, and whose score is the score.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str
    """The kind of question: a name of the table below, or `module:attribute`."""

    instruction: str = ""
    """The line above it in Label Studio; empty is its name."""

    shown: str | tuple[str, ...] = ""
    """The column that it asks about, one of `dataset.show`; empty is the item itself, as for the main control. A
    `preference` has a list of two.
    """

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the kind."""
        return self.__pydantic_extra__ or {}


class LedgerConfig(_Section):
    """Where the ledger lives; empty is a SQLite file in the workspace."""

    url: str = ""
    """SQLAlchemy URL of the ledger's database; empty is `.labelloop/ledger.db` in the workspace."""


class ComponentConfig(BaseModel):
    """One registered component: its flavor, and that flavor's options."""

    model_config = ConfigDict(extra="allow", frozen=True)
    flavor: str

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the flavor."""
        return self.__pydantic_extra__ or {}


class StackConfig(_Section):
    """A named set of components, one of each kind."""

    artifact_store: str = "default"
    """Name of the artifact store."""

    secrets_manager: str = "default"
    """Name of the secrets manager."""

    annotator: str = "default"
    """Name of the annotator."""

    orchestrator: str = "default"
    """Name of the orchestrator."""


class Config(_Section):
    """The whole file."""

    version: int = VERSION
    """Of the format of this file. A newer one than this labelloop knows is refused."""

    active_stack: str = "default"
    """The stack that every command uses."""

    dataset: DatasetConfig = DatasetConfig()
    loop: LoopConfig = LoopConfig()
    budget: BudgetConfig = BudgetConfig()
    holdout: HoldoutConfig = HoldoutConfig()
    selection: SelectionConfig = SelectionConfig()
    auto_label: AutoLabelConfig = AutoLabelConfig()
    watch: WatchConfig = WatchConfig()
    ml_backend: MLBackendConfig = MLBackendConfig()
    learner: LearnerConfig = LearnerConfig()
    ledger: LedgerConfig = LedgerConfig()
    controls: Mapping[str, ControlConfig] = Field(default_factory=dict)
    stacks: Mapping[str, StackConfig] = Field(default_factory=dict)
    artifact_stores: Mapping[str, ComponentConfig] = Field(default_factory=dict)
    secrets_managers: Mapping[str, ComponentConfig] = Field(default_factory=dict)
    annotators: Mapping[str, ComponentConfig] = Field(default_factory=dict)
    orchestrators: Mapping[str, ComponentConfig] = Field(default_factory=dict)
    _own: LabelConfig | None = PrivateAttr(None)

    @property
    def brought(self) -> OwnConfig | None:
        """What is shown by the label config that people brought; None without one."""
        return self._own.schema(self._main(self._own)).own if self._own else None

    @property
    def label_config(self) -> LabelConfig | None:
        """The label config that people brought, as it was read."""
        return self._own

    def schema_of(self) -> LabelSchema:
        """What people are asked: the labels of [dataset], and each control of [controls] beside them.

        Where [dataset] has no labels, the first control is the main one. Where it names a label config, that says all.

        Raises:
            NotFoundError: A control is of a kind that there is not.
            ConfigError: The labels, or the options of a control, make no question.
        """
        asked = self.dataset
        if self._own is not None:
            return self._own.schema(self._main(self._own))
        controls = tuple(self._control(name) for name in self.controls)
        if controls and not asked.labels:
            if controls[0].shown != asked.modality:
                raise ConfigError(
                    f"[controls.{controls[0].name}] is the main control, and asks about {controls[0].shown!r}: what is "
                    f"learned from is the {asked.modality} of each item",
                    "leave out shown, or write another control above it",
                )
            return schema_around(
                controls[0], asked.modality, instruction=asked.instruction, show=asked.show, beside=controls[1:]
            )
        return LabelSchema(
            asked.modality, asked.labels, asked.task, instruction=asked.instruction, show=asked.show, beside=controls
        )

    def learner_of(self) -> LearnerConfig:
        """The learner: the one that is set, else that with the name of the main control's kind, else `nearest`.

        `none` where a label config asks for what no kind reads, or about what no learner does, or where an answer names
        parts of its one item.
        """
        if "flavor" in self.learner.model_fields_set:
            return self.learner
        if self._own is not None and not self._main(self._own).sees:
            return LearnerConfig(flavor=NO_LEARNER)
        asked, kind = self.schema_of().asked, self.kinds_asked().get(self.schema_of().control, "choices")
        if asked is None:
            return self.learner
        if kind not in flavors("learner") and isinstance(asked, Placed | Parted):
            return LearnerConfig(flavor=NO_LEARNER)
        return self.learner.model_copy(update={"flavor": kind if kind in flavors("learner") else NEAREST})

    def kinds_asked(self) -> Mapping[str, str]:
        """The kind of each control by name, the main one among them where it asks for something else than choices."""
        if self._own is not None:
            return {one.name: one.flavor or one.tag for one in self._own.asked}
        return {name: one.kind for name, one in self.controls.items()}

    def _main(self, own: LabelConfig) -> ControlTag:
        return own.main(self.dataset.main, ("choices", *flavors("learner")))

    def _control(self, name: str) -> Control:
        asked = self.controls[name]
        try:
            kind = build("kind", asked.kind, asked.options, {})
        except ConfigError as error:
            raise type(error)(f"[controls.{name}]: {error.message}", error.hint) from error
        columns = (asked.shown,) if isinstance(asked.shown, str) else asked.shown
        about = ",".join(object_of(one) if one else self.dataset.modality for one in columns)
        return Control(name, kind, about, asked.instruction or name)

    def stack_names(self) -> Sequence[str]:
        """The stacks there are; `default` always is."""
        return sorted({"default", *self.stacks})

    def stack(self, name: str = "") -> StackConfig:
        """The named stack, or the active one.

        Raises:
            NotFoundError: There is no such stack.
        """
        wanted = name or self.active_stack
        if wanted in self.stacks:
            return self.stacks[wanted]
        if wanted == "default":
            return StackConfig()
        raise unknown("stack", wanted, list(self.stack_names()))

    def components(self, kind: ComponentKind) -> Mapping[str, ComponentConfig]:
        """The components of one kind, the built-in `default` included."""
        registered: Mapping[str, ComponentConfig] = getattr(self, table_of(kind))
        return {"default": ComponentConfig(flavor=BUILT_IN[kind]), **registered}

    def component(self, kind: ComponentKind, name: str) -> ComponentConfig:
        """One component.

        Raises:
            NotFoundError: There is none of this name and kind.
        """
        found = self.components(kind)
        if name not in found:
            raise unknown(kind, name, list(found))
        return found[name]


def part_of(kind: ComponentKind) -> str:
    """The key of a stack that names its component of this kind."""
    return kind.replace("-", "_")


def table_of(kind: ComponentKind) -> str:
    """The table of labelloop.toml that holds components of this kind."""
    return part_of(kind) + "s"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with a labelloop.toml, what the file says, and where each set value comes from."""

    root: Path
    config: Config
    origins: Mapping[str, Origin]

    @property
    def home(self) -> Path:
        """The git-ignored folder of everything labelloop keeps here."""
        return self.root / STATE

    @property
    def ledger_url(self) -> str:
        """The database of the ledger."""
        return self.config.ledger.url or f"sqlite:///{self.home / 'ledger.db'}"

    def where(self, *keys: str) -> str:
        """`FILE, line N, column M: ` of a key or of its table, for the words of an error; empty if not in the file."""
        path = self.root / FILE
        found = where(path, read_text(path), [key for key in keys if key])
        return f"{found}: " if found != str(path) else ""


def load(root: Path, environ: Mapping[str, str] = os.environ, flags: Mapping[str, Any] | None = None) -> Workspace:
    """Read a workspace: default < file < environment < flag.

    Args:
        root: The folder with the labelloop.toml.
        environ: Variables such as `LABELLOOP_LOOP_BATCH=20`.
        flags: Dotted names to values, such as `{"loop.batch": 20}`.

    Raises:
        ConfigError: A typo, a value of the wrong type, or a file that is not TOML; named with its line.
    """
    look_in(root)
    path = root / FILE
    text = read_text(path)
    written = _read(text, path)
    origins: dict[str, Origin] = dict.fromkeys(_leaves(written), "file")
    for name, value in _from_environment(environ).items():
        _put(written, name, value)
        origins[name] = "environment"
    for name, value in (flags or {}).items():
        _put(written, name, value)
        origins[name] = "flag"
    return Workspace(root, _valid(written, path, text, origins), origins)


def parse(text: str, path: Path) -> Config:
    """The configuration that a text is; `path` is where it comes from, for the words of an error.

    Raises:
        ConfigError: A typo, a value of the wrong type, or a file that is not TOML; named with its line.
    """
    return _valid(_read(text, path), path, text, {})


def values(workspace: Workspace) -> Iterator[tuple[str, Any, Origin]]:
    """Every value with its dotted name and its origin, as `labelloop config` shows them."""
    for name, value in _leaves(workspace.config.model_dump(mode="json")).items():
        yield name, value, workspace.origins.get(name, "default")


@contextmanager
def editing(root: Path) -> Iterator[tomlkit.TOMLDocument]:
    """Edit labelloop.toml in place: comments and order survive, other writers wait, readers see old or new.

    Raises:
        BusyError: Another process has been editing for ten seconds.
        ConfigError: The file is not valid, or would not be afterwards; it is untouched.
    """
    import tomlkit

    with _alone(root) as path:
        mark, text = _without_mark(read_text(path))
        _read(text, path)
        document = tomlkit.parse(text)
        yield document
        _replace_valid(path, mark + tomlkit.dumps(document))


def rewrite(root: Path, change: Callable[[str, Config], str]) -> None:
    """Change the text of labelloop.toml: other writers wait, readers and a crash see old or new.

    Args:
        root: The folder of the workspace.
        change: From the text, and what it says, to the new text. It may refuse by raising. A name that leads nowhere
            is no error yet: the change may be what corrects it.

    Raises:
        BusyError: Another process has been editing for ten seconds.
        ConfigError: The file is not valid, or would not be afterwards; it is untouched.
    """
    with _alone(root) as path:
        mark, text = _without_mark(read_text(path))
        changed = change(text, _typed(_read(text, path), path, text, {}))
        if changed != text:
            _replace_valid(path, mark + changed)


def make(root: Path, text: str) -> bool:
    """Write a labelloop.toml where there is none; whether it was written. Of several at once, one writes.

    Raises:
        BusyError: Another process has been editing for ten seconds.
    """
    with _locked(root) as path:
        if path.exists():
            return False
        replace_text(path, text)
        return True


def read_text(path: Path) -> str:
    """A text file with its line ends as they are; empty where there is none.

    Raises:
        ConfigError: It is not UTF-8, or may not be read.
    """
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error.reason} at byte {error.start}", "save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "check its permissions") from error


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader, and a crash, see the old one or the new one.

    Raises:
        ConfigError: The file or its folder may not be written.
    """
    path = Path(os.path.realpath(path))  # a link to itself has no end, and is replaced
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode)
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "check the disk and its permissions") from error
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"cannot write {path}: {error.object[error.start : error.end]!a} is no text",
            "correct the value, or the locale: LANG=C.UTF-8",
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _alone(root: Path) -> Iterator[Path]:
    """The path of the labelloop.toml that is there, while no other process edits it."""
    if not (root / FILE).is_file():
        raise NotFoundError(f"no {FILE} in {root}", "labelloop init")
    with _locked(root) as path:
        yield path


@contextmanager
def _locked(root: Path) -> Iterator[Path]:
    """The path of labelloop.toml, there or not, while no other process edits it."""
    path = root / FILE
    (root / STATE).mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with alone(root / STATE / "config.lock", 10, poll=0.01):
            for left in path.resolve().parent.glob(f".{FILE}.*.tmp"):  # by an editor that was killed
                left.unlink(missing_ok=True)
            yield path
    except TimeoutError:
        raise BusyError(f"another process is editing {path}", "try again in a moment") from None


def _replace_valid(path: Path, text: str) -> None:
    parse(text, path)
    replace_text(path, text)


def _without_mark(text: str) -> tuple[str, str]:
    """The byte order mark that some editors of Windows write first, and the text after it."""
    return ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)


def _read(text: str, path: Path) -> dict[str, Any]:
    """What a text says, of a version that this labelloop knows."""
    try:
        written = tomllib.loads(_without_mark(text)[1])
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", "correct the line and try again") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply to be read", "write its lists and tables flat") from None
    version = written.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        raise ConfigError(
            f"{path} is of version {version}, this labelloop knows up to {VERSION}", "pip install --upgrade labelloop"
        )
    return written


def _valid(written: Mapping[str, Any], path: Path, text: str, origins: Mapping[str, Origin]) -> Config:
    """The configuration, with every name in it leading somewhere."""
    config = _typed(written, path, text, origins)
    for loc, refused in _dangling(config):
        where = _place(path, text, loc, origins.get(".".join(loc), "file"), ".".join(loc))
        raise NotFoundError(f"{where}: {refused.message}", refused.hint)
    return _with_label_config(config, path, text, origins) if config.dataset.config else config


def _typed(written: Mapping[str, Any], path: Path, text: str, origins: Mapping[str, Origin]) -> Config:
    try:
        return Config.model_validate(written)
    except ValidationError as error:
        raise _explained(error, path, text, origins) from None


def _with_label_config(config: Config, path: Path, text: str, origins: Mapping[str, Origin]) -> Config:
    """The configuration with what a label config of its own says of the dataset."""
    name = config.dataset.config
    if key := own_config.said_twice(config):
        where = _place(path, text, key.split("."), origins.get(key, "file"), key)
        raise ConfigError(
            f"{where}: {key} is set, and dataset.config = {name!r} says what is asked",
            f"take out one of the two: {key}, or dataset.config",
        )
    file = own_config.file_of(path.parent, name)
    config._own = own_config.read(read_text(file), file, config.dataset.main)
    found = config.model_copy(update=own_config.implied(config, config._main(config._own)))
    found._own = config._own
    return found


def _dangling(config: Config) -> Iterator[tuple[Sequence[str], NotFoundError]]:
    """Names of stacks and components that lead nowhere: where, and why."""
    for name, stack in config.stacks.items():
        for kind in KINDS:
            component, known = getattr(stack, part_of(kind)), config.components(kind)
            if component not in known:
                yield ("stacks", name, part_of(kind)), unknown(kind, component, known)
    if config.active_stack not in config.stack_names():
        yield ("active_stack",), unknown("stack", config.active_stack, config.stack_names())


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        found.update(_leaves(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return found


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = value


def environment_names() -> dict[str, str]:
    """The environment variable of every setting that has one, by the dotted name of the setting."""
    names = {"active_stack": f"{PREFIX}ACTIVE_STACK"}
    for section, model in _sections():
        names.update({f"{section}.{key}": f"{PREFIX}{section}_{key}".upper() for key in model.model_fields})
    return names


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """The tables that are no lists of names, such as [loop]."""
    for section, field in Config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield section, field.annotation


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    variables = {variable: name for name, variable in environment_names().items()}
    sections = tuple(f"{PREFIX}{name}_".upper() for name, model in _sections() if issubclass(model, _Section))
    found: dict[str, Any] = {}
    for variable, raw in environ.items():
        if variable in variables:
            found[variables[variable]] = _split(variables[variable], raw)
        elif variable.startswith(sections):
            raise unknown("environment variable", variable, list(variables))
    return found


def _split(name: str, raw: str) -> Any:
    return [part.strip() for part in raw.split(",")] if name == "dataset.labels" else raw


def _explained(error: ValidationError, path: Path, text: str, origins: Mapping[str, Origin]) -> ConfigError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    where = _place(path, text, first["loc"], origins.get(name, "file"), name)
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{where}: unknown option {name!r}", _known_beside(first["loc"]))
    if first["type"] == "tuple_type":
        parts = [part.strip() for part in str(first["input"]).split(",")]
        return ConfigError(
            f"{where}: {name} = {first['input']!r} is not a list",
            f"{first['loc'][-1]} = {json.dumps(parts, ensure_ascii=False)}",
        )
    if first["type"] == "string_type":
        return ConfigError(
            f"{where}: {name} = {first['input']!r} is not a text", f'write it in quotes: "{first["input"]}"'
        )
    return ConfigError(f"{where}: {name} = {first['input']!r}: {first['msg']}", "correct the value and try again")


def _known_beside(loc: Sequence[int | str]) -> str:
    model: Any = Config
    for part in loc[:-1]:
        field = getattr(model, "model_fields", {}).get(str(part))
        model = field.annotation if field else StackConfig
    known = list(getattr(model, "model_fields", {}))
    return unknown("option", str(loc[-1]), known).hint


def _place(path: Path, text: str, loc: Sequence[int | str], origin: Origin, name: str) -> str:
    if origin == "environment":
        return f"environment variable {environment_names().get(name, name)}"
    if origin == "flag":
        return f"flag --set {name}"
    return where(path, text, [part for part in loc if isinstance(part, str)])


def where(path: Path, text: str, loc: Sequence[str]) -> str:
    """The file, and the line and column of a key or, where it is not written, of its table."""
    for end in range(len(loc), 0, -1):
        if found := place(text, loc[:end]):
            return f"{path}, line {found[0]}, column {found[1]}"
    return str(path)
