"""The recipes for a service: systemd takes the unit, and what it says about exit codes is so."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "run-as-a-service.md"


def unit() -> str:
    """The systemd unit of the page."""
    found = re.search(r"^```ini\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    installed = unit().replace("/srv/venv/bin/labelloop", sys.executable).replace("User=labelloop", "User=root")
    (tmp_path / "pets.service").write_text(installed)

    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "pets.service")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert [line for line in checked.stderr.splitlines() if "pets.service" in line] == []
    assert checked.returncode == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_the_check_would_find_a_typo(tmp_path: Path) -> None:
    broken = unit().replace("/srv/venv/bin/labelloop", sys.executable).replace("RestartSec=", "RestartSeconds=")
    (tmp_path / "pets.service").write_text(broken)

    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "pets.service")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "RestartSeconds" in checked.stderr


def test_its_exit_codes_are_those_of_labelloop() -> None:
    errors = (PAGE.parents[1] / "reference" / "errors.md").read_text("utf-8")

    assert "SuccessExitStatus=143" in unit()
    assert "| 143 | SIGTERM |" in errors
    assert "RestartPreventExitStatus=2" in unit()
    assert "| 2 | your move" in errors


def test_every_metric_of_the_page_is_one_that_is_served_and_none_is_missing() -> None:
    source = (PAGE.parents[2] / "src" / "labelloop" / "web" / "service.py").read_text("utf-8")

    named = {name.removesuffix("_total") for name in re.findall(r"`(labelloop_[a-z_]+)", PAGE.read_text("utf-8"))}
    served = set(re.findall(r'"(labelloop_[a-z_]+)"', source)) | {
        f"labelloop_{name}" for name in re.findall(r'\("(score[a-z_]*)", "(?:score|low|high)"', source)
    }

    assert named == served
