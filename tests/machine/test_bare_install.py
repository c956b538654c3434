"""What works with the required dependencies alone, and what is said where an extra is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from labelloop.data.sources import read_items
from labelloop.errors import ConfigError
from labelloop.learners.network import Network
from labelloop.learners.pixels import square

ROOT = Path(__file__).parents[2]
MOST = 12


def test_no_more_is_required_than_the_core_uses() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]

    assert len(required) <= MOST


def test_pictures_without_pillow_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "PIL", None)

    with pytest.raises(ConfigError, match="pillow, which is not installed") as caught:
        list(read_items(str(tmp_path), "image"))
    assert caught.value.hint == "labelloop integration install image"

    with pytest.raises(ConfigError, match="pillow, which is not installed"):
        square(b"", 8)


def test_a_network_without_onnxruntime_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(ConfigError, match="onnxruntime, which is not installed") as caught:
        Network(tmp_path / "model.onnx").run({})
    assert "labelloop integration install image" in caught.value.hint


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with labelloop and what it requires, in the versions of the lock."""
    place = tmp_path_factory.mktemp("bare")
    uv = [sys.executable, "-m", "uv"]
    python = place / "bin" / "python"
    for command in (
        [*uv, "venv", "--quiet", "--python", sys.executable, "--clear", str(place)],
        [
            *uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            str(python),
            "--constraint",
            "labelloop.lock",
            "--editable",
            ".",
        ],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode and "dns error" in done.stderr.lower():
            pytest.skip("the package index cannot be reached")
        assert done.returncode == 0, done.stderr
    return place


def typed(bare: Path, where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LABELLOOP_")}
    command: Sequence[str] = [str(bare / "bin" / "labelloop"), "-C", str(where), *arguments]
    return subprocess.run(
        command, env=environment | {"HOME": str(where)}, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.slow
def test_labelloop_alone_has_none_of_the_heavy_packages(bare: Path) -> None:
    there = {one.name.partition("-")[0].lower() for one in bare.rglob("*.dist-info")}

    assert {"click", "cryptography", "numpy", "scikit_learn"} <= there
    assert not {"pillow", "onnxruntime", "filelock", "platformdirs", "matplotlib", "boto3", "torch"} & there


@pytest.mark.slow
def test_labelloop_alone_keeps_items_and_secrets_and_says_what_else_it_needs(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("text\n" + "".join(f"a text number {n} of many\n" for n in range(60)))
    assert typed(bare, tmp_path, "init", "--modality", "text", "--labels", "a,b", "--name", "bare").returncode == 0

    added = typed(bare, tmp_path, "add", str(tmp_path / "texts.csv"))
    kept = typed(bare, tmp_path, "secret", "register", "team", "--token=hush")
    told = typed(bare, tmp_path, "secret", "get", "team", "--show")
    status = typed(bare, tmp_path, "status")
    check = typed(bare, tmp_path, "check")

    assert (added.returncode, kept.returncode, status.returncode) == (0, 0, 0), added.stderr + kept.stderr
    assert "hush" in told.stdout
    assert "labelloop[text]" in check.stdout + check.stderr
    assert "Traceback" not in check.stderr
