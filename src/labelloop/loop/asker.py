"""What is planned reaches people: questions, new guesses, second opinions; and guesses of old models go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from labelloop.data.addresses import Addressing
from labelloop.data.locations import Access
from labelloop.data.sources import unreadable
from labelloop.errors import BadItemError, ConfigError
from labelloop.ledger import Ledger
from labelloop.ledger.answers import Asking
from labelloop.ledger.rounds import Round
from labelloop.loop.listener import note_seen
from labelloop.loop.ownership import Ownership
from labelloop.loop.pool import refuse_most
from labelloop.loop.queue import outdated
from labelloop.loop.training import Stopwatch
from labelloop.protocols import Dataset, Pruning
from labelloop.types import Item, Missing, Question

PRUNED = "predictions_pruned"
"""The model versions whose predictions were deleted from the annotator, and when each had been replaced."""


@dataclass(frozen=True)
class Asker:
    """What one dataset's people get.

    Attributes:
        dataset: Opened when it is first needed.
        address: Where an item is shown from now.
        access: How the content of items is reached.
        clock: The time of now.
    """

    dataset: Callable[[], Dataset]
    ledger: Ledger
    ownership: Ownership
    address: Addressing
    access: Access
    clock: Callable[[], datetime]

    def send(self, *, sure: bool) -> None:
        """Send what is planned, and new guesses and turns of open questions; then confirm the round.

        Args:
            sure: The annotator has the questions of the ledger and no others.
        """
        planned = self.ledger.rounds.last()
        assert planned is not None
        watch = Stopwatch()
        with watch.stage("ask"):
            due = self._due(planned)
            unasked = sure and all(one.state == "planned" for one in due)
            if due:
                self.ownership.claim(self.dataset())
            lost = self._unreadable(due)
            sent = [one for one in due if one.item_id not in lost]
            asked = self.dataset().ask(self.questions_of(sent), unasked=unasked) if sent else None
        note_seen(self.dataset(), self.ledger, self.clock())
        missing = {**lost, **(asked.missing if asked else {})}
        if missing:
            self._leave_out(due, missing)
        if asked and asked.existing > sum(one.state != "planned" for one in sent):
            self.ledger.answers.rewind()  # they were there before us, maybe with answers that we passed over
        done = replace(planned, seconds={**planned.seconds, **watch.seconds})
        if missing:
            done = replace(done, asked=done.asked - sum(one.item_id in missing for one in due))
        self.ledger.rounds.confirm(done, asked.tasks if asked else {}, self.clock())

    def ask_opinions(self) -> int:
        """Send the second opinions that are planned and belong to no round; how many; under the lease."""
        due = self.ledger.answers.questions(["planned"], round=0)
        lost = self._unreadable(due)
        sent = [one for one in due if one.item_id not in lost]
        if sent:
            asked = self.dataset().ask(self.questions_of(sent))
            self.ledger.opinions.confirm(asked.tasks)
            lost |= asked.missing
        if lost:
            self._leave_out(due, lost)
        return len(due) - len(lost)

    def questions_of(self, due: Sequence[Asking]) -> list[Question]:
        """As the annotator is asked; what it takes for the item's id is that of the question."""
        items = {one.id: self._addressed(one) for one in self.ledger.items.get([one.item for one in due]).values()}
        return [Question(replace(items[one.item], id=one.item_id), one.prediction, one.turn) for one in due]

    def prune(self) -> int:
        """Delete the predictions of one model that people see no more, the oldest first; how many there were.

        Raises:
            ConfigError: The annotator keeps its predictions.
        """
        done = self.ledger.answers.recall(PRUNED) or {}
        due = outdated(self.ledger.rounds.all(), self.clock())
        version = next((one for one, replaced in due.items() if done.get(one) != replaced), "")
        if not version:
            return 0
        dataset = self.dataset()
        if not isinstance(dataset, Pruning):
            raise ConfigError(
                "the annotator cannot delete predictions, and loop.old_predictions is 'prune'",
                'set old_predictions = "keep" under [loop] in labelloop.toml',
            )
        pruned = dataset.prune([version])
        self.ledger.answers.remember(PRUNED, {**done, version: due[version]})
        return pruned

    def _due(self, planned: Round) -> list[Asking]:
        """The questions that finishing a round sends: all of its own, and open ones with a guess or turn of its model.

        Questions of the round that were sent before a crash are sent again, also those that people have answered since:
        asking is idempotent, and only a complete `ask` makes the predictions visible.
        """
        asked = self.ledger.answers.questions
        own = asked(["planned", "asked", "answered", "skipped"], round=planned.number)
        others = [one for one in asked(["planned", "asked"]) if one.round != planned.number]
        return [*own, *(one for one in others if one.version != "" and one.version == planned.version)]

    def _leave_out(self, due: Sequence[Asking], missing: Mapping[str, Missing]) -> None:
        """Drop the planned questions that people could not be shown, and set their items aside.

        Raises:
            UnreadableError: They are most of those that were sent; nothing was given up.
        """
        planned = [one for one in due if one.state == "planned"]
        lost = [one for one in planned if one.item_id in missing]
        refuse_most(len(planned), [missing[one.item_id] for one in lost])
        self.ledger.aside.put({one.item: missing[one.item_id] for one in lost}, self.clock())
        self.ledger.rounds.drop([one.item_id for one in lost])

    def _unreadable(self, due: Sequence[Asking]) -> dict[str, Missing]:
        """Planned questions about files that are gone or have changed, or about items that have no address now."""
        planned = [one for one in due if one.state == "planned"]
        items = self.ledger.items.get([one.item for one in planned])
        missing: dict[str, Missing] = {}
        for item in items.values():
            try:
                items[item.id] = self.address(item)
            except BadItemError as error:
                missing[item.id] = Missing(error.message)
        missing |= unreadable(items.values(), self.access)
        return {one.item_id: missing[one.item] for one in planned if one.item in missing}

    def _addressed(self, item: Item) -> Item:
        """The item at its address of now, or at the one that it has, where there is none."""
        try:
            return self.address(item)
        except BadItemError:
            return item
