"""Bodies of an artifact store under their digests (blake2b-128): how they are named, written and checked."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from labelloop.errors import BackendError
from labelloop.protocols import ArtifactStore

if TYPE_CHECKING:
    from typing_extensions import Buffer

S = TypeVar("S")
T = TypeVar("T")

AT_ONCE = 16
"""Files of a folder on their way at the same time: what a bucket takes to answer is waited for side by side."""


def side_by_side(work: Callable[[S], T], things: Iterable[S]) -> Iterator[T]:
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


def key_of_body(kind: str, digest: str) -> str:
    """Where a body is in the store."""
    return f"{kind}/{digest[:2]}/{digest}"


def is_digest(text: object) -> bool:
    """Whether it could be one: 32 hex digits."""
    return isinstance(text, str) and len(text) == 32 and set(text) <= set("0123456789abcdef")


def _hasher() -> blake2b:
    return blake2b(digest_size=16)


def digest_of(pieces: Sequence[Buffer]) -> str:
    """Of these bytes, one after the other."""
    hasher = _hasher()
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest()


def digest_of_file(path: Path) -> str:
    """Of what is in a file now."""
    with path.open("rb") as file:
        return file_digest(file, _hasher).hexdigest()


def opener(path: Path, digest: str) -> Callable[[], BinaryIO]:
    """Opens a file that must be what it was when its digest was taken."""
    # A file that changes between hashing and copying must not end up under the digest of what it was.
    return lambda: checked(path.open("rb"), digest, str(path))


def checked(body: BinaryIO, digest: str, what: str) -> BinaryIO:
    """The same body, which raises at its end when it is not what its digest says."""
    return io.BufferedReader(Checked(body, digest, what), 2**18)


def damaged(what: str) -> BackendError:
    """Says that a body is not what its name says."""
    return BackendError(
        f"the content of {what!r} is not what was stored under this name: damaged, or changed while it was read",
        "delete it and run again; it is made anew",
    )


def write_once(store: ArtifactStore, key: str, open_body: Callable[[], BinaryIO]) -> None:
    """Store a body unless the key has one."""
    if store.exists(key):
        return
    with open_body() as body:
        store.write(key, body)


def read_whole(store: ArtifactStore, key: str, digest: str) -> bytes:
    """A body, in one.

    Raises:
        NotFoundError: The store does not have it.
        BackendError: It is damaged, or the store failed.
    """
    with store.read(key) as source, checked(source, digest, key) as body:
        return body.read()


def is_whole(store: ArtifactStore, key: str, digest: str) -> bool:
    """Whether a body is what its name says, or is not there."""
    if not store.exists(key):
        return True
    hasher = _hasher()
    with store.read(key) as body:
        while piece := body.read(2**20):
            hasher.update(piece)
    return hasher.hexdigest() == digest


@contextmanager
def making(final: Path) -> Iterator[Path]:
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


def save(body: BinaryIO, path: Path) -> None:
    """Write everything left in a body into a read-only file, to the disk; close it."""
    with body, path.open("wb") as file:
        shutil.copyfileobj(body, file, 2**20)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o444)


class Pieces(io.RawIOBase):
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


class Joined(io.RawIOBase):
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


class Checked(io.RawIOBase):
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
            raise damaged(self._what)
        self._hasher.update(chunk)
        target[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._body.close()
        super().close()
