"""Somebody at a workspace of her own, for tests that use a real Label Studio by the commands that people type."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.cli import run
from labelloop.testing.annotator import LabelStudioPerson

LABELS = ("animals", "money")
ANIMALS = ("cat", "dog", "kitten")


@dataclass
class Desk:
    """Somebody at a workspace of her own, who uses a Label Studio of her team."""

    root: Path
    annotator: LabelStudioAnnotator
    name: str
    capsys: pytest.CaptureFixture[str]
    labels: tuple[str, ...] = LABELS

    def begin(self, modality: str = "text", url: str = "", **settings: Any) -> None:
        """Write the workspace of a quick learner without a holdout; `loop__batch=3` is `batch = 3` under `[loop]`.

        A setting that is None is left to its default.
        """
        flavor = {"learner__flavor": "support.quick_learner:QuickLearner", "learner__pixels": modality == "image"}
        before = {"loop__batch": 6, "holdout__share": 0.0, "holdout__size": 0, **flavor}
        sections: dict[str, list[str]] = {"dataset": [], "loop": [], "holdout": [], "learner": []}
        for key, value in {**before, **settings}.items():
            section, _, name = key.partition("__")
            if value is not None:
                sections[section].append(f"{name} = {json.dumps(value)}")
        written = "".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items())
        self.root.mkdir(exist_ok=True)
        (self.root / "labelloop.toml").write_text(
            written.replace(
                "[dataset]\n",
                f'[dataset]\nname = "{self.name}"\nmodality = "{modality}"\nlabels = {json.dumps(self.labels)}\n',
            )
            + '[stacks.default]\nannotator = "team"\nsecrets_manager = "environment"\n'
            + f'[annotators.team]\nflavor = "label_studio"\nurl = "{url or self.annotator.client().url}"\n'
            + 'authentication_secret = "team"\n[secrets_managers.environment]\nflavor = "env"\n'
        )

    def says(self, *arguments: str, code: int = 0) -> str:
        """What a command says, out loud and as errors."""
        self.capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LABELLOOP_SECRET_TEAM__TOKEN", self.annotator.client().token)
            patch.setattr(sys, "path", list(sys.path))
            assert run(["-C", str(self.root), *arguments]) == code, self.capsys.readouterr()
        heard = self.capsys.readouterr()
        return heard.out + heard.err

    @property
    def project(self) -> int:
        return LabelStudioPerson(self.annotator.client()).project(self.name)

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        query = {"project": self.project, "fields": "all", "page_size": 200, "resolve_uri": "false"}
        found: Sequence[Mapping[str, Any]] = self.annotator.client().call("GET", "/api/tasks", query=query)["tasks"]
        return sorted(found, key=lambda one: int(one["id"]))

    def change(self, **settings: Any) -> None:
        """What a person changes in the project's settings."""
        self.annotator.client().call("PATCH", f"/api/projects/{self.project}", body=settings)

    def answer(self, *more: Mapping[str, Any]) -> int:
        """Answer every open task by its words, with more regions beside the choice."""
        return self.answer_as(lambda shown: LABELS[0] if any(one in shown for one in ANIMALS) else LABELS[1], *more)

    def answer_as(self, label_of: Callable[[str], str], *more: Mapping[str, Any], modality: str = "text") -> int:
        """Answer every open task with the label of what it shows, and with more regions beside the choice."""
        waiting = [task for task in self.tasks() if not task["total_annotations"]]
        for task in waiting:
            said = {"choices": [label_of(task["data"][modality])]}
            choice = {"from_name": "label", "to_name": modality, "type": "choices", "value": said}
            body = {"lead_time": 0.05, "result": [choice, *more]}
            self.annotator.client().call("POST", f"/api/tasks/{task['id']}/annotations/", body=body)
        return len(waiting)
