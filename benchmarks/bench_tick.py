"""What a tick costs that finds nothing to do, beside the smallest request to the same Label Studio."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import numpy as np

from labelloop.backends.local_orchestrator import LocalOrchestrator
from labelloop.backends.local_store import LocalArtifactStore
from labelloop.loop.decide import Wait
from labelloop.loop.loop import Loop
from labelloop.machine.trust import VARIABLE
from labelloop.protocols import Annotator, Backbone, Predictor
from labelloop.types import Examples, Item, Modality, NewItem
from labelloop.workspace.config import load
from labelloop.workspace.root import STATE
from labelloop.workspace.stack import Stack

from figure import Figure, pairs, ratio, seconds
from managed import label_studio

ITEMS = 10_000
_TOML = """
[dataset]
name = "bench tick"
modality = "text"
labels = ["cat", "dog"]
[loop]
batch = 1000
cold_start = "random"
[learner]
flavor = "bench_tick:Chance"
"""


@dataclass(frozen=True)
class Bits:
    """A backbone that costs next to nothing: an idle tick never calls it."""

    fingerprint: str = "bits"
    modality: Modality = "text"
    dimension: int = 8
    batch_size: int = 1000

    def prepare(self, content: bytes | str) -> Any:
        return content

    def embed(self, batch: Sequence[Any]) -> np.ndarray:
        bits = np.unpackbits(np.array([[crc32(text.encode()) % 256] for text in batch], np.uint8), axis=1) * 2.0 - 1
        return (bits / np.sqrt(8)).astype(np.float32)


@dataclass(frozen=True)
class Chance:
    """A learner that learns nothing: an idle tick never calls it."""

    backbone: Backbone = Bits()

    def train(self, examples: Examples, out: Path) -> None:
        raise NotImplementedError

    def load(self, model: Path) -> Predictor:
        raise NotImplementedError


@dataclass(frozen=True)
class Parts:
    """A stack of components that are given, not built."""

    annotator: Annotator
    artifact_store: Any
    orchestrator: LocalOrchestrator


def figures(quick: bool) -> Iterator[Figure]:
    """An idle tick over one small request to Label Studio."""
    with tempfile.TemporaryDirectory() as folder, label_studio() as annotator:
        root = Path(folder)
        (root / STATE).mkdir()
        (root / "labelloop.toml").write_text(_TOML)
        os.environ[VARIABLE] = str(root)  # the learner it names is code: ours
        parts = Parts(annotator, LocalArtifactStore(path=str(root / "artifacts")), LocalOrchestrator())
        loop = Loop(load(root, {}), cast(Stack, parts))
        texts = [f"the text of {number}" for number in range(ITEMS)]
        loop.ledger.items.add([NewItem(Item(text, "text", text=text), b"") for text in texts])
        loop.tick()
        if not isinstance(loop.tick().action, Wait):
            raise AssertionError("the tick found something to do")
        taken = pairs(
            lambda _: seconds(loop.tick), lambda _: seconds(loop.dataset.size), 10 if quick else 30, warm_up=3
        )
        asked = loop.dataset.size()
        loop.ledger.close()
    what = f"an idle tick of {ITEMS:,} items, {asked:,} asked / one small request to Label Studio"
    yield ratio(what, taken)
