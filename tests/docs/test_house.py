"""The house: few rooms, a module for each verb that a user types, and one name for one thing."""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from pathlib import Path

import click
import pytest

import labelloop
from labelloop.cli import cli

HOUSE = Path(labelloop.__file__).parent
ROOMS = 28
"""At most so many names stand directly in the package."""

LINES = 450
"""At most so many lines of code, without blank ones, comments and docstrings, are in a module."""

LONGEST = 60
"""At most so many lines has a function, without its head and its docstring."""

METHODS = 15
"""At most so many methods has a class, private ones, properties and those for the language included."""

PLURAL = {name: f"{name}s" for name in ("secret", "stack", "component", "integration", "example", "template")}
KINDS = ("annotator", "artifact-store", "secrets-manager", "orchestrator")
"""Groups that are one: the components of a stack, by their kind."""

OF_THE_SHELL = ("completion",)


def modules() -> list[Path]:
    return [path for path in HOUSE.rglob("*.py") if "examples" not in path.relative_to(HOUSE).parts[:-1]]


def verbs() -> list[str]:
    return [name for name in cli.list_commands(click.Context(cli)) if name not in KINDS + OF_THE_SHELL]


def test_few_names_stand_in_the_package() -> None:
    there = sorted(path.name for path in HOUSE.iterdir() if path.name != "__pycache__")

    assert len(there) <= ROOMS, there


@pytest.mark.parametrize("verb", [*verbs(), "component"])
def test_a_verb_that_a_user_types_has_a_module_of_its_name(verb: str) -> None:
    name = PLURAL.get(verb, verb.replace("-", "_"))
    rooms = ("commands", "workspace", "machine", "loop", ".")

    here = [HOUSE / room / f"{name}.py" for room in rooms] + [HOUSE / name / "__init__.py"]
    training = HOUSE / "loop" / "training.py"

    assert any(path.is_file() for path in here) or (verb == "train" and training.is_file()), verb


def test_no_two_public_classes_have_one_name() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(HOUSE)))

    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_a_module_can_be_read_in_one_sitting() -> None:
    large = {str(path.relative_to(HOUSE)) for path in modules() if _lines(path) > LINES}

    assert large == set()


def test_a_function_is_seen_at_once() -> None:
    long = {
        f"{path.relative_to(HOUSE)}:{node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _length(node) > LONGEST
    }

    assert not long, sorted(long)


def test_a_class_does_one_thing() -> None:
    broad = {
        f"{path.relative_to(HOUSE)}:{node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        and sum(isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) for one in node.body) > METHODS
    }

    assert not broad, sorted(broad)


def test_tests_stand_in_rooms_under_names_of_their_own() -> None:
    tests = Path(__file__).parents[1]
    at_the_top = {path.name for path in tests.glob("*.py")}
    names = Counter(path.name for path in tests.rglob("test_*.py"))

    assert at_the_top == {"conftest.py", "test_earlier_names.py", "test_steps.py"}, "helpers stand in tests/support"
    assert [name for name, count in names.items() if count > 1] == [], "pytest imports one module of a name"


def test_what_stands_beside_the_server_hides_no_module_of_python() -> None:
    beside = {path.stem for path in (HOUSE / "backends" / "label_studio").glob("*.py")}

    assert beside & sys.stdlib_module_names == set(), "serve.py is run as a script: its folder is searched first"


def _lines(path: Path) -> int:
    text = path.read_text("utf-8")
    words: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            words.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(1 for number, line in lines if number not in words and line.strip() and not line.strip().startswith("#"))


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, without its docstring."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
