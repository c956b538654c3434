"""A step is executed once per code, version and content of its arguments, and its failures name it."""

from __future__ import annotations

import errno
import linecache
import pickle
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from labelloop.backends.local_orchestrator import LocalOrchestrator
from labelloop.backends.local_store import LocalArtifactStore
from labelloop.errors import BackendError, ConfigError, NotFoundError, StepError
from labelloop.protocols import Progress
from labelloop.storage.artifacts import Artifacts
from labelloop.storage.runs import Artifact, Run, execute, fingerprint, step
from labelloop.testing.orchestrators import DictMemory
from labelloop.testing.stores import MemoryStore

CALLS: list[Any] = []


@dataclass(frozen=True)
class Recipe:
    strength: float = 1.0
    seen: int = field(default=0, compare=False)


@dataclass(frozen=True)
class OtherRecipe:
    strength: float = 1.0


@dataclass(frozen=True)
class Score:
    mean: float
    parts: tuple[float, ...]


class Network:
    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint


class Color(Enum):
    RED = 1
    BLUE = 2


@step
def double(numbers: np.ndarray) -> np.ndarray:
    CALLS.append("double")
    return numbers * 2


@step
def take(value: Any, other: Any = None) -> int:
    CALLS.append(value)
    return len(CALLS)


@step
def score(values: Sequence[Any]) -> Score:
    total = sum(float(np.sum(value)) for value in values)
    return Score(total / len(values), (total,))


@step
def train(recipe: Recipe, out: Path, progress: Progress) -> Path:
    CALLS.append("train")
    progress("epochs", 1, 1)
    (out / "head.txt").write_text(str(recipe.strength))
    return out


@step
def weight(model: Path) -> float:
    return float((model / "head.txt").read_text())


@step
def rows(table: pa.Table) -> pa.Table:
    return table.append_column("n", pa.array(range(len(table))))


@step(ignore=("hint",))
def hinted(value: int, hint: object) -> int:
    CALLS.append(hint)
    return value


@step(cache=False)
def now(value: int) -> int:
    CALLS.append("now")
    return value


@step
def fail(error: str) -> int:
    CALLS.append("fail")
    raise {"value": ValueError("bad"), "ours": NotFoundError("no model", "train"), "stop": KeyboardInterrupt()}[error]


@pytest.fixture(autouse=True)
def forget_calls() -> Iterator[None]:
    CALLS.clear()
    yield
    CALLS.clear()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def memory() -> DictMemory:
    return DictMemory()


@pytest.fixture
def run(store: MemoryStore, memory: DictMemory, tmp_path: Path) -> Run:
    return Run(Artifacts(store, tmp_path / "cache"), memory, LocalOrchestrator())


def defined(source: str, name: str = "made") -> Any:
    """A function of this source, as an edited module would have it."""
    file = f"<{hash(source)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    module = types.ModuleType("edited")
    exec(compile(source, file, "exec"), module.__dict__)
    return getattr(module, name)


def test_a_step_is_the_same_function() -> None:
    def plain(a: int) -> int:
        return a + 1

    marked = step(plain)

    assert marked is plain
    assert step(version="2")(plain) is plain
    assert plain(1) == 2


def test_a_second_run_takes_the_result_of_the_first(run: Run, memory: DictMemory) -> None:
    first = run(double, np.arange(3))
    second = run(double, np.arange(3))

    assert (first.cached, second.cached) == (False, True)
    assert first.ref == second.ref
    assert second.value.tolist() == [0, 2, 4]
    assert CALLS == memory.steps == ["double"]


def test_results_are_given_on_without_reading_them(run: Run) -> None:
    doubled = run(double, np.arange(3))

    assert run(double, doubled).value.tolist() == [0, 4, 8]
    assert run(double, doubled.value).cached


def test_results_inside_of_lists_and_dicts_are_read_for_the_step(run: Run) -> None:
    one, two = run(double, np.arange(3)), run(double, np.arange(4))

    result = run(score, [one, two])

    assert result.value == Score(9.0, (18.0,))
    assert run(score, [one, two]).value == result.value
    assert not run(score, [two, one]).cached


def test_a_stored_value_is_an_argument(run: Run) -> None:
    ref = run(double, np.arange(3)).ref

    handle = run.artifact(ref)

    assert handle.value.tolist() == [0, 2, 4]
    assert run(double, handle).value.tolist() == [0, 4, 8]


def test_the_folder_a_step_wrote_is_its_result(run: Run) -> None:
    model = run(train, Recipe(0.5))

    assert (model.value / "head.txt").read_text() == "0.5"
    assert run(weight, model).value == 0.5
    assert run(train, Recipe(0.5)).cached


def test_a_table_goes_through_a_step(run: Run) -> None:
    assert run(rows, pa.table({"a": ["x", "y"]})).value.column("n").to_pylist() == [0, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (1, 1.0),
        (1, True),
        (1, "1"),
        (None, "None"),
        ([1, 2], [2, 1]),
        ([1], [[1]]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Recipe(1.0), Recipe(2.0)),
        (Recipe(1.0), OtherRecipe(1.0)),
        ([Recipe(1.0)], [Recipe(2.0)]),
        (Network("a"), Network("b")),
        (Color.RED, Color.BLUE),
        (b"a", b"b"),
        (np.arange(3), np.arange(3.0)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.float32(1), np.float64(1)),
        (np.int64(1), np.int32(1)),
        (pa.table({"a": [1]}), pa.table({"a": [2]})),
        (double, take),
    ],
)
def test_another_argument_executes_again(run: Run, one: Any, other: Any) -> None:
    run(take, one)

    assert run(take, one).cached
    assert not run(take, other).cached


def test_an_argument_by_name_or_by_default_is_the_same_argument(run: Run) -> None:
    run(take, 1)

    assert run(take, value=1).cached
    assert run(take, 1, None).cached
    assert run(take, other=None, value=1).cached


def test_fields_that_do_not_compare_do_not_count(run: Run) -> None:
    run(take, Recipe(1.0, seen=1))

    assert run(take, Recipe(1.0, seen=2)).cached


def test_a_path_counts_by_its_content(run: Run, tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "folder" / "a.txt"
    folder.mkdir()
    file.write_text("1")
    run(take, folder)
    run(take, file)

    assert run(take, folder).cached
    assert run(take, file).cached
    file.write_text("2")
    assert not run(take, folder).cached
    assert not run(take, file).cached


def test_ignored_arguments_do_not_count(run: Run) -> None:
    run(hinted, 1, object())

    assert run(hinted, 1, object()).cached


def test_a_step_that_is_not_cached_executes_each_time(run: Run, memory: DictMemory) -> None:
    assert not run(now, 1).cached
    assert not run(now, 1).cached
    assert memory.refs == {}


def test_other_source_executes_again(run: Run) -> None:
    before, same, after = (defined(f"def made(a: int) -> int:\n    return a + {n}\n") for n in (1, 1, 2))
    run(before, 1)

    assert run(same, 1).cached
    assert run(after, 1).value == 3


def test_another_version_executes_again(run: Run) -> None:
    source = "def made(a: int) -> int:\n    return a\n"
    run(step(version="1")(defined(source)), 1)

    assert not run(step(version="2")(defined(source)), 1).cached


def test_without_source_the_bytecode_counts(run: Run) -> None:
    def typed_in(n: int) -> Any:
        return defined(f"def made(a: int) -> int:\n    return a + {n}\n")

    functions = [typed_in(n) for n in (1, 1, 2)]
    linecache.clearcache()
    run(functions[0], 1)

    assert run(functions[1], 1).cached
    assert run(functions[2], 1).value == 3


def test_a_result_that_vanished_from_the_store_is_made_again(run: Run, store: MemoryStore) -> None:
    run(train, Recipe())
    del store.bodies[next(key for key in store.bodies if key.startswith("file/"))]

    again = run(train, Recipe())

    assert not again.cached
    assert again.artifacts.has(again.ref)


def test_progress_reaches_the_step_and_tells_what_executes(memory: DictMemory, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    artifacts = Artifacts(MemoryStore(), tmp_path)
    run = Run(artifacts, memory, LocalOrchestrator(), lambda *what: told.append(what))

    run(train, Recipe())
    run(train, Recipe())

    assert told == [("train", 0, 1), ("epochs", 1, 1), ("train", 1, 1)]


def test_a_step_that_raises_is_named_and_executes_again(run: Run, memory: DictMemory) -> None:
    for _ in range(2):
        with pytest.raises(StepError, match="step 'fail' failed: ValueError: bad") as caught:
            run(fail, "value")

    assert isinstance(caught.value.__cause__, ValueError)
    assert "test_runs.py" in caught.value.hint
    assert CALLS == ["fail", "fail"]
    assert memory.refs == {}


def test_our_own_errors_pass_unchanged(run: Run) -> None:
    with pytest.raises(NotFoundError, match=r"^no model$"):
        run(fail, "ours")


def test_ctrl_c_passes(run: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(fail, "stop")


def test_a_full_disk_in_a_step_is_the_machines_fault(run: Run) -> None:
    def fill() -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(BackendError, match="step 'fill' found the disk full"):
        run(fill)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "argument 'value' of step 'take' is a builtins.object"),
        ({"a": [object()]}, r"argument 'value' of step 'take'\['a'\]\[0\] is a builtins.object"),
        (np.array([object()]), "argument 'value' of step 'take': an array of dtype object"),
        (partial(double), "is a functools.partial"),
        ({1, 2}, "is a builtins.set"),
        (Path("/nowhere"), "/nowhere, which cannot be read"),
    ],
)
def test_an_argument_without_a_fingerprint_is_refused(run: Run, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        run(take, value)

    assert caught.value.hint


def returns_nothing_said(a: int):  # type: ignore[no-untyped-def]
    return a


def returns_something_else(a: int) -> np.ndarray:
    return [a]  # type: ignore[return-value]


def returns_unknown(a: int) -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821, UP037
    return a


def writes_without_returning(a: int, out: Path) -> None: ...


def returns_another_folder(a: int, out: Path) -> Path:
    return out.parent


def returns_an_object(a: int) -> object:
    return object()


@pytest.mark.parametrize(
    ("fn", "says"),
    [
        (returns_nothing_said, "does not say what it returns"),
        (returns_something_else, "'returns_something_else': ndarray was declared, list was returned"),
        (returns_unknown, "cannot be resolved: name 'Nowhere'"),
        (writes_without_returning, "does not return a Path"),
        (returns_another_folder, "was given the folder `out` and returned"),
        (returns_an_object, "cannot be stored"),
        (partial(double), "not a plain function"),
        (lambda: 1, "does not say"),
    ],
)
def test_a_function_that_cannot_be_a_step_is_refused(run: Run, fn: Callable[..., Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        run(fn, 1)

    assert caught.value.hint


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((), {}, "was not given 'value'"),
        ((1, 2, 3), {}, "too many"),
        ((1,), {"odd": 1}, "unexpected keyword argument 'odd'"),
    ],
)
def test_a_call_that_does_not_fit_is_refused(
    run: Run, args: Sequence[Any], kwargs: Mapping[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        run(take, *args, **kwargs)


def test_the_folder_of_a_step_is_supplied_by_the_run_alone(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="which the run supplies"):
        run(train, Recipe(), out=tmp_path)


def test_ignoring_a_parameter_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="ignores 'progres'"):

        @step(ignore=("progres",))
        def made(progress: Progress) -> int:
            return 1


def test_what_the_cache_cannot_see_is_refused(run: Run) -> None:
    captured = 3

    def made(a: int) -> int:
        return a + captured

    with pytest.raises(ConfigError, match="uses 'captured' of the function around it"):
        run(made, 1)
    assert run(step(cache=False)(made), 1).value == 4


def test_a_damaged_result_is_not_taken_for_a_value(run: Run, store: MemoryStore) -> None:
    result = run(take, 1)
    store.bodies[result.ref.key] = b"2"

    with pytest.raises(BackendError, match="is not what was stored"):
        _ = run(take, 1).value


def test_a_dataclass_fingerprint_holds_its_class() -> None:
    assert "Recipe" in str(fingerprint(Recipe()))


def test_a_step_executes_in_another_process(tmp_path: Path) -> None:
    artifacts = Artifacts(LocalArtifactStore(path=str(tmp_path / "store")), tmp_path / "cache")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        run = Run(artifacts, DictMemory(), processes)

        model: Artifact[Path] = run(train, Recipe(0.25))

        assert run(weight, model).value == 0.25
        assert run(score, [run(double, np.arange(3))]).value == Score(6.0, (6.0,))
        with pytest.raises(StepError, match="ValueError: bad"):
            run(fail, "value")
        with pytest.raises(NotFoundError, match="no model"):
            run(fail, "ours")
    assert CALLS == []


def test_what_a_worker_gets_is_small(tmp_path: Path, run: Run) -> None:
    large = run(double, np.zeros(100_000))

    assert len(pickle.dumps((execute, double, [Artifact(large.ref, Artifacts(MemoryStore(), tmp_path))]))) < 2_000
