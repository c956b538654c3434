"""What people who do this job have reported of other tools, tried on a real Label Studio by the commands they type."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.cli import run
from labelloop.testing.annotator import LabelStudioPerson

pytestmark = [pytest.mark.live, pytest.mark.slow]

TEXTS = ("the cat slept", "rent is due", "a dog barked", "the bank closed", "kittens play", "taxes rise")
LABELS = ("animals", "money")
ANIMALS = ("cat", "dog", "kitten")


@dataclass
class Desk:
    """Somebody at a workspace of her own, who uses a Label Studio of her team."""

    root: Path
    annotator: LabelStudioAnnotator
    name: str
    capsys: pytest.CaptureFixture[str]

    def begin(self, modality: str = "text", url: str = "", **settings: Any) -> None:
        """Write the workspace; `loop__batch=3` is `batch = 3` under `[loop]`."""
        sections: dict[str, list[str]] = {"dataset": [], "loop": ["batch = 6"], "holdout": ["share = 0.0", "size = 0"]}
        for key, value in settings.items():
            section, _, name = key.partition("__")
            sections[section].append(f"{name} = {json.dumps(value)}")
        written = "".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items())
        self.root.mkdir(exist_ok=True)
        (self.root / "labelloop.toml").write_text(
            written.replace(
                "[dataset]\n",
                f'[dataset]\nname = "{self.name}"\nmodality = "{modality}"\nlabels = {json.dumps(LABELS)}\n',
            )
            + f'[learner]\nflavor = "quick_learner:QuickLearner"\npixels = {str(modality == "image").lower()}\n'
            + '[stacks.default]\nannotator = "team"\nsecrets_manager = "environment"\n'
            + f'[annotators.team]\nflavor = "label_studio"\nurl = "{url or self.annotator.client().url}"\n'
            + 'authentication_secret = "team"\n[secrets_managers.environment]\nflavor = "env"\n'
        )

    def says(self, *arguments: str, code: int = 0) -> str:
        """What a command says, out loud and as errors."""
        self.capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LABELLOOP_SECRET_TEAM__TOKEN", self.annotator.client()._token)
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

    def answer(self, *more: Mapping[str, Any], modality: str = "text") -> int:
        """Answer every open task by its words, with more regions beside the choice."""
        answered = 0
        for task in self.tasks():
            if task["total_annotations"]:
                continue
            label = LABELS[0] if any(one in task["data"][modality] for one in ANIMALS) else LABELS[1]
            choice = {"from_name": "label", "to_name": modality, "type": "choices", "value": {"choices": [label]}}
            body = {"lead_time": 3, "result": [choice, *more]}
            self.annotator.client().call("POST", f"/api/tasks/{task['id']}/annotations/", body=body)
            answered += 1
        return answered


@pytest.fixture
def desk(
    annotator: LabelStudioAnnotator, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    made = Desk(tmp_path / "desk", annotator, f"case {request.node.name[5:35]}".strip(), capsys)
    yield made
    annotator.delete(made.name)


NOTE = {"from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["because it purrs"]}}
SURE = {"from_name": "sure", "to_name": "text", "type": "rating", "value": {"rating": 4}}


def test_columns_are_shown_and_what_people_write_beside_the_labels_is_exported(desk: Desk, tmp_path: Path) -> None:
    desk.begin(dataset__show=["author", "date"])
    lines = ["text,author,date", *(f"{text},writer {n},2024-01-0{n + 1}" for n, text in enumerate(TEXTS))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    desk.says("add", str(tmp_path / "t.csv"))
    desk.says("tick")
    shown = {task["data"]["text"]: (task["data"]["author"], task["data"]["date"]) for task in desk.tasks()}
    config = desk.annotator.client().call("GET", f"/api/projects/{desk.project}")["label_config"]

    beside = '<TextArea name="note" toName="text"/><Rating name="sure" toName="text"/>'
    desk.change(label_config=config.replace("</View>", f"{beside}</View>"))
    assert desk.answer(NOTE, SURE) == len(TEXTS)
    desk.says("tick")
    for name in ("labels.jsonl", "labels.json"):
        desk.says("export", "-o", str(tmp_path / name))

    assert shown == {text: (f"writer {n}", f"2024-01-0{n + 1}") for n, text in enumerate(TEXTS)}
    assert 'value="author: $author"' in config
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert len(rows) == len(TEXTS)
    assert all([one["value"] for one in row["extra"]["note"]] == [NOTE["value"]] for row in rows)
    assert all(
        {region["from_name"] for region in row["annotations"][0]["result"]} == {"label", "note", "sure"} for row in rows
    )
    tasks = json.loads((tmp_path / "labels.json").read_text())
    assert all(len(task["annotations"][0]["result"]) == 3 for task in tasks)
    assert "people also answer in note (6), sure (6): kept and exported, not learned from" in desk.says("status")


def test_an_export_goes_into_another_project_as_it_is(desk: Desk, tmp_path: Path) -> None:
    desk.begin()
    (tmp_path / "t.csv").write_text("\n".join(["text", *TEXTS]))
    desk.says("add", str(tmp_path / "t.csv"))
    desk.says("tick")
    desk.answer()
    desk.says("tick")
    desk.says("export", "-o", str(tmp_path / "labels.json"))

    client = desk.annotator.client()
    before = client.call("GET", f"/api/projects/{desk.project}")["label_config"]
    other = client.call("POST", "/api/projects", body={"title": "case taken over", "label_config": before})["id"]
    tasks = json.loads((tmp_path / "labels.json").read_text())
    answer = client.call("POST", f"/api/projects/{other}/import", body=tasks)
    client.call("DELETE", f"/api/projects/{other}")

    assert (answer["task_count"], answer["annotation_count"]) == (len(TEXTS), len(TEXTS))
