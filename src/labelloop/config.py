"""labelloop.toml: the loop and every stack, with where each value comes from (default, file, environment, flag)."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labelloop.errors import BusyError, ConfigError, NotFoundError
from labelloop.registry import Kind, unknown
from labelloop.types import LabelSchema, Modality, Task

if TYPE_CHECKING:
    import tomlkit

FILE = "labelloop.toml"
STATE = ".labelloop"
PREFIX = "LABELLOOP_"
Origin = Literal["default", "file", "environment", "flag"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetConfig(_Section):
    """What is asked about."""

    name: str = ""
    modality: Modality = "image"
    task: Task = "single-choice"
    labels: tuple[str, ...] = ()
    instruction: str = ""

    def schema_of(self) -> LabelSchema:
        """The label schema people answer by."""
        return LabelSchema(self.modality, self.labels, self.task, instruction=self.instruction)


class LoopConfig(_Section):
    """When to learn, and what to ask next."""

    batch: Annotated[int, Field(ge=1)] = 50
    rounds: Annotated[int, Field(ge=0)] = 0
    budget: Annotated[int, Field(ge=0)] = 0
    enough: Annotated[float, Field(gt=0, le=1)] = 1.0
    selector: str = "uherding"
    cold_start: str = "centroids"
    random_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    belief: Literal["newest", "majority"] = "newest"
    seed: int = 0


class HoldoutConfig(_Section):
    """The protected random set that the score comes from."""

    share: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    size: Annotated[int, Field(ge=0)] = 200
    per_round: Annotated[int, Field(ge=1)] = 50


class LearnerConfig(BaseModel):
    """Which learner; every other key is an option of that flavor."""

    model_config = ConfigDict(extra="allow", frozen=True)
    flavor: str = "frozen"

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the flavor."""
        return self.__pydantic_extra__ or {}


class LedgerConfig(_Section):
    """Where the ledger lives; empty is a SQLite file in the workspace."""

    url: str = ""


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
    secrets_manager: str = "default"
    annotator: str = "default"
    orchestrator: str = "default"


_BUILT_IN = {
    "artifact-store": ComponentConfig(flavor="local"),
    "secrets-manager": ComponentConfig(flavor="local"),
    "annotator": ComponentConfig(flavor="label_studio"),
    "orchestrator": ComponentConfig(flavor="local"),
}


class Config(_Section):
    """The whole file."""

    active_stack: str = "default"
    dataset: DatasetConfig = DatasetConfig()
    loop: LoopConfig = LoopConfig()
    holdout: HoldoutConfig = HoldoutConfig()
    learner: LearnerConfig = LearnerConfig()
    ledger: LedgerConfig = LedgerConfig()
    stacks: Mapping[str, StackConfig] = Field(default_factory=dict)
    artifact_stores: Mapping[str, ComponentConfig] = Field(default_factory=dict)
    secrets_managers: Mapping[str, ComponentConfig] = Field(default_factory=dict)
    annotators: Mapping[str, ComponentConfig] = Field(default_factory=dict)
    orchestrators: Mapping[str, ComponentConfig] = Field(default_factory=dict)

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

    def components(self, kind: Kind) -> Mapping[str, ComponentConfig]:
        """The components of one kind, the built-in `default` included."""
        registered: Mapping[str, ComponentConfig] = getattr(self, table_of(kind))
        return {"default": _BUILT_IN[kind], **registered}

    def component(self, kind: Kind, name: str) -> ComponentConfig:
        """One component.

        Raises:
            NotFoundError: There is none of this name and kind.
        """
        found = self.components(kind)
        if name not in found:
            raise unknown(kind, name, list(found))
        return found[name]


def table_of(kind: Kind) -> str:
    """The table of labelloop.toml that holds components of this kind."""
    return kind.replace("-", "_") + "s"


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


def find_root(start: Path) -> Path:
    """The nearest folder upwards with a labelloop.toml.

    Raises:
        NotFoundError: There is none.
    """
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    raise NotFoundError(f"no {FILE} in {start} or above", "labelloop init")


def load(root: Path, environ: Mapping[str, str] = os.environ, flags: Mapping[str, Any] | None = None) -> Workspace:
    """Read a workspace: default < file < environment < flag.

    Args:
        root: The folder with the labelloop.toml.
        environ: Variables such as `LABELLOOP_LOOP_BATCH=20`.
        flags: Dotted names to values, such as `{"loop.batch": 20}`.

    Raises:
        ConfigError: A typo, a value of the wrong type, or a file that is not TOML; named with its line.
    """
    path = root / FILE
    text = path.read_text("utf-8") if path.is_file() else ""
    try:
        written = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", "correct the line and try again") from None
    origins: dict[str, Origin] = dict.fromkeys(_leaves(written), "file")
    for name, value in _from_environment(environ).items():
        _put(written, name, value)
        origins[name] = "environment"
    for name, value in (flags or {}).items():
        _put(written, name, value)
        origins[name] = "flag"
    try:
        return Workspace(root, Config.model_validate(written), origins)
    except ValidationError as error:
        raise _explained(error, path, text, origins) from None


def values(workspace: Workspace) -> Iterator[tuple[str, Any, Origin]]:
    """Every value with its dotted name and its origin, as `labelloop config` shows them."""
    for name, value in _leaves(workspace.config.model_dump(mode="json")).items():
        yield name, value, workspace.origins.get(name, "default")


@contextmanager
def editing(root: Path) -> Iterator[tomlkit.TOMLDocument]:
    """Edit labelloop.toml in place: comments and order survive, other writers wait, readers see old or new.

    Raises:
        BusyError: Another process has been editing for ten seconds.
        ConfigError: The result would not be a valid configuration; the file is untouched.
    """
    import tomlkit
    from filelock import FileLock, Timeout

    (root / STATE).mkdir(parents=True, exist_ok=True)
    path = root / FILE
    try:
        with FileLock(root / STATE / "config.lock", timeout=10):
            document = tomlkit.parse(path.read_text("utf-8") if path.exists() else "")
            yield document
            text = tomlkit.dumps(document)
            _validated(text, path)
            replace_text(path, text)
    except Timeout:
        raise BusyError(f"another process is editing {path}", "try again in a moment") from None


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader, and a crash, see the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _validated(text: str, path: Path) -> None:
    try:
        Config.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise _explained(error, path, text, {}) from None


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


def _settable() -> dict[str, str]:
    names = {"active_stack": f"{PREFIX}ACTIVE_STACK"}
    for section, field in Config.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            names.update({f"{section}.{key}": f"{PREFIX}{section}_{key}".upper() for key in model.model_fields})
    return names


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    variables = {variable: name for name, variable in _settable().items()}
    found: dict[str, Any] = {}
    for variable, raw in environ.items():
        if variable in variables:
            found[variables[variable]] = _split(variables[variable], raw)
        elif variable.startswith(_SECTION_PREFIXES):
            raise unknown("environment variable", variable, list(variables))
    return found


_SECTION_PREFIXES = tuple(f"{PREFIX}{section}_" for section in ("DATASET", "LOOP", "HOLDOUT", "LEDGER"))


def _split(name: str, raw: str) -> Any:
    return [part.strip() for part in raw.split(",")] if name == "dataset.labels" else raw


def _explained(error: ValidationError, path: Path, text: str, origins: Mapping[str, Origin]) -> ConfigError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    where = _place(path, text, first["loc"], origins.get(name, "file"), name)
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{where}: unknown option {name!r}", _known_beside(first["loc"]))
    return ConfigError(f"{where}: {name} = {first['input']!r}: {first['msg']}", "labelloop config shows every value")


def _known_beside(loc: Sequence[int | str]) -> str:
    model: Any = Config
    for part in loc[:-1]:
        field = getattr(model, "model_fields", {}).get(str(part))
        model = field.annotation if field else StackConfig
    known = list(getattr(model, "model_fields", {}))
    return unknown("option", str(loc[-1]), known).hint


def _place(path: Path, text: str, loc: Sequence[int | str], origin: Origin, name: str) -> str:
    if origin == "environment":
        return f"environment variable {_settable().get(name, name)}"
    if origin == "flag":
        return f"flag --set {name}"
    section, key = ".".join(str(part) for part in loc[:-1]), str(loc[-1])
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            current = header[1].strip()
        if current == section and (found := re.match(rf'\s*("?){re.escape(key)}\1\s*=', line)):
            return f"{path}, line {number}, column {found.end() - len(found[0].lstrip()) + 1}"
    return str(path)
