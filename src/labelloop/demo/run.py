"""The demo: a workspace made from nothing, and its loop driven to the end before one's eyes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from labelloop.commands.add import add_items
from labelloop.commands.check import start
from labelloop.commands.report import report_view
from labelloop.commands.status import round_view
from labelloop.commands.watch import View, watch
from labelloop.data.sources import Columns
from labelloop.demo import data
from labelloop.demo.span_data import MarkedTruth, marked_texts
from labelloop.errors import ConfigError
from labelloop.loop.decide import Finish, Start, Stop
from labelloop.loop.loop import Loop
from labelloop.protocols import Progress, silent
from labelloop.report.files import write
from labelloop.report.views import RoundView
from labelloop.types import Modality
from labelloop.workspace.config import Workspace, load, replace_text
from labelloop.workspace.init import create
from labelloop.workspace.root import FILE
from labelloop.workspace.stack import Stack

if TYPE_CHECKING:
    from labelloop.testing.annotator import SimulatedAnnotator

Sort = Literal["image", "text", "spans"]
"""Digits, industries, or names in notices."""

NAMES: Mapping[Sort, str] = {"image": "demo-digits", "text": "demo-industries", "spans": "demo-airports"}
SIZES: Mapping[Sort, int] = {"image": 1000, "text": 900, "spans": 900}
BATCHES: Mapping[Sort, int] = {"image": 15, "text": 10, "spans": 10}
INSTRUCTIONS: Mapping[Sort, str] = {
    "image": "Which digit is it?",
    "text": "Which sector is this industry in?",
    "spans": "Mark every airport, city, region and code",
}
HOLDOUT = 200


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo was asked to show."""

    folder: Path
    sort: Sort
    items: int
    rounds: int
    batch: int
    error_rate: float
    seed: int
    me: bool

    @property
    def modality(self) -> Modality:
        """What people see."""
        return "image" if self.sort == "image" else "text"


@dataclass(frozen=True, slots=True)
class Shown:
    """How the demo ended."""

    report: Path
    rounds: tuple[RoundView, ...]
    url: str


class Stage(View, Protocol):
    """Who watches the demo."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """The `labelloop.protocols.Progress` of the current stage."""
        ...


Visiting = Callable[[Any, str], AbstractContextManager[None]]


def play(demo: Demo, view: Stage, visiting: Visiting) -> Shown:
    """Run the demo to its end, or, with `me`, until the person stops it.

    Args:
        view: Who watches.
        visiting: Opens a page of the annotator in the browser, for as long as its block lasts.
    """
    progress: Progress = view.progress
    truth = _data(demo, progress)
    workspace = _workspace(demo, truth.labels)
    stack = Stack(workspace)
    with ThreadPoolExecutor(1) as beside:
        starting: Future[None] = beside.submit(start, stack.annotator, silent)
        loop = Loop(workspace, stack, progress)
        add_items(loop.ledger, [str(truth.place)], demo.modality, Columns(), progress=progress)
        loop.learning.embeddings.embedded()
        _await(starting, progress)
    if demo.me:
        _follow(loop, stack, view, visiting)
    else:
        _drive(loop, stack, demo, truth.answers, view)
    report = workspace.root / "report.html"
    shown = report_view(loop)
    write(shown, report)
    return Shown(report, tuple(shown.rounds), loop.dataset.url())


def _data(demo: Demo, progress: Progress) -> data.Truth | MarkedTruth:
    count = demo.items or SIZES[demo.sort]
    if demo.sort == "spans":
        return marked_texts(demo.folder / "notices.jsonl", count, demo.seed, progress)
    if demo.sort == "image":
        return data.images(demo.folder / "images", count, demo.seed, progress)
    return data.texts(demo.folder / "texts.jsonl", count, demo.seed, progress)


def _workspace(demo: Demo, labels: tuple[str, ...]) -> Workspace:
    """The demo's workspace; each run is a dataset of its own, what was computed before is reused."""
    create(demo.folder, {})
    name = _unused_name(demo)
    listed = ", ".join(f'"{label}"' for label in labels)
    asked = f'labels = [{listed}]\ninstruction = "{INSTRUCTIONS[demo.sort]}"\n'
    if demo.sort == "spans":
        asked = f'\n[controls.names]\nkind = "spans"\n{asked}'
    replace_text(
        demo.folder / FILE,
        f'# Made by labelloop demo.\n[dataset]\nname = "{name}"\nmodality = "{demo.modality}"\n'
        f"{asked}\n"
        f"[loop]\nbatch = {demo.batch or BATCHES[demo.sort]}\nrounds = {demo.rounds}\nseed = {demo.seed}\n\n"
        f"[holdout]\nshare = 0.2\nsize = {HOLDOUT}\nper_round = {25 if demo.me else HOLDOUT}\n",
    )
    return load(demo.folder.resolve())


def _unused_name(demo: Demo) -> str:
    runs = demo.folder / ".labelloop" / f"runs-{demo.sort}"
    number = int(runs.read_text()) + 1 if runs.exists() else 1
    replace_text(runs, str(number))
    return f"{NAMES[demo.sort]}-{number}"


def _await(starting: Future[None], progress: Progress) -> None:
    began = time.monotonic()
    while not starting.done():
        progress("starting Label Studio (the first time it is installed, too)", int(time.monotonic() - began), None)
        time.sleep(0.2)
    starting.result()


def _drive(loop: Loop, stack: Stack, demo: Demo, truth: Mapping[str, Any], view: Stage) -> None:
    """Tick, and answer as people would, until nothing is left to ask."""
    people: SimulatedAnnotator | None = None
    while True:
        outcome = loop.tick()
        if isinstance(outcome.action, Start | Finish) and outcome.round is not None:
            view.record(round_view(outcome.round))
        if isinstance(outcome.action, Stop):
            return
        people = people or _people(loop, stack, demo, truth)
        if people.answer_open(progress=view.progress):
            view.say("people have answered")


def _people(loop: Loop, stack: Stack, demo: Demo, truth: Mapping[str, Any]) -> SimulatedAnnotator:
    from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
    from labelloop.backends.label_studio.dataset import LabelStudioDataset
    from labelloop.testing.annotator import SimulatedAnnotator

    annotator, dataset = stack.annotator, loop.dataset
    if not isinstance(annotator, LabelStudioAnnotator) or not isinstance(dataset, LabelStudioDataset):
        raise ConfigError(f"the people of the demo answer in Label Studio, not in {annotator!r}", "answer yourself")
    return SimulatedAnnotator(
        annotator.client(), dataset.project, loop.schema, truth, error_rate=demo.error_rate, seed=demo.seed
    )


def _follow(loop: Loop, stack: Stack, view: Stage, visiting: Visiting) -> None:
    """Leave the answering to the person at the browser."""
    loop.tick()
    with visiting(stack.annotator, loop.dataset.url()):
        watch(loop, view, every=2.0, until_done=True)
