"""The recipes for a service: systemd takes the unit, and what it says about exit codes is so."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support import people
from support.live_world import MAIN
from support.small_world import World

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


def dockerfile() -> str:
    """The container recipe of the page."""
    found = re.search(r"^```dockerfile\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_the_container_installs_extras_that_there_are_and_needs_no_git() -> None:
    extras = re.search(r"'labelloop\[([a-z0-9,]+)\] @ https://\S+\.tar\.gz'", dockerfile())
    project = tomllib.loads((PAGE.parents[2] / "pyproject.toml").read_text("utf-8"))["project"]

    assert extras
    assert set(extras[1].split(",")) <= project["optional-dependencies"].keys()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root makes a process number one")
@pytest.mark.skipif(not shutil.which("unshare"), reason="there is no unshare here")
def test_as_the_first_process_of_a_container_it_works_and_ends_in_order_when_it_is_told(
    animals: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    entrypoint = json.loads(dockerfile().rpartition("ENTRYPOINT ")[2])
    with (animals.root / "labelloop.toml").open("a") as config:
        config.write('[stacks.default]\nannotator = "memory"\n[annotators.memory]\nflavor = "support.people:shared"\n')
    monkeypatch.setenv("PYTHONPATH", str(Path(people.__file__).parents[1]))
    contained = ["unshare", "--pid", "--fork", sys.executable, "-c", MAIN, *entrypoint[1:]]

    with subprocess.Popen(contained, cwd=animals.root, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        lines = [json.loads(process.stderr.readline()) for _ in range(2)]
        (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGTERM)
        process.communicate(timeout=60)

    assert "round" in [line["event"] for line in lines]
    assert process.returncode == 143
    assert animals.ledger().rounds.all()


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
