"""Some tasks of a project are shown to more people than others, whatever the project's own number does to them all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.overlap import Overlaps


@dataclass
class Project:
    """What Label Studio 1.23.2 makes of overlaps, in memory; each task has so many answers.

    Attributes:
        left: Changes that get through before the caller is killed; after that one, or before it where `late`.
    """

    answers: list[int]
    people: int = 1
    left: int = 1000
    late: bool = False
    url: str = "http://label-studio"
    changes: int = 0
    overlaps: list[int] = field(default_factory=list)
    labeled: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.overlaps = [self.people for _ in self.answers]
        self.labeled = [said >= self.people for said in self.answers]

    def call(self, method: str, path: str, *, query: Any = None, body: Any = None, **_: Any) -> Mapping[str, Any]:
        """One request."""
        if method == "GET":
            return self._page(query) if path == "/api/tasks" else {"id": 1, "maximum_annotations": self.people}
        if self.left == 0 and not self.late:
            raise KeyboardInterrupt
        self.changes += 1
        self._change(path, body)
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return {"id": 1}

    def open(self) -> set[str]:
        """The items that people get."""
        return {f"i{number}" for number, labeled in enumerate(self.labeled) if not labeled}

    def _page(self, query: Mapping[str, Any]) -> Mapping[str, Any]:
        wanted = json.loads(query["query"])["filters"]["items"]
        ids = wanted[0]["value"] if wanted else [f"i{number}" for number in range(len(self.answers))]
        rows = [self._row(int(one[1:])) for one in ids if int(one[1:]) < len(self.answers)]
        return {"tasks": rows[: query["page_size"]], "total": len(rows)}

    def _row(self, number: int) -> Mapping[str, Any]:
        return {
            "id": number + 1,
            "data": {"labelloop_id": f"i{number}"},
            "overlap": self.overlaps[number],
            "is_labeled": self.labeled[number],
            "total_annotations": self.answers[number],
        }

    def _change(self, path: str, body: Mapping[str, Any]) -> None:
        if path.startswith("/api/tasks/"):
            number = int(path.split("/")[3]) - 1
            self.overlaps[number], self.labeled[number] = body["overlap"], body["is_labeled"]
            return
        before, self.people = self.people, body["maximum_annotations"]
        cohort = [number for number, overlap in enumerate(self.overlaps) if overlap > 1 or self.people == 1]
        for number in cohort or range(len(self.overlaps)) if self.people != before else ():
            self.overlaps[number] = self.people
            self.labeled[number] = self.answers[number] >= self.people


def overlaps(project: Project) -> Overlaps:
    return Overlaps(cast(Client, project), 1, project.people)


CASES = [
    (Project([1, 1, 0, 0]), 2, ["i2", "i3"]),
    (Project([2, 2, 1, 0], people=2), 3, ["i2", "i3"]),
    (Project([3, 3, 1, 0], people=3), 2, ["i2", "i3"]),
    (Project([1, 1, 1, 1]), 2, []),
    (Project([2, 2, 2, 2], people=2), 3, ["i9"]),
    (Project([]), 2, []),
]


def copy(project: Project, **how: Any) -> Project:
    return Project(list(project.answers), project.people, **how)


@pytest.mark.parametrize(("before", "people", "waiting"), CASES)
def test_what_is_open_is_for_more_people_and_nothing_else_is_opened(
    before: Project, people: int, waiting: list[str]
) -> None:
    project = copy(before)

    overlaps(project).share_only(people, waiting)

    there = {one for one in waiting if int(one[1:]) < len(project.answers)}
    assert project.people == people
    assert project.open() == there
    assert {f"i{number}" for number, overlap in enumerate(project.overlaps) if overlap == people} == there


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("left", range(6))
@pytest.mark.parametrize(("before", "people", "waiting"), CASES)
def test_killed_at_any_request_and_repeated_it_is_as_if_it_had_not_been(
    before: Project, people: int, waiting: list[str], left: int, late: bool
) -> None:
    whole, project = copy(before), copy(before, left=left, late=late)
    overlaps(whole).share_only(people, waiting)

    try:
        overlaps(project).share_only(people, waiting)
    except KeyboardInterrupt:
        project.left = 1000
        overlaps(project).share_only(people, waiting)

    assert (project.people, project.overlaps, project.labeled) == (whole.people, whole.overlaps, whole.labeled)


@pytest.mark.parametrize("left", range(4))
@pytest.mark.parametrize(("people", "before"), [(2, 1), (3, 1), (3, 2), (2, 3), (1, 2), (1, 1)])
def test_all_are_for_as_many_people_also_after_something_was_interrupted(people: int, before: int, left: int) -> None:
    project = Project([1, 1, 0, 0], people=before, left=left)
    with suppress(KeyboardInterrupt):
        overlaps(project).share_only(3, ["i2", "i3"])
    project.left = 1000

    overlaps(project).share(people)

    assert project.people == people
    assert project.overlaps == [people] * 4
    assert project.labeled == [said >= people for said in project.answers]


def test_ten_thousand_closed_tasks_cost_no_more_than_three() -> None:
    few, many = Project([1] * 3 + [0] * 5), Project([1] * 10_000 + [0] * 5)
    for project, closed in ((few, 3), (many, 10_000)):
        overlaps(project).share_only(2, [f"i{closed + number}" for number in range(5)])

    assert few.changes == many.changes == 6


def test_tasks_that_have_their_number_are_left_alone() -> None:
    project = Project([1, 0])
    overlaps(project).share_only(2, ["i1"])
    before = project.changes

    overlaps(project).widen(["i1"], 2)
    overlaps(project).widen(["i0"], 2)

    assert project.changes == before + 1
    assert project.open() == {"i0", "i1"}
