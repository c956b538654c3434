"""One real Label Studio server for the whole live suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.errors import NotFoundError
from labelloop.testing.annotator import LabelStudioPerson


@dataclass
class Secrets:
    """A secrets manager in memory."""

    kept: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def get(self, name: str) -> Mapping[str, str]:
        if name not in self.kept:
            raise NotFoundError(f"no secret {name!r}", "set it first")
        return self.kept[name]

    def set(self, name: str, values: Mapping[str, str]) -> None:
        self.kept[name] = dict(values)

    def delete(self, name: str) -> None:
        del self.kept[name]

    def names(self) -> Sequence[str]:
        return sorted(self.kept)


@pytest.fixture(scope="session")
def live_secrets() -> Secrets:
    return Secrets()


@pytest.fixture(scope="session")
def live_annotator(tmp_path_factory: pytest.TempPathFactory, live_secrets: Secrets) -> Iterator[LabelStudioAnnotator]:
    """Our own Label Studio, up for the session."""
    home: Path = tmp_path_factory.mktemp("workspace")
    annotator = LabelStudioAnnotator(home=home, secrets=live_secrets, port=8193)
    annotator.up()
    yield annotator
    annotator.down()


@pytest.fixture
def annotator(live_annotator: LabelStudioAnnotator) -> LabelStudioAnnotator:
    return live_annotator


@pytest.fixture
def person(live_annotator: LabelStudioAnnotator) -> LabelStudioPerson:
    return LabelStudioPerson(live_annotator.client())
