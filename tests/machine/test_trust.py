"""Code runs only where a person said so: whose folder, by which path, and what asks for it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labelloop.cli import run
from labelloop.errors import ConfigError
from labelloop.machine import modules
from labelloop.machine.modules import Carried
from labelloop.machine.registry import build, resolve
from labelloop.machine.trust import MARK, is_trusted, revoke, trust, trusted
from labelloop.workspace.config import load

TOML = """version = 1
[dataset]
name = "given"
modality = "text"
labels = ["cat", "dog"]
[loop]
selector = "{selector}"
[learner]
flavor = "{learner}"
"""
CODE = """from pathlib import Path
Path({canary!r}).touch()
def choose(pool, n, rng):
    return list(range(n))
class Learner:
    backbone = None
"""


@pytest.fixture(autouse=True)
def nobody_said_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABELLOOP_TRUST", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(modules, "folders", [])


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A workspace of somebody else."""
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "labelloop.toml").write_text(TOML.format(selector="evil_one:choose", learner="evil_one:Learner"))
    (folder / "evil_one.py").write_text(CODE.format(canary=str(tmp_path / "ran")))
    return folder


def _forget(*names: str) -> None:
    for name in names:
        modules.forget(name)
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "check",
        "doctor",
        "tick",
        "train",
        "infer",
        "forecast",
        "score",
        "config",
        "stack describe",
        "annotator describe",
        "secret list",
        "export -o {out}.jsonl",
        "report -o {out}.html",
        "trust --list",
    ],
)
def test_no_command_runs_the_code_of_a_folder_that_nobody_trusts(given: Path, tmp_path: Path, command: str) -> None:
    run(["-C", str(given), *command.format(out=tmp_path / "out").split()])

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("command", ["status", "export -o {out}.jsonl", "report -o {out}.html", "forecast"])
def test_looking_at_a_loop_does_not_need_its_code(
    given: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["-C", str(given), *command.format(out=tmp_path / "out").split()])

    said = capsys.readouterr()
    assert "nobody has allowed" not in said.out + said.err
    assert code == 0 or "no items" in said.err


def test_the_refusal_names_the_module_and_the_command(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["-C", str(given), "--json", "check"])

    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
    assert "evil_one:choose" in found["selector"]["detail"]
    assert found["selector"]["hint"].endswith(f"labelloop -C {given} trust")


def test_completing_options_does_not_run_a_flavor(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (given / "labelloop.toml").open("a") as file:
        file.write('[artifact_stores.x]\nflavor = "evil_one:Learner"\n')
    monkeypatch.chdir(given)
    monkeypatch.setenv("_LABELLOOP_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "labelloop artifact-store update x --")
    monkeypatch.setenv("COMP_CWORD", "4")

    run()

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("target", ["os:system", "subprocess:run", "builtins:exec", "labelloop.cli:run"])
def test_installed_modules_that_a_file_names_are_code_too(given: Path, target: str) -> None:
    (given / "labelloop.toml").write_text(TOML.format(selector=target, learner="frozen"))
    load(given)

    with pytest.raises(ConfigError, match="nobody has allowed"):
        resolve("selector", target)


def test_a_backbone_that_is_code_is_refused_too(given: Path, tmp_path: Path) -> None:
    load(given)

    with pytest.raises(ConfigError, match="nobody has allowed"):
        _ = build(
            "learner", "frozen", {"backbone": "evil_one:Learner"}, {"schema": load(given).config.schema_of()}
        ).backbone

    assert not (tmp_path / "ran").exists()


def test_what_is_trusted_once_runs(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _forget("evil_one")
    code = run(["-C", str(given), "--json", "trust"])

    shown = json.loads(capsys.readouterr().out)
    assert code == 0
    assert {one["target"] for one in shown["code"]} == {"evil_one:choose", "evil_one:Learner"}
    assert shown["code"][0]["file"] == str(given / "evil_one.py")
    assert not (tmp_path / "ran").exists()  # saying so is not running it
    load(given)
    assert resolve("selector", "evil_one:choose").__name__ == "choose"
    assert str(given) not in sys.path


def test_trust_is_listed_and_taken_back(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["-C", str(given), "trust"])
    capsys.readouterr()
    run(["--json", "trust", "--list"])
    assert [one["folder"] for one in json.loads(capsys.readouterr().out)] == [str(given)]

    run(["-C", str(given), "--json", "trust", "--revoke"])

    assert json.loads(capsys.readouterr().out) == {"folder": str(given), "trusted": False, "was": True}
    assert not is_trusted(given)
    assert not revoke(given)


def test_init_trusts_what_it_makes_and_not_what_it_finds(tmp_path: Path, given: Path) -> None:
    (tmp_path / "mine").mkdir()

    run(["-C", str(tmp_path / "mine"), "init"])
    run(["-C", str(given), "init", "--labels", "a,b"])

    assert is_trusted(tmp_path / "mine")
    assert not is_trusted(given)


def test_a_pulled_example_is_trusted(tmp_path: Path) -> None:
    run(["example", "pull", "own_step_learner_selector", "--path", str(tmp_path)])

    assert is_trusted(tmp_path / "own_step_learner_selector")


def test_another_folder_in_the_place_of_a_trusted_one_is_not_trusted(given: Path) -> None:
    trust(given, "trust")
    shutil.rmtree(given)
    given.mkdir()
    (given / "labelloop.toml").write_text(TOML.format(selector="a:b", learner="frozen"))

    assert not is_trusted(given)
    assert [one.stands for one in trusted()] == [False]


def test_a_copy_of_a_trusted_folder_is_not_trusted(given: Path, tmp_path: Path) -> None:
    trust(given, "trust")
    shutil.copytree(given, tmp_path / "copy")

    assert not is_trusted(tmp_path / "copy")


def test_a_folder_cannot_say_of_itself_that_it_is_trusted(given: Path) -> None:
    (given / MARK).parent.mkdir()
    (given / MARK).write_text("0" * 32)

    assert not is_trusted(given)


def test_a_damaged_record_trusts_nobody(given: Path, tmp_path: Path) -> None:
    trust(given, "trust")
    record = tmp_path / "config" / "labelloop" / "trusted.json"
    assert record.stat().st_mode & 0o077 == 0

    for body in ("", "[]", '{"folders": 1}', json.dumps({"folders": {str(given): "yes"}})):
        record.write_text(body)
        assert not is_trusted(given)


@pytest.mark.parametrize(
    ("said", "so"), [("{}", True), ("{}/..", True), ("/nowhere", False), ("", False), ("{}x", False)]
)
def test_the_environment_trusts_folders_by_name(
    given: Path, monkeypatch: pytest.MonkeyPatch, said: str, so: bool
) -> None:
    monkeypatch.setenv("LABELLOOP_TRUST", said.format(given))

    assert is_trusted(given) is so


@pytest.mark.parametrize("name", ["numpy", "json", "click", "labelloop", "sqlalchemy"])
def test_a_file_beside_the_settings_never_hides_an_installed_module(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("raise SystemExit('hidden')")
    (tmp_path / "labelloop.toml").write_text(TOML.format(selector="auto", learner="frozen"))
    trust(tmp_path, "trust")
    load(tmp_path)

    with pytest.raises(ConfigError, match="cannot be loaded"):
        resolve("selector", f"{name}:no_such_thing")


def test_a_trusted_module_imports_its_neighbours_and_nobody_else_finds_them(tmp_path: Path) -> None:
    _forget("own_thing", "neighbour", "parcel", "never_asked")
    (tmp_path / "own_thing.py").write_text(
        "import neighbour\nfrom parcel.inner import deep\ndef choose():\n"
        "    import lazy_one\n    return lazy_one.x, deep\n"
    )
    (tmp_path / "neighbour.py").write_text("")
    (tmp_path / "lazy_one.py").write_text("x = 1\n")
    (tmp_path / "never_asked.py").write_text("raise SystemExit('found')")
    (tmp_path / "parcel").mkdir()
    (tmp_path / "parcel" / "inner.py").write_text("deep = 2\n")
    (tmp_path / "labelloop.toml").write_text(TOML.format(selector="own_thing:choose", learner="frozen"))
    trust(tmp_path, "trust")
    load(tmp_path)

    assert resolve("selector", "own_thing:choose")() == (1, 2)
    with pytest.raises(ImportError):
        import never_asked  # type: ignore[import-not-found]  # noqa: F401 - as a library would
    _forget("own_thing", "neighbour", "parcel", "lazy_one")


def test_two_workspaces_have_each_their_own_module_of_one_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same_name.py").write_text(f"word = {name!r}\n")
        (tmp_path / name / "labelloop.toml").write_text(TOML.format(selector="auto", learner="frozen"))
        trust(tmp_path / name, "trust")

    said = []
    for name in ("one", "two", "one"):
        load(tmp_path / name)
        said.append(resolve("selector", "same_name:word"))

    assert said == ["one", "two", "one"]
    _forget("same_name")


def test_an_object_of_the_workspace_arrives_in_another_process(tmp_path: Path) -> None:
    _forget("carried_one")
    (tmp_path / "carried_one.py").write_text("class Thing:\n    word = 'here'\n")
    (tmp_path / "labelloop.toml").write_text(TOML.format(selector="auto", learner="frozen"))
    trust(tmp_path, "trust")
    load(tmp_path)
    body = pickle.dumps(Carried.of(resolve("learner", "carried_one:Thing")()))
    script = "import sys, pickle; print(pickle.loads(sys.stdin.buffer.read()).unpacked().word)"

    done = subprocess.run(
        [sys.executable, "-c", script], input=body, capture_output=True, check=True, env=dict(os.environ)
    )

    assert done.stdout.strip() == b"here"
    _forget("carried_one")


STACK = """version = 1
[stacks.team]
artifact_store = "{name}"
secrets_manager = "default"
annotator = "default"
orchestrator = "default"
[artifact_stores."{name}"]
flavor = "{flavor}"
{options}
"""


@pytest.mark.parametrize(
    ("flavor", "options"),
    [
        ("os:system", 'command = "touch {canary}"'),
        ("subprocess:run", 'args = ["touch", "{canary}"]'),
        ("evil_one:Learner", ""),
        ("builtins:exec", "source = \"open('{canary}', 'w')\""),
    ],
)
def test_importing_a_stack_runs_nothing_even_with_trust(
    given: Path, tmp_path: Path, flavor: str, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "team.toml"
    file.write_text(STACK.format(name="s", flavor=flavor, options=options.format(canary=tmp_path / "ran")))

    assert run(["-C", str(given), "stack", "import", str(file)]) == 2
    said = capsys.readouterr().err.replace("\n", " ")
    assert flavor in said
    assert "--trust" in said
    assert "team" not in load(given).config.stacks
    assert run(["-C", str(given), "stack", "import", str(file), "--trust"]) == 0
    assert load(given).config.components("artifact-store")["s"].flavor == flavor
    assert not (tmp_path / "ran").exists()


def test_options_of_a_file_are_checked_by_their_types_without_calling_anything(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labelloop.backends.local_store import LocalArtifactStore

    monkeypatch.setattr(LocalArtifactStore, "__post_init__", lambda self: (tmp_path / "ran").touch(), raising=False)
    file = tmp_path / "team.toml"
    file.write_text(STACK.format(name="s", flavor="local", options="path = 3"))
    assert run(["-C", str(given), "stack", "import", str(file)]) == 2
    file.write_text(STACK.format(name="s", flavor="local", options=f'path = "{tmp_path}"'))
    assert run(["-C", str(given), "stack", "import", str(file)]) == 0
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["../x", "a b", "x\\\\ny", ".hidden", "-rf"])
def test_a_component_of_a_file_has_a_name_that_can_be_typed(given: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / "team.toml"
    file.write_text(STACK.format(name=name, flavor="local", options=""))

    assert run(["-C", str(given), "stack", "import", str(file)]) == 2


@pytest.mark.parametrize(
    "name",
    [
        "a\nb",
        "a\n[loop]\nselector='x:y'",
        "tab\tbed",
        "esc\x1b[31m",
        "{0}",
        "{name}",
        'q"uote',
        "back\\slash",
        "\u202eevil",
    ],
)
def test_init_in_a_folder_with_an_odd_name_writes_valid_settings(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()

    assert run(["-C", str(folder), "init", "--labels", "cat,dog"]) == 0

    found = load(folder).config
    assert found.dataset.name.isprintable()
    assert found.loop.selector == "auto"


def test_a_byte_order_mark_is_read_and_kept(given: Path) -> None:
    path = given / "labelloop.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TOML.format(selector="auto", learner="frozen").encode())

    assert run(["-C", str(given), "init", "--labels", "x,y"]) == 0
    assert run(["-C", str(given), "stack", "copy", "default", "other"]) == 0

    assert path.read_bytes().startswith(b"\xef\xbb\xbfversion")
    assert load(given).config.dataset.labels == ("x", "y")


@pytest.mark.parametrize("command", ["status", "stack list", "config", "stack import {deep}", "init --labels a,b"])
def test_settings_that_are_nested_without_end_are_refused_in_words(
    given: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (given / "labelloop.toml", tmp_path / "deep.toml"):
        path.write_text("x = " + "[" * 3000)

    assert run(["-C", str(given), *command.format(deep=tmp_path / "deep.toml").split()]) == 2
    assert "nested too deeply" in capsys.readouterr().err
