"""What every artifact store must do, and one in memory."""

from __future__ import annotations

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO

import pytest

from labelloop.errors import ConfigError, NotFoundError
from labelloop.protocols import ArtifactStore, BucketStore, LocalFiles, check_key


@dataclass
class MemoryStore:
    """An artifact store that forgets everything with the process.

    Attributes:
        bodies: Key -> body.
        written: The keys in the order they were written.
    """

    bodies: dict[str, bytes] = field(default_factory=dict)
    written: list[str] = field(default_factory=list, compare=False)

    def read(self, key: str) -> BinaryIO:
        """Open a body."""
        if check_key(key) not in self.bodies:
            raise NotFoundError(f"no artifact {key!r} in memory", "run again; it is made anew")
        return io.BytesIO(self.bodies[key])

    def write(self, key: str, body: BinaryIO) -> None:
        """Store a body."""
        self.bodies[check_key(key)] = body.read()
        self.written.append(key)

    def exists(self, key: str) -> bool:
        """Whether there is a body."""
        return check_key(key) in self.bodies


class BrokenBody(io.BytesIO):
    """A body that fails after its first bytes."""

    def __init__(self) -> None:
        super().__init__(b"half a bo")

    def read(self, size: int | None = -1, /) -> bytes:
        """Give the first bytes to who asks for some, then fail."""
        chunk = super().read(size) if size is not None and size > 0 else b""
        if not chunk:
            raise ConnectionResetError("the source went away")
        return chunk


class LongBody(io.RawIOBase):
    """A body of any length that nobody ever holds as a whole; it gives short reads, as sockets do.

    Args:
        size: Bytes there are.
        breaks_at: The byte at which the source goes away; never, if it is none.
    """

    def __init__(self, size: int, breaks_at: int | None = None) -> None:
        self._left = size
        self._at = 0
        self._breaks_at = size if breaks_at is None else breaks_at

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes: the pattern of `pattern`, at most 300,000 at once; all of them to who asks for all."""
        n = min(self._left, 300_000, size) if size >= 0 else self._left
        if self._at + n > self._breaks_at:
            raise ConnectionResetError("the source went away")
        chunk = pattern(self._at, n)
        self._left -= n
        self._at += n
        return chunk


def pattern(at: int, n: int) -> bytes:
    """Bytes [at, at + n) of an endless body in which no two places of a part look alike."""
    first, last = at // 8, (at + n) // 8 + 1
    whole = b"".join(i.to_bytes(8, "big") for i in range(first, last))
    return whole[at - first * 8 : at - first * 8 + n]


class ArtifactStoreContract:
    """Subclass it, with a fixture `store` that gives an empty store."""

    def test_what_was_written_is_read_back(self, store: ArtifactStore) -> None:
        store.write("npy/ab/abc", io.BytesIO(b"body"))

        with store.read("npy/ab/abc") as body:
            assert body.read() == b"body"

    def test_an_empty_body_is_a_body(self, store: ArtifactStore) -> None:
        store.write("empty", io.BytesIO())

        assert store.exists("empty")
        with store.read("empty") as body:
            assert body.read() == b""

    def test_a_body_larger_than_any_buffer_survives(self, store: ArtifactStore) -> None:
        large = bytes(range(256)) * 20_000

        store.write("large", io.BytesIO(large))

        with store.read("large") as body:
            assert body.read() == large

    def test_a_body_is_stored_from_where_it_stands(self, store: ArtifactStore) -> None:
        body = io.BytesIO(b"headbody")
        body.seek(4)

        store.write("rest", body)

        with store.read("rest") as kept:
            assert kept.read() == b"body"

    def test_writing_again_replaces(self, store: ArtifactStore) -> None:
        store.write("key", io.BytesIO(b"a longer first body"))
        store.write("key", io.BytesIO(b"second"))

        with store.read("key") as body:
            assert body.read() == b"second"

    def test_a_key_exists_once_it_is_written(self, store: ArtifactStore) -> None:
        before = store.exists("a/key")
        store.write("a/key", io.BytesIO(b"x"))

        assert not before
        assert store.exists("a/key")
        assert not store.exists("a")

    def test_a_missing_key_is_not_found(self, store: ArtifactStore) -> None:
        with pytest.raises(NotFoundError, match="missing"):
            store.read("missing")

    def test_a_body_that_breaks_off_leaves_nothing(self, store: ArtifactStore) -> None:
        with pytest.raises(Exception):  # noqa: B017 - the source's own error or the store's
            store.write("broken", BrokenBody())

        assert not store.exists("broken")

    def test_a_body_that_breaks_off_leaves_the_old_one(self, store: ArtifactStore) -> None:
        store.write("key", io.BytesIO(b"old"))

        with pytest.raises(Exception):  # noqa: B017 - the source's own error or the store's
            store.write("key", BrokenBody())

        with store.read("key") as body:
            assert body.read() == b"old"

    def test_a_body_of_many_parts_is_the_same_read_piece_by_piece(self, store: ArtifactStore) -> None:
        size = 20_000_003
        store.write("long", LongBody(size))  # type: ignore[arg-type] # a body needs no more than `read`

        at = 0
        with store.read("long") as body:
            while chunk := body.read(1_000_001):
                assert chunk == pattern(at, len(chunk))
                at += len(chunk)
        assert at == size

    def test_a_long_body_that_breaks_off_late_leaves_nothing(self, store: ArtifactStore) -> None:
        with pytest.raises(Exception):  # noqa: B017 - the source's own error or the store's
            store.write("broken", LongBody(30_000_000, 17_000_000))  # type: ignore[arg-type] # a body needs no more than `read`

        assert not store.exists("broken")

    def test_many_at_once_keep_apart(self, store: ArtifactStore) -> None:
        def there_and_back(number: int) -> bytes:
            key = f"many/{number % 7}/{number}"
            store.write(key, io.BytesIO(b"%d" % number * 1000))
            with store.read(key) as body:
                return body.read()

        with ThreadPoolExecutor(16) as pool:
            bodies = list(pool.map(there_and_back, range(100)))

        assert bodies == [b"%d" % number * 1000 for number in range(100)]

    @pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a b", "a~b", "a\\b", "a\n", "é"])
    def test_a_key_outside_of_the_alphabet_is_refused(self, store: ArtifactStore, key: str) -> None:
        with pytest.raises(ConfigError):
            store.write(key, io.BytesIO(b"x"))
        with pytest.raises(ConfigError):
            store.read(key)

    def test_writers_of_one_key_never_mix(self, store: ArtifactStore) -> None:
        bodies = [bytes([letter]) * 200_000 for letter in b"abcdefgh"]

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda one: store.write("key", io.BytesIO(one)), bodies))

        with store.read("key") as body:
            assert body.read() in bodies

    def test_a_store_travels_to_a_worker(self, store: ArtifactStore) -> None:
        store.write("key", io.BytesIO(b"x"))

        arrived = pickle.loads(pickle.dumps(store))  # noqa: S301 - its own bytes

        assert arrived == store
        assert arrived.exists("key")


class LocalFilesContract(ArtifactStoreContract):
    """For stores whose bodies are files of this machine: with the same fixture."""

    def test_a_body_is_the_file_at_its_path(self, store: ArtifactStore) -> None:
        assert isinstance(store, LocalFiles)
        store.write("npy/ab/abc", io.BytesIO(b"a longer first body"))
        store.write("npy/ab/abc", io.BytesIO(b"second"))

        path = store.local_path("npy/ab/abc")

        assert path is not None
        assert path.is_absolute()
        assert path.read_bytes() == b"second"

    def test_what_is_no_body_has_no_path(self, store: ArtifactStore) -> None:
        assert isinstance(store, LocalFiles)
        store.write("a/key", io.BytesIO(b"x"))

        with pytest.raises(Exception):  # noqa: B017 - the source's own error or the store's
            store.write("broken", BrokenBody())

        assert [store.local_path(key) for key in ("missing", "a", "a/key/below", "broken")] == [None] * 4

    def test_a_path_outside_of_the_alphabet_is_refused(self, store: ArtifactStore) -> None:
        assert isinstance(store, LocalFiles)
        for key in ("", "/a", "..", "a/../b", "a b"):
            with pytest.raises(ConfigError):
                store.local_path(key)

    def test_a_file_that_was_opened_stays_as_it_was(self, store: ArtifactStore) -> None:
        assert isinstance(store, LocalFiles)
        store.write("key", io.BytesIO(b"old"))
        path = store.local_path("key")
        assert path is not None

        with path.open("rb") as mapped:
            store.write("key", io.BytesIO(b"new"))
            assert mapped.read() == b"old"


class BucketStoreContract(ArtifactStoreContract):
    """For stores in a bucket: with the same fixture, whose secret manager travels with it."""

    def test_the_bucket_is_the_one_of_the_path(self, store: BucketStore) -> None:
        bucket = store.bucket()

        inside = f"{bucket.name}/{bucket.prefix}".rstrip("/")
        assert store.path.partition("://")[2] == inside
        assert not bucket.prefix or bucket.prefix.endswith("/")

    def test_a_body_is_a_file_of_the_filesystem(self, store: BucketStore) -> None:
        store.write("media/ab/cd.png", io.BytesIO(b"picture"))

        files = store.filesystem()

        assert files.cat_file(f"{store.path}/media/ab/cd.png") == b"picture"
        assert files.info(f"{store.path}/media/ab/cd.png")["size"] == 7
        assert files.isdir(f"{store.path}/media")
        assert not files.exists(f"{store.path}/media/ab/cd")

    def test_every_file_is_listed_once_whatever_the_pages(self, store: BucketStore) -> None:
        keys = [f"pages/{number % 3}/{number:04}" for number in range(1100)]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda key: store.write(key, io.BytesIO(b"x")), keys))

        listed = list(store.filesystem().files_below(f"{store.path}/pages"))

        root = store.path.partition("://")[2]
        assert listed == sorted(f"{root}/{key}" for key in keys)

    def test_a_file_can_be_read_from_anywhere_in_it(self, store: BucketStore) -> None:
        store.write("long", LongBody(20_000_003))  # type: ignore[arg-type] # a body needs no more than `read`

        with store.filesystem().open(f"{store.path}/long", "rb") as file:
            file.seek(-5, io.SEEK_END)
            end = file.read()
            file.seek(9_000_000)
            middle = file.read(10)

        assert (end, middle) == (pattern(20_000_003 - 5, 5), pattern(9_000_000, 10))

    def test_a_pattern_finds_files(self, store: BucketStore) -> None:
        for key in ("a/1.png", "a/2.jpg", "a/b/3.png", "4.png"):
            store.write(key, io.BytesIO(b"x"))

        found = store.filesystem().glob(f"{store.path}/a/**/*.png")

        assert [one.rpartition("/")[2] for one in found] == ["1.png", "3.png"]

    def test_a_filesystem_travels_to_a_worker(self, store: BucketStore) -> None:
        store.write("key", io.BytesIO(b"x"))

        arrived = pickle.loads(pickle.dumps(store.filesystem()))  # noqa: S301 - its own bytes

        assert arrived.cat_file(f"{store.path}/key") == b"x"

    def test_credentials_show_nowhere(self, store: BucketStore) -> None:
        bucket = store.bucket()
        store.exists("key")  # whatever is kept of a connection is there by now

        shown = " ".join([repr(store), str(store), repr(bucket), repr(store.filesystem()), repr(vars(store).keys())])

        assert not [value for name, value in bucket.credentials.items() if name != "account_name" and value in shown]
