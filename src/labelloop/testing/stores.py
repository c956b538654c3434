"""What every artifact store must do, and one in memory."""

from __future__ import annotations

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO

import pytest

from labelloop.errors import ConfigError, NotFoundError
from labelloop.protocols import ArtifactStore, check_key


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
