"""What people get of a Label Studio: pictures, predictions, each other's work; and what comes through to it."""

from __future__ import annotations

from collections.abc import Sequence

from labelloop.backends.label_studio.bounds import guarded
from labelloop.backends.label_studio.display import SHOWS
from labelloop.backends.label_studio.loads import come_through
from labelloop.backends.label_studio.members import everybody
from labelloop.backends.label_studio.probe import look, looked_at, rehearse
from labelloop.backends.label_studio.server_part import ServerPart
from labelloop.errors import LabelLoopError


@guarded
class Inspection(ServerPart):
    """What `check` asks a Label Studio."""

    def exposed(self) -> tuple[str, str]:
        """What somebody else with an account gets that she should not, and the way out; or nothing.

        Raises:
            BackendError: Our own server does not answer.
        """
        if self.url:
            return self._exposed_elsewhere()
        root = self.connection.server.serves()
        if (root is not None and root.linked) or self.people() <= 1:
            return "", ""
        if root is None:
            words = (
                "an older labelloop started this Label Studio: they can read every file of yours, and call the network"
            )
            return words, "labelloop stack down, then labelloop stack up"
        words = f"they can read every file below media_root = {str(root.path)!r}"
        return words, "take media_root out of labelloop.toml, then labelloop stack down and labelloop stack up"

    def comes_through(self) -> tuple[str, str]:
        """What comes through to someone else's server of what a tick sends, and what to set where not all does.

        Raises:
            ConfigError, BackendError: A shape of request is refused on the way.
        """
        return come_through(self.client()) if self.url else ("", "")

    def _exposed_elsewhere(self) -> tuple[str, str]:
        """What the open edition gives everybody; nothing where we may not count them: a server with roles."""
        try:
            others = self.people() - 1
        except LabelLoopError:
            return "", ""
        if others < 1:
            return "", ""
        words = f"each of the {others} can see and delete every project there, and answer in another's name"
        return words, "have it backed up, and set loop.ground_truth_by to whose word counts"

    def people(self) -> int:
        """How many people have an account, and are members."""
        return len(everybody(self.client()))

    def look(self, name: str) -> str:
        """What a browser gets for a picture of this dataset that lies in the bucket, in words; empty without a bucket.

        Raises:
            BackendError: It gets nothing.
            ConfigError: It would not show it.
        """
        bucket = self.bucket()
        if bucket is None:
            return ""
        number = self._projects.find(name)
        seen = look(self.client(), number, bucket) if number else ""
        return seen or rehearse(self.client(), bucket, self.media.store)

    def looked_at(self, name: str) -> Sequence[tuple[bool, str, str]]:
        """What a browser gets of one picture of each sort that was asked about: (whether it is shown, words, hint).

        Raises:
            BackendError: The server does not answer.
        """
        number = self._projects.find(name)
        return looked_at(self.client(), number) if number else ()

    def hides_predictions(self, name: str) -> bool:
        """Whether the project of this title keeps people from seeing predictions; not where there is none.

        Raises:
            BackendError: The server does not answer.
        """
        number = self._projects.find(name)
        if number is None:
            return False
        return (
            not self.client().call("GET", f"/api/projects/{number}", query={"include": f"id,{SHOWS}"}).get(SHOWS, True)
        )
