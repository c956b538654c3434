"""Other users of the machine read nothing; a workspace that takes no writes can be looked at."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labelloop.cli import run
from labelloop.ledger import open_ledger
from labelloop.workspace.init import furnish

from support.small_world import World

HERE = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")

as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None, reason="another user needs root"
)


def as_nobody(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of another user of this machine."""
    return subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(HERE)},
    )


@pytest.fixture
def python_of_all() -> str:
    """This Python, where other users of the machine can start it."""
    tried = as_nobody(Path("/"), sys.executable, "-c", "")
    if tried.returncode:
        pytest.skip(f"other users of this machine cannot start this Python: {tried.stderr.strip()}")
    return sys.executable


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@as_root
def test_another_user_reads_nothing_of_a_workspace(open_folder: Path) -> None:
    run(["-C", str(open_folder), "init", "--labels", "cat,dog,owl", "--modality", "text"])
    world = World(open_folder)
    world.add()
    world.play(2)

    found = as_nobody(open_folder, "find", str(open_folder / ".labelloop"), "-type", "f")

    assert found.stdout == ""
    assert "Permission denied" in found.stderr
    for path in (open_folder / ".labelloop").rglob("*"):
        assert as_nobody(open_folder, "cat", str(path)).returncode != 0


def test_a_folder_that_was_open_is_closed_with_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / ".labelloop"
    state.mkdir()
    state.chmod(0o755)

    furnish(tmp_path)
    said = capsys.readouterr().err
    furnish(tmp_path)

    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert "was open to other users of this machine; it is closed now" in said
    assert capsys.readouterr().err == ""


def test_a_folder_that_a_group_shares_stays_open_to_it(tmp_path: Path) -> None:
    state = tmp_path / ".labelloop"
    state.mkdir()
    state.chmod(0o2775)

    furnish(tmp_path)

    assert stat.S_IMODE(state.stat().st_mode) == 0o2770


@as_root
def test_that_others_read_an_export_is_said_once(open_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(open_folder)
    world.add()
    os.umask(0o022)

    for _ in range(2):
        assert run(["-C", str(open_folder), "report", "-o", str(open_folder / "r.html")]) == 0

    assert capsys.readouterr().err.count("can be read by other users of this machine") == 1


def unmerged(path: Path) -> None:
    """Let the log keep what was written last, as a copy of a running workspace does."""
    held = sqlite3.connect(path)
    held.execute("PRAGMA wal_autocheckpoint=0")
    held.execute("UPDATE labelloop_version SET number = number")
    held.commit()
    for part in ("", "-wal"):
        shutil.copy(f"{path}{part}", f"{path}.kept{part}")
    held.close()
    for part in ("", "-wal"):
        Path(f"{path}.kept{part}").replace(f"{path}{part}")


def merged(_: Path) -> None:
    """As a loop leaves it."""


@as_root
@pytest.mark.parametrize("prepare", [merged, unmerged])
def test_a_workspace_that_takes_no_writes_can_be_looked_at(
    open_folder: Path, python_of_all: str, prepare: Callable[[Path], None]
) -> None:
    world = World(open_folder / "ws")
    world.add()
    world.play(2)
    prepare(world.root / ".labelloop" / "ledger.db")
    for path in world.root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    before = {path: path.read_bytes() for path in world.root.rglob("*") if path.is_file()}
    elsewhere = open_folder / "elsewhere"
    elsewhere.mkdir(mode=0o777)
    elsewhere.chmod(0o777)
    program = [python_of_all, "-c", "from labelloop.cli import main; main()", "-C", str(world.root)]

    for words in (["status"], ["config"], ["export"], ["report", "-o", str(elsewhere / "r.html")], ["forecast"]):
        done = as_nobody(elsewhere, *program, *words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    refused = as_nobody(elsewhere, *program, "add", str(world.root / "labelloop.toml"))

    assert (elsewhere / "r.html").exists()
    assert refused.returncode in (2, 3)
    assert "Traceback" not in refused.stderr
    assert {path: path.read_bytes() for path in world.root.rglob("*") if path.is_file()} == before


@as_root
def test_an_older_ledger_that_takes_no_writes_says_so(open_folder: Path, python_of_all: str) -> None:
    path = open_folder / "ledger.db"
    open_ledger(f"sqlite:///{path}", "pets").close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE labelloop_version SET number = 2")
    connection.close()
    path.chmod(0o444)
    code = f"from labelloop.ledger import open_ledger; open_ledger('sqlite:///{path}', 'pets')"

    done = as_nobody(open_folder, python_of_all, "-c", code)

    assert "the ledger is of version 2 and may not be changed" in done.stderr
