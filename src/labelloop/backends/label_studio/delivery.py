"""Questions on their way: tasks in requests that fit the road, and what cannot be sent is set aside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.backends.label_studio import loads
from labelloop.backends.label_studio.bounds import EndlessError
from labelloop.backends.label_studio.client import WRITE_TIMEOUT
from labelloop.backends.label_studio.media import shown
from labelloop.backends.label_studio.project import Project
from labelloop.backends.label_studio.refusals import ForeignError
from labelloop.backends.label_studio.tasks import UID, Row
from labelloop.backends.label_studio.twins import single
from labelloop.errors import BackendError, LabelLoopError
from labelloop.kinds import LabelSchema
from labelloop.kinds.labels import prediction_of
from labelloop.kinds.task_data import data_of, object_name
from labelloop.types import Item, Missing, Question

CHUNK = 1000
"""The most tasks of one import call: larger ones are not faster, and lock a SQLite server for longer."""

SHOWN = "labelloop_shown"
"""The key of a task's meta that holds what people are shown, so that a picture that somebody swapped is noticed."""

_REFUSED = 400


class Delivery:
    """One sending of questions.

    Args:
        place: Where they go.

    Attributes:
        refused: Item id -> why it could not be sent: it cannot be read, or is too large for the way.
    """

    def __init__(self, place: Project) -> None:
        self._place = place
        self.refused: dict[str, Missing] = {}

    def send(self, questions: Sequence[Question]) -> tuple[dict[str, str], int]:
        """Import in requests that fit the road: (item id -> task id, predictions stored)."""
        created: dict[str, str] = {}
        unsure, most_bytes = self._place.unconfirmed.ids(), self._place.client.most_bytes
        for start in range(0, len(questions), CHUNK):
            payload = self._payload(questions[start : start + CHUNK])
            for some in loads.by_size(((one, loads.written(one)) for one in payload), most_bytes, CHUNK):
                created |= self._deliver(some, unsure)
        if unsure & created.keys():
            kept = single(self._place, list(created))  # an import of unknown outcome may have arrived meanwhile
            created = {item: str(kept[item]["id"]) for item in created}
        return created, sum(bool(one.version) for one in questions if one.item.id in created)

    def values(self, items: Sequence[Item]) -> dict[str, str]:
        """What people are shown of these items, but of those that are refused."""
        place = self._place
        root, bucket = place.served, place.bucket()
        found = shown(place.client, place.number, items, root, bucket, access=place.access, refused=self.refused)
        return {item: value for item, value in found.items() if item not in self.refused}

    def _payload(self, questions: Sequence[Question]) -> list[dict[str, Any]]:
        values = self.values([question.item for question in questions])
        return [_task(one, self._place.schema, values[one.item.id]) for one in questions if one.item.id in values]

    def _deliver(self, some: Sequence[Mapping[str, Any]], unsure: set[str]) -> dict[str, str]:
        """Import these tasks, in halves where a request was too large; one that is alone is set aside with words.

        Args:
            unsure: Items that may arrive twice; those of a connection that was cut are added.
        """
        if not some:
            return {}
        items = [str(one["data"][UID]) for one in some]
        size = sum(map(loads.written, some))
        try:
            answer = self._send(some, items, unsure)
        except LabelLoopError as error:
            if loads.was_too_large(error, size):
                if len(some) == 1:
                    self.refused[items[0]] = Missing(loads.words(f"item {items[0]!r}", size, error))
                    return {}
                return self._deliver_halves(some, unsure)
            if not loads.may_be_too_large(error, size) or len(some) == 1:
                raise
            return self._deliver_again(some, items, unsure)
        refuse_less(self._place, "tasks", len(some), answer["task_count"])
        refuse_less(self._place, "predictions", sum("predictions" in one for one in some), answer["prediction_count"])
        return {item: str(int(task)) for item, task in zip(items, answer["task_ids"], strict=True)}

    def _deliver_again(
        self, some: Sequence[Mapping[str, Any]], items: Sequence[str], unsure: set[str]
    ) -> dict[str, str]:
        """What has not arrived by a connection that was cut, in halves."""
        there = single(self._place, items)
        self._place.unconfirmed.found(there.keys())
        unsure.update(items)
        rest = [one for one in some if str(one["data"][UID]) not in there]
        return {item: str(row["id"]) for item, row in there.items()} | self._deliver_halves(rest, unsure)

    def _deliver_halves(self, some: Sequence[Mapping[str, Any]], unsure: set[str]) -> dict[str, str]:
        first, second = loads.halves(some)
        return self._deliver(first, unsure) | self._deliver(second, unsure)

    def _send(self, payload: Sequence[Mapping[str, Any]], items: Sequence[str], unsure: set[str]) -> Any:
        path, unconfirmed = f"{self._place.path}/import", self._place.unconfirmed
        certain = [item for item in items if item not in unsure]
        unconfirmed.add(items)
        try:
            answer = self._place.client.call(
                "POST", path, query={"return_task_ids": "true"}, body=list(payload), timeout=WRITE_TIMEOUT
            )
        except LabelLoopError as error:
            if _never_arrived(error):
                unconfirmed.settle(certain)
            raise
        unconfirmed.settle(certain)
        return answer


def refuse_less(place: Project, what: str, sent: int, stored: int) -> None:
    """Everything that was sent must have been stored.

    Raises:
        BackendError: It was not.
    """
    if stored != sent:
        raise BackendError(
            f"Label Studio stored {stored} of {sent} {what} sent to {place.name!r}",
            "ask again; what is missing is added",
            retryable=True,
        )


def shown_anew(row: Row, question: Question, schema: LabelSchema, value: str) -> dict[str, Any] | None:
    """What changes of a task so that it shows this value, with every column beside it; None where it does."""
    name, meta = object_name(schema), row.get("meta") or {}
    data = data_of(schema, _plain(question.item.meta), value)
    shown = data[name]
    if row["data"].get(name) == shown and meta.get(SHOWN) == shown and data.keys() <= row["data"].keys():
        return None
    return {"data": {**row["data"], **data}, "meta": {**meta, **_meta(question, shown)}}


def _task(question: Question, schema: LabelSchema, value: str) -> dict[str, Any]:
    data = data_of(schema, _plain(question.item.meta), value)
    task: dict[str, Any] = {
        "data": {**data, UID: question.item.id},
        "meta": _meta(question, data[object_name(schema)]),
    }
    if question.version:
        task["predictions"] = [prediction_of(question.prediction, question.turn)]
    return task


def _meta(question: Question, value: Any) -> dict[str, Any]:
    return {**_plain(question.item.meta), UID: question.item.id, SHOWN: value}


def _plain(meta: Mapping[str, Any]) -> Any:
    """What JSON can say of what came with an item; NaN, which no database takes, becomes null."""
    text = json.dumps({str(key): value for key, value in meta.items()}, default=str)
    return json.loads(text, parse_constant=lambda _: None)


def _never_arrived(error: LabelLoopError) -> bool:
    """Whether it is certain that a request was refused: not where the answer was lost, or somebody else's."""
    if isinstance(error, ForeignError):
        return error.status >= _REFUSED
    return not (isinstance(error, BackendError) and (error.retryable or isinstance(error, EndlessError)))
