"""The predictions of one model version on tasks that are there: which have one, adding them, moving them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.backends.label_studio import loads, tasks
from labelloop.backends.label_studio.client import WRITE_TIMEOUT
from labelloop.backends.label_studio.delivery import CHUNK, refuse_less
from labelloop.backends.label_studio.project import Project
from labelloop.backends.label_studio.tasks import UID, Row, is_unread, where
from labelloop.errors import BackendError
from labelloop.kinds.labels import prediction_of
from labelloop.types import Question


class Predictions:
    """The predictions of a project, which people find filled in.

    Args:
        place: The project.
    """

    def __init__(self, place: Project) -> None:
        self._place = place

    def there(self, items: Sequence[str], version: str) -> dict[str, Row]:
        """The prediction of this version, for those of the items that have one.

        Label Studio narrows it down to versions with the name in theirs, so that tasks with many older predictions
        need not be read after a promotion.
        """
        if not version:
            return {}
        similar = where("predictions_model_versions", "contains", [version], "List")
        fields = "id,data,predictions,model_version,score"
        place = self._place
        rows = tasks.with_uids(place.client, place.number, items, fields, [similar], everything=True)
        return {
            str(row["data"][UID]): guess
            for row in rows
            for guess in ([{}] if is_unread(row) else row["predictions"])
            if not guess or guess["model_version"] == version
        }

    def add(self, stale: Mapping[int, Question]) -> int:
        """Add predictions to tasks that lack the ones of this model version."""
        bodies = [{"task": task, **prediction_of(one.prediction, one.turn)} for task, one in stale.items()]
        most_bytes = self._place.client.most_bytes
        for some in loads.by_size(((one, loads.written(one)) for one in bodies), most_bytes, CHUNK):
            self._send(some)
        return len(bodies)

    def move(self, moved: Mapping[int, float]) -> None:
        """Give predictions another place, one by one: of a model that came back, which had been asked about them."""
        for guess, turn in moved.items():
            self._place.client.call("PATCH", f"/api/predictions/{guess}/", body={"score": turn})

    def _send(self, some: Sequence[Mapping[str, Any]]) -> None:
        path = f"{self._place.path}/import/predictions"
        try:
            answer = self._place.client.call("POST", path, body=list(some), timeout=WRITE_TIMEOUT)
        except BackendError as error:
            if len(some) == 1 or not loads.was_too_large(error, sum(map(loads.written, some))):
                raise
            for half in loads.halves(some):
                self._send(half)
            return
        refuse_less(self._place, "predictions", len(some), answer["created"])
