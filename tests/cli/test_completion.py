"""Completion, asked by the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from labelloop.backends.local_secrets import LocalSecretsManager

TEXT = """\
active_stack = "team"
[dataset]
name = "pets"
[stacks.team]
[stacks.tests]
[annotators.people]
flavor = "label_studio"
[orchestrators.many]
flavor = "local"
"""

WORDS = """\
eval "$(labelloop completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
_labelloop_completion labelloop
printf '%s\\n' "${COMPREPLY[@]}"
"""

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "labelloop.toml").write_text(TEXT)
    return tmp_path


def in_bash(root: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words; it breaks words at `=`, as it does when one types."""
    apart = [part for word in words for part in (word.replace("=", "\0=\0").split("\0") if "=" in word else [word])]
    done = subprocess.run(
        ["bash", "-c", WORDS, "bash", *apart],
        cwd=root,
        env={**os.environ, "PATH": PATH},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (["sta"], {"status", "stack"}),
        (["stack", "set", "te"], {"team", "tests"}),
        (["stack", "set", ""], {"default", "team", "tests"}),
        (["stack", "update", "team", "-an", ""], {"default", "people"}),
        (["stack", "update", "team", "--annotator=p"], {"people"}),
        (["stack", "update", "team", "-o="], {"default", "many"}),
        (["orchestrator", "describe", "m"], {"many"}),
        (["orchestrator", "update", "many", "--w"], {"--workers"}),
        (["orchestrator", "register", "new", "--flavor=lo"], {"local"}),
        (["annotator", "register", "new", "-f", "label_studio", "--media"], {"--media_root"}),
        (["secrets-manager", "register", "new", "-f", "e"], {"env"}),
        (["integration", "install", "po"], {"postgres"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["watch", "--u"], {"--until-done"}),
        (["--w"], {"--workspace"}),
        (["example", "pull", "label"], {"label_studio_annotation"}),
        (["example", "remove", "own"], {"own_step_learner_selector"}),
        (["annotator", "dataset", "stats", "p"], {"pets"}),
        (["stack", "nonsense", "--flavor=", "x"], set()),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_bash_offers_commands_options_and_names(root: Path, words: list[str], offers: set[str]) -> None:
    assert set(in_bash(root, "labelloop", *words)) >= offers


def test_a_workspace_elsewhere_is_asked_for_its_names(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    assert in_bash(elsewhere, "labelloop", "-C", str(root), "stack", "set", "te") == ["team", "tests"]
    assert in_bash(elsewhere, "labelloop", "stack", "set", "") == ["default"]


@pytest.mark.parametrize("text", ["[broken", 'stacks = "none"\nannotators = 3\n', "version = 99\n"])
def test_a_broken_file_completes_what_it_can_and_prints_no_error(root: Path, text: str) -> None:
    (root / "labelloop.toml").write_text(text)

    assert in_bash(root, "labelloop", "stack", "set", "") == ["default"]
    assert in_bash(root, "labelloop", "annotator", "describe", "d") == ["default"]


def test_completion_imports_nothing_heavy(root: Path) -> None:
    code = "import sys; from labelloop.cli import run; run(); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={
            **os.environ,
            "_LABELLOOP_COMPLETE": "bash_complete",
            "COMP_WORDS": "labelloop\nartifact-store\nregister\nx\n-f\nlocal\n--",
            "COMP_CWORD": "6",
        },
        capture_output=True,
        text=True,
        check=True,
    )

    assert "plain,--path" in done.stdout
    assert {"pydantic", "numpy", "httpx", "rich", "tomlkit"} & set(done.stderr.split()) == set()


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish here")
def test_fish_offers_names(root: Path) -> None:
    script = "labelloop completion fish | source; complete -C 'labelloop stack set te'"

    assert _said(["fish", "--no-config", "-c", script], root).split() == ["team", "tests"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_zsh_offers_names(root: Path) -> None:
    script = """
        compdef() { : }
        compadd() { print -l -- "${(P)@[-1]}" }
        eval "$(labelloop completion zsh)"
        words=(labelloop stack set te) CURRENT=4
        _labelloop_completion
    """

    assert _said(["zsh", "-f", "-c", script], root).split() == ["team", "tests"]


def _said(command: list[str], root: Path) -> str:
    done = subprocess.run(
        command, cwd=root, env={**os.environ, "PATH": PATH}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_names_of_secrets_on_this_machine_are_offered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELLOOP_SECRETS_KEY", Fernet.generate_key().decode())
    for name in ("bucket", "board"):
        LocalSecretsManager(home=root / ".labelloop").set(name, {"api_key": "canary"})

    assert in_bash(root, "labelloop", "secret", "get", "b") == ["board", "bucket"]
    assert in_bash(root, "labelloop", "secret", "update", "bu") == ["bucket"]
    assert in_bash(root, "labelloop", "secret", "update", "board", "b") == []
    assert in_bash(root, "labelloop", "annotator", "update", "people", "--authentication_secret=bo") == ["board"]


def test_names_of_secrets_in_the_environment_are_offered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "labelloop.toml").write_text(
        '[stacks.default]\nsecrets_manager = "ci"\n[secrets_managers.ci]\nflavor = "env"'
    )
    monkeypatch.setenv("LABELLOOP_SECRET_TEAM__API_KEY", "canary")

    assert in_bash(root, "labelloop", "secret", "delete", "") == ["team"]


def test_names_of_secrets_in_a_service_are_not_asked_for(root: Path) -> None:
    (root / "labelloop.toml").write_text(
        '[stacks.default]\nsecrets_manager = "v"\n[secrets_managers.v]\nflavor = "vault"\nurl = "http://127.0.0.1:9"'
    )

    assert in_bash(root, "labelloop", "secret", "get", "") == []
