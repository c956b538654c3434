"""What nobody foresaw ends in two sentences and a report file; no traceback, no secret, nothing of the items."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest

from labelloop.cli import run

SECRET, TEXT = "cAnArY-secret", "a private text of somebody"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace, where one is."""
    run(["-C", str(tmp_path), "init", "--labels", "a,b"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failing(error: BaseException) -> click.Command:
    """A command line whose command `go` raises."""

    @click.group()
    @click.option("--debug", is_flag=True)
    def program(debug: bool) -> None:
        """What people call."""

    @program.command()
    @click.option("--api_key")
    @click.argument("place")
    def go(api_key: str, place: str) -> None:
        """Fail."""
        raise error

    return program


def unforeseen() -> Exception:
    try:
        try:
            raise KeyError(TEXT)
        except KeyError as error:
            raise RuntimeError(f"https://user:{SECRET}@host/{TEXT}") from error
    except RuntimeError as error:
        return error


def endless(depth: int = 0) -> int:
    return endless(depth + 1) + 1


def test_a_bug_is_told_in_two_sentences_with_a_report(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["go", f"--api_key={SECRET}", "--api_key", SECRET, TEXT], failing(unforeseen()))

    told = capsys.readouterr().err
    assert code == 70
    assert told.startswith("error: labelloop failed in a way that it does not know: RuntimeError\n hint: what is saved")
    assert "Traceback" not in told
    (report,) = (workspace / ".labelloop" / "crashes").iterdir()
    assert str(report) in told
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    text = report.read_text()
    assert "builtins.RuntimeError" in text
    assert "builtins.KeyError" in text
    assert "command: labelloop go --api_key=*** --api_key *** ***" in text
    assert SECRET not in told + text
    assert TEXT not in told + text


def test_debug_prints_the_traceback_without_credentials(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["--debug", "go", "x"], failing(unforeseen()))

    told = capsys.readouterr().err
    assert code == 70
    assert "Traceback" in told
    assert SECRET not in told


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 3, "the memory of this machine is used up"),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "this machine failed: No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device", "/d/f"), 3, "/d/f: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/d/f"), 3, "/d/f: Permission denied"),
        (UnicodeEncodeError("ascii", "\ud800", 0, 1, "no"), 70, "UnicodeEncodeError"),
        (ZeroDivisionError("x"), 70, "ZeroDivisionError"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_every_end_has_words_and_a_code(
    workspace: Path, capfd: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    kept = os.dup(1)
    try:
        assert run(["go", "x"], failing(error)) == code
    finally:
        os.dup2(kept, 1)
        os.close(kept)

    told = capfd.readouterr().err
    assert words in told
    assert "Traceback" not in told


def test_a_recursion_without_end_is_told_and_its_report_is_short(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        endless()
    except RecursionError as error:
        code = run(["go", "x"], failing(error))

    (report,) = (workspace / ".labelloop" / "crashes").iterdir()
    assert code == 70
    assert "RecursionError" in capsys.readouterr().err
    assert len(report.read_text().splitlines()) < 100


def test_no_room_for_the_report_is_no_second_failure(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("labelloop.cli.last_resort.os.open", full)

    assert run(["go", "x"], failing(unforeseen())) == 70
    assert "there is no room for a report" in capsys.readouterr().err


def test_outside_a_workspace_the_report_lies_in_a_folder_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert run(["go", "x"], failing(unforeseen())) == 70

    (folder,) = tmp_path.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


ASCII = [
    {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("encoding", ASCII)
def test_a_machine_that_knows_only_ascii_works(tmp_path: Path, encoding: dict[str, str]) -> None:
    folder = tmp_path / "Tiere – größer"
    folder.mkdir()
    (folder / "a.csv").write_text("text\ngrüß dich\nadiós\n", encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    for words in (
        ["init", "--labels", "größer,kleiner", "--modality", "text"],
        ["add", "a.csv"],
        ["--json", "config"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", "from labelloop.cli import main; main()", *words],
            cwd=folder,
            env=kept | encoding,
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, (words, done.stderr)
        assert b"Traceback" not in done.stderr
        if words[0] == "--json":
            json.loads(done.stdout)
    assert "größer" in (folder / "labelloop.toml").read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_behind_the_output_is_told(workspace: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from labelloop.cli import main; main()", "config"],
            cwd=workspace,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )

    assert done.returncode == 3
    assert done.stderr.startswith(b"error: this machine failed: No space left on device")
    assert b"Traceback" not in done.stderr
