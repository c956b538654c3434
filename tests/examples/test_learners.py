"""The learners of the examples keep the contract; the PyTorch one continues from a model."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelloop.examples import HERE
from labelloop.kinds import LabelSchema
from labelloop.protocols import WarmLearner
from labelloop.testing.learner import LearnerContract, WarmLearnerContract, blobs
from labelloop.testing.selector import SelectorContract

SCHEMA = LabelSchema("image", ("cat", "dog", "bird"))
FAKE = "labelloop.testing.learner:FakeBackbone"


@pytest.fixture
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of an example, as its folder has it."""
    project, name = request.param
    monkeypatch.syspath_prepend(HERE / project)
    sys.modules.pop(name, None)
    yield importlib.import_module(name)
    sys.modules.pop(name, None)


PYTORCH = pytest.mark.parametrize("module", [("label_studio_annotation", "learner")], indirect=True)
MINE = pytest.mark.parametrize("module", [("own_step_learner_selector", "mine")], indirect=True)


@PYTORCH
class TestFineTunedHead(WarmLearnerContract):
    @pytest.fixture
    def learner(self, module: Any) -> Any:
        pytest.importorskip("torch")
        return module.FineTunedHead(SCHEMA, network=FAKE)

    def test_a_round_may_choose_its_warm_start(self, learner: Any) -> None:
        assert isinstance(learner, WarmLearner)

    def test_it_continues_from_a_model_and_gives_the_same_bytes_again(self, learner: Any, tmp_path: Path) -> None:
        examples = blobs(60)
        for name in ("base", "fresh", "on", "again"):
            (tmp_path / name).mkdir()
        learner.train(blobs(20, seed=3), tmp_path / "base")
        learner.train(examples, tmp_path / "fresh")
        learner.continue_from(tmp_path / "base", examples, tmp_path / "on")
        learner.continue_from(tmp_path / "base", examples, tmp_path / "again")

        weights = {name: np.load(tmp_path / name / "weight.npy") for name in ("fresh", "on", "again")}

        assert (weights["on"] == weights["again"]).all()
        assert not np.allclose(weights["on"], weights["fresh"])

    def test_a_model_of_other_labels_is_no_beginning(self, learner: Any, tmp_path: Path) -> None:
        for name in ("base", "fresh", "on"):
            (tmp_path / name).mkdir()
        learner.train(blobs(20, ("cat", "cow")), tmp_path / "base")
        learner.train(blobs(30), tmp_path / "fresh")
        learner.continue_from(tmp_path / "base", blobs(30), tmp_path / "on")

        assert (tmp_path / "on" / "weight.npy").read_bytes() == (tmp_path / "fresh" / "weight.npy").read_bytes()

    def test_an_unreadable_item_has_no_probabilities(self, learner: Any, tmp_path: Path) -> None:
        examples = blobs(9)
        learner.train(examples, tmp_path)
        assert examples.inputs.features is not None
        examples.inputs.features[4] = np.nan

        said = learner.load(tmp_path).predict(examples.inputs)

        assert np.isnan(said[4]).all()
        assert np.isfinite(np.delete(said, 4, axis=0)).all()


@MINE
class TestNearestMean(LearnerContract):
    @pytest.fixture
    def learner(self, module: Any) -> Any:
        return module.NearestMean(SCHEMA)


@MINE
class TestLeastAlike(SelectorContract):
    @pytest.fixture
    def selector(self, module: Any) -> Any:
        return module.least_alike
