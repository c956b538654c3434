"""How much asking and hearing cost beside Label Studio's own bulk import and full export, on one managed server.

Run: python benchmarks/bench_annotator.py
Prints one JSON line per measurement. A ratio compares two things done by the same process on the same server.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.client import Client
from labelloop.backends.label_studio.dataset import LabelStudioDataset
from labelloop.errors import NotFoundError
from labelloop.labels import regions_of
from labelloop.testing.annotator import SimulatedAnnotator
from labelloop.types import Item, LabelSchema, Prediction, Question

SCHEMA = LabelSchema("text", ("cat", "dog"))
TASKS = 10_000
REPEATS = 5


class Secrets:
    """A secrets manager in memory."""

    def __init__(self) -> None:
        self._kept: dict[str, Mapping[str, str]] = {}

    def get(self, name: str) -> Mapping[str, str]:
        if name not in self._kept:
            raise NotFoundError(f"no secret {name!r}", "set it first")
        return self._kept[name]

    def set(self, name: str, values: Mapping[str, str]) -> None:
        self._kept[name] = values

    def delete(self, name: str) -> None:
        del self._kept[name]

    def names(self) -> Sequence[str]:
        return sorted(self._kept)


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        annotator = LabelStudioAnnotator(home=Path(home), secrets=Secrets(), port=8593)
        report("first up", seconds=seconds(annotator.up))
        report("up when up", seconds=seconds(annotator.up))
        try:
            dataset = annotator.open("bench annotator", SCHEMA)
            fill(annotator.client(), dataset.project)
            for size in (100, 500, 1000):
                bench_ask(annotator.client(), dataset, size, new_model=False)
                bench_ask(annotator.client(), dataset, size, new_model=True)
            bench_hear(annotator.client(), dataset)
            bench_people(annotator.client(), dataset)
        finally:
            report("down", seconds=seconds(annotator.down))


def bench_ask(client: Client, dataset: LabelStudioDataset, size: int, *, new_model: bool) -> None:
    """A fresh batch with predictions into a project of 10,000 tasks: `ask` beside one bulk import call.

    A new model also has to be made the one whose predictions people see, which one bulk import does not do.
    """
    asks, imports = [], []
    for turn in range(-1, REPEATS):
        name = f"{size}-{new_model}-{turn}"
        version = f"m-{name}" if new_model else "m"
        batch = questions(f"ask-{name}", size, version)
        bare = [task_of(one) for one in questions(f"bare-{name}", size, version)]
        ask = seconds(lambda batch=batch: dataset.ask(batch))
        bulk = seconds(lambda bare=bare: bulk_import(client, dataset.project, bare))
        if turn >= 0:  # the first turn warms up
            asks.append(ask)
            imports.append(bulk)
    ask, bulk = statistics.median(asks), statistics.median(imports)
    report("ask", size=size, new_model=new_model, ask=ask, bulk_import=bulk, ratio=ask / bulk, limit=1.2)


def bench_hear(client: Client, dataset: LabelStudioDataset) -> None:
    """Ten new answers among 10,000 annotated tasks: `answers` beside one full export."""
    pages = list(dataset.answers(None))
    export = seconds(
        lambda: client.call("GET", f"/api/projects/{dataset.project}/export", query={"exportType": "JSON"}, timeout=600)
    )
    asked = {heard.item_id: heard.task_id for page in pages for heard in page.heard if heard.annotations}
    new = list(asked)[:: len(asked) // 10][:10]
    for item in new:
        body = {"result": [dict(region) for region in regions_of(SCHEMA, ["dog"])]}
        client.call("POST", f"/api/tasks/{asked[item]}/annotations/", body=body)
    heard: list[str] = []
    hear = seconds(
        lambda: heard.extend(one.item_id for page in dataset.answers(pages[-1].cursor) for one in page.heard)
    )
    if not set(new) <= set(heard):
        raise AssertionError("an answer was not heard")
    report("hear", new=len(new), heard=len(heard), hear=hear, export=export, ratio=hear / export, limit=1 / 50)


def bench_people(client: Client, dataset: LabelStudioDataset) -> None:
    """Simulated people answering through the REST API, by threads."""
    for threads in (1, 2, 4, 8):
        people = SimulatedAnnotator(client, dataset.project, SCHEMA, {}, threads=threads)
        took = seconds(lambda people=people: people.answer_open(limit=60))
        report("simulated people", threads=threads, answers_per_second=60 / took)


def fill(client: Client, project: int) -> None:
    """Import tasks that are annotated already."""
    said = {"result": [dict(region) for region in regions_of(SCHEMA, ["cat"])], "ground_truth": False, "lead_time": 3}
    for start in range(0, TASKS, 2000):
        tasks = [task_of(one) for one in questions(f"old-{start}", 2000, "")]
        bulk_import(client, project, [{**task, "annotations": [said]} for task in tasks])
    report("filled", tasks=TASKS)


def questions(prefix: str, count: int, version: str) -> list[Question]:
    ids = [f"{prefix}-{number}" for number in range(count)]
    return [
        Question(
            Item(name, "text", text=f"the text of {name}"),
            Prediction(name, regions_of(SCHEMA, ["dog"]), 0.5, version) if version else None,
        )
        for name in ids
    ]


def task_of(question: Question) -> dict[str, Any]:
    """The payload `ask` sends for a question."""
    uid = {"labelloop_id": question.item.id}
    task: dict[str, Any] = {"data": {"text": question.item.text, **uid}, "meta": uid}
    if question.prediction:
        regions = [dict(region) for region in question.prediction.regions]
        guess = {"result": regions, "score": question.prediction.score}
        task["predictions"] = [{**guess, "model_version": question.prediction.model_version}]
    return task


def bulk_import(client: Client, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
    query = {"return_task_ids": "true"}
    client.call("POST", f"/api/projects/{project}/import", query=query, body=list(tasks), timeout=600)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def report(what: str, **figures: float) -> None:
    print(json.dumps({"bench": what, **{name: round(figure, 4) for name, figure in figures.items()}}), flush=True)


if __name__ == "__main__":
    main()
