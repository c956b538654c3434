"""Documented modules are found under the names that they had before they moved into rooms."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import labelloop
from labelloop._moved import MOVED
from labelloop.loop.loop import Loop


@pytest.mark.parametrize(("earlier", "now"), MOVED.items())
def test_an_earlier_name_is_the_module_of_today(earlier: str, now: str) -> None:
    module = import_module(now)

    assert import_module(earlier) is module
    assert module.__spec__ is not None
    assert (module.__name__, module.__spec__.name) == (now, now)


def test_an_earlier_name_comes_first_in_a_new_process() -> None:
    code = "from labelloop.config import load; from labelloop.loop import Loop; print(load.__module__, Loop.__module__)"

    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert said.split() == ["labelloop.workspace.config", "labelloop.loop.loop"]


def test_a_name_that_never_was_is_not_there() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"labelloop\.nothing"):
        import_module("labelloop.nothing")


def test_the_loop_is_where_it_is_documented() -> None:
    assert import_module("labelloop.loop").Loop is Loop


def test_a_stranger_reads_at_most_28_names() -> None:
    names = [one.name for one in Path(labelloop.__path__[0]).iterdir() if one.name != "__pycache__"]

    assert len(names) <= 28, sorted(names)
