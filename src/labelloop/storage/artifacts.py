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
import os
import secrets
import shutil
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from functools import cache
from hashlib import blake2b, file_digest
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, get_args, get_origin

import numpy as np

from labelloop.errors import BackendError, ConfigError
from labelloop.machine.privacy import cache_folder
from labelloop.protocols import ArtifactStore, LocalFiles

if TYPE_CHECKING:
    from typing_extensions import Buffer

S = TypeVar("S")
T = TypeVar("T")
Kind = Literal["json", "npy", "parquet", "folder"]

SMALL = 4 * 2**20
"""Bytes up to which an array is read whole and verified; larger ones are memory-mapped."""

AT_ONCE = 16
"""Files of a folder on their way at the same time: what a bucket takes to answer is waited for side by side."""

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
        return _key(self.kind, self.digest)

    @classmethod
    def parse(cls, text: str) -> Ref:
        """The reference that `str` wrote.

        Raises:
            ConfigError: `text` is not a reference.
        """
        kind, _, digest = text.partition(":")
        if kind not in get_args(Kind) or not _is_digest(digest):
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
        self._kept: OrderedDict[Ref, np.ndarray] = OrderedDict()
        self._keeping = threading.Lock()

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
            return self._put_folder(value)
        pieces = _encode(kind, value)
        ref = Ref(kind, _digest(pieces))
        self._write_once(ref.key, lambda: io.BufferedReader(_Pieces(pieces)))
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
            return _rebuild(json.loads(self._read(ref)), declared, str(ref))
        if ref.kind == "npy":
            return self._array(ref)
        if ref.kind == "parquet":
            return self._table(ref)
        return self._folder(ref)

    def has(self, ref: Ref) -> bool:
        """Whether the whole body is there: of a folder every file."""
        if not self.store.exists(ref.key):
            return False
        if ref.kind != "folder":
            return True
        keys = {_key("file", digest) for digest in self._manifest(ref).values()}
        return all(_side_by_side(self.store.exists, sorted(keys)))

    def faults(self, ref: Ref) -> list[str]:
        """The keys of what is stored for a reference and is not what its name says; what is missing is none."""
        keys = [(ref.key, ref.digest)]
        if not self._is_whole(*keys[0]):
            return [ref.key]
        if ref.kind == "folder" and self.store.exists(ref.key):
            keys = [(_key("file", digest), digest) for digest in sorted(set(self._manifest(ref).values()))]
        return [key for key, digest in keys if not self._is_whole(key, digest)]

    def discard(self, keys: Sequence[str]) -> None:
        """Delete damaged bodies, so that they are written again; one that is gone already is none.

        Raises:
            ConfigError: The store knows no way to delete.
        """
        for key in filter(self.store.exists, keys):
            path = self._local_path(key)
            if path is not None:
                path.unlink(missing_ok=True)
            elif hasattr(self.store, "filesystem"):
                store: Any = self.store
                store.filesystem().rm(f"{store.path.partition('://')[2].rstrip('/')}/{key}")
            else:
                raise ConfigError(f"{self.store!r} cannot delete {key!r}", "delete it by hand")
        with self._keeping:
            self._kept.clear()

    def _is_whole(self, key: str, digest: str) -> bool:
        """Whether a body is what its name says, or is not there."""
        if not self.store.exists(key):
            return True
        hasher = _hasher()
        with self.store.read(key) as body:
            while piece := body.read(2**20):
                hasher.update(piece)
        return hasher.hexdigest() == digest

    def _put_folder(self, folder: Path) -> Ref:
        manifest = dict(_side_by_side(self._put_file, _files(folder)))
        body = _canonical(manifest)
        ref = Ref("folder", _digest([body]))
        self._write_once(ref.key, lambda: io.BytesIO(body))
        return ref

    def _put_file(self, file: tuple[str, Path]) -> tuple[str, str]:
        name, path = file
        digest = _digest_of_file(path)
        self._write_once(_key("file", digest), _opener(path, digest))
        return name, digest

    def _write_once(self, key: str, open_body: Callable[[], BinaryIO]) -> None:
        if self.store.exists(key):
            return
        with open_body() as body:
            self.store.write(key, body)

    def _read(self, ref: Ref) -> bytes:
        with self.store.read(ref.key) as source, _checked(source, ref.digest, ref.key) as body:
            return body.read()

    def _array(self, ref: Ref) -> np.ndarray:
        with self._keeping:
            if ref in self._kept:
                self._kept.move_to_end(ref)
                return self._kept[ref]
        array = self._read_array(ref)
        with self._keeping:
            self._kept[ref] = array
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return array

    def _read_array(self, ref: Ref) -> np.ndarray:
        path = self._local_path(ref.key)
        if path is not None and path.stat().st_size > SMALL:
            return _mapped(path, ref)
        with self.store.read(ref.key) as source:
            head = source.read(SMALL + 1)
            if len(head) > SMALL:
                return _mapped(self._download(ref, head, source), ref)
        if _digest([head]) != ref.digest:
            raise _damaged(ref.key)
        array: np.ndarray = np.load(io.BytesIO(head), allow_pickle=False)
        array.setflags(write=False)
        return array

    def _download(self, ref: Ref, head: bytes, rest: BinaryIO) -> Path:
        final = self.cache_dir / "arrays" / ref.digest
        if final.exists():
            return final
        with _making(final) as temporary:
            whole = io.BufferedReader(_Joined(head, rest))
            _save(_checked(whole, ref.digest, ref.key), temporary)
        return final

    def _table(self, ref: Ref) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetFile(io.BytesIO(self._read(ref))).read()

    def _folder(self, ref: Ref) -> Path:
        final = self.cache_dir / "folders" / ref.digest
        if final.is_dir():
            return final
        manifest = self._manifest(ref)
        with _making(final) as temporary:
            temporary.mkdir()
            fetched = _side_by_side(lambda one: self._fetch(one[1], temporary / one[0]), manifest.items())
            deque(fetched, maxlen=0)
        return final

    def _fetch(self, digest: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        key = _key("file", digest)
        with self.store.read(key) as source:
            _save(_checked(source, digest, key), path)

    def _manifest(self, ref: Ref) -> dict[str, str]:
        manifest: dict[str, str] = json.loads(self._read(ref))
        for name, digest in manifest.items():
            pure = PurePosixPath(name)
            if pure.is_absolute() or ".." in pure.parts or not _is_digest(digest):
                raise BackendError(f"the manifest {ref.key!r} names {name!r}, which is outside of its folder")
        return manifest

    def _local_path(self, key: str) -> Path | None:
        return self.store.local_path(key) if isinstance(self.store, LocalFiles) else None


def address(value: object) -> Ref:
    """The reference `Artifacts.put` would return, with nothing stored.

    Raises:
        ConfigError: The value is of no storable kind.
    """
    kind = kind_of(value)
    if isinstance(value, Path):
        return Ref(kind, _digest([_canonical({name: _digest_of_file(path) for name, path in _files(value)})]))
    return Ref(kind, _digest(_encode(kind, value)))


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
        raise _damaged(ref.key) from error


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


def _side_by_side(work: Callable[[S], T], things: Iterable[S]) -> Iterator[T]:
    """`map` on a few threads, in order, with a bounded number of things under way; the first error ends it."""
    under_way: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="artifacts")
    try:
        for thing in things:
            under_way.append(pool.submit(work, thing))
            if len(under_way) >= 4 * AT_ONCE:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _key(kind: str, digest: str) -> str:
    return f"{kind}/{digest[:2]}/{digest}"


def _is_digest(text: object) -> bool:
    return isinstance(text, str) and len(text) == 32 and set(text) <= set("0123456789abcdef")


def _hasher() -> blake2b:
    return blake2b(digest_size=16)


def _digest(pieces: Sequence[Buffer]) -> str:
    hasher = _hasher()
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest()


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, _hasher).hexdigest()


def _opener(path: Path, digest: str) -> Callable[[], BinaryIO]:
    # A file that changes between hashing and copying must not end up under the digest of what it was.
    return lambda: _checked(path.open("rb"), digest, str(path))


def _checked(body: BinaryIO, digest: str, what: str) -> BinaryIO:
    return io.BufferedReader(_Checked(body, digest, what), 2**18)


def _damaged(what: str) -> BackendError:
    return BackendError(
        f"the content of {what!r} is not what was stored under this name: damaged, or changed while it was read",
        "delete it and run again; it is made anew",
    )


@contextmanager
def _making(final: Path) -> Iterator[Path]:
    """A temporary name that becomes `final` when the block succeeds; whoever is first wins.

    Raises:
        BackendError: The disk refused.
    """
    temporary = final.with_name(f"{final.name}~{os.getpid()}-{secrets.token_hex(4)}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _settle(temporary, final)
    except OSError as error:
        raise BackendError(
            f"cannot write {final}: {error.strerror or error}", "free space on that disk, or correct its permissions"
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _settle(temporary: Path, final: Path) -> None:
    try:
        temporary.rename(final)
    except OSError:
        if not final.exists():
            raise


def _save(body: BinaryIO, path: Path) -> None:
    with body, path.open("wb") as file:
        shutil.copyfileobj(body, file, 2**20)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o444)


def _default_cache_dir() -> Path:
    return cache_folder() / "artifacts"


class _Pieces(io.RawIOBase):
    """Buffers read one after the other, without joining them."""

    def __init__(self, pieces: Sequence[Buffer]) -> None:
        self._left = [memoryview(piece).cast("B") for piece in pieces]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer).cast("B")
        while self._left and not self._left[0]:
            self._left.pop(0)
        if not self._left:
            return 0
        n = min(len(target), len(self._left[0]))
        target[:n] = self._left[0][:n]
        self._left[0] = self._left[0][n:]
        return n


class _Joined(io.RawIOBase):
    """The start of a stream, already read, and the rest of it."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer).cast("B")
        chunk = self._head.read(len(target)) or self._rest.read(len(target))
        target[: len(chunk)] = chunk
        return len(chunk)


class _Checked(io.RawIOBase):
    """A stream that raises at its end when its content is not what its digest says."""

    def __init__(self, body: BinaryIO, digest: str, what: str) -> None:
        self._body = body
        self._expected = digest
        self._what = what
        self._hasher = _hasher()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer).cast("B")
        chunk = self._body.read(len(target))
        if not chunk and self._hasher.hexdigest() != self._expected:
            raise _damaged(self._what)
        self._hasher.update(chunk)
        target[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._body.close()
        super().close()
