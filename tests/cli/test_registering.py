"""The commands for components, stacks and integrations, as they are typed."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from labelloop.cli import run
from labelloop.errors import ConfigError
from labelloop.machine.registry import KINDS
from labelloop.workspace import integrations


class Typed:
    """What a line says, and how it ends."""

    def __init__(self, root: Path, captured: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._captured = captured

    def __call__(self, line: str) -> tuple[int, str]:
        """One line, in this process: the exit code, and everything that is printed."""
        self._captured.readouterr()
        code = run(["-C", str(self.root), *line.split()])
        heard = self._captured.readouterr()
        return code, heard.out + heard.err

    def json(self, line: str) -> Any:
        """What a script is told."""
        code, said = self(f"--json {line}")
        assert code == 0, said
        return json.loads(said)


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    """A fresh workspace."""
    made = Typed(tmp_path, capsys)
    assert made("init --labels cat,dog")[0] == 0
    return made


def test_the_lines_of_the_seed_work_as_typed(typed: Typed) -> None:
    lines = [
        "init",
        "stack copy default NEW",
        "stack set NEW",
        "secrets-manager register X --flavor=env --prefix=MY_",
        "artifact-store register A -f=local --path=here",
        "annotator register AN --flavor label_studio --authentication_secret=S",
        "orchestrator register O -f local --workers 2",
        "stack update NEW -x X -a A -an AN",
        "stack update NEW -o=O",
    ]

    said = {line: typed(line) for line in lines}

    assert {line: code for line, (code, _) in said.items() if code} == {}
    stack = typed.json("stack describe")
    assert (stack["stack"], stack["active"]) == ("NEW", True)
    assert {kind: part["name"] for kind, part in stack["components"].items()} == dict(
        zip(KINDS, ["A", "X", "AN", "O"], strict=True)
    )
    assert typed.json("orchestrator describe O")["options"] == {"workers": 2}
    assert typed("stack get")[1] == "NEW\n"


@pytest.mark.parametrize(
    "line",
    [
        "annotator register N -f label_studio --authentication-secret=s --media-root=/x",
        "annotator register N --media_root /x -f=label_studio --authentication_secret s",
        "annotator register --media_root=/x --authentication_secret s --flavor label_studio N",
        "annotator register -flabel_studio N --authentication-secret s --media-root /x",
    ],
)
def test_options_come_in_any_order_and_spelling(typed: Typed, line: str) -> None:
    assert typed(line)[0] == 0

    options = typed.json("annotator describe N")["options"]
    assert (options["authentication_secret"], options["media_root"]) == ("s", "/x")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("artifact-store register a", "which flavor of artifact-store?"),
        ("artifact-store register a --path=x", "which flavor of artifact-store?"),
        ("artifact-store register a -f nope", "unknown artifact-store flavor: 'nope'"),
        ("artifact-store register a -f local --pth=x", "did you mean 'path'?"),
        ("orchestrator register a -f local --workers=x", "option 'workers'"),
        ("orchestrator register a -f local --workers=0", "workers = 0 executes nothing"),
        ("orchestrator update default", "nothing to change was given"),
        ("orchestrator update defalt --workers=3", "unknown orchestrator: 'defalt'"),
        ("orchestrator describe none", "unknown orchestrator: 'none'"),
        ("annotator describe none", "unknown annotator: 'none'"),
        ("stack delete default --yes", "the stack 'default' cannot be deleted"),
        ("stack update -a none", "unknown artifact-store: 'none'"),
        ("stack import nothing.toml", "no file nothing.toml"),
        ("integration install s33", "unknown integration: 's33'"),
    ],
)
def test_a_line_that_cannot_be_says_what_to_do(typed: Typed, line: str, says: str) -> None:
    before = (typed.root / "labelloop.toml").read_bytes()

    code, said = typed(line)

    assert code == 2
    assert says in said
    assert "hint: " in said
    assert (typed.root / "labelloop.toml").read_bytes() == before


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_every_verb(typed: Typed, kind: str) -> None:
    flavor = "env" if kind == "secrets-manager" else "label_studio" if kind == "annotator" else "local"
    typed(f"{kind} register one -f {flavor}")

    assert set(typed.json(f"{kind} list")) == {"default", "one"}
    assert typed(f"{kind} rename one two") == (0, f"{kind} 'one' is now 'two'\n")
    assert typed.json(f"{kind} describe two")["flavor"] == flavor
    assert typed(f"{kind} delete two")[0] == 0
    assert set(typed.json(f"{kind} list")) == {"default"}
    assert flavor in typed.json(f"{kind} flavor list")


def test_an_option_is_set_and_unset(typed: Typed) -> None:
    typed("orchestrator register o -f local --workers=3")

    assert typed("orchestrator update o --workers=5") == (0, "orchestrator 'o': workers = 5\n")
    assert typed.json("orchestrator describe o")["set"] == ["workers"]
    assert typed("orchestrator update o --workers=")[0] == 0
    assert typed.json("orchestrator describe o")["set"] == []
    typed("orchestrator update o --workers=5")
    assert typed("orchestrator update o --remove-attribute workers")[0] == 0
    assert typed.json("orchestrator describe o")["options"] == {"workers": 1}


def test_help_lists_the_options_of_the_flavor(typed: Typed) -> None:
    assert "--media_root" not in typed("annotator register --help")[1]
    assert "--media_root" in typed("annotator register -f label_studio --help")[1]
    assert "--media_root" in typed("annotator update default --help")[1]


def test_the_tables_show_what_is_used(typed: Typed) -> None:
    typed("artifact-store register a -f local --path=here")

    assert "\ta\tlocal\tpath=here\t\n" in typed("artifact-store list")[1]
    assert "*\tdefault\tlocal\t\tdefault\n" in typed("artifact-store list")[1]
    assert "used by no stack" in typed("artifact-store describe a")[1]
    assert "--path\ttext" in typed("artifact-store flavor list")[1]
    assert "path=here" not in typed("stack describe default")[1]


def test_deleting_a_stack_asks_first(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    typed("stack copy default old")
    monkeypatch.setattr("sys.stdin", io.StringIO())

    code, said = typed("stack delete old")
    assert (code, "nobody agreed" in said) == (2, True)
    assert "old" in typed.json("stack list")

    assert typed("stack delete old --yes")[0] == 0
    assert "old" not in typed.json("stack list")


def test_a_stack_travels_as_a_file(typed: Typed, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("mail") / "team.toml"
    typed("artifact-store register a -f local --path=here")
    typed("stack register team -a a --set")

    assert typed(f"stack export team -o {file}")[0] == 0
    assert typed("stack export")[1] == file.read_text()
    assert typed.json(f"stack import {file} --name other") == {"stack": "other", "components": {}}
    assert typed.json("stack list")["other"]["artifact_store"] == "a"


def test_the_integrations_tell_what_they_are_for(typed: Typed) -> None:
    found = typed.json("integration list")

    assert set(found) == set(integrations.PURPOSES)
    assert [one.partition(">")[0] for one in found["s3"]["requirements"]] == ["boto3", "obstore"]
    assert all(one["for"] for one in found.values())
    assert "labelloop integration install" in found["pytorch"]["install"]


def test_an_integration_that_is_there_is_not_installed_again(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrations, "run", _never)

    assert typed("integration install aws keyring") == (0, "installed: s3, keyring\n")


def test_a_dry_run_prints_the_command(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrations, "is_there", lambda requirement: "keyring" in requirement)
    monkeypatch.setattr(integrations, "run", _never)

    code, said = typed("integration install keyring aws gcp --dry-run")

    assert code == 0
    assert "keyring: installed already" in said
    assert " install " in said
    assert said.count("obstore") == 1


def test_an_installation_that_fails_says_its_last_lines(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = "print('ERROR: Could not find a version that satisfies it'); raise SystemExit(1)"
    monkeypatch.setattr(integrations, "is_there", lambda _: False)
    monkeypatch.setattr(integrations, "installer", lambda: [sys.executable, "-c", complaint])

    code, said = typed("integration install vault")

    assert code == 3
    assert "  ERROR: Could not find a version" in said
    assert "package index" in said


def test_without_pip_uv_installs_and_without_both_the_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("shutil.which", lambda _: "/bin/uv")
    assert integrations.installer() == ["/bin/uv", "pip", "install", "--python", sys.executable]

    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ConfigError, match="neither pip nor uv"):
        integrations.installer()


def test_every_extra_is_an_integration_or_a_bundle() -> None:
    from importlib.metadata import metadata

    extras = set(metadata("labelloop").get_all("Provides-Extra") or [])

    assert extras - {"demo"} == set(integrations.PURPOSES) - {integrations.LABEL_STUDIO}


def _never(*_: object) -> None:
    raise AssertionError("this should not run")


def test_deleting_a_stack_that_cannot_go_is_refused_before_anybody_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["-C", str(tmp_path), "init"])

    code = run(["-C", str(tmp_path), "stack", "delete", "default"])

    said = capsys.readouterr().err
    assert code == 2
    assert "cannot be deleted" in said
    assert "[y/N]" not in said
