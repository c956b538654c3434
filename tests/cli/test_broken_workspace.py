"""Every command that reads, over a workspace with one broken file after the other: words or success, no crash."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pytest

from cli.test_commands import SCHEMA, Shell, shell
from labelloop.cli import run
from labelloop.workspace.root import STATE

from support import people
from support.chaos_form import FULL

__all__ = ["shell"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800 if FULL else 300)]

READING = [
    "status",
    "--json status",
    "config",
    "--json config",
    "stack list",
    "stack describe",
    "stack export",
    "check",
    "--json check",
    "doctor",
    "--json doctor",
    "report -o out.html",
    "export -o out.jsonl",
    "infer -o -",
    "forecast",
    "score",
    "--json score",
    "train",
    "label-errors find",
    "label-errors report",
    "labels list",
    "labels history",
    "auto-label status",
    "auto-label plan --error 0.2",
    "auto-label audit",
    "annotator bias",
    "annotator disagreements",
    "annotator history ITEM",
    "annotator describe",
    "annotator dataset list",
    "annotator dataset stats",
    "artifact-store list",
    "secret list",
    "secret get mine",
    "trust --list",
    "example list",
    "integration list",
]
ENDS = (0, 2, 3)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(255, 0, -1)) * 40)


def json_of_another_shape(path: Path) -> None:
    path.write_text('[{"a": [1e400, "\\ud800"]}, null]')


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def a_link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def unreadable(path: Path) -> None:
    path.chmod(0)


def gone(path: Path) -> None:
    path.unlink()


HARMS: Sequence[Callable[[Path], None]] = (
    cut,
    emptied,
    garbage,
    json_of_another_shape,
    a_folder,
    a_link_to_nothing,
    a_link_to_itself,
    unreadable,
    gone,
)


def lived_in(shell: Shell) -> None:
    """A workspace that has some of everything."""
    for _ in range(3):
        assert shell("tick").code == 0
        shell.answer_all()
    for words in ("train", "score", "infer -o -", "label-errors find", "annotator bias", "status"):
        shell(*words.split())
    shell("secret", "register", "mine", "--api_key=x")


def kinds(root: Path) -> list[Path]:
    """One file of every kind, as seen from the workspace: hashes and numbers of names are no kind of their own."""
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            relative = path.relative_to(root)
            found.setdefault("/".join(_plain(part) for part in relative.parts), relative)
    return list(found.values())


def _plain(part: str) -> str:
    return "#" if all(letter in "0123456789abcdef-~" for letter in part) else part


@pytest.mark.parametrize("harm", HARMS, ids=lambda one: one.__name__)
def test_a_broken_file_of_the_workspace_is_told_in_words(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], None]
) -> None:
    lived_in(shell)
    item = next(iter(people.shared().open("farm", SCHEMA, create=False).present()))
    commands = [one.replace("ITEM", item) for one in READING]
    turn, found = count(), []
    for file in kinds(shell.root):
        for command in commands if FULL else commands[next(turn) % 8 :: 8]:
            broken = tmp_path / "broken"
            shutil.copytree(shell.root, broken, symlinks=True)
            harm(broken / file)
            here = Path.cwd()
            os.chdir(broken)
            try:
                code = run(command.split())
            finally:
                os.chdir(here)
            said = capsys.readouterr()
            if wrong := _wrong(code, said.out, said.err) or (broken / STATE / "crashes").exists():
                found.append(f"{file} {command}: {code} {wrong}\n{said.out[-300:]}{said.err[-900:]}")
            shutil.rmtree(broken)
    assert found == []


def _wrong(code: int, out: str, err: str) -> str:
    """What is not as it should be in how a command ended."""
    if code not in ENDS or "Traceback" in out + err:
        return "is no end"
    if err.startswith("error: "):
        return "" if "\n hint: " in err else "has no hint"
    return "" if not code or out.strip() else "says nothing"
