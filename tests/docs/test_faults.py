"""Every fault of the page is held by tests that there are."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "faults.md"
ROW = re.compile(r"^\| (?P<fault>.+?) \| (?P<before>.+?) \| (?P<tests>.*) \|$")
FEWEST = 100
LONGEST = 60  # characters
SECURITY = ROOT / "docs" / "explanation" / "security.md"
PLACE = re.compile(
    r"^\| `(?P<module>[\w.]+)\.(?P<function>\w+)` \| .+ \| `(?P<path>tests/.+)::(?P<test>\w+)` \|$", re.MULTILINE
)


@cache
def _names(path: Path) -> frozenset[str]:
    """The names of the functions in a file, those of classes among them."""
    found = ast.walk(ast.parse(path.read_text("utf-8")))
    return frozenset(one.name for one in found if isinstance(one, ast.FunctionDef))


def read() -> list[re.Match[str]]:
    """The rows of the page's tables."""
    found = (ROW.match(line) for line in PAGE.read_text("utf-8").splitlines())
    return [one for one in found if one and one["fault"] not in ("fault", "---")]


def rows() -> list[tuple[str, list[str]]]:
    """Each fault, with the names beside it."""
    return [(one["fault"], re.findall(r"`([^`]+)`", one["tests"])) for one in read()]


def test_the_page_names_as_many_faults_as_were_found() -> None:
    faults = [fault for fault, _ in rows()]

    assert len(faults) >= FEWEST
    assert len(set(faults)) == len(faults)


def test_each_row_says_in_a_few_words_how_it_was_before() -> None:
    said = {one["fault"]: one["before"] for one in read()}

    assert not {fault: words for fault, words in said.items() if len(words) > LONGEST or "::" in words}
    assert sum(words == "held" for words in said.values()) < len(said) / 4


@pytest.mark.parametrize(("fault", "named"), rows(), ids=[fault[:60] for fault, _ in rows()])
def test_a_fault_is_held_by_tests_that_there_are(fault: str, named: list[str]) -> None:
    assert named, f"no test holds: {fault}"
    for one in named:
        path, _, name = one.partition("::")
        assert (ROOT / path).is_file(), one
        assert name in _names(ROOT / path), one


def test_the_places_that_work_through_foreign_things_are_there_with_their_tests() -> None:
    found = list(PLACE.finditer(SECURITY.read_text("utf-8")))

    assert len(found) >= 14
    for one in found:
        module = ROOT / "src" / "labelloop" / f"{one['module'].replace('.', '/')}.py"
        assert one["function"] in _names(module), one[0]
        assert one["test"].startswith("test_"), one[0]
        assert one["test"] in _names(ROOT / one["path"]), one[0]
