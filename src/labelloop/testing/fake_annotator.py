"""An annotator in memory that keeps the contract, and the people who answer in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from labelloop.errors import ConfigError, NotFoundError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import names_of
from labelloop.testing.fake_dataset import FakeDataset
from labelloop.types import AnnotatorState, DatasetStats, DatasetSummary, Region


class FakePerson:
    """Whoever answers in the datasets of an annotator in memory: a `Person`."""

    def __init__(self) -> None:
        self._datasets: dict[str, FakeDataset] = {}

    def answer(self, dataset: str, item_id: str, regions: Sequence[Region], annotator: str = "ann@example.com") -> str:
        """Answer one question, as a person."""
        return self._datasets[dataset].say(item_id, regions, annotator)

    def skip(self, dataset: str, item_id: str, annotator: str = "ann@example.com") -> str:
        """Decline one question, as a person."""
        return self._datasets[dataset].say(item_id, (), annotator, skipped=True)

    def edit(self, dataset: str, annotation_id: str, regions: Sequence[Region]) -> None:
        """Change an answer, as a person."""
        self._datasets[dataset].change(annotation_id, regions)

    def retract(self, dataset: str, annotation_id: str) -> None:
        """Delete an answer, as a person."""
        self._datasets[dataset].change(annotation_id, None)

    def next_item(self, dataset: str) -> str:
        """The item of the question that is first in the queue."""
        return self._datasets[dataset].queue()[0]

    def filled_in(self, dataset: str, item_id: str) -> tuple[str, ...]:
        """The labels of the guess that is shown."""
        kept = self._datasets[dataset]
        guess = kept.prediction(item_id)
        return names_of(kept.schema, guess.regions) if guess else ()

    def remove(self, dataset: str, item_id: str) -> None:
        """Delete a question with its answers, as a person; leaves no trace to hear."""
        self._datasets[dataset].forget(item_id)


class FakeAnnotator(FakePerson):
    """An annotator in memory that keeps the contract; also the person who answers.

    Time is counted, not measured: each change happens one second after the one before.
    """

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)
        self._state: AnnotatorState = AnnotatorState("fake", "fake://annotator", "up", "1")

    def describe(self) -> AnnotatorState:
        """Up, unless `become` said otherwise."""
        return replace(self._state, datasets=len(self._datasets))

    def become(self, state: AnnotatorState) -> None:
        """Describe itself like this from now on."""
        self._state = state

    def datasets(self) -> Sequence[DatasetSummary]:
        """The datasets in memory."""
        return [
            DatasetSummary(name, kept.url(), kept.stats().total, kept.stats().labeled)
            for name, kept in self._datasets.items()
        ]

    def open(self, name: str, schema: LabelSchema, *, create: bool = True) -> FakeDataset:
        """Get or create a dataset."""
        if name not in self._datasets and not create:
            raise NotFoundError(f"dataset {name!r} does not exist", "check the name")
        kept = self._datasets.setdefault(name, FakeDataset(name, schema, self._numbers))
        differing = sorted(set(kept.schema.labels) ^ set(schema.labels))
        if differing or kept.schema.task != schema.task or kept.schema.modality != schema.modality:
            raise ConfigError(f"dataset {name!r} has other labels: {', '.join(differing)}", "change the schema back")
        return kept

    def stats(self, name: str) -> DatasetStats:
        """Counts of one dataset."""
        if name not in self._datasets:
            raise NotFoundError(f"dataset {name!r} does not exist", "check the name")
        return self._datasets[name].stats()

    def page(self, name: str) -> str:
        """An address that nobody can open."""
        if name not in self._datasets:
            raise NotFoundError(f"dataset {name!r} does not exist", "check the name")
        return self._datasets[name].url()

    def delete(self, name: str) -> None:
        """Forget a dataset."""
        if name not in self._datasets:
            raise NotFoundError(f"dataset {name!r} does not exist", "check the name")
        self._datasets.pop(name).gone = True

    def relabel(self, name: str, schema: LabelSchema, *, dry_run: bool = False) -> None:
        """Ask for other labels from now on, with no guess shown."""
        if name not in self._datasets:
            raise NotFoundError(f"dataset {name!r} does not exist", "check the name")
        if not dry_run:
            self._datasets[name].relabel(schema)

    def ask_beside(self, name: str, schema: LabelSchema) -> Sequence[str]:
        """Ask the controls beside the main one that are not asked yet."""
        if name not in self._datasets:
            raise NotFoundError(f"dataset {name!r} does not exist", "check the name")
        there = {one.name for one in self._datasets[name].schema.beside}
        self._datasets[name].schema = schema
        return [one.name for one in schema.beside if one.name not in there]
