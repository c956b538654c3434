"""The tutorial and the how-tos are run as they are written, against a real Label Studio."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography.fernet import Fernet

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.dataset import LabelStudioDataset
from labelloop.loop.loop import Loop
from labelloop.testing.annotator import SimulatedAnnotator
from labelloop.testing.secrets import MemorySecrets
from labelloop.types import Item
from labelloop.workspace.config import load
from labelloop.workspace.stack import Stack

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(900)]

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"(?:<!-- ([\w ]+): [^>]*-->\n)?^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOPIC = {"numpy": "arrays", "sqlalchemy": "databases", "sklearn": "learning"}


@dataclass
class Reader:
    """Somebody who types the shell blocks of a page, one after the other, and answers where people are needed."""

    folder: Path
    where: Path
    environment: Mapping[str, str]
    said: list[str] = field(default_factory=list)
    workspaces: set[Path] = field(default_factory=set)

    def follow(self, page: str) -> str:
        """Run every block of a page; returns all that was printed."""
        for how, block in BLOCK.findall((DOCS / page).read_text("utf-8")):
            if how == "not run":
                continue
            if how == "answers":
                self.answer()
            self.type(block, beside=how == "beside")
        return "\n".join(self.said)

    def type(self, block: str, *, beside: bool = False) -> None:
        """Run one block in the folder where the block before it ended."""
        script = f"set -eu\n{block}\npwd > {self.where}\n"
        with subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as shell:
            try:
                said = self._said_while_answering(shell) if beside else shell.communicate(timeout=300)[0]
            except BaseException:
                shell.kill()
                raise
        self.said.append(said)
        assert shell.returncode == 0, f"{block}\n{said}"
        self.folder = Path(self.where.read_text().strip())
        if (self.folder / "labelloop.toml").exists():
            self.workspaces.add(self.folder)

    def answer(self) -> int:
        """A simulated annotator answers what is open in the workspace of this folder."""
        workspace = load(self.folder, {})
        stack = Stack(workspace)
        loop = Loop(workspace, stack)
        last = loop.ledger.rounds.last()
        if last is None or last.state != "asked":
            return 0
        annotator, dataset = stack.annotator, loop.dataset
        assert isinstance(annotator, LabelStudioAnnotator)
        assert isinstance(dataset, LabelStudioDataset)
        items = loop.ledger.items.between(0, loop.ledger.items.count())
        truth = {item.id: [_truth(item)] for item in items}
        return SimulatedAnnotator(annotator.client(), dataset.project, loop.schema, truth).answer_open()

    def _said_while_answering(self, shell: subprocess.Popen[str]) -> str:
        for _ in range(200):
            try:
                return shell.communicate(timeout=1)[0]
            except subprocess.TimeoutExpired:
                self.answer()
        raise AssertionError("the loop did not end")


def _truth(item: Item) -> str:
    from sklearn.datasets import load_digits

    if item.modality == "text":
        return TOPIC[item.id.partition(".")[0]]
    return str(load_digits().target[int(Path(unquote(item.uri)).stem)])


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A reader in an empty folder, with secrets of her own; what she started is stopped in the end."""
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.setenv("LABELLOOP_SECRETS_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    reader = Reader(folder, tmp_path / "where", dict(os.environ))
    yield reader
    for workspace in reader.workspaces:
        Stack(load(workspace, {})).annotator.down()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioAnnotator]:
    """A Label Studio that others run."""
    annotator = LabelStudioAnnotator(home=tmp_path_factory.mktemp("team"), secrets=MemorySecrets(), port=8293)
    annotator.up()
    yield annotator
    annotator.down()


def test_the_tutorial_works_as_it_is_written(reader: Reader) -> None:
    said = reader.follow("tutorial.md")

    digits, topics = (_status(reader, name) for name in ("digits", "topics"))
    predicted = (reader.folder.parent / "digits" / "predictions.csv").read_text().splitlines()
    labelled = (reader.folder.parent / "digits" / "labels.jsonl").read_text().splitlines()
    assert "539 new item(s), 0 known already, 0 near duplicate(s) kept together, 539 in all" in said
    assert "next      stop: all 3 rounds have been asked" in said
    assert (digits["items"], digits["asked"], digits["answered"], digits["held_out"]) == (539, 60, 60, 25)
    assert digits["next"] == {"action": "stop", "reason": "all 3 rounds have been asked"}
    assert topics["answered"] == 100
    assert topics["round"]["number"] == 2
    assert topics["round"]["metrics"]["score"] > 0.6
    assert (len(predicted), len(labelled)) == (1 + 539, 60)


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_the_how_to_of_someone_elses_label_studio_works(reader: Reader, team: LabelStudioAnnotator, kind: str) -> None:
    token = team.client().token if kind == "legacy" else str(team.client().call("POST", "/api/token/")["token"])
    page = "how-to/someone-elses-label-studio.md"
    written = "\n".join(TOML.findall((DOCS / page).read_text("utf-8")))
    reader.type(_make_images(reader))
    (reader.folder / "labelloop.toml").write_text(
        re.sub(r'^url = ".*"', f'url = "{team.client().url}"', written, flags=re.MULTILINE).replace(
            'name = "pets"', f'name = "pets-{kind}"'
        )
    )
    reader.environment = {**reader.environment, "LABELLOOP_SECRET_TEAM__TOKEN": token}

    said = reader.follow(page)

    assert f"label_studio 1.23.2 at {team.client().url}" in said
    assert "round 1: asked" in said
    assert "wait: 0 of" in said
    assert token not in said
    assert team.stats(f"pets-{kind}").total > 0


def _make_images(reader: Reader) -> str:
    """A folder `photos` of six pictures."""
    draw = "[Image.new('RGB', (64, 64), (40 * i, 9 * i * i, 255 - 30 * i)).save(f'photos/{i}.png') for i in range(6)]"
    return f'mkdir photos && python -c "from PIL import Image; {draw}"'


def _status(reader: Reader, workspace: str) -> dict[str, Any]:
    command = ["labelloop", "-C", str(reader.folder.parent / workspace), "--json", "status"]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, env=reader.environment, capture_output=True, text=True, check=True).stdout
    )
    return found
