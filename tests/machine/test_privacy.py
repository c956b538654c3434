"""Where labelloop writes beside all workspaces, and one process at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labelloop.machine.privacy import alone, cache_folder, config_folder

HOLDS = """
import pathlib, sys, time
from labelloop.machine.privacy import alone
with alone(pathlib.Path(sys.argv[1]), 1):
    print("held", flush=True)
    time.sleep(600)
"""


def held_by_another(lock: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(lock)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize(
    ("system", "config", "cache"),
    [
        ("linux", ".config/labelloop", ".cache/labelloop"),
        ("darwin", "Library/Application Support/labelloop", "Library/Caches/labelloop"),
    ],
)
def test_the_folders_of_a_user_are_where_the_system_keeps_such(
    system: str, config: str, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")

    assert (config_folder(), cache_folder()) == (tmp_path / config, tmp_path / cache)

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "chosen"))
    assert config_folder() == tmp_path / "chosen" / "labelloop"


def test_a_lock_that_another_process_holds_is_waited_for_and_then_given_up(tmp_path: Path) -> None:
    other = held_by_another(tmp_path / "lock")

    with pytest.raises(TimeoutError, match="held by another process"), alone(tmp_path / "lock", 0.1):
        pass

    other.kill()
    other.wait()


def test_a_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    other = held_by_another(tmp_path / "lock")
    other.kill()
    other.wait()

    with alone(tmp_path / "lock", 0, mode=0o600), pytest.raises(TimeoutError), alone(tmp_path / "lock", 0):
        pass


def test_a_lock_is_made_for_whom_it_is_said(tmp_path: Path) -> None:
    with alone(tmp_path / "lock", 0, mode=0o600):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
