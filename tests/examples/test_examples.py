"""Pulling and removing examples: the whole or nothing, nothing of a user's is lost unasked, all of it in the wheel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import ZipFile

import pytest

from labelloop.cli import run
from labelloop.commands.add import add_items
from labelloop.data.sources import Columns
from labelloop.errors import BackendError, ConfigError, NotFoundError
from labelloop.examples import HERE, PROJECTS, find, pull, remove
from labelloop.ledger import open_ledger
from labelloop.workspace.config import load

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
    assert load(where, {}).config.schema_of().labels
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "folders"),
    [("label_studio_annotation", ["data/batch_1", "data/batch_2"]), (list(PROJECTS)[1], ["images"])],
)
def test_every_image_is_readable_and_has_its_answer(name: str, folders: list[str], tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "example")
    taken = add_items(ledger, [str(HERE / name / folder) for folder in folders], "image", Columns())
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


DYING = """
import os, signal, sys
from pathlib import Path
import labelloop.examples as examples

doing, left = sys.argv[3], [int(sys.argv[4])]
def dying(event, _):
    if event == doing:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(dying)
there = Path(sys.argv[1])
examples.pull(sys.argv[2], there, force=True) if sys.argv[5] == "pull" else examples.remove(there / sys.argv[2])
"""
"""Pulls or removes an example, and is killed as it does the nth thing of a kind."""

SMALL, LARGE = "own_step_learner_selector", "label_studio_annotation"


def killed(into: Path, name: str, doing: str, nth: int, verb: str = "pull") -> bool:
    command = [sys.executable, "-c", DYING, str(into), name, doing, str(nth), verb]
    return subprocess.run(command, check=False).returncode == -signal.SIGKILL


def test_a_pull_that_is_killed_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    assert killed(tmp_path, LARGE, "shutil.copyfile", 20)

    assert not (tmp_path / LARGE).exists()
    assert pull(LARGE, tmp_path).is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [LARGE]


def used(into: Path) -> Path:
    """An example that somebody has worked in."""
    where = pull(SMALL, into)
    for path in (where / "mine.py", where / "README.md", where / "images" / "scan-60.png"):
        path.write_text("changed")
    (where / ".labelloop" / "artifacts").mkdir(parents=True)
    for name in (".labelloop/ledger.db", ".labelloop/artifacts/one", "notes.txt", "images/my-own.png"):
        (where / name).write_text("my own")
    return where


def ages(where: Path) -> set[str]:
    """Whether the example's own files are the old ones, the new ones, or some of each."""
    theirs = ("mine.py", "README.md", "images/scan-60.png")
    return {"old" if (where / name).read_bytes() == b"changed" else "new" for name in theirs}


@pytest.mark.parametrize(
    ("doing", "nth", "age"),
    [
        ("shutil.copyfile", 1, "old"),
        ("shutil.copyfile", 60, "old"),
        ("os.rename", 1, "old"),
        ("os.rename", 2, "between"),
        ("os.rename", 3, "between"),
        ("os.rename", 4, "between"),
        ("os.rename", 5, "between"),
        ("os.remove", 1, "new"),
        ("os.remove", 9, "new"),
        ("os.rmdir", 1, "new"),
    ],
)
def test_a_forced_pull_that_is_killed_leaves_the_old_or_the_new_and_all_that_is_the_users(
    tmp_path: Path, doing: str, nth: int, age: str
) -> None:
    where = used(tmp_path)

    assert killed(tmp_path, SMALL, doing, nth)

    assert (ages(where) if where.exists() else {"between"}) == {age}
    with pytest.raises(ConfigError, match="exists already"):
        pull(SMALL, tmp_path)
    assert ages(where) == {"old" if age == "old" else "new"}
    assert [path.name for path in tmp_path.iterdir()] == [SMALL]
    for name in (".labelloop/ledger.db", ".labelloop/artifacts/one", "notes.txt", "images/my-own.png"):
        assert (where / name).read_text() == "my own"


def test_a_removal_that_is_killed_is_completed_by_the_next_pull_or_removal(tmp_path: Path) -> None:
    used(tmp_path)

    assert killed(tmp_path, SMALL, "os.remove", 9, "remove")

    assert not (tmp_path / SMALL).exists()
    with pytest.raises(NotFoundError, match="there is no example at"):
        find(SMALL, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_put_in_the_place_of_a_killed_pull_is_not_taken_for_it(tmp_path: Path) -> None:
    where = used(tmp_path)
    assert killed(tmp_path, SMALL, "os.rename", 2)
    where.mkdir()
    (where / "theirs").write_text("")

    with pytest.raises(ConfigError, match="exists already"):
        pull(SMALL, tmp_path)

    assert files_of(where) == {"theirs"}
    assert next(tmp_path.glob(f".{SMALL}-*/old/notes.txt")).read_text() == "my own"


def test_two_pulls_at_once_are_one_after_the_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: pull(LARGE, tmp_path, force=True), range(2)))

    assert files_of(done[0]) == files_of(HERE / LARGE)
    assert [path.name for path in tmp_path.iterdir()] == [LARGE]


def test_remove_asks_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = pull("own_step_learner_selector", here / "labelloop_examples")
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")

    declined = run(["example", "remove", "own_step_learner_selector"])
    there = where.exists()
    removed = run(["example", "remove", "own_step_learner_selector", "--yes"])

    assert (declined, there) == (2, True)
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
