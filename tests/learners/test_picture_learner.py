"""The network of the how-to, on pictures that it reads itself, keeps the contract of a learner."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labelloop.data.sources import content_id
from labelloop.kinds import LabelSchema
from labelloop.protocols import Learner
from labelloop.testing.learner import ReadingLearnerContract
from labelloop.types import Examples, Inputs, Item

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "learner-without-embeddings.md"
LABELS = ("red", "green", "blue")
MODULE = "pictures_of_the_page"
SIDE = 30


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The learner of the page, importable."""
    pytest.importorskip("torch")
    body = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[2]
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / f"{MODULE}.py").write_text(body, "utf-8")
    monkeypatch.syspath_prepend(folder)
    yield body
    sys.modules.pop(MODULE, None)


def pictures(folder: Path, n: int, *, multiple: bool = False, seed: int = 0) -> Examples:
    """Noise, with a stripe of its colour for each label."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    targets = rng.random((n, 3)) < 0.5 if multiple else np.eye(3, dtype=np.bool_)[np.arange(n) % 3]
    items = []
    for row, wanted in enumerate(targets):
        pixels = rng.integers(0, 90, size=(SIDE, SIDE, 3), dtype=np.uint8)
        for label in np.flatnonzero(wanted):
            pixels[label * 10 : label * 10 + 8, :, label] = 230
        path = folder / f"{seed}-{multiple}-{row}.png"
        Image.fromarray(pixels).save(path)
        items.append(Item(f"item-{seed}-{row:05}", "image", path.as_uri(), digest=content_id(path.read_bytes())))
    ids = np.asarray([item.id for item in items], np.str_)
    return Examples(Inputs(ids, None, tuple(items)), targets, LABELS, multiple, np.zeros(n, np.bool_))


class TestTheNetworkOfThePage(ReadingLearnerContract):
    @pytest.fixture(autouse=True)
    def _pictures(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "pictures"
        self.folder.mkdir()

    @pytest.fixture
    def learner(self) -> Learner:
        made: Learner = importlib.import_module(MODULE).Pictures(LabelSchema("image", LABELS))
        return made

    def examples(self, n: int, *, multiple: bool = False, seed: int = 0) -> Examples:
        return pictures(self.folder, n, multiple=multiple, seed=seed)


def test_the_network_of_the_page_has_at_most_forty_lines(page: str) -> None:
    assert len([line for line in page.splitlines() if line.strip()]) <= 40
