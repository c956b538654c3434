"""Listing the stacks reads the file as it is written, and leaves all that is out of the ordinary to the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.workspace.config import load
from labelloop.workspace.root import plain_stacks

OFFICE = '[stacks.office]\nannotator = "team"\n[annotators.team]\nflavor = "label_studio"\n'


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABELLOOP_CACHE_DIR", raising=False)
    monkeypatch.delenv("LABELLOOP_LABEL_STUDIO_ENV", raising=False)
    monkeypatch.delenv("LABELLOOP_TEST_POSTGRES", raising=False)


@pytest.mark.parametrize("text", ["", OFFICE, f'active_stack = "office"\n{OFFICE}', "\ufeff" + OFFICE])
def test_the_stacks_as_written_are_those_of_the_settings(tmp_path: Path, text: str) -> None:
    (tmp_path / "labelloop.toml").write_text(text)

    found = plain_stacks(tmp_path, ())

    (tmp_path / "labelloop.toml").write_text(text.removeprefix("\ufeff"))
    config = load(tmp_path).config
    stacks = {name: config.stack(name).model_dump() for name in config.stack_names()}
    assert found == (config.active_stack, stacks)


@pytest.mark.parametrize(
    "text",
    [
        "[stacks",
        "stacks = 3",
        "[stacks]\nx = 3",
        "[stacks.x]\nannotator = 3",
        '[stacks.x]\nannotatr = "default"',
        '[stacks.x]\nannotator = "nobody"',
        'annotators = 3\n[stacks.x]\nannotator = "a"',
        'active_stack = "nowhere"',
        "active_stack = 3",
    ],
)
def test_a_stack_that_is_not_right_is_left_to_the_settings(tmp_path: Path, text: str) -> None:
    (tmp_path / "labelloop.toml").write_text(text)

    assert plain_stacks(tmp_path, ()) is None


def test_flags_and_variables_are_left_to_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "labelloop.toml").write_text("")

    assert plain_stacks(tmp_path, ("loop.batch=3",)) is None
    monkeypatch.setenv("LABELLOOP_ACTIVE_STACK", "x")
    assert plain_stacks(tmp_path, ()) is None
