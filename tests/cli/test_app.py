"""What every command starts from: a workspace as git gives it, with modules beside its settings."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from labelloop.cli import run

_TOML = """
[dataset]
name = "greetings"
modality = "text"
labels = ["hello", "bye"]
[loop]
selector = "{selector}"
[learner]
backbone = "labelloop.testing.learner:FakeBackbone"
"""


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace without its `.labelloop`, which git ignores."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "labelloop.toml").write_text(_TOML.format(selector="uherding"))
    (tmp_path / "texts.csv").write_text("text\nhello there\ngood bye\n")
    return tmp_path


def test_a_fresh_clone_of_a_workspace_works_at_once(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["-C", str(clone), "--json", "add", str(clone / "texts.csv")])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["new"] == 2
    assert (clone / ".labelloop" / ".gitignore").read_text() == "*\n"


def test_a_folder_that_is_no_workspace_stays_as_it_is(tmp_path: Path) -> None:
    run(["-C", str(tmp_path), "config"])

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("selector", "ok", "detail"),
    [
        ("beside:first", True, "beside:first, and centroids before there is a model"),
        ("beside:second", False, "selector 'beside:second' cannot be loaded"),
        ("uherdin", False, "unknown selector: 'uherdin'"),
    ],
)
def test_check_tries_the_selectors_and_finds_a_module_beside_the_settings(
    clone: Path, capsys: pytest.CaptureFixture[str], selector: str, ok: bool, detail: str
) -> None:
    (clone / "labelloop.toml").write_text(_TOML.format(selector=selector))
    (clone / "beside.py").write_text("import numpy as np\n\ndef first(pool, n, rng):\n    return np.arange(n)\n")
    sys.modules.pop("beside", None)

    run(["-C", str(clone), "--json", "check"])

    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["selector"]["ok"] is ok
    assert detail in found["selector"]["detail"]


def test_a_folder_named_as_a_workspace_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["-C", str(tmp_path / "tpyo"), "check"])

    assert code == 2
    assert f"no labelloop.toml in {tmp_path / 'tpyo'}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_init_says_what_it_changed_in_a_file_that_was_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, said = tmp_path / "labelloop.toml", []

    for options in (["--name", "pets"], ["--labels", "cat,dog"], ["--name", "zoo"], []):
        assert run(["-C", str(tmp_path), "init", *options]) == 0
        said.append(capsys.readouterr().out.replace(str(file), "FILE").splitlines())

    assert said == [
        ["created FILE", "next: set the labels in labelloop.toml, then labelloop add FOLDER"],
        ["set labels in FILE", "next: labelloop add FOLDER"],
        ["set name in FILE", "next: labelloop add FOLDER"],
        ["kept FILE", "next: labelloop add FOLDER"],
    ]
