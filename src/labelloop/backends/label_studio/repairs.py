"""What puts a project in order: it is looked through, pruned, and annotations are taken back or put back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from labelloop.backends.label_studio import schema_changes, tasks
from labelloop.backends.label_studio.aside import LONG_AGO, Cursor
from labelloop.backends.label_studio.bounds import guarded
from labelloop.backends.label_studio.client import WRITE_TIMEOUT
from labelloop.backends.label_studio.members import everybody
from labelloop.backends.label_studio.project import ProjectPart
from labelloop.backends.label_studio.reading import ANSWER_FIELDS
from labelloop.backends.label_studio.survey import surveyed
from labelloop.backends.label_studio.tasks import UID, is_unread
from labelloop.backends.label_studio.twins import single
from labelloop.types import Annotation, Survey


@guarded
class Repairs(ProjectPart):
    """The order of a project."""

    def survey(self, since: str | None = None) -> Survey:
        """Everything there is, read once; changes nothing.

        Args:
            since: The cursor of the last hearing.
        """
        with self.place.there():
            return surveyed(self.place, self._members.email, Cursor.of(since).at or LONG_AGO)

    def tidy(self, items: Sequence[str]) -> None:
        """Have each of these items once: of several tasks, those that nobody has answered are deleted."""
        with self.place.writing():
            single(self.place, items)

    def prune(self, versions: Sequence[str]) -> int:
        """Delete the predictions of these model versions, some 150 a second; how many there were.

        Those that people see are left alone. Label Studio refuses an answer that somebody began from a prediction
        which is gone by then.
        """
        path, deleted = f"{self.place.path}/model-versions", 0
        with self.place.writing():
            shown = self.place.look("model_version")["model_version"]
            for version in versions:
                if version == shown:
                    continue
                answer = self.place.client.call("DELETE", path, body={"model_version": version}, timeout=WRITE_TIMEOUT)
                deleted += int(answer["deleted_predictions"])
        return deleted

    def retract(self, again: Mapping[str, str], labels: Collection[str]) -> int:
        """Delete these annotations, so that their items are asked again; how many that were.

        Args:
            again: Annotation id -> item id.
            labels: One that says none of these labels any more was edited meanwhile, and stays.
        """
        with self.place.writing():
            return sum(schema_changes.retract(self.place.client, self.place.schema, one, labels) for one in again)

    def restore(self, annotations: Sequence[Annotation]) -> int:
        """Put annotations that were deleted back, in the names of those who made them; how many.

        An item that has another annotation by now, or is gone, is left as it is. Repeating is harmless.
        """
        wanted: dict[str, list[Annotation]] = {}
        for one in annotations:
            wanted.setdefault(one.item_id, []).append(one)
        client, number = self.place.client, self.place.number
        with self.place.writing():
            people = {email: user for user, email in everybody(client).items()}
            rows = tasks.with_uids(client, number, list(wanted), ANSWER_FIELDS, everything=True)
            shown = [row for row in rows if not is_unread(row)]
            return sum(schema_changes.restore(client, row, wanted[str(row["data"][UID])], people) for row in shown)
