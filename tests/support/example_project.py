"""An example project pulled into a folder, driven by its own commands, with people who know the truth."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelloop.backends.buckets import BucketArtifacts
from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.data.sources import content_id
from labelloop.ledger import Ledger, open_ledger
from labelloop.testing.annotator import LabelStudioPerson, SimulatedAnnotator
from labelloop.workspace.config import load

PATIENCE = 240
_STACK = """
[stacks.default]
annotator = "people"
secrets_manager = "environment"
[annotators.people]
flavor = "label_studio"
url = "{url}"
authentication_secret = "people"
[secrets_managers.environment]
flavor = "env"
"""
_BUCKET = """
[artifact_stores.bucket]
flavor = "{flavor}"
path = "{path}"
endpoint = "{endpoint}"
authentication_secret = "bucket"
"""


@dataclass
class Project:
    """An example in a folder of its own, and people who know the truth about its images.

    Args:
        root: Where it was pulled to.
        images: The folders with its images.
        store: The bucket that the stack stores in; None for files.
        flavor: Of the store.
    """

    root: Path
    annotator: LabelStudioAnnotator
    images: Sequence[Path]
    secrets: dict[str, str] = field(default_factory=dict)
    store: BucketArtifacts | None = None
    flavor: str = "local"

    def __post_init__(self) -> None:
        name = f"{self.root.parent.name} {self.root.parent.parent.name}"[-40:]
        text = (self.root / "labelloop.toml").read_text()
        before = load(self.root, {}).config.dataset.name
        text = text.replace(f'name = "{before}"', f'name = "{name.strip()}"')
        text += _STACK.format(url=self.annotator.client().url)
        self.secrets["LABELLOOP_SECRET_PEOPLE__TOKEN"] = self.annotator.client().token
        if self.store is not None:
            text = text.replace("[stacks.default]", '[stacks.default]\nartifact_store = "bucket"')
            text += _BUCKET.format(flavor=self.flavor, path=self.store.path, endpoint=self.store.endpoint)
            for key, value in self.store.values().items():
                self.secrets[f"LABELLOOP_SECRET_BUCKET__{key.upper()}"] = value
        (self.root / "labelloop.toml").write_text(text)

    @property
    def truth(self) -> Mapping[str, tuple[str, ...]]:
        """Item id -> its label."""
        known, answers = {}, self._answers()
        for folder in self.images:
            for path in folder.glob("*.png"):
                if path.name in answers:
                    known[content_id(path.read_bytes())] = (answers[path.name],)
        return known

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin `python ...` in the project's folder."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.root,
            env={**os.environ, **self.secrets},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """What a `python ...` that succeeds prints."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, out + err
        return out

    def answer_all(self) -> int:
        """People answer everything that is open, truly."""
        config = load(self.root, {}).config
        project = LabelStudioPerson(self.annotator.client()).project(config.dataset.name)
        schema = config.schema_of()
        return SimulatedAnnotator(self.annotator.client(), project, schema, self.truth, threads=1).answer_open()

    def ledger(self) -> Ledger:
        """What the project remembers."""
        return open_ledger(load(self.root, {}).ledger_url, load(self.root, {}).config.dataset.name)

    def tasks(self) -> list[Mapping[str, Any]]:
        """Label Studio's tasks."""
        project = LabelStudioPerson(self.annotator.client()).project(load(self.root, {}).config.dataset.name)
        query = {"project": project, "fields": "all", "page_size": 1000, "resolve_uri": "false"}
        found: list[Mapping[str, Any]] = self.annotator.client().call("GET", "/api/tasks", query=query)["tasks"]
        return found

    def _answers(self) -> Mapping[str, str]:
        path = next(self.root.rglob("answers.csv"))
        with path.open() as file:
            return {row["file"].rpartition("/")[2]: row["label"] for row in csv.DictReader(file)}
