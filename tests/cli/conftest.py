"""What the tests of commands share."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command puts its workspace on Python's path: not beyond its test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
