"""The documentation says what is so: nothing is missing, stale, unreachable, or impossible to compile."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from labelloop import errors
from labelloop.cli import cli
from labelloop.cli.names import FlavorCommand
from labelloop.kinds import LabelSchema
from labelloop.machine.registry import build
from labelloop.protocols import Learner, Selector
from labelloop.testing.learner import LearnerContract
from labelloop.testing.selector import SelectorContract
from labelloop.workspace.config import Config
from labelloop.workspace.root import FILE

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *DOCS.rglob("*.md"),
        *ROOT.glob("src/labelloop/examples/*/README.md"),
    ]
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
INTERRUPTED = {130, 143}


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "scripts" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = _generator()


def _blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for number, (kind, body) in enumerate(FENCE.findall(page.read_text("utf-8")), start=1):
            if kind == language:
                yield f"{page.relative_to(ROOT)} block {number}", body


def _links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for target in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
            if "://" not in target and not target.startswith("mailto:"):
                yield page, target


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _takes_more(command: click.Command) -> bool:
    """Whether the command has options besides those of its own: a secret's keys, a flavor's options."""
    return bool(command.context_settings.get("ignore_unknown_options")) or isinstance(command, FlavorCommand)


@pytest.fixture
def how_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The Python of the how-to on learners and selectors, as one module."""
    page = (DOCS / "how-to" / "your-own-learner-and-selector.md").read_text("utf-8")
    blocks = [body for kind, body in FENCE.findall(page) if kind == "python" and "class TestMine" not in body]
    (tmp_path / "from_the_how_to.py").write_text("\n".join(blocks))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "from_the_how_to", raising=False)
    return importlib.import_module("from_the_how_to")


@pytest.mark.parametrize("name", ["cli.md", "settings.md", "../explanation/design.md"])
def test_a_generated_page_is_what_the_code_says_now(name: str) -> None:
    written = (DOCS / "reference" / name).read_text("utf-8")

    assert written == GENERATE.pages()[name], "stale: run ./scripts/docs"


@pytest.mark.parametrize(("name", "command"), list(GENERATE.commands(cli)), ids=str)
def test_every_command_and_option_is_in_the_reference(name: str, command: click.Command) -> None:
    page = (DOCS / "reference" / "cli.md").read_text("utf-8")

    _, _, section = page.partition(f"\n## `{name}`\n")
    section = section.partition("\n## ")[0]

    assert section, f"{name} has no section"
    for option in (one for one in command.params if isinstance(one, click.Option)):
        assert all(word in section for word in option.opts), f"{option.opts} is not mentioned"


def test_every_setting_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "settings.md").read_text("utf-8")

    missing = [name for name, _ in GENERATE.settings() if f"`{name}`" not in page]

    assert missing == []


def test_every_setting_says_where_it_is_declared_what_it_means() -> None:
    assert [name for name, said in GENERATE.meanings().items() if not said] == []


def test_every_environment_variable_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "settings.md").read_text("utf-8")
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))

    named = set(re.findall(r'"(LABELLOOP_[A-Z_]+[A-Z])"', sources))

    assert sorted(name for name in named if f"`{name}`" not in page) == []


def test_every_error_class_and_exit_code_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "errors.md").read_text("utf-8")
    classes = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.LabelLoopError)]

    codes = {one.exit_code for one in classes} | {0} | INTERRUPTED

    assert [one.__name__ for one in classes if f"`{one.__name__}`" not in page] == []
    assert [code for code in sorted(codes) if f"| {code} |" not in page] == []


@pytest.mark.parametrize(("page", "target"), list(_links()), ids=lambda one: str(one).removeprefix(f"{ROOT}/"))
def test_a_relative_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")

    there = page.parent / path if path else page

    assert there.exists()
    assert not anchor or anchor in _anchors(there)


@pytest.mark.parametrize(("where", "body"), [pytest.param(*one, id=one[0]) for one in _blocks("python")])
def test_a_python_block_compiles(where: str, body: str) -> None:
    assert ast.parse(body, where).body


@pytest.mark.parametrize(("where", "body"), [pytest.param(*one, id=one[0]) for one in _blocks("toml")])
def test_a_toml_block_is_a_valid_configuration(where: str, body: str) -> None:
    assert Config.model_validate(tomllib.loads(body)) is not None


@pytest.mark.parametrize(("where", "body"), [pytest.param(*one, id=one[0]) for one in _blocks("sh")])
def test_a_shell_block_names_only_commands_and_options_there_are(where: str, body: str) -> None:
    known = dict(GENERATE.commands(cli))
    for line in re.findall(r"^ *labelloop [^\n#|&;<>]*", re.sub(r"\\\n", " ", body), re.MULTILINE):
        words = re.sub(r" (-C|--set) \S+| --json", "", line).split()
        name = max((one for one in known if words[: len(one.split())] == one.split()), key=len, default="")
        flags = {option for one in known[name].params for option in one.opts} if name else set()

        assert name or words[1].startswith("-"), f"{line.strip()!r} is no command"
        if name and not _takes_more(known[name]):
            assert {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"} <= flags


def test_every_message_that_troubleshooting_explains_is_one_that_labelloop_says() -> None:
    page = (DOCS / "how-to" / "troubleshooting.md").read_text("utf-8")
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))

    sources = sources.replace("{FILE}", FILE)
    messages = re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    parts = [part.strip() for message in messages for part in message.split("...") if part.strip()]

    assert len(messages) > 30
    assert [part for part in parts if part not in sources] == []


def test_every_module_and_package_is_in_the_tree_of_the_design_with_a_sentence_of_its_own() -> None:
    package = ROOT / "src" / "labelloop"
    there = {one.name for one in package.glob("*.py")} - {"__init__.py"}
    there |= {f"{one.parent.name}/" for one in package.glob("*/__init__.py")}
    page = (DOCS / "explanation" / "design.md").read_text("utf-8")
    tree = dict(line.strip().split(maxsplit=1) for line in page.split(GENERATE.TREE)[1].split("```")[0].splitlines())

    assert set(tree) == there
    assert all(said[-1] in ".?" for said in tree.values())


def test_the_arrows_of_the_design_are_those_that_are_checked() -> None:
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"][0]
    layers = "\n".join(layer.replace("labelloop.", "") for layer in checked["layers"])

    assert layers in (DOCS / "explanation" / "design.md").read_text("utf-8")


class TestTheSelectorOfTheHowTo(SelectorContract):
    @pytest.fixture
    def selector(self, how_to: ModuleType) -> Selector:
        chosen: Selector = how_to.far_and_unsure
        return chosen


class TestTheLearnerOfTheHowTo(LearnerContract):
    @pytest.fixture
    def learner(self, how_to: ModuleType) -> Learner:
        schema = LabelSchema("text", ("cat", "dog", "bird"))
        built: Learner = build("learner", f"{how_to.__name__}:NearestMean", {"sharpness": 12.0}, {"schema": schema})
        return built


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        pages = [(page.parent / target.partition("#")[0]).resolve() for one, target in _links() if one == page]
        waiting += [one for one in pages if one.suffix == ".md"]
        waiting += [one / "README.md" for one in pages if (one / "README.md").exists()]

    assert sorted(str(page.relative_to(ROOT)) for page in set(PAGES) - reached) == []


def test_no_page_names_a_path_of_one_machine() -> None:
    suspicious = re.compile(r"/(?:root|home|work|tmp)/")

    assert [str(page) for page in PAGES if suspicious.search(page.read_text("utf-8"))] == []
