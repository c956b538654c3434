"""What must hold before a loop goes on: there are items, the labels are those of now, most items can be read."""

from __future__ import annotations

from labelloop.errors import ConfigError, OtherLabelsError
from labelloop.ledger import Ledger
from labelloop.loop.features import Embeddings


class Preconditions:
    """The refusals of one loop, over its ledger; made when the loop is made.

    Attributes:
        label_changes: The changes of the labels that there were then.
    """

    def __init__(self, ledger: Ledger, embeddings: Embeddings) -> None:
        self._ledger = ledger
        self._embeddings = embeddings
        self.label_changes = ledger.labels.changes()

    def refuse_no_items(self) -> None:
        """Go on only where there is something to ask about.

        Raises:
            ConfigError: Nothing was added yet.
        """
        if self._ledger.items.count() == 0:
            raise ConfigError("there are no items to ask about", "labelloop add FOLDER_OR_FILE")

    def refuse_other_labels(self) -> None:
        """Go on only with the labels that hold now.

        Raises:
            OtherLabelsError: They were changed since this loop was made, or a change of them was interrupted.
        """
        changes = self._ledger.labels.changes()
        if changes and changes[-1].state == "planned":
            raise OtherLabelsError(
                f"a change of the labels was interrupted: {changes[-1].in_words()}", "labelloop labels resume"
            )
        if changes != self.label_changes:
            raise OtherLabelsError(f"the labels were changed: {changes[-1].in_words()}", "run it again", True)

    def refuse_lost_pool(self) -> None:
        """Go on unless nothing is left to ask because most items cannot be read.

        Raises:
            UnreadableError: That is so.
        """
        last, lost = self._ledger.rounds.last(), self._ledger.aside.count()
        if last is None or not last.stopped or last.room == 0:
            return
        if 2 * lost > self._ledger.items.count() - self._ledger.changed.count():
            raise self._embeddings.nothing_left()
