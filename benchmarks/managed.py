"""A managed Label Studio for the benchmarks that need one: started in a scratch folder, stopped at the end."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labelloop.backends.label_studio.annotator import LabelStudioAnnotator
from labelloop.backends.label_studio.client import Client
from labelloop.errors import NotFoundError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import prediction_of, regions_of
from labelloop.types import Item, Prediction, Question, Turn

SCHEMA = LabelSchema("text", ("cat", "dog"))
PORT = int(os.environ.get("LABELLOOP_BENCH_PORT", "8593"))


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


@contextmanager
def label_studio() -> Iterator[LabelStudioAnnotator]:
    """A server of its own."""
    with tempfile.TemporaryDirectory() as home:
        annotator = LabelStudioAnnotator(home=Path(home), secrets=Secrets(), port=PORT)
        annotator.up()
        try:
            yield annotator
        finally:
            annotator.down()


def processor_seconds(annotator: LabelStudioAnnotator) -> Callable[[], float]:
    """Processor time of this process and of the server until now; other work on the machine does not count. Linux."""
    pid = int(json.loads((annotator.connection.home / "server.json").read_text())["pid"])
    server = (~pid << 3) | 2  # how the kernel names the clock of another process
    return lambda: time.process_time() + time.clock_gettime(server)


def fill(client: Client, project: int, count: int) -> None:
    """Import tasks that are annotated already."""
    said = {"result": [dict(region) for region in regions_of(SCHEMA, ["cat"])], "ground_truth": False, "lead_time": 3}
    for start in range(0, count, 1000):
        tasks = [task_of(one) for one in questions(f"old-{start}", min(1000, count - start), "")]
        bulk_import(client, project, [{**task, "annotations": [said]} for task in tasks])


def questions(prefix: str, count: int, version: str) -> list[Question]:
    """Texts with a guess of a model version; blind ones without a version."""
    ids = [f"{prefix}-{number}" for number in range(count)]
    return [
        Question(
            Item(name, "text", text=f"the text of {name}"),
            Prediction(name, regions_of(SCHEMA, ["dog"]), 0.5, version) if version else None,
            Turn((number + 0.5) / count, version) if version else None,
        )
        for number, name in enumerate(ids)
    ]


def task_of(question: Question) -> dict[str, Any]:
    """The payload `ask` sends for a question."""
    uid = {"labelloop_id": question.item.id}
    task: dict[str, Any] = {"data": {"text": question.item.text, **uid}, "meta": uid}
    if question.version:
        task["predictions"] = [prediction_of(question.prediction, question.turn)]
    return task


def bulk_import(client: Client, project: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
    """One bulk import call, as anybody would write it; the ids of the tasks."""
    query = {"return_task_ids": "true"}
    answer = client.call("POST", f"/api/projects/{project}/import", query=query, body=list(tasks), timeout=600)
    return list(answer["task_ids"])


def delete(client: Client, project: int, ids: Sequence[int]) -> None:
    """Delete tasks, so that the next repeat finds the project as the last one did."""
    selected = {"selectedItems": {"all": False, "included": list(ids)}}
    client.call("POST", "/api/dm/actions", query={"id": "delete_tasks", "project": project}, body=selected, timeout=600)
