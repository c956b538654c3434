"""`watch` as a service against a real Label Studio of its own: hints, outages, and ends at any moment."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.fernet import Fernet

from labelloop.backends.label_studio import hooks
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.server import free_port
from labelloop.cli import run
from labelloop.commands.hints import path_of
from labelloop.data.sources import content_id
from labelloop.kinds import LabelSchema
from labelloop.ledger import open_ledger
from labelloop.testing.annotator import SimulatedAnnotator
from labelloop.workspace.config import load
from labelloop.workspace.stack import Stack

from support.live_world import MAIN, TESTS

pytestmark = [pytest.mark.live, pytest.mark.slow]

NAME = "a service of words"
LABELS = ("cat", "dog", "owl")
SCHEMA = LabelSchema("text", LABELS)
PATIENCE = 120.0

_TOML = """
[dataset]
name = "{name}"
modality = "text"
labels = ["cat", "dog", "owl"]
[loop]
batch = 6
[holdout]
share = 0.25
per_round = 2
[watch]
port = {port}
[learner]
flavor = "support.quick_learner:QuickLearner"
[annotators.default]
flavor = "label_studio"
port = {server}
"""


@dataclass
class Watched:
    """A workspace with a Label Studio of its own, and the service that watches it."""

    root: Path
    annotator: LabelStudioAnnotator
    said: list[dict[str, Any]] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    lines: queue.Queue[str] = field(default_factory=queue.Queue)

    def start(self, *arguments: str) -> None:
        """Start the service."""
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH", ""))))
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "-C", str(self.root), "watch", "--log-format", "json", *arguments],
            env={**os.environ, "PYTHONPATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def until(self, words: str) -> dict[str, Any]:
        """The next event that says these words."""
        while True:
            self.said.append(json.loads(self.lines.get(timeout=PATIENCE)))
            if words in self.said[-1]["message"]:
                return self.said[-1]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell the service to end; its exit code."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)

    def answer_all(self) -> int:
        """People answer what is open, truly."""
        client = self.annotator.client()
        if not self.annotator.datasets():
            return 0
        project = self.annotator.open(NAME, SCHEMA, create=False).project
        return SimulatedAnnotator(client, project, SCHEMA, truth(), threads=1).answer_open()

    def hooks(self) -> list[Any]:
        """The hooks of the loop."""
        project = self.annotator.open(NAME, SCHEMA, create=False).project
        return hooks.ours(self.annotator.client(), project, path_of(load(self.root)))

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr
        for line in process.stderr:
            self.lines.put(line)


def texts() -> list[str]:
    """Sixty texts whose first word is the truth."""
    return [f"{LABELS[i % 3]} number {i}" for i in range(60)]


def truth() -> dict[str, tuple[str, ...]]:
    """Item id -> its label."""
    return {content_id(text): (text.split()[0],) for text in texts()}


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Sixty texts were added, nothing runs yet."""
    monkeypatch.setenv("LABELLOOP_SECRETS_KEY", Fernet.generate_key().decode())
    monkeypatch.setattr(sys, "path", [*sys.path, str(TESTS)])
    port, server = free_port(8950), free_port(8960)
    (tmp_path / "labelloop.toml").write_text(_TOML.format(name=NAME, port=port, server=server))
    (tmp_path / "texts.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts()))
    assert run(["-C", str(tmp_path), "add", str(tmp_path / "texts.jsonl")]) == 0
    annotator = Stack(load(tmp_path)).annotator
    assert isinstance(annotator, LabelStudioAnnotator)
    made = Watched(tmp_path, annotator)
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
    annotator.down()


def test_an_answer_wakes_a_loop_that_would_have_slept_for_minutes(watched: Watched) -> None:
    watched.start("--every", "300")
    watched.until("hints: sent to")
    watched.until("asked 8 item(s)")
    watched.until("0 of 8 answers to round 1")

    watched.answer_all()
    began = time.monotonic()
    second = watched.until("round 2: asked")

    assert time.monotonic() - began < 60
    assert second["round"]["answered"] == 8
    assert len(watched.hooks()) == 1
    assert watched.end() == 143
    assert run(["-C", str(watched.root), "stack", "down"]) == 0
    watched.annotator.up()
    assert watched.hooks() == []


def test_it_starts_its_label_studio_again_when_that_is_killed(watched: Watched) -> None:
    watched.start("--every", "0.5")
    watched.until("0 of 8 answers to round 1")
    running = watched.annotator.connection.server.state()
    assert running
    os.kill(running.pid, signal.SIGKILL)

    watched.until("looking again in about")
    watched.until("the annotator answers again")
    watched.answer_all()
    second = watched.until("round 2: asked")

    assert second["round"]["answered"] == 8
    assert len(watched.hooks()) == 1
    assert watched.end() == 143


def test_ended_at_any_moment_and_started_again_it_asks_nothing_twice(watched: Watched) -> None:
    random, codes = Random(7), []
    watched.annotator.up()
    for _ in range(10):
        watched.start("--every", "0.2")
        watched.until("metrics: ")
        time.sleep(random.uniform(0.0, 4.0))
        codes.append(watched.end())
        watched.answer_all()
    watched.start("--every", "0.2", "--until-done")
    while watched.process and watched.process.poll() is None:
        time.sleep(0.5)
        watched.answer_all()

    ledger = open_ledger(load(watched.root).ledger_url, NAME)
    questions, last = ledger.answers.questions(), ledger.rounds.last()
    ledger.close()
    client, dataset = watched.annotator.client(), watched.annotator.open(NAME, SCHEMA, create=False)
    tasks = client.call("GET", "/api/tasks", query={"project": dataset.project, "page_size": 200})["tasks"]
    assert set(codes) == {143}
    assert watched.process
    assert watched.process.returncode == 0
    assert last is not None
    assert last.stopped == "every item has been asked"
    assert sorted(one.item_id for one in questions) == sorted(task["data"]["labelloop_id"] for task in tasks)
    assert {one.state for one in questions} == {"answered"}
