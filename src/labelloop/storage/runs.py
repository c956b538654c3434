"""Steps and runs: execute a function on the orchestrator unless its result is known, and remember the result.

A step's key is made of its qualified name, its source text, its `version` and the content of its arguments. The source
of what it *calls* is not seen: raise `version` when a helper changes what the step returns. A step with a `name` counts
by name and version alone: it may move and be rewritten. All of ours have one.

Two parameters are supplied by the run to steps that have them and were not given them: `out: Path`, a fresh empty
folder that becomes the result, and `progress`, which is told about long work. Neither is part of the key.
"""

from __future__ import annotations

import inspect
import json
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date
from enum import Enum
from errno import EDQUOT, ENOSPC
from functools import lru_cache
from hashlib import blake2b, file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, Protocol, TypeVar, get_type_hints, overload

import numpy as np

from labelloop.errors import BackendError, ConfigError, LabelLoopError, StepError
from labelloop.protocols import Orchestrator, Progress, silent
from labelloop.storage.artifacts import Artifacts, Ref, address, is_frozen, is_table, kind_of_type
from labelloop.storage.former_keys import FORMER
from labelloop.types.names import counts, name_of

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MARK = "__labelloop_step__"
SUPPLIED = ("out", "progress")


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How a step is run.

    Attributes:
        cache: Whether an earlier result under the same key is taken instead of executing.
        version: Part of the key; raise it when something changes that the key cannot see.
        ignore: Parameters that do not change the result, and so are not part of the key.
        name: What the step counts by, in place of its module and source; empty: by these.
    """

    cache: bool = True
    version: str = ""
    ignore: tuple[str, ...] = ()
    name: str = ""


_UNMARKED = StepOptions()


@overload
def step(fn: F, /) -> F: ...
@overload
def step(*, cache: bool = True, version: str = "", ignore: Sequence[str] = (), name: str = "") -> Callable[[F], F]: ...
def step(
    fn: Any = None, /, *, cache: bool = True, version: str = "", ignore: Sequence[str] = (), name: str = ""
) -> Any:
    """Mark a function as a step, `@step` or `@step(version="2")`; it stays the same function.

    With a `name` it counts by that and its version alone: raise the version whenever what it returns changes.

    Raises:
        ConfigError: `ignore` names a parameter the function does not have.
    """
    options = StepOptions(cache, version, tuple(ignore), name)
    if fn is None:
        return lambda wrapped: _mark(wrapped, options)
    return _mark(fn, options)


@dataclass
class Line:
    """What a run tells about one step, or about several that belong together; `str` is a line to print.

    Attributes:
        seconds: What it took, whether or not the result was known.
        cached: Of each step inside, whether its result was known.
        words: What came of it.
    """

    name: str
    seconds: float = 0.0
    cached: list[bool] = field(default_factory=list)
    words: str = ""

    @property
    def how(self) -> str:
        """`cached` if every step inside was, `3 of 5 cached` if some were, else `executed`."""
        known = sum(self.cached)
        if not known:
            return "executed"
        return "cached" if known == len(self.cached) else f"{known} of {len(self.cached)} cached"

    def __str__(self) -> str:
        return f"{self.name.replace('_', ' '):<32} {self.seconds:7.2f} s  {self.how:<10}  {self.words}".rstrip()


def nobody(line: Line) -> None:
    """Whom a run tells that nobody listens to."""


class Memory(Protocol):
    """What was executed before."""

    def recall(self, key: str) -> str | None:
        """The reference of the result under `key`, if there is one."""
        ...

    def remember(self, key: str, *, step: str, ref: str, seconds: float) -> None:
        """Keep the reference of a result; a later one under the same key replaces it."""
        ...


@dataclass(frozen=True)
class Artifact(Generic[T_co]):
    """The result of a step, or any stored value: give it to the next step as it is, so that nothing is hashed again.

    Attributes:
        ref: Where the value is.
        cached: Whether it was there already.
        seconds: What executing took; 0 when cached.
    """

    ref: Ref
    artifacts: Artifacts
    declared: Any = Any
    cached: bool = True
    seconds: float = 0.0

    @property
    def value(self) -> T_co:
        """The value, read when asked for; not to be changed."""
        value: T_co = self.artifacts.get(self.ref, self.declared)
        return value


class Run:
    """Executes steps: `run(train, learner, examples)`.

    Args:
        artifacts: Where results go.
        memory: What was executed before.
        orchestrator: Where steps execute.
        progress: Told (step, 0, 1) and (step, 1, 1) around what is executed, and given to steps that want it.
        tell: Told each step when it has ended.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        memory: Memory,
        orchestrator: Orchestrator,
        progress: Progress = silent,
        tell: Callable[[Line], None] = nobody,
    ) -> None:
        self._artifacts = artifacts
        self._memory = memory
        self._orchestrator = orchestrator
        self._progress = progress
        self.tell = tell
        self._around: Line | None = None

    def __call__(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Artifact[T]:
        """The result of `fn` with these arguments, executed unless it is known and still in the store.

        Arguments may be results of earlier steps (also inside lists, tuples and dicts), plain data, frozen
        dataclasses, arrays, Arrow tables, folders and files (`Path`), module-level functions, and whatever has a
        `fingerprint`.

        Raises:
            StepError: The step raised; `__cause__` is what it raised.
            ConfigError: An argument has no fingerprint, the step cannot be called or stored like this.
            LabelLoopError: What the step raised, when it was one.
        """
        made = _anatomy(fn)
        options: StepOptions = getattr(fn, MARK, _UNMARKED)
        bound = _bind(made, args, kwargs)
        with self.telling(made.name) as line:
            facts = _facts(fn, made, options, bound) if options.cache else None
            key = _key(facts) if facts else ""
            known = self._known(facts) if facts else None
            line.cached = [known is not None]
            if known is not None:
                return Artifact(known, self._artifacts, made.returns)
            return self._execute(fn, made, bound, key)

    @contextmanager
    def telling(self, name: str) -> Iterator[Line]:
        """Tell the block, with every step that runs inside it, as one line of this name; its `words` are yours."""
        line, around = Line(name), self._around
        self._around = line
        began = time.perf_counter()
        try:
            yield line
        finally:
            self._around = around
        line.seconds = time.perf_counter() - began
        if around is None:
            self.tell(line)
        else:
            around.cached += line.cached

    def artifact(self, ref: Ref, declared: Any = Any) -> Artifact[Any]:
        """A handle on a stored value, to give to a step or to read."""
        return Artifact(ref, self._artifacts, declared)

    def _known(self, facts: Any) -> Ref | None:
        for key in keys_of(facts):
            said = self._memory.recall(key)
            if said is not None and self._artifacts.has(ref := Ref.parse(said)):
                return ref
        return None

    def _execute(self, fn: Callable[..., T], made: _Anatomy, bound: inspect.BoundArguments, key: str) -> Artifact[T]:
        if made.wants("progress") and "progress" not in bound.arguments:
            bound.arguments["progress"] = self._progress
        words = made.name.replace("_", " ")
        self._progress(words, 0, 1)
        try:
            future = self._orchestrator.submit(execute, fn, bound.args, bound.kwargs, self._artifacts)
            ref, seconds = future.result()
        except LabelLoopError:
            raise
        except Exception as error:
            raise _told(made.name, error) from error
        self._progress(words, 1, 1)
        if key:
            self._memory.remember(key, step=made.name, ref=str(ref), seconds=seconds)
        return Artifact(ref, self._artifacts, made.returns, cached=False, seconds=seconds)


def execute(
    fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], artifacts: Artifacts
) -> tuple[Ref, float]:
    """What a worker does: read the arguments that are results, call the step, store what it returns.

    Returns:
        The reference of the result, and the seconds the call took.
    """
    made = _anatomy(fn)
    values = [_read(one) for one in args]
    named = {name: _read(one) for name, one in kwargs.items()}
    began = time.perf_counter()
    if not made.wants("out"):
        result = fn(*values, **named)
        return _store(made, result, artifacts), time.perf_counter() - began
    with TemporaryDirectory(prefix="labelloop-") as folder:
        out = Path(folder)
        returned = fn(*values, **named, out=out)
        if returned not in (None, out):
            raise ConfigError(f"step {made.name!r} was given the folder `out` and returned {returned!r}", "return out")
        return _store(made, out, artifacts), time.perf_counter() - began


def fingerprint(value: Any, what: str = "the value") -> Any:
    """Plain data that differs whenever a step could see a difference between two values.

    Dictionaries keep their order: steps may depend on it. A dataclass gives its class, the source of its class and
    its fields, except those with `compare=False`; one of ours the name of its class and its fields.

    Raises:
        ConfigError: There is none for such a value; the message begins with `what`.
    """
    if isinstance(value, Artifact):
        return ["stored", str(value.ref)]
    if isinstance(value, Enum):
        return ["enum", _qualified(type(value)), value.name]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return ["list", [fingerprint(one, f"{what}[{i}]") for i, one in enumerate(value)]]
    if isinstance(value, Mapping):
        pairs = value.items()
        return ["dict", [[fingerprint(k, what), fingerprint(v, f"{what}[{k!r}]")] for k, v in pairs]]
    return _fingerprint_of_object(value, what)


def _fingerprint_of_object(value: Any, what: str) -> Any:
    own = getattr(value, "fingerprint", None)
    if isinstance(own, str):
        return ["own", _Code(name_of(type(value)) or _qualified(type(value))), own]
    if is_frozen(value):
        told = {f.name: getattr(value, f.name) for f in fields(value) if counts(f, getattr(value, f.name))}
        inside = {name: fingerprint(one, f"{what}.{name}") for name, one in told.items()}
        return ["dataclass", _code(type(value)), inside]
    if isinstance(value, np.ndarray) or is_table(type(value)) or (isinstance(value, Path) and value.is_dir()):
        return ["stored", str(_address(value, what))]
    if isinstance(value, Path):
        return ["file", _digest_of_file(value, what)]
    if isinstance(value, np.generic):
        return ["scalar", value.dtype.str, fingerprint(value.item(), what)]
    if isinstance(value, bytes):
        return ["bytes", blake2b(value, digest_size=16).hexdigest()]
    if isinstance(value, date):
        return ["date", value.isoformat()]
    if inspect.isfunction(value):
        return ["function", _code(_without_captures(value, what))]
    raise ConfigError(
        f"{what} is a {_qualified(type(value))}, which has no fingerprint to cache by",
        "make it plain data or a frozen dataclass, give it a `fingerprint` property of type str, or leave it out "
        'of the key: @step(ignore=("name",))',
    )


@dataclass(frozen=True, slots=True)
class _Anatomy:
    name: str
    signature: inspect.Signature
    returns: Any

    def wants(self, parameter: str) -> bool:
        return parameter in self.signature.parameters


@lru_cache(maxsize=1024)
def _anatomy(fn: Callable[..., Any]) -> _Anatomy:
    if not inspect.isfunction(fn):
        raise ConfigError(f"{fn!r} is not a plain function", "write the step as a function of a module")
    made = _Anatomy(fn.__name__, inspect.signature(fn), _returns(fn))
    if made.wants("out") and kind_of_type(made.returns) != "folder":
        raise ConfigError(
            f"step {made.name!r} has a parameter `out` and does not return a Path",
            "annotate it `-> Path` and return out",
        )
    return made


def _mark(fn: F, options: StepOptions) -> F:
    known = inspect.signature(fn).parameters
    for name in options.ignore:
        if name not in known:
            raise ConfigError(
                f"step {fn.__name__!r} ignores {name!r}, and has no such parameter", f"it has: {', '.join(known)}"
            )
    setattr(fn, MARK, options)
    return fn


def _returns(fn: types.FunctionType) -> Any:
    if "return" not in fn.__annotations__:
        raise ConfigError(
            f"step {fn.__name__!r} does not say what it returns",
            "annotate it, such as `-> np.ndarray`: the annotation chooses how the result is stored",
        )
    only = types.SimpleNamespace(__annotations__={"return": fn.__annotations__["return"]})
    try:
        return get_type_hints(only, fn.__globals__)["return"]
    except NameError as error:
        raise ConfigError(
            f"the return annotation of step {fn.__name__!r} cannot be resolved: {error}",
            "import its type where the step is defined, not only under TYPE_CHECKING or inside a function",
        ) from None


def _bind(made: _Anatomy, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
    hint = f"it is {made.name}{made.signature}"
    if made.wants("out") and "out" in kwargs:
        raise ConfigError(f"step {made.name!r} was given `out`, which the run supplies", "leave `out` out")
    try:
        bound = made.signature.bind_partial(*args, **kwargs)
    except TypeError as error:
        raise ConfigError(f"step {made.name!r} cannot be called like this: {error}", hint) from None
    bound.apply_defaults()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for name, parameter in made.signature.parameters.items():
        if name not in bound.arguments and name not in SUPPLIED and parameter.kind not in variadic:
            raise ConfigError(f"step {made.name!r} was not given {name!r}", hint)
    return bound


def _facts(fn: Callable[..., Any], made: _Anatomy, options: StepOptions, bound: inspect.BoundArguments) -> list[Any]:
    """All that a step's result depends on, as plain data."""
    ignored = {*options.ignore, *SUPPLIED}
    inputs = {
        name: fingerprint(value, f"argument {name!r} of step {made.name!r}")
        for name, value in bound.arguments.items()
        if name not in ignored
    }
    code = _Code(options.name) or _code(_without_captures(fn, f"step {made.name!r}"))
    result = _code(made.returns) if is_dataclass(made.returns) else ""
    return [code, result, options.version, inputs]


def _key(facts: Any) -> str:
    return blake2b(json.dumps(facts).encode("ascii"), digest_size=16).hexdigest()


def keys_of(facts: Any) -> Iterator[str]:
    """The key of a step's facts, then those under which older versions kept its result."""
    yield from dict.fromkeys([_key(facts), *(_key(_formerly(facts, codes)) for codes in FORMER)])


def _formerly(facts: Any, codes: Mapping[str, str]) -> Any:
    if isinstance(facts, _Code):
        return codes.get(facts, facts)
    if isinstance(facts, list):
        return [_formerly(one, codes) for one in facts]
    return {key: _formerly(one, codes) for key, one in facts.items()} if isinstance(facts, dict) else facts


class _Code(str):
    """What stands for a step or a class in facts: a name, or where it is and a digest of its source."""

    __slots__ = ()


def _without_captures(fn: Any, what: str) -> Any:
    captured: Sequence[str] = fn.__code__.co_freevars
    if not captured:
        return fn
    raise ConfigError(
        f"{what} uses {captured[0]!r} of the function around it, which the cache cannot see",
        f"pass {captured[0]!r} as an argument, or mark it @step(cache=False)",
    )


def _code_of(thing: Any) -> _Code:
    """The name of a class that has one, else qualified name and digest of the source of a function or class."""
    if isinstance(thing, type) and (name := name_of(thing)):
        return _Code(name)
    try:
        source = inspect.getsource(thing)
    except (OSError, TypeError):
        source = _bytecode(thing)
    digest = blake2b(source.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return _Code(f"{_qualified(thing)} {digest}")


_code: Callable[[Any], _Code] = lru_cache(maxsize=1024)(_code_of)


def _bytecode(thing: Any) -> str:
    """What is left where there is no source, as in an interactive session."""
    if isinstance(thing, type):
        inside = [_bytecode(one) for one in vars(thing).values() if inspect.isfunction(one)]
        return repr([sorted(vars(thing)), inside])
    return repr(_instructions(thing.__code__))


def _instructions(code: types.CodeType) -> list[Any]:
    constants = [_instructions(one) if isinstance(one, types.CodeType) else repr(one) for one in code.co_consts]
    return [code.co_code, constants, code.co_names, code.co_varnames]


def _qualified(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _address(value: Any, what: str) -> Ref:
    try:
        return address(value)
    except ConfigError as error:
        raise ConfigError(f"{what}: {error.message}", error.hint) from error


def _digest_of_file(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise ConfigError(f"{what} is {path}, which cannot be read: {error.strerror}", "correct the path") from None


def _read(argument: Any) -> Any:
    if isinstance(argument, Artifact):
        return argument.value
    if type(argument) in (list, tuple):
        return type(argument)(_read(one) for one in argument)
    if type(argument) is dict:
        return {key: _read(one) for key, one in argument.items()}
    return argument


def _store(made: _Anatomy, result: Any, artifacts: Artifacts) -> Ref:
    try:
        return artifacts.put(result, made.returns)
    except ConfigError as error:
        raise ConfigError(f"the result of step {made.name!r}: {error.message}", error.hint) from error


def _told(name: str, error: Exception) -> LabelLoopError:
    """What a step raised, in terms of what to do about it."""
    if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
        return BackendError(f"step {name!r} found the disk full: {error}", "free space, then run again")
    frames = traceback.extract_tb(error.__traceback__)
    where = f"raised at {frames[-1].filename}:{frames[-1].lineno}; " if frames else ""
    return StepError(
        f"step {name!r} failed: {type(error).__name__}: {error}",
        f"{where}correct it and run again: finished steps are not repeated",
    )
