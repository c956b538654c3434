"""The local store keeps the contract, stays inside its folder, and cleans up after killed writers."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from labelloop.backends.local_store import STALE, UNFINISHED, LocalArtifactStore
from labelloop.errors import BackendError, ConfigError
from labelloop.testing.stores import ArtifactStoreContract, BrokenBody, LocalFilesContract, MemoryStore


class TestLocalArtifactStore(LocalFilesContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalArtifactStore:
        return LocalArtifactStore(path=str(tmp_path / "store"))


class TestMemoryStore(ArtifactStoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


@pytest.mark.parametrize(
    ("path", "where"),
    [("", "ws/.labelloop/artifacts"), ("data/bodies", "ws/data/bodies"), ("/elsewhere", "/elsewhere")],
)
def test_a_relative_path_is_relative_to_the_workspace(tmp_path: Path, path: str, where: str) -> None:
    store = LocalArtifactStore(path=path, home=tmp_path / "ws" / ".labelloop")

    assert store.root == tmp_path / where


def test_a_store_without_a_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match="no folder"):
        LocalArtifactStore()


def test_a_body_has_a_local_path_once_it_is_written(tmp_path: Path) -> None:
    store = LocalArtifactStore(path=str(tmp_path))
    before = store.local_path("a/b")
    store.write("a/b", io.BytesIO(b"x"))

    assert before is None
    assert store.local_path("a/b") == tmp_path / "a" / "b"


def test_nothing_unfinished_is_left(tmp_path: Path) -> None:
    store = LocalArtifactStore(path=str(tmp_path))
    store.write("a", io.BytesIO(b"x"))
    with pytest.raises(BackendError, match="cannot write artifact 'b'"):
        store.write("b", BrokenBody())

    assert list((tmp_path / UNFINISHED).iterdir()) == []


def test_what_a_killed_writer_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    old, new = tmp_path / UNFINISHED / "old", tmp_path / UNFINISHED / "new"
    old.parent.mkdir()
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, old.stat().st_mtime - STALE - 1))

    LocalArtifactStore(path=str(tmp_path)).write("key", io.BytesIO(b"x"))

    assert not old.exists()
    assert new.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BackendError, match=f"cannot write artifact 'key' to {tmp_path / 'file'}") as caught:
        LocalArtifactStore(path=str(tmp_path / "file")).write("key", io.BytesIO(b"x"))

    assert caught.value.hint


@pytest.mark.parametrize(
    ("path", "hint"), [("s3://pets", "--flavor=s3"), ("az://pets/x", "--flavor=azure"), ("ftp://x", "FOLDER")]
)
def test_a_url_is_no_folder(path: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no path of artifact store flavor 'local'") as caught:
        LocalArtifactStore(path=path, home=tmp_path / ".labelloop")

    assert hint in caught.value.hint
    assert list(tmp_path.iterdir()) == []
