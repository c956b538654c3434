"""What artifact stores in a bucket have in common: bodies as objects, read and written in bounded memory."""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from labelloop.backends.bucket_connection import BucketConnection
from labelloop.backends.bucket_errors import allowing
from labelloop.errors import ConfigError, NotFoundError
from labelloop.types import Bucket

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from labelloop.backends.bucket_files import BucketFiles

PART = 8 << 20
"""Bytes that are sent or fetched by one request; a larger body goes in such parts, a few of them at a time."""

PARTS_UNDER_WAY = 3
"""Parts of one body on their way at the same time: what writing a body of any size takes of memory."""


class BucketArtifacts(BucketConnection):
    """Bodies as objects `path/key`, written by single requests that either take place or do not.

    A flavor is a frozen dataclass of this class: its fields are its options, `cloud` says whose protocol it speaks, and
    `_connect` makes the client of its bucket from the values of the secret.
    """

    def read(self, key: str) -> BinaryIO:
        """Open a body for reading; the caller closes it.

        Raises:
            NotFoundError: There is none.
            ConfigError: The bucket refuses us.
            BackendError: The service failed, or the body was replaced while it was read.
        """
        name = self.object_name(key)
        try:
            return self.open(name)
        except FileNotFoundError:
            raise NotFoundError(f"no artifact {key!r} in {self.path}", "run again; it is made anew") from None
        except PermissionError as error:
            raise self._refused(error) from None

    def write(self, key: str, body: BinaryIO) -> None:
        """Store everything left in `body` under `key`, replacing what was there.

        Raises:
            ConfigError: The bucket refuses us, or is not there.
            BackendError: The service failed; nothing of the body is left.
        """
        name = self.object_name(key)
        kind = mimetypes.guess_type(name)[0]
        attributes = {"Content-Type": kind} if kind else None
        first = filled(body)
        with self.explaining("write", name):
            if len(first) < PART:
                self.client().put(name, first, use_multipart=False, attributes=attributes)
                return
            rest = iter(partial(filled, body), b"")
            self.client().put(
                name,
                chain([first], rest),
                attributes=attributes,
                chunk_size=PART,
                max_concurrency=PARTS_UNDER_WAY,
            )

    def exists(self, key: str) -> bool:
        """Whether `key` has a body.

        Raises:
            ConfigError, BackendError: As `read`.
        """
        name = self.object_name(key)
        try:
            with self.explaining("read", name):
                self.client().head(name)
        except FileNotFoundError:
            return False
        except PermissionError as error:
            raise self._refused(error) from None
        return True

    def bucket(self) -> Bucket:
        """The bucket, with the credentials resolved now.

        Raises:
            NotFoundError: There is no such secret.
            ConfigError: The secret misses a key.
        """
        raise NotImplementedError

    def filesystem(self) -> BucketFiles:
        """The whole bucket as fsspec sees filesystems, with the store's own credentials."""
        from labelloop.backends.bucket_files import BucketFiles

        return BucketFiles(self)

    def open(self, name: str) -> BinaryIO:
        """Any object of the bucket, for reading, in bounded memory.

        Raises:
            FileNotFoundError: There is none.
            ConfigError, BackendError: As `read`.
        """
        with self.explaining("read", name):
            result = self.client().get(name)
            size = int(result.meta["size"])
            if size <= PART:
                return io.BytesIO(result.bytes())
            first = next(iter(result.stream(min_chunk_size=PART)))
        return io.BufferedReader(_Ranges(self, name, size, result.meta["e_tag"], bytes(first)), PART)

    def signed(self, key: str, minutes: int) -> str:
        """A link by which anybody may read a body for so long, whether or not it is there.

        Raises:
            ConfigError: The credentials cannot sign; or as `client`.
        """
        import obstore

        name = self.object_name(key)
        with self.explaining("sign", name):
            return str(obstore.sign(self.client(), "GET", name, timedelta(minutes=minutes)))

    def _refused(self, error: PermissionError) -> ConfigError:
        return ConfigError(str(error), allowing(self, "read"))


def filled(body: BinaryIO, size: int = PART) -> bytes:
    """The next `size` bytes; fewer only at the end of the body."""
    pieces: list[bytes] = []
    left = size
    while left and (piece := body.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Ranges(io.RawIOBase):
    """A large object, fetched part by part, as long as it stays the same object."""

    def __init__(self, store: BucketArtifacts, name: str, size: int, etag: str | None, first: bytes) -> None:
        self._store = store
        self._name = name
        self._size = size
        self._etag = etag
        self._first = first
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer).cast("B")
        chunk = self._chunk(min(len(target), PART))
        target[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)

    def _chunk(self, wanted: int) -> Any:
        stop = min(self._at + wanted, self._size)
        if stop <= self._at:
            return b""
        if stop <= len(self._first):
            return self._first[self._at : stop]
        self._first = b""
        options: dict[str, Any] = {"range": (self._at, stop)}
        if self._etag:
            options["if_match"] = self._etag
        fetch: Callable[[], Any] = lambda: self._store.client().get(self._name, options=options).bytes()  # noqa: E731
        with self._store.explaining("read", self._name):
            return memoryview(fetch())
