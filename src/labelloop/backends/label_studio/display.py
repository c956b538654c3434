"""What people see of a project: the predictions of one model version or none, in which order, and how many people."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from labelloop.backends.label_studio.bounds import guarded
from labelloop.backends.label_studio.overlap import Overlaps
from labelloop.backends.label_studio.project import ProjectPart
from labelloop.backends.label_studio.tasks import BY_SCORE, IN_ORDER
from labelloop.types import Question

SHOWS = "show_collab_predictions"
"""The setting of a project that lets people see predictions at all: "Show predictions to annotators"."""


@guarded
class Display(ProjectPart):
    """The settings of a project by which people see it, and the counter of its tasks."""

    def size(self) -> int:
        """How many tasks there are, from a counter."""
        with self.place.there():
            project = self.place.look(f"task_number,model_version,{SHOWS}")
            size = self._visible.size = int(project["task_number"])
            self._visible.hides = not (project.get(SHOWS, True) and project["model_version"])
            return size

    @property
    def hides_predictions(self) -> bool:
        """Whether people saw no predictions when the project was looked at last, by `size` or `ask`.

        Somebody who switches them off in the project's settings empties what is shown with it.
        """
        return self._visible.hides

    def reveal(self, version: str) -> None:
        """Have people see predictions again, those of this version."""
        body = {SHOWS: True, "model_version": version}
        with self.place.writing():
            self.place.client.call("PATCH", self.place.path, body=body)

    @property
    def people(self) -> int:
        """How many people a task is shown to that is asked from now on."""
        return self._visible.people

    def share(self, people: int, only: Collection[str] | None = None) -> None:
        """Show every task to so many people; or only these and those to come, and the others to nobody more."""
        with self.place.writing():
            if only is None:
                self._overlaps().share(people)
            else:
                self._overlaps().share_only(people, only)
        self._visible.people = people

    def widen(self, items: Collection[str], people: int) -> None:
        """Show the tasks of these items to so many people; repeating changes nothing."""
        with self.place.writing():
            self._overlaps().widen(items, people)

    def _overlaps(self) -> Overlaps:
        return Overlaps(self.place.client, self.place.number, self._visible.people)

    def show(self, version: str, *, by_turns: bool) -> None:
        """Have annotators see the predictions of this version, which must have one; of none if it is empty.

        Args:
            by_turns: They get the questions by their turns, and not as they were asked.
        """
        sampling = BY_SCORE if by_turns else IN_ORDER
        body = {"model_version": version, "sampling": sampling}
        with self.place.writing():
            self.place.client.call("PATCH", self.place.path, body=body)
        self._visible.version, self._visible.sampling = version, sampling

    def _show(self, version: str, questions: Sequence[Question]) -> int | None:
        """Have annotators see the predictions of this version, and get the questions by their turns if they have some.

        Label Studio shows one version, or none.

        Returns:
            How many tasks there are, where that had to be said.
        """
        sampling, seen = BY_SCORE if any(question.turn for question in questions) else IN_ORDER, self._visible
        if not version or (version, sampling) == (seen.version, seen.sampling):
            return None
        body = {"model_version": version, "sampling": sampling}
        fields = {"include": f"id,task_number,{SHOWS}"}
        answer = self.place.client.call("PATCH", self.place.path, query=fields, body=body)
        seen.version, seen.sampling, seen.hides = version, sampling, not answer.get(SHOWS, True)
        return int(answer["task_number"]) if "task_number" in answer else None
