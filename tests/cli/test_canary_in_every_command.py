"""A credential typed into any argument or option of any command stands in no output, no file and no crash report."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from labelloop.cli import cli, run
from labelloop.cli.app import App
from labelloop.workspace.root import STATE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CANARY = "cAnArY0123456789"
FORMS = (f"https://me:{CANARY}@host.invalid/x.csv", f"postgresql://host.invalid/db?user=u&password={CANARY}")
ELSEWHERE = {"demo", "watch", "ml-backend serve", "stack up", "stack down", "completion"}
"""Wait for ever, or start something: only their crash is tried."""


@dataclass(frozen=True)
class Command:
    """A command, and all that can be typed after it."""

    words: tuple[str, ...]
    arguments: Sequence[click.Argument]
    options: Sequence[click.Option]

    def lines(self, value: str) -> Iterator[list[str]]:
        """The command with a value in each place, one after the other; other places get a plain word."""
        plain = ["plain"] * sum(one.required for one in self.arguments)
        for number in range(max(1, len(self.arguments))):
            typed = [*plain, *["plain"] * len(self.arguments)][: len(self.arguments)]
            yield [*self.words, *(value if place == number else one for place, one in enumerate(typed))]
        for one in self.options:
            if not one.is_flag:
                yield [*self.words, *plain, f"{one.opts[-1]}={value}"]


def every(group: click.Command, above: tuple[str, ...] = ()) -> Iterator[Command]:
    """All commands below."""
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            below = group.get_command(context, name)
            assert below is not None
            yield from every(below, (*above, name))
        return
    yield Command(
        above,
        [one for one in group.params if isinstance(one, click.Argument)],
        [one for one in group.params if isinstance(one, click.Option)],
    )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A workspace in a home of its own, whose annotator is away."""
    folder = tmp_path / "ws"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith(("LABELLOOP_", "AWS_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "stdin", None)
    assert run(["init", "--labels", "a,b", "--modality", "text"]) == 0
    (folder / "t.csv").write_text("text\none\ntwo\n")
    assert run(["add", "t.csv"]) == 0
    capsys.readouterr()
    return tmp_path


def leaks(place: Path) -> list[str]:
    """The files that hold it."""
    files = (path for path in place.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path.relative_to(place)) for path in files if CANARY.encode() in path.read_bytes()]


COMMANDS = list(every(cli))


def test_there_are_as_many_commands_as_people_are_told_of() -> None:
    assert len(COMMANDS) > 100
    assert {" ".join(one.words) for one in COMMANDS} >= ELSEWHERE


@pytest.mark.parametrize("how", ["", "--json", "--debug"])
def test_an_address_with_a_password_is_shown_by_no_command(
    place: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    number, shown, settings = 0, [], (place / "ws" / "labelloop.toml").read_text()
    for command in COMMANDS:
        if " ".join(command.words) in ELSEWHERE:
            continue
        for value in FORMS:
            for line in command.lines(value):
                number += 1
                with suppressed():
                    run([*([how] if how else []), *line])
                said = capsys.readouterr()
                shown += [line] if CANARY in said.out + said.err else []
                if command.words == ("init",):
                    (place / "ws" / "labelloop.toml").write_text(settings)  # a dataset may be called anything
    assert shown == []
    assert number > 400
    assert leaks(place) == []


@pytest.mark.parametrize("setting", ["ledger.url", "loop.selector", "learner.flavor", "nothing.at.all"])
def test_a_setting_with_a_password_is_shown_by_no_command(
    place: Path, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    shown = []
    for command in COMMANDS:
        if " ".join(command.words) in ELSEWHERE or command.words[0] in ("cloud", "integration"):
            continue
        for value in FORMS:
            plain = ["plain"] * sum(one.required for one in command.arguments)
            with suppressed():
                run(["--set", f"{setting}={value}", *command.words, *plain])
            said = capsys.readouterr()
            shown += [command.words] if CANARY in said.out + said.err else []
    assert shown == []
    assert leaks(place) == []


def test_a_crash_of_any_command_tells_no_word_that_was_typed(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: App) -> object:
        raise RuntimeError(f"a text of somebody, and {CANARY}")

    monkeypatch.setattr(App, "workspace", property(crash))
    monkeypatch.setattr(App, "root", property(crash))
    monkeypatch.setattr(App, "stack", property(crash))
    crashed, shown = set(), []
    for command in COMMANDS:
        for line in command.lines(CANARY):
            code = run(line) if " ".join(command.words) not in ELSEWHERE else run([*line, "--no-such-option"])
            said = capsys.readouterr()
            if code == 70:
                crashed.add(command.words)
                shown += [line] if CANARY in said.out + said.err else []
    assert shown == []
    assert len(crashed) > 60
    assert list((place / "ws" / STATE / "crashes").iterdir())
    assert leaks(place / "ws" / STATE / "crashes") == []


class suppressed:  # noqa: N801 - reads as a word
    """With `--debug`, an error of ours is raised after it was shown."""

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            assert CANARY not in str(error) + repr(error)
        return kind is not None and issubclass(kind, Exception) and not issubclass(kind, AssertionError)
