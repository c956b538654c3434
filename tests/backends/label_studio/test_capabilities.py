"""An annotator in memory has every capability, and keeps its contract; the reference names all of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import pytest

from labelloop import protocols, testing
from labelloop.errors import BackendError, NotFoundError
from labelloop.kinds import LabelSchema
from labelloop.protocols import Progress, silent
from labelloop.testing import capabilities
from labelloop.testing.annotator import FakeAnnotator, FakeDataset
from labelloop.types import AnnotatorState, Item, Template

from support.every_capability import EveryCapabilityContract

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "python.md"


class CapableDataset(FakeDataset):
    """One that knows as whom we are there, and whose predictions can be switched off."""

    owner = "me@example.com"
    hides_predictions = False

    def reveal(self, version: str) -> None:
        """Show them."""
        del version
        self.hides_predictions = False


class CapableAnnotator(FakeAnnotator):
    """An annotator in memory that can do all that an annotator may."""

    def __init__(self) -> None:
        super().__init__()
        self._hooks: set[tuple[str, str]] = set()
        self._titles: dict[str, str] = {}

    def open(self, name: str, schema: LabelSchema, *, create: bool = True) -> FakeDataset:
        """As the fake one, with a dataset that can more."""
        made = super().open(self.title_of(name), schema, create=create)
        made.__class__ = CapableDataset
        self._titles.setdefault(name, name)
        return made

    def key_of(self, name: str) -> str:
        """Its title: nobody changes one here."""
        return self._titles.get(name, "")

    def title_of(self, name: str) -> str:
        """What it is called here."""
        return self._titles.get(name, name)

    def recognise(self, name: str, key: str) -> None:
        """Open that one under this name."""
        self._titles.setdefault(name, key)

    def up(self, progress: Progress = silent) -> AnnotatorState:
        """It is."""
        del progress
        return self.describe()

    def down(self) -> bool:
        """It stays."""
        return False

    @contextmanager
    def signed_in(self, page: str) -> Iterator[tuple[str, Event]]:
        """A link to the page."""
        yield f"http://127.0.0.1/once?to={page}", Event()

    def subscribe(self, name: str, url: str, headers: Mapping[str, str]) -> None:
        """Remember it."""
        del headers
        self.page(name)
        self._hooks.add((name, urlsplit(url).path))

    def unsubscribe(self, name: str, path: str) -> int:
        """Forget it."""
        found = len({(name, path)} & self._hooks)
        self._hooks.discard((name, path))
        return found

    def connect(self, name: str, url: str, user: tuple[str, str], version: str) -> None:
        """Nothing answers."""
        del user, version
        self.page(name)
        raise BackendError(f"{url} does not answer")

    def disconnect(self, name: str, url: str) -> int:
        """There is none."""
        del url
        self.page(name)
        return 0

    def item_of(self, task: Mapping[str, Any], schema: LabelSchema) -> Item:
        """What it shows."""
        return Item(str(task.get("id", "")), schema.modality, text=str(task.get("text", "")))

    def misfits(self, config: str, schema: LabelSchema) -> Sequence[str]:
        """The labels that it does not name."""
        return [f"label {label!r} is not in it" for label in schema.labels if label not in config]

    def fetch(self, item: Item) -> bytes:
        """There is none."""
        raise NotFoundError(f"{item.uri} is not here", "put it here")

    def look(self, name: str) -> str:
        """Nothing to see."""
        del name
        return ""

    def looked_at(self, name: str) -> Sequence[tuple[bool, str, str]]:
        """Nothing to see."""
        del name
        return ()

    def hides_predictions(self, name: str) -> bool:
        """Never."""
        del name
        return False

    def people(self) -> int:
        """The fake one."""
        return 1

    def exposed(self) -> tuple[str, str]:
        """Nothing."""
        return "", ""

    def comes_through(self) -> tuple[str, str]:
        """All of it."""
        return "", ""

    @staticmethod
    def templates(progress: Progress = silent) -> Sequence[Template]:
        """One."""
        del progress
        return [Template("grade", "Grade a text", "Texts", '<View><Rating name="r" toName="t"/></View>')]


class TestCapableAnnotator(EveryCapabilityContract):
    """In memory."""

    @pytest.fixture
    def annotator(self) -> CapableAnnotator:
        return CapableAnnotator()

    @pytest.fixture
    def person(self, annotator: CapableAnnotator) -> CapableAnnotator:
        return annotator


def declared() -> list[str]:
    """Every protocol of the page of extension points."""
    found = inspect.getmembers(protocols, inspect.isclass)
    return [name for name, one in found if one.__module__ == protocols.__name__ and getattr(one, "_is_protocol", False)]


@pytest.mark.parametrize("name", declared())
def test_every_protocol_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", declared())
def test_every_protocol_says_in_at_most_seven_methods_what_to_build(name: str) -> None:
    own = [one for one in vars(getattr(protocols, name)) if not one.startswith("_")]

    assert len(own) <= 7


@pytest.mark.parametrize("name", [one for one in dir(capabilities) if one.endswith("Contract")])
def test_every_contract_of_a_capability_is_in_the_reference(name: str) -> None:
    assert f"labelloop.testing.capabilities.{name}" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", declared())
def test_every_protocol_has_a_contract_that_there_is(name: str) -> None:
    rows = [line.split("|") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    said = next(row[-2] for row in rows if f"`{name}`" in row[1])

    found = re.search(r"`(?:labelloop\.testing\.(\w+)\.)?(\w+Contract)`", said)

    assert found, f"{name} has no contract"
    assert hasattr(import_module(f"labelloop.testing.{found[1] or 'annotator'}"), found[2]), said


def test_no_annotator_or_dataset_is_reached_past_what_is_declared() -> None:
    package = Path(str(testing.__file__)).parents[1]
    files = [one for one in package.rglob("*.py") if "backends" not in one.parts]
    for file in files:
        words = file.read_text("utf-8")
        for past in ("annotator: Any", "dataset: Any", "hasattr(annotator", "hasattr(dataset", "getattr(dataset"):
            assert past not in words, f"{file} has {past!r}"
