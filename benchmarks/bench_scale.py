"""What a project of 50,000 tasks costs beside one of 1,000 on the same Label Studio: ask, hear, count, tick idly.

Run alone: .venv/bin/python benchmarks/run.py --only scale     fills 50,000 tasks first, some minutes
"""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bench_tick import Parts

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.dataset import LabelStudioDataset
from labelloop.backends.local_orchestrator import LocalOrchestrator
from labelloop.backends.local_store import LocalArtifactStore
from labelloop.kinds.labels import regions_of
from labelloop.ledger.questions import Asking
from labelloop.ledger.rounds import Round
from labelloop.loop.decide import Wait
from labelloop.loop.loop import Loop
from labelloop.machine.trust import VARIABLE
from labelloop.types import Item, NewItem
from labelloop.workspace.config import load
from labelloop.workspace.root import STATE
from labelloop.workspace.stack import Stack

from figure import Figure, pairs, ratio, seconds
from managed import SCHEMA, bulk_import, delete, label_studio, processor_seconds, questions, task_of

SMALL, LARGE = 1_000, 50_000
ANSWERED = 10
"""One task of so many is answered."""
AT_MOST = 1.5
_TOML = """
[dataset]
name = "{name}"
modality = "text"
labels = ["cat", "dog"]
[learner]
flavor = "bench_tick:Chance"
"""


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock on the wall, and of the processor."""

    wall: float
    processor: float


@dataclass
class Place:
    """A loop that has asked many questions, a tenth of which is answered."""

    annotator: LabelStudioAnnotator
    loop: Loop
    tasks: list[int]
    used: int = 0

    def __post_init__(self) -> None:
        self._processor = processor_seconds(self.annotator)

    @property
    def dataset(self) -> LabelStudioDataset:
        return cast(LabelStudioDataset, self.loop.dataset)

    def idle(self, _: int = 0) -> Cost:
        """A tick that finds nothing to do."""
        actions = []
        took = self._cost(lambda: actions.append(self.loop.tick().action))
        if not isinstance(actions[0], Wait):
            raise AssertionError(f"the tick found something to do: {actions[0]}")
        return took

    def ask(self, turn: int) -> Cost:
        """Five hundred new questions with guesses of the model in use."""
        made: list[int] = []
        batch = questions(f"ask-{turn}", 500, "m")
        self.dataset.size()  # as the hearing of the same tick does
        took = self._cost(lambda: made.extend(int(one) for one in self.dataset.ask(batch, unasked=True).tasks.values()))
        delete(self.annotator.client(), self.dataset.project, made)
        self.loop.hear()
        return took

    def hear(self, _: int = 0, count: int = 100) -> Cost:
        """A hundred new answers."""
        body = {"result": [dict(region) for region in regions_of(SCHEMA, ["dog"])]}
        for task in self.tasks[self.used : self.used + count]:
            self.annotator.client().call("POST", f"/api/tasks/{task}/annotations/", body=body)
        self.used += count
        heard = []
        took = self._cost(lambda: heard.append(self.loop.hear()[0].created))
        if heard != [count]:
            raise AssertionError(f"{heard} of {count} answers were heard")
        return took

    def stats(self, _: int = 0) -> Cost:
        """`annotator dataset stats`."""
        return self._cost(lambda: self.annotator.stats(self.loop.ledger.dataset))

    def _cost(self, work: Callable[[], object]) -> Cost:
        before = self._processor()
        wall = seconds(work)
        return Cost(wall, self._processor() - before)


def figures(quick: bool) -> Iterator[Figure]:
    """Each figure is the large project's cost over the small one's, taken in turn."""
    repeats = 3 if quick else 7
    with ExitStack() as stack:
        annotator = stack.enter_context(label_studio())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        small, large = (place(folder / str(size), annotator, size) for size in (SMALL, LARGE))
        beside = f"with {LARGE:,} tasks / with {SMALL:,}"
        yield from costs(f"an idle tick {beside}", pairs(large.idle, small.idle, 3 * repeats))
        yield from costs(f"`dataset stats` {beside}", pairs(large.stats, small.stats, 2 * repeats))
        yield from costs(f"hearing 100 answers {beside}", pairs(large.hear, small.hear, repeats))
        yield from costs(f"asking 500 {beside}", pairs(large.ask, small.ask, 3 * repeats))
        yield memory(f"memory of an idle tick {beside}", large.idle, small.idle)
        yield memory(
            f"memory of hearing 10 answers {beside}", lambda: large.hear(count=10), lambda: small.hear(count=10)
        )
        for one in (small, large):
            one.loop.ledger.close()


def costs(what: str, taken: Sequence[tuple[Cost, Cost]]) -> Iterator[Figure]:
    """Both clocks: of a machine that does other things, too, the processor's tells more."""
    yield ratio(what, [(large.wall, small.wall) for large, small in taken], AT_MOST)
    yield ratio(f"{what}, processor", [(large.processor, small.processor) for large, small in taken], AT_MOST)


def memory(what: str, this: Callable[[], object], that: Callable[[], object]) -> Figure:
    """The peak of what Python allocates."""
    peaks = [_peak(work) / 2**20 for work in (this, that)]
    return Figure(what, [peaks[0] / peaks[1]], AT_MOST, detail=f"{peaks[0]:.2f} MB / {peaks[1]:.2f} MB")


def _peak(work: Callable[[], object]) -> int:
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def place(root: Path, annotator: LabelStudioAnnotator, size: int) -> Place:
    """A loop whose ledger and project hold `size` questions, as if it had asked them a thousand at a time."""
    (root / STATE).mkdir(parents=True)
    (root / "labelloop.toml").write_text(_TOML.format(name=f"bench scale {size}"))
    os.environ[VARIABLE] = str(root)  # the learner it names is code: ours
    parts = Parts(annotator, LocalArtifactStore(path=str(root / "artifacts")), LocalOrchestrator())
    loop = Loop(load(root, {}), cast(Stack, parts))
    project = cast(LabelStudioDataset, loop.dataset).project
    said = {"result": [dict(region) for region in regions_of(SCHEMA, ["cat"])], "ground_truth": False, "lead_time": 3}
    waiting = []
    for number in range(size // 1000):
        asked = questions(f"old-{number}", 1000, "m")
        payload = [task_of(one) for one in asked]
        for task in payload[::ANSWERED]:
            task["annotations"] = [said]
        ids = bulk_import(annotator.client(), project, payload)
        loop.ledger.items.add([NewItem(Item(one.item.id, "text", text=one.item.text), b"") for one in asked])
        one = Round(number + 1, "bench", asked=1000, items=size, version="m")
        batch = [Asking(each.item.id, "train", "bench", prediction=each.prediction) for each in asked]
        loop.ledger.rounds.plan(one, batch, loop.now())
        loop.ledger.rounds.confirm(one, {each.item.id: str(task) for each, task in zip(asked, ids, strict=True)})
        waiting += [task for row, task in enumerate(ids) if row % ANSWERED]
    loop.hear()
    return Place(annotator, loop, waiting)
