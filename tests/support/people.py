"""An annotator in memory that the commands of one process share; named by workspaces of the command line's tests."""

from __future__ import annotations

from labelloop.testing.annotator import FakeAnnotator

_PEOPLE: list[FakeAnnotator] = [FakeAnnotator()]


def shared() -> FakeAnnotator:
    """The one there is."""
    return _PEOPLE[0]


def forget() -> FakeAnnotator:
    """Begin with another one."""
    _PEOPLE[0] = FakeAnnotator()
    return _PEOPLE[0]
