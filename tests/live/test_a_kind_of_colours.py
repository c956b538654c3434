"""A kind that lives outside the package: a colour, which people write as #rrggbb. One file is all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pyarrow as pa
import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.errors import ConfigError
from labelloop.kinds.kind import Kind, Statistic, medoid, share
from labelloop.kinds.predicted import Predicted
from labelloop.protocols import Backbone
from labelloop.testing.kind import KindContract
from labelloop.types import Examples, Inputs, Region

from support.live_world import LiveWorld
from support.quick_learner import pixels_of


@dataclass(frozen=True)
class Colour:
    """A colour; an answer is its three parts, 0 to 255 each.

    Args:
        placeholder: What stands in the empty field.
    """

    placeholder: str = "#rrggbb"

    @property
    def arrow(self) -> pa.DataType:
        return pa.string()

    @property
    def region_type(self) -> str:
        return "textarea"

    def tag(self, name: str, shown: str) -> str:
        hint = quoteattr(self.placeholder)
        return f'<TextArea name={quoteattr(name)} toName={quoteattr(shown)} maxSubmissions="1" placeholder={hint}/>'

    def read(self, regions: Sequence[Region]) -> Any:
        written = [one for region in regions for one in region["value"].get("text") or ()]
        if not written:
            return None
        if len(written) > 1 or not re.fullmatch(r"#[0-9a-fA-F]{6}", str(written[0]).strip()):
            raise ConfigError(f"{written!r} is no colour", "write it as #rrggbb")
        return tuple(bytes.fromhex(written[0].strip()[1:]))

    def write(self, answer: Any) -> tuple[Region, ...]:
        return ({"type": "textarea", "value": {"text": [self.plain(answer)]}},)

    def plain(self, answer: Any) -> str:
        return "#" + bytes(answer).hex()

    def in_words(self, answer: Any) -> str:
        return self.plain(answer)

    def similarity(self, one: Any, other: Any) -> float:
        return 1.0 - float(sum(abs(a - b) for a, b in zip(one, other, strict=True))) / (3 * 255)

    def consensus(self, answers: Sequence[Any]) -> Any:
        return medoid(self, answers)

    def counts(self, given: Any, wanted: Any) -> Sequence[float]:
        return self.similarity(given, wanted), 1.0

    @property
    def scores(self) -> Mapping[str, Statistic]:
        return {"nearness": share}


class TestColour(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Colour()

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [(0, 0, 0), (255, 128, 0), (255, 255, 255)]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [[{"type": "textarea", "value": {"text": [odd]}}] for odd in ("red", "#12345", "#1234567")]


@dataclass(frozen=True)
class Blending:
    """A learner of colours: the mean of those of the most similar pictures.

    Args:
        of: How many pictures are blended.
    """

    of: int = 2

    @property
    def backbone(self) -> Backbone | None:
        return None

    def train(self, examples: Examples, out: Path) -> None:
        np.save(out / "pixels.npy", pixels_of(examples.inputs))
        np.save(out / "colours.npy", np.array(examples.answers, np.uint8))

    def load(self, model: Path) -> Any:
        return Blended(np.load(model / "pixels.npy"), np.load(model / "colours.npy"), self.of)


@dataclass(frozen=True)
class Blended:
    """The pictures that were learned from; the farther their colours are apart, the less sure it is."""

    pixels: np.ndarray
    colours: np.ndarray
    of: int
    labels: tuple[str, ...] = ()

    def predict(self, inputs: Inputs) -> Any:
        nearest = np.argsort(-(pixels_of(inputs) @ self.pixels.T), axis=1, kind="stable")[:, : self.of]
        found = self.colours[nearest].astype(np.float32)
        means = np.rint(found.mean(axis=1)).astype(int)
        apart = np.abs(found - means[:, np.newaxis]).mean(axis=(1, 2), dtype=np.float32) / np.float32(255)
        return Predicted(tuple(tuple(row) for row in means.tolist()), 1 - apart, apart)


CONTROL = """
[controls.ink]
kind = "test_a_kind_of_colours:Colour"
instruction = "Which colour is it written in?"
"""


@pytest.mark.live
@pytest.mark.slow
def test_three_rounds_with_a_colour_beside_the_label(
    tmp_path: Path, live_annotator: LabelStudioAnnotator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    world = LiveWorld(tmp_path / "w", live_annotator, "digits and their ink")
    world.config.write_text(world.config.read_text() + CONTROL)
    world.draw(60)
    ink = {item: f"#{i:02x}0000" for i, item in enumerate(world.truth)}
    odd = ""

    def said(item: str) -> list[Region]:
        value = {"text": ["crimson" if item == odd else ink[item]]}
        return [{"from_name": "ink", "to_name": "image", "type": "textarea", "value": value}]

    answered = 0
    for _ in range(3):
        world.do("tick")
        odd = odd or world.questions()[0].item_id  # whoever answers it writes a word
        answered += world.answer_with(said)
    world.do("tick")
    world.do("export", "-o", str(tmp_path / "all.jsonl"))

    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert len(rows) == answered > 12
    assert all(row["labels"] == list(world.truth[row["id"]]) for row in rows)
    assert all(row["answers"] == {"ink": None if row["id"] == odd else ink[row["id"]]} for row in rows)
    assert [one.number for one in world.ledger().rounds.all()] == [1, 2, 3, 4]


INKS = {str(digit): f"#{25 * digit:02x}{250 - 25 * digit:02x}80" for digit in range(10)}


@pytest.mark.live
@pytest.mark.slow
def test_three_rounds_with_a_colour_as_the_main_question(
    tmp_path: Path,
    live_annotator: LabelStudioAnnotator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    world = LiveWorld(tmp_path / "w", live_annotator, "which ink they are written in")
    written = re.sub(r"\nlabels = .*", "", world.config.read_text())
    written = written.replace("support.quick_learner:QuickLearner", "test_a_kind_of_colours:Blending")
    world.config.write_text(written.replace("pixels = true\n", "of = 3\n") + CONTROL)
    world.draw(90)
    odd, answered = "", 0

    def said(item: str) -> list[Region]:
        value = {"text": ["crimson" if item == odd else INKS[world.truth[item][0]]]}
        return [{"from_name": "ink", "to_name": "image", "type": "textarea", "value": value}]

    for _ in range(3):
        world.do("tick")
        odd = odd or next(one.item_id for one in world.questions() if one.purpose == "train")
        answered += world.answer_by(said)
    world.do("tick")
    capsys.readouterr()
    world.do("--json", "status")
    told = json.loads(capsys.readouterr().out)
    world.do("export", "-o", str(tmp_path / "all.jsonl"))

    assert told["round"]["metrics"]["score_name"] == "nearness"
    assert told["round"]["metrics"]["score"] > 0.6
    rows = {row["id"]: row for row in map(json.loads, (tmp_path / "all.jsonl").read_text().splitlines())}
    assert len(rows) == answered - 1 > 12
    assert {item: row["answers"]["ink"] for item, row in rows.items()} == {
        item: INKS[world.truth[item][0]] for item in rows
    }
    asked = world.questions()
    assert len({one.item_id for one in asked}) == len(asked) > answered
    trained = [one for one in asked if one.purpose == "train" and one.round < 4 and one.item_id != odd]
    assert told["round"]["learned_from"] == len(trained)
    guesses = [region for task in world.tasks() for one in task["predictions"] for region in one["result"]]
    assert guesses
    assert all(re.fullmatch(r"#[0-9a-f]{6}", region["value"]["text"][0]) for region in guesses)
