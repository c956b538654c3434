"""A small world for tests of the loop: a workspace, people in memory, texts whose first word is the truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import select

from labelloop.backends.local_orchestrator import LocalOrchestrator
from labelloop.backends.local_store import LocalArtifactStore
from labelloop.data.sources import content_id
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of
from labelloop.ledger import Ledger, open_ledger, tables
from labelloop.ledger.questions import Asking
from labelloop.ledger.rounds import Round
from labelloop.loop.loop import Loop
from labelloop.loop.stages import Outcome
from labelloop.testing.annotator import FakeAnnotator, FakeDataset
from labelloop.types import Item, NewItem
from labelloop.workspace.config import Workspace, load
from labelloop.workspace.root import STATE
from labelloop.workspace.stack import Stack

NAME = "animals"
LABELS = ("cat", "dog", "owl")
SCHEMA = LabelSchema("text", LABELS)
NOW = datetime(2026, 2, 3, tzinfo=UTC)

TOML = """
[dataset]
name = "animals"
modality = "text"
labels = ["cat", "dog", "owl"]
[loop]
batch = 6
[holdout]
share = 0.25
size = 12
per_round = 4
[learner]
flavor = "support.quick_learner:QuickLearner"
"""

_CLOCKED = {
    "seconds",
    "at",
    "due",
    "asked_at",
    "planned_at",
    "sent_at",
    "started_at",
    "heard_at",
    "created_at",
    "updated_at",
    "removed_at",
    "since",
    "expires",
    "holder",
    "fence",
}


@dataclass
class Parts:
    """A stack of components that are given, not built."""

    annotator: FakeAnnotator
    artifact_store: Any
    orchestrator: LocalOrchestrator = field(default_factory=LocalOrchestrator)


@dataclass
class World:
    """One workspace and its people. Every `loop()` is what a new process would build.

    Args:
        ledger_url: Where the ledger is; in the workspace unless said.
    """

    root: Path
    people: FakeAnnotator = field(default_factory=FakeAnnotator)
    schema: LabelSchema = SCHEMA
    clock: Callable[[], datetime] = lambda: NOW
    ledger_url: str = ""

    def __post_init__(self) -> None:
        (self.root / STATE).mkdir(mode=0o700, parents=True, exist_ok=True)
        ledger = f'[ledger]\nurl = "{self.ledger_url}"\n' if self.ledger_url else ""
        (self.root / "labelloop.toml").write_text(TOML + ledger)

    def workspace(self, **settings: Any) -> Workspace:
        """The workspace, with `loop__batch=3` for `loop.batch`."""
        return load(self.root, {}, {name.replace("__", "."): value for name, value in settings.items()})

    def loop(self, **settings: Any) -> Loop:
        """A loop over this world."""
        parts = Parts(self.people, LocalArtifactStore(path=str(self.root / "artifacts")))
        return Loop(self.workspace(**settings), cast(Stack, parts), clock=self.clock)

    def tick(self, **settings: Any) -> Outcome:
        """One tick of a new loop."""
        return self.tick_knowing(settings)

    def tick_knowing(self, settings: Mapping[str, Any] | None = None, **how: bool) -> Outcome:
        """One tick of a new loop, told what a person knows: `take_over`, `believe_losses`, `reconcile`."""
        loop = self.loop(**(settings or {}))
        try:
            return loop.tick(**how)
        finally:
            loop.ledger.close()

    def ledger(self) -> Ledger:
        """The ledger, to look at."""
        workspace = self.workspace()
        return open_ledger(workspace.ledger_url, NAME)

    def add(self, count: int = 40, start: int = 0, labels: Sequence[str] = LABELS) -> list[str]:
        """Add texts of every class in turn; their ids."""
        return self.add_texts([f"{labels[i % len(labels)]} number {i}" for i in range(start, start + count)])

    def add_texts(self, texts: Sequence[str]) -> list[str]:
        """Add texts; their ids."""
        items = [Item(content_id(text), "text", text=text, digest=content_id(text)) for text in texts]
        ledger = self.ledger()
        ledger.items.add([NewItem(item, b"") for item in items])
        ledger.close()
        return [item.id for item in items]

    @property
    def dataset(self) -> FakeDataset:
        """The dataset as the annotator keeps it."""
        return self.people.open(NAME, self.schema, create=False)

    def truth(self) -> Mapping[str, str]:
        """Item id -> its first word."""
        ledger = self.ledger()
        found = {item.id: item.text.split()[0] for item in ledger.items.between(0, ledger.items.count())}
        ledger.close()
        return found

    def answer(self, item_id: str, label: str) -> str:
        """One person answers one question; the id of the annotation."""
        return self.people.answer(NAME, item_id, regions_of(self.schema, [label]))

    def answer_all(self, wrongly: bool = False) -> int:
        """People answer everything that is open, truly or all wrongly; how many that were."""
        truth = self.truth()
        waiting = self.dataset.open_items()
        for item_id in waiting:
            label = truth[item_id]
            self.answer(item_id, LABELS[(LABELS.index(label) + 1) % 3] if wrongly else label)
        return len(waiting)

    def play(self, rounds: int, **settings: Any) -> Outcome:
        """Tick and answer, `rounds` times."""
        for _ in range(rounds):
            outcome = self.tick(**settings)
            self.answer_all()
        return outcome

    def questions(self) -> list[Asking]:
        """Every question."""
        return self.ledger().answers.questions()

    def last(self) -> Round:
        """The newest round."""
        last = self.ledger().rounds.last()
        assert last is not None
        return last

    def dump(self) -> Mapping[str, Any]:
        """Everything the ledger and the annotator hold, without times of the clock and holders of the lease."""
        ledger = self.ledger()
        held = held_by(ledger)
        ledger.close()
        shown = {item: (self.dataset.url(item), self.dataset.prediction(item)) for item in self.dataset.present()}
        return {**held, "annotator": shown}


def held_by(ledger: Ledger, without: Collection[str] = ()) -> dict[str, list[str]]:
    """The rows of every table, without times, places on the disk, holders of the lease, the cursor, and `without`."""
    with ledger.engine.connect() as connection:
        held = {
            table.name: sorted(repr(_stripped(row._asdict(), without)) for row in connection.execute(select(table)))
            for table in tables.metadata.sorted_tables
            if table is not tables.seen  # where files lie, which differs from folder to folder
        }
    held["facts"] = [row for row in held["facts"] if "answers_cursor" not in row and "dataset_owner" not in row]
    return held


def _stripped(value: Any, without: Collection[str]) -> Any:
    if isinstance(value, Mapping):
        kept = value.keys() - _CLOCKED - set(without)
        return {key: _stripped(inside, without) for key, inside in value.items() if key in kept}
    return value
