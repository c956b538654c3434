"""Processes that labelloop starts while somebody stands in a folder of hostile data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TESTS = Path(__file__).parents[1]
NAMES = ("pip", "uv", "venv", "ensurepip", "multiprocessing", "pickle", "signal", "socket", "struct", "numpy", "json")


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything was started once: hostile `data`, what of it `ran`, and where each of ours `stood`."""
    around = tmp_path_factory.mktemp("around")
    for name in ("data", "ran", "stood"):
        (around / name).mkdir()
    for name in NAMES:
        body = f"import pathlib\npathlib.Path({str(around / 'ran' / name)!r}).touch()\n"
        (around / "data" / f"{name}.py").write_text(body)
    (around / "data" / "uv.toml").write_text("this is no setting")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("starter.py")), str(around / "stood")],
        cwd=around / "data",
        env={**kept, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return around


def test_what_we_start_imports_nothing_from_the_folder_of_the_data(around: Path) -> None:
    assert list((around / "ran").iterdir()) == []


def test_installers_do_not_start_in_the_folder_of_the_data(around: Path) -> None:
    stood = {path.name: path.read_text() for path in (around / "stood").iterdir()}

    assert set(stood) == {"wheels", "integrations", "environment"}
    assert str(around / "data") not in stood.values()
