"""Pulling and removing examples: the whole or nothing, nothing of a user's is lost unasked, all of it in the wheel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from labelloop.cli import run
from labelloop.config import load
from labelloop.errors import BackendError, NotFoundError
from labelloop.examples import HERE, PROJECTS, pull, remove
from labelloop.intake import take_in
from labelloop.ledger import open_ledger
from labelloop.sources import Columns

ROOT = Path(__file__).resolve().parents[2]


def files_of(folder: Path) -> set[str]:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if "__pycache__" not in name}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PROJECTS)
def test_an_example_is_pulled_whole_and_is_a_workspace(name: str, tmp_path: Path) -> None:
    where = pull(name, tmp_path)

    assert files_of(where) == files_of(HERE / name)
    assert {"README.md", "labelloop.toml"} <= files_of(where)
    assert load(where, {}).config.dataset.schema_of().labels
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "folders"),
    [("label_studio_annotation", ["data/batch_1", "data/batch_2"]), (list(PROJECTS)[1], ["images"])],
)
def test_every_image_is_readable_and_has_its_answer(name: str, folders: list[str], tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "example")
    taken = take_in(ledger, [str(HERE / name / folder) for folder in folders], "image", Columns())
    ledger.close()

    answers = next((HERE / name).rglob("answers.csv")).read_text().splitlines()[1:]

    assert not taken.unreadable
    assert taken.new == len(answers)
    assert {line.split(",")[1] for line in answers} == set(load(HERE / name, {}).config.dataset.labels)


def test_what_is_there_is_not_touched_without_force(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["example", "pull", "own_step_learner_selector"]) == 0
    changed = here / "labelloop_examples" / "own_step_learner_selector" / "mine.py"
    changed.write_text("# mine")

    code = run(["example", "pull", "own_step_learner_selector"])

    assert code == 2
    assert "--force" in capsys.readouterr().err
    assert changed.read_text() == "# mine"


def test_force_writes_the_examples_files_anew_and_keeps_the_others(here: Path) -> None:
    where = pull("own_step_learner_selector", here / "labelloop_examples")
    (where / "mine.py").write_text("# changed")
    (where / "notes.txt").write_text("my own")
    (where / ".labelloop").mkdir()
    (where / ".labelloop" / "ledger.db").write_text("state")

    assert run(["example", "pull", "own_step_learner_selector", "--force"]) == 0

    assert (where / "mine.py").read_text() == (HERE / "own_step_learner_selector" / "mine.py").read_text()
    assert (where / "notes.txt").read_text() == "my own"
    assert (where / ".labelloop" / "ledger.db").read_text() == "state"


def test_a_pull_that_is_killed_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    code = (
        "import os, shutil, signal, sys; from pathlib import Path; import labelloop.examples as examples\n"
        "copy, count = shutil.copy2, [0]\n"
        "def dying(*args, **options):\n"
        "    count[0] += 1\n"
        "    if count[0] == 20: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return copy(*args, **options)\n"
        "shutil.copytree.__defaults__ = (False, None, dying, False, False)\n"
        "examples.pull('label_studio_annotation', Path(sys.argv[1]))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode

    assert killed == -signal.SIGKILL
    assert not (tmp_path / "label_studio_annotation").exists()
    assert pull("label_studio_annotation", tmp_path).is_dir()


def test_remove_asks_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = pull("own_step_learner_selector", here / "labelloop_examples")
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")

    declined = run(["example", "remove", "own_step_learner_selector"])
    there = where.exists()
    removed = run(["example", "remove", "own_step_learner_selector", "--yes"])

    assert (declined, there) == (130, True)
    assert removed == 0
    assert not where.exists()
    assert list((here / "labelloop_examples").iterdir()) == []


def test_an_unknown_example_names_the_known_ones(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = [run(["example", "pull", "label_studio"]), run(["example", "remove", "label_studio_annotation", "--yes"])]

    said = capsys.readouterr().err
    assert codes == [2, 2]
    assert "did you mean 'label_studio_annotation'?" in said or "known: label_studio_annotation" in said
    assert "labelloop example pull label_studio_annotation" in said


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BackendError, match="cannot be written"):
        pull("own_step_learner_selector", tmp_path / "file" / "below")
    with pytest.raises(BackendError, match="cannot be written"):
        remove(tmp_path / "file" / "below" / "x")


def test_list_shows_every_example_and_which_are_here(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pull("own_step_learner_selector", here / "labelloop_examples")

    assert run(["example", "list"]) == 0

    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split("\t")[0] for line in lines] == list(PROJECTS)
    assert [line.split("\t")[2] for line in lines] == ["", "labelloop_examples/own_step_learner_selector"]


@pytest.mark.slow
def test_the_wheel_contains_every_file_of_every_example(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not installed")
    subprocess.run([uv, "build", "--wheel", "--quiet", "--out-dir", tmp_path, ROOT], check=True, env=os.environ)

    names = set(ZipFile(next(tmp_path.glob("*.whl"))).namelist())

    for name in PROJECTS:
        assert {f"labelloop/examples/{name}/{file}" for file in files_of(HERE / name)} <= names


@pytest.mark.slow
@pytest.mark.parametrize("name", PROJECTS)
def test_an_examples_types_are_right_where_it_stands(name: str, tmp_path: Path) -> None:
    where = pull(name, tmp_path)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "."]
    done = subprocess.run(mypy, cwd=where, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_names_of_the_examples_are_the_folders(tmp_path: Path) -> None:
    folders = {path.name for path in HERE.iterdir() if path.is_dir() and not path.name.startswith("_")}

    assert folders == set(PROJECTS)
    with pytest.raises(NotFoundError):
        pull("nothing", tmp_path)
