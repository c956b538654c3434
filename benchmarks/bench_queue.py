"""How long the order of 500 open questions is out of date after a model's promotion, in a project of 10,000 others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import numpy as np
from bench_tick import Parts

from labelloop.backends.label_studio.client import Client
from labelloop.backends.local_orchestrator import LocalOrchestrator
from labelloop.backends.local_store import LocalArtifactStore
from labelloop.kinds.labels import regions_of
from labelloop.ledger.rounds import Round
from labelloop.loop.loop import Loop
from labelloop.types import Item, Modality, NewItem
from labelloop.workspace.config import load
from labelloop.workspace.root import STATE
from labelloop.workspace.stack import Stack

from figure import Figure, seconds
from managed import SCHEMA, fill, label_studio

OTHERS, ITEMS, OPEN, ANSWERS = 10_000, 10_000, 500, 20
WITHIN = 10.0
_TOML = f"""
[dataset]
name = "bench queue"
modality = "text"
labels = ["cat", "dog"]
[loop]
batch = {OPEN}
cold_start = "random"
selector = "auto"
retrain_after = {ANSWERS}
[holdout]
size = 100
[learner]
flavor = "frozen"
backbone = "bench_queue:points"
"""


@dataclass(frozen=True)
class Points:
    """A backbone that costs next to nothing and has as many dimensions as real ones: a random point for each text."""

    fingerprint: str = "points"
    modality: Modality = "text"
    dimension: int = 384
    batch_size: int = 1000

    def prepare(self, content: bytes | str) -> np.ndarray:
        point = np.random.default_rng(crc32(str(content).encode())).standard_normal(self.dimension)
        return (point / np.linalg.norm(point)).astype(np.float32)

    def embed(self, batch: Sequence[Any]) -> np.ndarray:
        return np.stack(batch)


def points(_: Modality) -> Points:
    """What `learner.backbone` names."""
    return Points()


def figures(quick: bool) -> Iterator[Figure]:
    """Ticks that promote a model while 500 questions are open."""
    with tempfile.TemporaryDirectory() as folder, label_studio() as annotator:
        root = Path(folder)
        (root / STATE).mkdir()
        (root / "labelloop.toml").write_text(_TOML)
        parts = Parts(annotator, LocalArtifactStore(path=str(root / "artifacts")), LocalOrchestrator())
        loop = Loop(load(root, {}), cast(Stack, parts))
        texts = [f"the text of {number}" for number in range(ITEMS)]
        loop.ledger.items.add([NewItem(Item(text, "text", text=text), b"") for text in texts])
        loop.tick()
        fill(annotator.client(), loop.dataset.project, OTHERS)  # type: ignore[attr-defined]
        taken = [promoted(loop, annotator.client()) for _ in range(3 if quick else 6)][1:]
        loop.ledger.close()
    what = f"{OPEN} open questions in a new order after a model's promotion, among {OTHERS:,} tasks"
    behind = "scoring, choosing and ranking, sending; of it sending {:.2g} s".format(
        np.median([one.seconds["ask"] for one, _ in taken])
    )
    after = [sum(one.seconds[stage] for stage in ("score", "select", "ask")) for one, _ in taken]
    yield Figure(what, after, at_most=WITHIN, unit="s", detail=behind)
    yield Figure("the whole tick: hearing, learning, judging and that", [took for _, took in taken], unit="s")


def promoted(loop: Loop, client: Client) -> tuple[Round, float]:
    """People answer what is first in the queue, the loop learns: (the round, seconds of the tick)."""
    project = loop.dataset.project  # type: ignore[attr-defined]
    for one in in_order(loop)[:ANSWERS]:
        task = client.call("GET", f"/api/projects/{project}/next")
        if task["data"]["labelloop_id"] != one.item_id:
            raise AssertionError(f"{task['data']['labelloop_id']} is first in the queue, not {one.item_id}")
        label = SCHEMA.labels[int(Points().prepare(task["data"]["text"])[0] > 0)]
        said = {"result": [dict(region) for region in regions_of(SCHEMA, [label])], "lead_time": 1}
        skipped = {"result": [], "was_cancelled": True}  # a gate without evidence promotes every model
        body = skipped if one.purpose == "holdout" else said
        client.call("POST", f"/api/tasks/{task['id']}/annotations/", body=body)
    outcomes = []
    took = seconds(lambda: outcomes.append(loop.tick()))
    last = outcomes[0].round
    if last is None or not last.promoted or {one.version for one in in_order(loop)} != {last.version}:
        raise AssertionError(f"no new model, or an open question without its guess: {last}")
    return last, took


def in_order(loop: Loop) -> list[Any]:
    """The open questions as people should get them."""
    waiting = loop.ledger.answers.questions(["asked"])
    return sorted(waiting, key=lambda one: one.turn.at if one.turn else 0.0)
