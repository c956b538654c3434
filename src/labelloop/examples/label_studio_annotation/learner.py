"""A learner in PyTorch: a new head on a frozen backbone, fine-tuned from the head before where there is one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelloop.errors import ConfigError, LabelLoopError
from labelloop.kinds import LabelSchema
from labelloop.learners.backbones import backbone
from labelloop.protocols import Backbone
from labelloop.types import Examples, Inputs

SCALE = 16.0
"""Embeddings have length one; a head learns faster from longer ones."""


@dataclass(frozen=True)
class FineTunedHead:
    """A linear head, trained with AdamW on the embeddings of a frozen backbone.

    The fields are the options under [learner]; a model is a folder of .npy and .json.

    Args:
        schema: What people are asked; given by labelloop.
        network: The frozen backbone: `auto`, `path/to/model.onnx`, `hf:org/name`, `module:attribute`.
        epochs: Steps over all examples.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        seed: Of a new head's first weights.
    """

    schema: LabelSchema
    network: str = "auto"
    epochs: int = 300
    learning_rate: float = 0.02
    weight_decay: float = 0.01
    seed: int = 0

    @property
    def backbone(self) -> Backbone:
        """The frozen part; each image passes through it once, whatever is trained on top."""
        return backbone(self.network, self.schema.modality)

    def train(self, examples: Examples, out: Path) -> None:
        """Train a new head."""
        self.continue_from(None, examples, out)

    def train_from(self, examples: Examples, model: Path, out: Path) -> None:
        """Train on from an earlier head: `labelloop tick` does so where that is surely better."""
        self.continue_from(model, examples, out)

    def continue_from(self, base: Path | None, examples: Examples, out: Path) -> None:
        """Train on, from the head in the folder `base` if it knows the same labels; same examples, same bytes.

        Raises:
            LabelLoopError: An example is held out, or there is none.
        """
        torch = _torch()
        features, targets = _checked(examples)
        with _repeatable(torch, self.seed):
            head = torch.nn.Linear(features.shape[1], len(examples.labels))
            weights = _weights_of(base, examples.labels, features.shape[1])
            if weights is not None:
                head.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
            self._fit(torch, head, torch.tensor(features), torch.tensor(targets), examples.multiple)
        np.save(out / "weight.npy", head.weight.detach().numpy())
        np.save(out / "bias.npy", head.bias.detach().numpy())
        (out / "model.json").write_text(json.dumps({"labels": examples.labels, "multiple": examples.multiple}))

    def load(self, model: Path) -> HeadPredictor:
        """A predictor of a folder that `train` wrote."""
        said = json.loads((model / "model.json").read_text())
        arrays = np.load(model / "weight.npy", allow_pickle=False), np.load(model / "bias.npy", allow_pickle=False)
        return HeadPredictor(tuple(said["labels"]), said["multiple"], *arrays)

    def _fit(self, torch: Any, head: Any, features: Any, targets: Any, multiple: bool) -> None:
        loss_of = torch.nn.BCEWithLogitsLoss() if multiple else torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.AdamW(head.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        for _ in range(self.epochs):
            optimizer.zero_grad()
            loss_of(head(features), targets).backward()
            optimizer.step()


@dataclass(frozen=True)
class HeadPredictor:
    """A trained head."""

    labels: tuple[str, ...]
    multiple: bool
    weight: np.ndarray
    bias: np.ndarray

    def predict(self, inputs: Inputs) -> np.ndarray:
        """(n, k) float32 probabilities; rows of NaN stay NaN."""
        torch = _torch()
        assert inputs.features is not None
        with torch.no_grad():
            logits = torch.tensor(SCALE * inputs.features) @ torch.tensor(self.weight).T + torch.tensor(self.bias)
            likely = torch.sigmoid(logits) if self.multiple else torch.softmax(logits, dim=1)
        found: np.ndarray = likely.numpy()
        return found


def _checked(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Features and targets of examples that may be learned from, in the order of their ids."""
    if not len(examples):
        raise LabelLoopError("there is no example to learn from", "annotate some images first")
    if examples.held_out.any():
        leaked = examples.inputs.ids[examples.held_out][0]
        raise LabelLoopError(f"example {leaked} is held out", "leave it out: it is only for the score")
    assert examples.inputs.features is not None
    order = np.argsort(examples.inputs.ids, kind="stable")
    return SCALE * examples.inputs.features[order], examples.targets[order].astype(np.float32)


def _weights_of(base: Path | None, labels: tuple[str, ...], dimension: int) -> dict[str, np.ndarray] | None:
    """The head to begin with, where it fits."""
    if base is None or json.loads((base / "model.json").read_text())["labels"] != list(labels):
        return None
    weight = np.load(base / "weight.npy", allow_pickle=False)
    return (
        {"weight": weight, "bias": np.load(base / "bias.npy", allow_pickle=False)}
        if weight.shape[1] == dimension
        else None
    )


@contextmanager
def _repeatable(torch: Any, seed: int) -> Iterator[None]:
    """One thread and a fixed seed: sums in one order, the same bytes every time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            "this learner needs PyTorch, which is not installed", "labelloop integration install pytorch"
        ) from error
    return torch
