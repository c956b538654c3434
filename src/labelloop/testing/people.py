"""Those who annotate: what a contract needs of them, and people who act through Label Studio's REST API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import islice
from typing import Any, Protocol

from labelloop.backends.label_studio import tasks
from labelloop.backends.label_studio.client import Client
from labelloop.errors import ConfigError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import regions_saying
from labelloop.protocols import Progress, silent
from labelloop.types import Region


class Person(Protocol):
    """Someone who annotates: what a contract needs to act on the other side of an annotator."""

    def answer(self, dataset: str, item_id: str, regions: Sequence[Region]) -> str:
        """Answer one question; the id of the annotation."""
        ...

    def skip(self, dataset: str, item_id: str) -> str:
        """Decline one question; the id of the annotation."""
        ...

    def edit(self, dataset: str, annotation_id: str, regions: Sequence[Region]) -> None:
        """Change an answer."""
        ...

    def retract(self, dataset: str, annotation_id: str) -> None:
        """Delete an answer."""
        ...

    def next_item(self, dataset: str) -> str:
        """The item of the question that this person is given next."""
        ...

    def filled_in(self, dataset: str, item_id: str) -> tuple[str, ...]:
        """The labels that are filled in when this person opens a question; none where it is blind."""
        ...


class LabelStudioPerson:
    """A `Person` who acts through Label Studio's REST API.

    Args:
        client: Signs in as that person.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    def answer(self, dataset: str, item_id: str, regions: Sequence[Region]) -> str:
        """Submit an annotation."""
        return self._submit(dataset, item_id, {"result": [dict(one) for one in regions], "lead_time": 3.5})

    def skip(self, dataset: str, item_id: str) -> str:
        """Submit a skip."""
        return self._submit(dataset, item_id, {"result": [], "was_cancelled": True})

    def edit(self, dataset: str, annotation_id: str, regions: Sequence[Region]) -> None:
        """Update an annotation."""
        body = {"result": [dict(one) for one in regions]}
        self.client.call("PATCH", f"/api/annotations/{annotation_id}/", body=body)

    def retract(self, dataset: str, annotation_id: str) -> None:
        """Delete an annotation."""
        self.client.call("DELETE", f"/api/annotations/{annotation_id}/")

    def next_item(self, dataset: str) -> str:
        """The item of the task that the label stream shows next."""
        return str(self.next_task(dataset)["data"][tasks.UID])

    def filled_in(self, dataset: str, item_id: str) -> tuple[str, ...]:
        """The labels in the shown version's prediction of a task."""
        fields = {"include": "model_version"}
        version = self.client.call("GET", f"/api/projects/{self.project(dataset)}", query=fields)["model_version"]
        opened = self.client.call("GET", f"/api/tasks/{self.task(dataset, item_id)}")
        shown = [one["result"] for one in opened["predictions"] if one["model_version"] == version]
        return tuple(label for result in shown for region in result for label in region["value"][region["type"]])

    def next_task(self, dataset: str) -> Mapping[str, Any]:
        """The task the label stream shows next, with the predictions shown on it."""
        shown: Mapping[str, Any] = self.client.call("GET", f"/api/projects/{self.project(dataset)}/next")
        return shown

    def project(self, dataset: str) -> int:
        """Label Studio's id of the project with this title."""
        found = self.client.call("GET", "/api/projects", query={"title": dataset, "include": "id,title"})
        return int(next(one["id"] for one in found["results"] if one["title"] == dataset))

    def _submit(self, dataset: str, item_id: str, body: Mapping[str, Any]) -> str:
        path = f"/api/tasks/{self.task(dataset, item_id)}/annotations/"
        return str(self.client.call("POST", path, body=dict(body))["id"])

    def task(self, dataset: str, item_id: str) -> int:
        """Label Studio's number of the question about an item."""
        wanted = [tasks.where(f"data.{tasks.UID}", "equal", item_id, "String")]
        rows, _ = tasks.page(self.client, self.project(dataset), wanted, "id", 1)
        return int(rows[0]["id"])


class SimulatedAnnotator:
    """People who know the truth, err now and then, and answer through Label Studio's REST API.

    Whether and how an item is answered wrongly depends on the seed and the item alone: not on the order, not on
    the threads. An item the truth does not know is skipped.

    Args:
        client: Signs in as that person.
        project: Label Studio's id of the project (`LabelStudioDataset.project`).
        schema: What is asked.
        truth: Item id -> its labels; or its answer, where the main control asks for something else.
        error_rate: The share of items answered wrongly.
        seed: Chooses which.
        threads: How many answer at once. Label Studio on SQLite serves about as many answers with 2 as with 8.
    """

    def __init__(
        self,
        client: Client,
        project: int,
        schema: LabelSchema,
        truth: Mapping[str, Sequence[str]],
        *,
        error_rate: float = 0.0,
        seed: int = 0,
        threads: int = 4,
    ) -> None:
        if not 0.0 <= error_rate <= 1.0:
            raise ConfigError(f"error_rate is {error_rate}, outside [0, 1]", "choose a share like 0.05")
        self._client = client
        self._project = project
        self._schema = schema
        self._truth = truth
        self._error_rate = error_rate
        self._seed = seed
        self._threads = threads

    def answer_open(self, limit: int | None = None, progress: Progress = silent) -> int:
        """Answer or skip every open task, the oldest first, at most `limit` of them; how many that were.

        Raises:
            BackendError: Label Studio failed; what was answered stays answered.
        """
        waiting = self._open_tasks(limit)
        with ThreadPoolExecutor(self._threads) as pool:
            submitted = [pool.submit(self._answer, *task) for task in waiting]
            try:
                for done, future in enumerate(submitted):
                    progress("answering", done, len(waiting))
                    future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        progress("answering", len(waiting), len(waiting))
        return len(waiting)

    def answer_to(self, item_id: str) -> Any:
        """The labels this person gives an item, or her answer in another kind; None when she skips it."""
        if item_id not in self._truth:
            return None
        if self._schema.asked is not None:
            answer = self._truth[item_id]
            return answer if self._drawn(item_id, "err") >= self._error_rate else self._overlooking(item_id, answer)
        right = tuple(label for label in self._schema.labels if label in set(self._truth[item_id]))
        if self._drawn(item_id, "err") >= self._error_rate:
            return right
        return self._wrong(item_id, right)

    def _overlooking(self, item_id: str, answer: Any) -> Any:
        """An answer of several parts without one of them; any other as it is."""
        if not isinstance(answer, tuple) or not answer:
            return answer
        lost = int(self._drawn(item_id, "which") * len(answer))
        return answer[:lost] + answer[lost + 1 :]

    def _wrong(self, item_id: str, right: tuple[str, ...]) -> tuple[str, ...]:
        labels = self._schema.labels
        if not self._schema.multiple:
            others = [label for label in labels if label not in right]
            return (others[int(self._drawn(item_id, "which") * len(others))],)
        flipped = labels[int(self._drawn(item_id, "which") * len(labels))]
        wrong = tuple(label for label in labels if (label in right) != (label == flipped))
        return wrong or (labels[(labels.index(flipped) + 1) % len(labels)],)

    def _open_tasks(self, limit: int | None) -> list[tuple[int, str]]:
        nobody = [
            tasks.where("total_annotations", "equal", 0, "Number"),
            tasks.where("cancelled_annotations", "equal", 0, "Number"),
        ]
        pages = tasks.scan(self._client, self._project, nobody, "id,data", size=min(limit or 1000, 1000))
        rows = (row for page in pages for row in page if tasks.UID in row["data"])
        return [(int(row["id"]), str(row["data"][tasks.UID])) for row in islice(rows, limit)]

    def _answer(self, task: int, item_id: str) -> None:
        answer = self.answer_to(item_id)
        regions = regions_saying(self._schema.main, answer) if answer is not None else ()
        body = {
            "result": [dict(region) for region in regions],
            "was_cancelled": answer is None,
            "lead_time": round(2.0 + 6.0 * self._drawn(item_id, "lead time"), 2),
        }
        self._client.call("POST", f"/api/tasks/{task}/annotations/", body=body)

    def _drawn(self, item_id: str, what: str) -> float:
        """A number in [0, 1) that the seed, the item and the purpose decide."""
        digest = sha256(f"{self._seed}/{what}/{item_id}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64
