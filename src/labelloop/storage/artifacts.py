"""Values in an artifact store, addressed by their content: same content, same reference, written once.

Keys, where `dd` are the first two hex digits of the digest (blake2b-128 of the body):

    json/dd/<digest>       plain data, canonical JSON (keys sorted, no spaces)
    npy/dd/<digest>        one array, NPY 2.0, C order, no pickle
    parquet/dd/<digest>    one Arrow table
    file/dd/<digest>       the bytes of one file of a folder
    folder/dd/<digest>     the manifest of a folder: canonical JSON, relative name -> digest of the file

A folder's manifest is written after its files, so whatever can be read is complete. Empty folders, permissions and
times are not kept.
"""

from __future__ import annotations

import io
import json
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args, get_origin

import numpy as np

from labelloop.errors import BackendError, ConfigError
from labelloop.machine.privacy import cache_folder
from labelloop.protocols import ArtifactStore, LocalFiles
from labelloop.storage.bodies import (
    Joined,
    Pieces,
    checked,
    damaged,
    digest_of,
    digest_of_file,
    is_digest,
    is_whole,
    key_of_body,
    making,
    opener,
    read_whole,
    save,
    side_by_side,
    write_once,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

Kind = Literal["json", "npy", "parquet", "folder"]

SMALL = 4 * 2**20
"""Bytes up to which an array is read whole and verified; larger ones are memory-mapped."""

KEPT = 32
"""Arrays that one `Artifacts` keeps at hand."""

STORABLE = "plain data, frozen dataclasses of plain data, NumPy arrays, Arrow tables and folders (Path) can be stored"


@dataclass(frozen=True, slots=True)
class Ref:
    """The address of a stored value; `str` gives one word, `Ref.parse` reads it back."""

    kind: Kind
    digest: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.digest}"

    @property
    def key(self) -> str:
        """Where the body is in the store."""
        return key_of_body(self.kind, self.digest)

    @classmethod
    def parse(cls, text: str) -> Ref:
        """The reference that `str` wrote.

        Raises:
            ConfigError: `text` is not a reference.
        """
        kind, _, digest = text.partition(":")
        if kind not in get_args(Kind) or not is_digest(digest):
            raise ConfigError(f"{text!r} is not a reference of an artifact", "references look like npy:0123...cdef")
        return cls(kind, digest)  # type: ignore[arg-type]


class Artifacts:
    """Values by reference. Picklable; whatever `get` returns is not to be changed.

    Args:
        store: Where the bodies live. A store with a method `local_path(key) -> Path | None` has large arrays
            memory-mapped in place.
        cache_dir: Folder for what must be a local file: folders, and large arrays of a store elsewhere; the
            user's cache directory by default.
    """

    def __init__(self, store: ArtifactStore, cache_dir: Path | None = None) -> None:
        self.store = store
        self.cache_dir = cache_dir or _default_cache_dir()
        self._arrays = _Arrays(store, self.cache_dir / "arrays")
        self._folders = _Folders(store, self.cache_dir / "folders")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.store, self.cache_dir)

    def put(self, value: object, declared: Any = Any) -> Ref:
        """Store a value; one that is there already is not written again.

        Args:
            value: Plain data, a frozen dataclass of plain data, an array, an Arrow table, or a folder.
            declared: The type the value was promised to have; `Any` promises nothing.

        Raises:
            ConfigError: The value is of no storable kind, or not what was declared.
            BackendError: The store failed, for example a full disk.
        """
        kind = kind_of(value)
        _check_declared(kind, value, declared)
        if isinstance(value, Path):
            return self._folders.put(value)
        pieces = _encode(kind, value)
        ref = Ref(kind, digest_of(pieces))
        write_once(self.store, ref.key, lambda: io.BufferedReader(Pieces(pieces)))
        return ref

    def get(self, ref: Ref, declared: Any = Any) -> Any:
        """The value of a reference: plain data, a read-only array, a table, or the path of a read-only folder.

        Args:
            ref: What `put` returned.
            declared: The type to rebuild from plain data, such as a dataclass; keys of a dict come back sorted.

        Raises:
            NotFoundError: The store does not have it.
            BackendError: The body is damaged, or the store failed.
            ConfigError: The plain data does not fit `declared`.
        """
        if ref.kind == "json":
            return _rebuild(json.loads(read_whole(self.store, ref.key, ref.digest)), declared, str(ref))
        if ref.kind == "npy":
            return self._arrays.get(ref)
        if ref.kind == "parquet":
            return _table(read_whole(self.store, ref.key, ref.digest))
        return self._folders.get(ref)

    def has(self, ref: Ref) -> bool:
        """Whether the whole body is there: of a folder every file."""
        if not self.store.exists(ref.key):
            return False
        if ref.kind != "folder":
            return True
        keys = {key_of_body("file", digest) for digest in self._folders.manifest(ref).values()}
        return all(side_by_side(self.store.exists, sorted(keys)))

    def faults(self, ref: Ref) -> list[str]:
        """The keys of what is stored for a reference and is not what its name says; what is missing is none."""
        keys = [(ref.key, ref.digest)]
        if not is_whole(self.store, *keys[0]):
            return [ref.key]
        if ref.kind == "folder" and self.store.exists(ref.key):
            digests = sorted(set(self._folders.manifest(ref).values()))
            keys = [(key_of_body("file", digest), digest) for digest in digests]
        return [key for key, digest in keys if not is_whole(self.store, key, digest)]

    def discard(self, keys: Sequence[str]) -> None:
        """Delete damaged bodies, so that they are written again; one that is gone already is none.

        Raises:
            ConfigError: The store knows no way to delete.
        """
        for key in filter(self.store.exists, keys):
            path = _local_path(self.store, key)
            if path is not None:
                path.unlink(missing_ok=True)
            elif hasattr(self.store, "filesystem"):
                store: Any = self.store
                store.filesystem().rm(f"{store.path.partition('://')[2].rstrip('/')}/{key}")
            else:
                raise ConfigError(f"{self.store!r} cannot delete {key!r}", "delete it by hand")
        self._arrays.forget()


class _Arrays:
    """The arrays of a store, those read last at hand; a large one is mapped from a file of this machine."""

    def __init__(self, store: ArtifactStore, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._kept: OrderedDict[Ref, np.ndarray] = OrderedDict()
        self._keeping = threading.Lock()

    def get(self, ref: Ref) -> np.ndarray:
        with self._keeping:
            if ref in self._kept:
                self._kept.move_to_end(ref)
                return self._kept[ref]
        array = self._read(ref)
        with self._keeping:
            self._kept[ref] = array
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return array

    def forget(self) -> None:
        """Have no array at hand any more."""
        with self._keeping:
            self._kept.clear()

    def _read(self, ref: Ref) -> np.ndarray:
        path = _local_path(self._store, ref.key)
        if path is not None and path.stat().st_size > SMALL:
            return _mapped(path, ref)
        with self._store.read(ref.key) as source:
            head = source.read(SMALL + 1)
            if len(head) > SMALL:
                return _mapped(self._download(ref, head, source), ref)
        if digest_of([head]) != ref.digest:
            raise damaged(ref.key)
        array: np.ndarray = np.load(io.BytesIO(head), allow_pickle=False)
        array.setflags(write=False)
        return array

    def _download(self, ref: Ref, head: bytes, rest: BinaryIO) -> Path:
        final = self._folder / ref.digest
        if final.exists():
            return final
        with making(final) as temporary:
            whole = io.BufferedReader(Joined(head, rest))
            save(checked(whole, ref.digest, ref.key), temporary)
        return final


class _Folders:
    """The folders of a store, each a manifest and its files; read ones are copies in a folder of this machine."""

    def __init__(self, store: ArtifactStore, folder: Path) -> None:
        self._store = store
        self._folder = folder

    def put(self, folder: Path) -> Ref:
        manifest = dict(side_by_side(self._put_file, _files(folder)))
        body = _canonical(manifest)
        ref = Ref("folder", digest_of([body]))
        write_once(self._store, ref.key, lambda: io.BytesIO(body))
        return ref

    def get(self, ref: Ref) -> Path:
        final = self._folder / ref.digest
        if final.is_dir():
            return final
        manifest = self.manifest(ref)
        with making(final) as temporary:
            temporary.mkdir()
            fetched = side_by_side(lambda one: self._fetch(one[1], temporary / one[0]), manifest.items())
            deque(fetched, maxlen=0)
        return final

    def manifest(self, ref: Ref) -> dict[str, str]:
        manifest: dict[str, str] = json.loads(read_whole(self._store, ref.key, ref.digest))
        for name, digest in manifest.items():
            pure = PurePosixPath(name)
            if pure.is_absolute() or ".." in pure.parts or not is_digest(digest):
                raise BackendError(f"the manifest {ref.key!r} names {name!r}, which is outside of its folder")
        return manifest

    def _put_file(self, file: tuple[str, Path]) -> tuple[str, str]:
        name, path = file
        digest = digest_of_file(path)
        write_once(self._store, key_of_body("file", digest), opener(path, digest))
        return name, digest

    def _fetch(self, digest: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        key = key_of_body("file", digest)
        with self._store.read(key) as source:
            save(checked(source, digest, key), path)


def _table(body: bytes) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(io.BytesIO(body)).read()


def _local_path(store: ArtifactStore, key: str) -> Path | None:
    return store.local_path(key) if isinstance(store, LocalFiles) else None


def address(value: object) -> Ref:
    """The reference `Artifacts.put` would return, with nothing stored.

    Raises:
        ConfigError: The value is of no storable kind.
    """
    kind = kind_of(value)
    if isinstance(value, Path):
        return Ref(kind, digest_of([_canonical({name: digest_of_file(path) for name, path in _files(value)})]))
    return Ref(kind, digest_of(_encode(kind, value)))


def kind_of(value: object) -> Kind:
    """How a value is stored."""
    return kind_of_type(type(value))


def kind_of_type(annotation: Any) -> Kind:
    """How values of a type are stored, `X[...]` like `X`; whatever is not an array, table or path is plain data."""
    origin = get_origin(annotation) or annotation
    if not isinstance(origin, type):
        return "json"
    if issubclass(origin, np.ndarray):
        return "npy"
    if issubclass(origin, Path):
        return "folder"
    if is_table(origin):
        return "parquet"
    return "json"


def is_table(cls: type) -> bool:
    """Whether a class is Arrow's table; pyarrow is not imported to find out."""
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow is not None and issubclass(cls, pyarrow.Table)


def is_frozen(value: object) -> bool:
    """Whether a value is an instance of a frozen dataclass."""
    return is_dataclass(value) and not isinstance(value, type) and bool(value.__dataclass_params__.frozen)  # type: ignore[attr-defined]


def plain(value: Any, where: str = "the value") -> Any:
    """What JSON keeps of a value: dataclasses become dicts, tuples lists, dates ISO 8601, NumPy scalars numbers.

    Raises:
        ConfigError: Something inside is not plain; the message says where.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(one, f"{where}[{i}]") for i, one in enumerate(value)]
    if isinstance(value, Mapping):
        return {_text_key(key, where): plain(one, f"{where}[{key!r}]") for key, one in value.items()}
    if isinstance(value, np.generic):
        return plain(value.item(), where)
    if isinstance(value, date):
        return value.isoformat()
    if is_frozen(value):
        return {f.name: plain(getattr(value, f.name), f"{where}.{f.name}") for f in fields(value) if f.init}
    raise ConfigError(f"{where} is a {type(value).__qualname__}, which cannot be stored", STORABLE)


def _text_key(key: object, where: str) -> str:
    if isinstance(key, str):
        return key
    raise ConfigError(f"{where} has the key {key!r}, and JSON knows only text", "make every key of a dict a str")


def _check_declared(kind: Kind, value: object, declared: Any) -> None:
    if declared is Any:
        return
    if kind_of_type(declared) != kind:
        raise ConfigError(
            f"{_name(declared)} was declared, {_name(type(value))} was returned", "correct the annotation"
        )
    if kind == "json":
        _rebuild(plain(value), declared, "the value")


def _name(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)


def _rebuild(data: Any, declared: Any, what: str) -> Any:
    if declared is Any:
        return data
    from pydantic import ValidationError

    try:
        return _adapter(declared).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise ConfigError(
            f"{what} does not fit the declared type {_name(declared)}: {place}: {first['msg']}",
            "correct the annotation",
        ) from None


@cache
def _adapter(declared: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(declared)


def _encode(kind: Kind, value: Any) -> Sequence[Buffer]:
    if kind == "npy":
        return _npy(value)
    if kind == "parquet":
        return _parquet(value)
    return [_canonical(plain(value))]


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode("ascii")


def _npy(value: np.ndarray) -> Sequence[Buffer]:
    if value.dtype.hasobject:
        raise ConfigError(
            f"an array of dtype {value.dtype} cannot be stored", "use numbers, or astype(np.str_) for text"
        )
    if isinstance(value, np.ma.MaskedArray):
        raise ConfigError("a masked array would lose its mask", "store values and mask as two arrays, or use NaN")
    array = np.asarray(value, order="C")
    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(header, np.lib.format.header_data_from_array_1_0(array))
    body = array.reshape(-1).view(np.uint8).data if array.nbytes else b""
    return [header.getvalue(), body]


def _parquet(value: Any) -> Sequence[Buffer]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(value.combine_chunks(), sink, compression="zstd")
    return [sink.getvalue()]


def _mapped(path: Path, ref: Ref) -> np.ndarray:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise damaged(ref.key) from error


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder with their relative names, links resolved."""
    if not folder.is_dir():
        what = "is a file" if folder.is_file() else "does not exist"
        raise ConfigError(f"{folder} {what}, not a folder", "store a folder, with the file in it")
    root = folder.resolve()
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            _check_link(path, root)
        elif path.is_dir():
            continue
        elif not path.is_file():
            raise ConfigError(f"{path} is not a regular file", "leave only files and folders in a folder to store")
        yield path.relative_to(root).as_posix(), path


def _check_link(path: Path, root: Path) -> None:
    target = path.resolve()
    if target.is_file() and target.is_relative_to(root):
        return
    raise ConfigError(f"{path} is a link to {target}, which is not a file of this folder", "put a copy in its place")


def _default_cache_dir() -> Path:
    return cache_folder() / "artifacts"
