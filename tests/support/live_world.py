"""A workspace whose ticks are processes of their own, against the real Label Studio of the session."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.cli import run
from labelloop.data.sources import content_id
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_of
from labelloop.ledger import Ledger, open_ledger
from labelloop.ledger.questions import Asking
from labelloop.testing.annotator import LabelStudioPerson, SimulatedAnnotator
from labelloop.types import Region

from support.small_world import held_by

TESTS = Path(__file__).parents[1]
DIGITS = tuple("0123456789")
MAIN = "from labelloop.cli import main; main()"
PATIENCE = 120

_TOML = """
[dataset]
name = "{name}"
labels = {labels}
[loop]
batch = 4
[holdout]
share = 0.25
per_round = 2
[learner]
flavor = "support.quick_learner:QuickLearner"
pixels = true
"""

STACK = """[stacks.default]
annotator = "team"
secrets_manager = "environment"
[annotators.team]
flavor = "label_studio"
url = "{url}"
authentication_secret = "team"
[secrets_managers.environment]
flavor = "env"
"""


@dataclass
class LiveWorld:
    """One workspace with real digits, and people who know them.

    Args:
        root: Folder of the workspace.
        annotator: The server of the session.
        name: Name of the dataset.
        ledger_url: Where the ledger is; in the workspace unless said.
    """

    root: Path
    annotator: LabelStudioAnnotator
    name: str
    truth: dict[str, tuple[str, ...]] = field(default_factory=dict)
    token: str = ""
    ledger_url: str = ""

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.token = self.token or self.annotator.client().token
        labels = list(DIGITS)
        url = self.annotator.client().url
        toml = (_TOML + STACK).format(name=self.name, labels=str(labels).replace("'", '"'), url=url)
        self.config.write_text(toml + (f'[ledger]\nurl = "{self.ledger_url}"\n' if self.ledger_url else ""))

    @property
    def config(self) -> Path:
        """The labelloop.toml."""
        return self.root / "labelloop.toml"

    @property
    def schema(self) -> LabelSchema:
        """What is asked."""
        return LabelSchema("image", DIGITS)

    @property
    def person(self) -> LabelStudioPerson:
        """Someone who answers by hand."""
        return LabelStudioPerson(self.annotator.client())

    @property
    def project(self) -> int:
        """Label Studio's id of the dataset."""
        return self.person.project(self.name)

    def draw(self, count: int) -> None:
        """Write real handwritten digits as PNG files, and add them."""
        from PIL import Image
        from sklearn.datasets import load_digits

        digits = load_digits()
        folder = self.root / "images"
        folder.mkdir()
        for i in range(count):
            picture = Image.fromarray(255 - (digits.images[i] * 15.9).astype(np.uint8)).resize((64, 64))
            picture.save(folder / f"{i:03}.png")
            self.truth[content_id((folder / f"{i:03}.png").read_bytes())] = (str(digits.target[i]),)
        self.do("add", str(folder))

    def start(self, *arguments: str, code: Sequence[str] = (MAIN,)) -> subprocess.Popen[str]:
        """Begin a command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", *code, "-C", str(self.root), *arguments],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: Sequence[str] = (MAIN,)) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own."""
        process = self.start(*arguments, code=code)
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def environment(self) -> dict[str, str]:
        """Variables of the process: the token, and where the learner is."""
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH", ""))))
        return {**os.environ, "PYTHONPATH": path, "LABELLOOP_SECRET_TEAM__TOKEN": self.token}

    def do(self, *arguments: str) -> None:
        """A command that must succeed, in this process."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LABELLOOP_SECRET_TEAM__TOKEN", self.token)
            patch.setattr(sys, "path", list(sys.path))
            assert run(["-C", str(self.root), *arguments]) == 0

    def answer_all(self) -> int:
        """People answer everything that is open, truly, one after the other."""
        client = self.annotator.client()
        return SimulatedAnnotator(client, self.project, self.schema, self.truth, threads=1).answer_open()

    def answer_with(self, more: Callable[[str], Sequence[Region]]) -> int:
        """Answer everything that is open as people who say more than the label; how many questions there were."""
        return self.answer_by(lambda item: [*regions_of(self.schema, self.truth[item]), *more(item)])

    def answer_by(self, said: Callable[[str], Sequence[Region]]) -> int:
        """Answer everything that is open by these regions; how many questions there were."""
        items = [str(task["data"]["labelloop_id"]) for task in self.tasks() if not task["is_labeled"]]
        for item in items:
            self.person.answer(self.name, item, said(item))
        return len(items)

    def questions(self) -> list[Asking]:
        """What the ledger says was asked."""
        with closing(self.ledger()) as ledger:
            return ledger.answers.questions()

    def ledger(self) -> Ledger:
        """The ledger, to look at."""
        return open_ledger(self.ledger_url or f"sqlite:///{self.root / '.labelloop' / 'ledger.db'}", self.name)

    def tasks(self) -> list[Mapping[str, Any]]:
        """Label Studio's tasks by growing id, with predictions and annotations."""
        query = {"project": self.project, "fields": "all", "page_size": 1000, "resolve_uri": "false"}
        found = self.annotator.client().call("GET", "/api/tasks", query=query)["tasks"]
        return sorted(found, key=lambda task: int(task["id"]))

    def state(self) -> Mapping[str, Any]:
        """What the ledger and Label Studio hold, without times, and without ids that a server counts."""
        with closing(self.ledger()) as ledger:
            held = held_by(ledger, without={"task_id", "annotation_id", "id", "number", "said", "lead_time", "uri"})
        held = {table: rows for table, rows in held.items() if table not in ("items", "facts", "leases")}
        project = self.annotator.client().call("GET", f"/api/projects/{self.project}")
        queue = {name: project[name] for name in ("sampling", "model_version")}
        return {**held, "queue": queue, "tasks": [_shown(task) for task in self.tasks()]}


def _shown(task: Mapping[str, Any]) -> tuple[Any, ...]:
    guesses = [
        (one["model_version"], one["score"], [region["value"] for region in one["result"]])
        for one in task["predictions"]
    ]
    said = [[region["value"] for region in one["result"]] for one in task["annotations"]]
    return task["data"]["labelloop_id"], sorted(guesses, key=str), said
