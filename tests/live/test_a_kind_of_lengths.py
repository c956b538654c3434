"""A kind that lives outside the package: a number with its unit, such as "12 cm". One file is all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median_low
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pyarrow as pa
import pytest

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.errors import ConfigError
from labelloop.kinds.kind import Kind, Statistic, share
from labelloop.kinds.predicted import Predicted
from labelloop.protocols import Backbone
from labelloop.testing.kind import KindContract
from labelloop.types import Examples, Inputs, Region

from support.live_world import LiveWorld
from support.quick_learner import pixels_of

MILLIMETRES = {"mm": 1, "cm": 10, "m": 1000}


@dataclass(frozen=True)
class Length:
    """A length; an answer is whole millimetres, whatever unit people use.

    Args:
        longest: The most there can be, in millimetres.
    """

    longest: int = 10_000

    @property
    def arrow(self) -> pa.DataType:
        return pa.int64()

    @property
    def region_type(self) -> str:
        return "textarea"

    def tag(self, name: str, shown: str) -> str:
        return f'<TextArea name={quoteattr(name)} toName={quoteattr(shown)} maxSubmissions="1" placeholder="12 cm"/>'

    def read(self, regions: Sequence[Region]) -> Any:
        written = " ".join(one for region in regions for one in region["value"].get("text") or ())
        if not written.strip():
            return None
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(mm|cm|m)\s*", written)
        if not found:
            raise ConfigError(f"{written!r} is no length", "write a number and mm, cm or m")
        length = round(float(found[1]) * MILLIMETRES[found[2]])
        if length > self.longest:
            raise ConfigError(f"{written!r} is more than {self.longest} mm", "measure again")
        return length

    def write(self, answer: Any) -> tuple[Region, ...]:
        return ({"type": "textarea", "value": {"text": [f"{answer} mm"]}},)

    def plain(self, answer: Any) -> int:
        return int(answer)

    def in_words(self, answer: Any) -> str:
        return f"{answer} mm"

    def similarity(self, one: Any, other: Any) -> float:
        return min(one, other) / max(one, other) if max(one, other) else 1.0

    def consensus(self, answers: Sequence[Any]) -> Any:
        return median_low(answers)

    def counts(self, given: Any, wanted: Any) -> Sequence[float]:
        return self.similarity(given, wanted), float(abs(given - wanted) <= 1), 1.0

    @property
    def scores(self) -> Mapping[str, Statistic]:
        def exact(sums: np.ndarray) -> np.ndarray:
            return share(sums[:, 1:])

        return {"nearness": lambda sums: share(sums[:, [0, 2]]), "exact": exact}


class TestLength(KindContract):
    @pytest.fixture
    def kind(self) -> Kind:
        return Length()

    @pytest.fixture
    def answers(self) -> Sequence[Any]:
        return [0, 12, 120, 9_999]

    @pytest.fixture
    def refused(self) -> Sequence[Sequence[Region]]:
        return [[{"type": "textarea", "value": {"text": [odd]}}] for odd in ("12", "long", "-1 cm", "11 m", "12 km")]


@dataclass(frozen=True)
class Nearest:
    """A learner of lengths: that of the picture which is most alike."""

    @property
    def backbone(self) -> Backbone | None:
        return None

    def train(self, examples: Examples, out: Path) -> None:
        np.save(out / "pixels.npy", pixels_of(examples.inputs))
        (out / "answers.json").write_text(json.dumps(examples.answers))

    def load(self, model: Path) -> Any:
        return Neighbours(np.load(model / "pixels.npy"), json.loads((model / "answers.json").read_text()))


@dataclass(frozen=True)
class Neighbours:
    """The pictures that were learned from."""

    pixels: np.ndarray
    answers: Sequence[int]
    labels: tuple[str, ...] = ()

    def predict(self, inputs: Inputs) -> Any:
        alike = pixels_of(inputs) @ self.pixels.T
        sure = np.clip(alike.max(axis=1), 0, 1).astype(np.float32)
        return Predicted(tuple(self.answers[row] for row in alike.argmax(axis=1)), sure, 1 - sure)


CONTROL = """
[controls.width]
kind = "test_a_kind_of_lengths:Length"
longest = 500
"""


def widths(world: LiveWorld, item: str) -> list[Region]:
    """As wide as the digit says."""
    text = f"{world.truth[item][0]}.5 cm"
    return [{"from_name": "width", "to_name": "image", "type": "textarea", "value": {"text": [text]}}]


@pytest.mark.live
@pytest.mark.slow
def test_three_rounds_with_a_length_beside_the_label(
    tmp_path: Path,
    live_annotator: LabelStudioAnnotator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    world = LiveWorld(tmp_path / "w", live_annotator, "digits and how wide they are")
    world.config.write_text(world.config.read_text() + CONTROL)
    world.draw(60)

    answered = 0
    for _ in range(3):
        world.do("tick")
        answered += world.answer_with(partial(widths, world))
    world.do("tick")
    capsys.readouterr()
    world.do("--json", "status")
    told = json.loads(capsys.readouterr().out)
    world.do("export", "-o", str(tmp_path / "all.jsonl"))

    assert told["controls"]["width"]["answered"] == answered > 12
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert all(row["answers"] == {"width": 10 * int(world.truth[row["id"]][0]) + 5} for row in rows)


@pytest.mark.live
@pytest.mark.slow
def test_three_rounds_with_a_length_as_the_main_question(
    tmp_path: Path,
    live_annotator: LabelStudioAnnotator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    world = LiveWorld(tmp_path / "w", live_annotator, "how wide they are")
    written = re.sub(r"\nlabels = .*", "", world.config.read_text())
    written = written.replace("support.quick_learner:QuickLearner", "test_a_kind_of_lengths:Nearest")
    world.config.write_text(written.replace("pixels = true\n", "") + CONTROL)
    world.draw(90)

    for _ in range(3):
        world.do("tick")
        world.answer_by(partial(widths, world))
    world.do("tick")
    capsys.readouterr()
    world.do("--json", "status")
    told = json.loads(capsys.readouterr().out)
    world.do("export", "-o", str(tmp_path / "all.jsonl"))

    assert told["round"]["metrics"]["score_name"] == "nearness"
    assert told["round"]["metrics"]["score"] > 0.3
    guesses = [region for task in world.tasks() for one in task["predictions"] for region in one["result"]]
    assert guesses
    assert all(re.fullmatch(r"\d+ mm", region["value"]["text"][0]) for region in guesses)
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert rows
    assert all(row["answers"] == {"width": 10 * int(world.truth[row["id"]][0]) + 5} for row in rows)
