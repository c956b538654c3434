"""Values survive the store, one body per content, and damage never passes for a value."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pytest

from labelloop.backends.local_store import UNFINISHED, LocalArtifactStore
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.storage.artifacts import SMALL, Artifacts, Ref, address
from labelloop.testing.stores import MemoryStore


@dataclass(frozen=True)
class Score:
    name: str
    value: float
    parts: tuple[int, ...] = ()
    at: datetime | None = None


@dataclass
class Mutable:
    value: int = 0


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def artifacts(store: MemoryStore, tmp_path: Path) -> Artifacts:
    return Artifacts(store, tmp_path / "cache")


@pytest.fixture
def local(tmp_path: Path) -> Artifacts:
    return Artifacts(LocalArtifactStore(path=str(tmp_path / "store")), tmp_path / "cache")


def folder_of(path: Path, **files: str) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1, 2**80, 1.5, float("inf"), "", "ü\ud800", [], [1, [2, None]], {}, {"b": 1, "a": {"c": [True]}}],
    ids=repr,
)
def test_plain_data_comes_back(artifacts: Artifacts, value: Any) -> None:
    assert artifacts.get(artifacts.put(value)) == value


def test_a_dataclass_comes_back_as_the_declared_type(artifacts: Artifacts) -> None:
    scores = [Score("a", 0.5, (1, 2), datetime(2026, 1, 2, tzinfo=UTC)), Score("b", float("nan"))]

    back = artifacts.get(artifacts.put(scores), list[Score])

    assert back[0] == scores[0]
    assert back[1].name == "b"
    assert np.isnan(back[1].value)


def test_numpy_scalars_become_numbers(artifacts: Artifacts) -> None:
    assert artifacts.get(artifacts.put({"n": np.int64(3), "x": np.float32(0.5), "b": np.bool_(True)})) == {
        "n": 3,
        "x": 0.5,
        "b": True,
    }


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array(5),
        np.empty((0, 4), np.float32),
        np.array(["a", "längér"]),
        np.array([True, False]),
        np.array(["2026-01-01"], dtype="datetime64[D]"),
        np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
        np.arange(6, dtype=">i4"),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_arrays_come_back_read_only(artifacts: Artifacts, array: np.ndarray) -> None:
    back = artifacts.get(artifacts.put(array))

    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert (back == array).all()
    assert not back.flags.writeable


def test_memory_order_does_not_change_the_address() -> None:
    array = np.arange(12.0).reshape(3, 4)

    assert address(array) == address(np.asfortranarray(array)) == address(np.repeat(array, 2, axis=0)[::2])


def test_a_large_array_of_a_local_store_is_memory_mapped(local: Artifacts) -> None:
    large = np.arange(SMALL // 4 + 1, dtype=np.float64)

    back = local.get(local.put(large))

    assert isinstance(back.base, np.memmap)
    assert (back == large).all()
    assert not local.cache_dir.exists()


def test_a_large_array_from_elsewhere_is_mapped_from_the_cache(artifacts: Artifacts) -> None:
    large = np.arange(SMALL // 4 + 1, dtype=np.float64)

    back = artifacts.get(artifacts.put(large))

    assert isinstance(back.base, np.memmap)
    assert (back == large).all()
    assert len(list((artifacts.cache_dir / "arrays").iterdir())) == 1


def test_a_table_comes_back(artifacts: Artifacts) -> None:
    table = pa.table({"id": ["a", "b"], "p": [0.25, None]})

    assert artifacts.get(artifacts.put(table)).equals(table)


def test_the_chunks_of_a_table_do_not_change_its_address() -> None:
    table = pa.table({"n": [1, 2, 3, 4]})

    assert address(table) == address(pa.concat_tables([table.slice(0, 1), table.slice(1)]))


def test_a_folder_comes_back_read_only(artifacts: Artifacts, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model", **{"head.npy": "1", "sub/labels.json": "[]"})

    back = artifacts.get(artifacts.put(folder))

    assert back != folder
    assert {p.relative_to(back).as_posix(): p.read_text() for p in back.rglob("*") if p.is_file()} == {
        "head.npy": "1",
        "sub/labels.json": "[]",
    }
    assert (back / "head.npy").stat().st_mode & 0o222 == 0


def test_an_empty_folder_is_a_folder(artifacts: Artifacts, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert list(artifacts.get(artifacts.put(tmp_path / "empty")).iterdir()) == []


def test_a_materialised_folder_is_used_again(artifacts: Artifacts, store: MemoryStore, tmp_path: Path) -> None:
    ref = artifacts.put(folder_of(tmp_path / "model", a="1"))
    first = artifacts.get(ref)
    store.bodies.clear()

    assert artifacts.get(ref) == first


def test_folders_share_equal_files(artifacts: Artifacts, store: MemoryStore, tmp_path: Path) -> None:
    artifacts.put(folder_of(tmp_path / "one", a="same", b="1"))
    artifacts.put(folder_of(tmp_path / "two", c="same", b="2"))

    assert len([key for key in store.written if key.startswith("file/")]) == 3


def test_the_manifest_of_a_folder_is_written_last(artifacts: Artifacts, store: MemoryStore, tmp_path: Path) -> None:
    ref = artifacts.put(folder_of(tmp_path / "model", a="1", z="2"))

    assert store.written[-1] == ref.key


def test_a_folder_with_a_file_missing_is_not_there(artifacts: Artifacts, store: MemoryStore, tmp_path: Path) -> None:
    ref = artifacts.put(folder_of(tmp_path / "model", a="1"))
    del store.bodies[next(key for key in store.bodies if key.startswith("file/"))]

    assert not artifacts.has(ref)


def test_links_inside_a_folder_are_stored_as_files(artifacts: Artifacts, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model", a="1")
    (folder / "b").symlink_to("a")

    assert (artifacts.get(artifacts.put(folder)) / "b").read_text() == "1"


def test_same_content_is_written_once(artifacts: Artifacts, store: MemoryStore, tmp_path: Path) -> None:
    values: list[Callable[[], Any]] = [
        lambda: {"b": 1, "a": 2},
        lambda: {"a": 2, "b": 1},
        lambda: np.arange(3),
        lambda: pa.table({"a": [1]}),
        lambda: folder_of(tmp_path / "f", a="1"),
    ]

    refs = [[artifacts.put(make()) for make in values] for _ in range(2)]

    assert refs[0] == refs[1]
    assert refs[0][0] == refs[0][1]
    assert len(store.written) == len(set(store.written)) == 5


def test_the_address_is_where_put_stores(artifacts: Artifacts, tmp_path: Path) -> None:
    for value in ({"a": 1}, np.arange(3), pa.table({"a": [1]}), folder_of(tmp_path / "f", a="1")):
        assert artifacts.put(value) == address(value)


def test_a_reference_is_one_word_and_read_back() -> None:
    ref = address(np.arange(3))

    assert str(ref).startswith("npy:")
    assert Ref.parse(str(ref)) == ref


@pytest.mark.parametrize("text", ["", "npy", "npy:", "npy:xyz", "pickle:" + "0" * 32, "npy:../../etc/passwd"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a reference"):
        Ref.parse(text)


def test_artifacts_travel_to_a_worker(local: Artifacts) -> None:
    ref = local.put([1])

    assert pickle.loads(pickle.dumps(local)).get(ref) == [1]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1: "a"}, "the key 1"),
        ({"a": [object()]}, r"the value\['a'\]\[0\] is a object"),
        ({1, 2}, "is a set"),
        (b"bytes", "is a bytes"),
        (Mutable(), "is a Mutable"),
        (np.array([object()]), "dtype object"),
        (np.ma.masked_array([1], [True]), "mask"),
        (Path("/nowhere/at/all"), "/nowhere/at/all does not exist"),
    ],
)
def test_what_cannot_be_stored_is_refused(artifacts: Artifacts, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        artifacts.put(value)

    assert caught.value.hint


def test_a_file_is_not_a_folder(artifacts: Artifacts, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a file"):
        artifacts.put(folder_of(tmp_path, a="1") / "a")


@pytest.mark.parametrize("target", ["/etc", "/etc/hostname", "../outside", "nowhere"])
def test_a_link_that_leaves_the_folder_is_refused(artifacts: Artifacts, tmp_path: Path, target: str) -> None:
    folder = folder_of(tmp_path / "model", a="1")
    folder_of(tmp_path, outside="secret")
    (folder / "link").symlink_to(target)

    with pytest.raises(ConfigError, match="is a link to"):
        artifacts.put(folder)


def test_a_pipe_in_a_folder_is_refused(artifacts: Artifacts, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model", a="1")
    os.mkfifo(folder / "pipe")

    with pytest.raises(ConfigError, match="not a regular file"):
        artifacts.put(folder)


@pytest.mark.parametrize(("value", "declared"), [([1], np.ndarray), (np.arange(2), dict), ({"a": "x"}, dict[str, int])])
def test_a_value_that_is_not_what_was_declared_is_refused(artifacts: Artifacts, value: Any, declared: Any) -> None:
    with pytest.raises(ConfigError, match="declared"):
        artifacts.put(value, declared)


def test_plain_data_that_does_not_fit_the_type_is_refused(artifacts: Artifacts) -> None:
    ref = artifacts.put({"name": "a"})

    with pytest.raises(ConfigError, match=r"Score: value: Field required"):
        artifacts.get(ref, Score)


@pytest.mark.parametrize("value", [{"a": 1}, np.arange(9), pa.table({"a": [1]})], ids=["json", "npy", "parquet"])
@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b"\0" + b[1:], lambda b: b""], ids=["cut", "flip", "empty"]
)
def test_a_damaged_body_is_noticed(artifacts: Artifacts, store: MemoryStore, value: Any, damage: Any) -> None:
    ref = artifacts.put(value)
    store.bodies[ref.key] = damage(store.bodies[ref.key])

    with pytest.raises(BackendError, match="is not what was stored"):
        artifacts.get(ref)


def test_a_large_array_cut_short_is_noticed(local: Artifacts) -> None:
    ref = local.put(np.zeros(SMALL, np.uint16))
    path = local.store.local_path(ref.key)  # type: ignore[attr-defined]
    os.truncate(path, SMALL + 100)

    with pytest.raises(BackendError, match="is not what was stored"):
        local.get(ref)


def test_a_damaged_download_leaves_nothing(artifacts: Artifacts, store: MemoryStore) -> None:
    ref = artifacts.put(np.zeros(SMALL, np.uint16))
    store.bodies[ref.key] = store.bodies[ref.key][:-1]

    with pytest.raises(BackendError, match="is not what was stored"):
        artifacts.get(ref)

    assert list((artifacts.cache_dir / "arrays").iterdir()) == []


def test_a_damaged_file_of_a_folder_leaves_no_folder(artifacts: Artifacts, store: MemoryStore, tmp_path: Path) -> None:
    ref = artifacts.put(folder_of(tmp_path / "model", a="1", b="2"))
    store.bodies[next(key for key in store.bodies if key.startswith("file/"))] = b"9"

    with pytest.raises(BackendError, match="is not what was stored"):
        artifacts.get(ref)

    assert list((artifacts.cache_dir / "folders").iterdir()) == []


def test_a_manifest_never_writes_outside_of_its_folder(artifacts: Artifacts) -> None:
    ref = Ref("folder", artifacts.put({"../evil": "0" * 32}).digest)
    with artifacts.store.read(f"json/{ref.digest[:2]}/{ref.digest}") as body:
        artifacts.store.write(ref.key, body)

    with pytest.raises(BackendError, match="outside of its folder"):
        artifacts.get(ref)


def test_a_file_that_changes_while_it_is_stored_is_not_stored(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model", a="before")

    class Meddling(MemoryStore):
        def exists(self, key: str) -> bool:
            folder_of(folder, a="after!")
            return super().exists(key)

    store = Meddling()

    with pytest.raises(BackendError, match="changed while it was read"):
        Artifacts(store, tmp_path / "cache").put(folder)

    assert store.bodies == {}


def test_a_missing_body_is_not_found(artifacts: Artifacts) -> None:
    with pytest.raises(NotFoundError):
        artifacts.get(address([1]))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_artifact_and_leaves_nothing(
    local: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(body: BinaryIO, file: BinaryIO, length: int) -> None:
        file.write(body.read(3))
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("shutil.copyfileobj", full)

    with pytest.raises(BackendError, match=f"{address([1]).digest}.*{os.strerror(number)}"):
        local.put([1])

    assert [p for p in (tmp_path / "store").rglob("*") if p.is_file()] == []


def test_a_full_disk_of_the_cache_leaves_no_folder(
    artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = artifacts.put(folder_of(tmp_path / "model", a="1"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)

    with pytest.raises(BackendError, match="No space left"):
        artifacts.get(ref)

    assert list((artifacts.cache_dir / "folders").iterdir()) == []


WRITER = """
import sys, pathlib, numpy as np
from labelloop.storage.artifacts import Artifacts
from labelloop.backends.local_store import LocalArtifactStore
seed, store, scratch = int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
artifacts = Artifacts(LocalArtifactStore(path=store), scratch / "cache")
rng = np.random.default_rng(seed)
(scratch / f"model-{seed}").mkdir()
print("ready", flush=True)
while True:
    for name in "ab":
        scratch.joinpath(f"model-{seed}", name).write_bytes(rng.bytes(200_000))
    artifacts.put({"n": float(rng.random())})
    artifacts.get(artifacts.put(scratch / f"model-{seed}"))
    artifacts.put(rng.random(30_000))
"""


def start_writer(seed: int, root: Path, scratch: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(seed), str(root), str(scratch)], stdout=subprocess.PIPE)


def verified(artifacts: Artifacts, root: Path) -> int:
    """How many bodies there are; each value among them is read, and so verified."""
    bodies = [p.relative_to(root).parts for p in root.rglob("*") if p.is_file() and UNFINISHED not in p.parts]
    for kind, _, digest in bodies:
        if kind != "file":
            artifacts.get(Ref(kind, digest))  # type: ignore[arg-type]
    return len(bodies)


@pytest.mark.slow
def test_writers_killed_at_any_moment_leave_only_whole_artifacts(tmp_path: Path) -> None:
    root = tmp_path / "store"
    delays = np.random.default_rng(0).uniform(0, 0.2, (8, 4))
    for batch, row in enumerate(delays):
        writers = [start_writer(10 * batch + i, root, tmp_path) for i in range(len(row))]
        for process, delay in zip(writers, row, strict=True):
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(delay)
            process.kill()
            process.communicate()

    survivors = Artifacts(LocalArtifactStore(path=str(root)), tmp_path / "cache")
    newcomer = Artifacts(LocalArtifactStore(path=str(root)), tmp_path / "empty-cache")

    assert verified(survivors, root) == verified(newcomer, root) > 100


def test_the_files_of_a_folder_are_on_their_way_side_by_side(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    class Meeting(MemoryStore):
        """Writes a file only in the company of three others."""

        def write(self, key: str, body: BinaryIO) -> None:
            if key.startswith("file/"):
                together.wait(timeout=20)
            super().write(key, body)

    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}").write_text(str(number))
    artifacts = Artifacts(Meeting(), tmp_path / "cache")

    ref = artifacts.put(folder)

    assert artifacts.has(ref)
    assert [path.read_text() for path in sorted(artifacts.get(ref).iterdir())] == [str(n) for n in range(8)]
