"""How many people each question is shown to: a number that is raised counts from then on, and for what is open."""

from __future__ import annotations

from dataclasses import dataclass

from labelloop.errors import ConfigError
from labelloop.ledger import Ledger
from labelloop.protocols import Dataset, Overlapping

REOPEN = "labelloop reopen"


@dataclass(frozen=True, slots=True)
class Overlap:
    """Brings a dataset to the number of people that is wanted. Killed anywhere and called again, it goes on.

    The annotator's own number stays where none was ever set.

    Args:
        people: How many people a question is for, from now on.
    """

    ledger: Ledger
    people: int

    def carry_out(self, dataset: Dataset) -> list[str]:
        """Have ledger and annotator go by the number, after everything was heard; what that changed, in words.

        Raises:
            ConfigError: The annotator cannot show a question to several people.
        """
        book = self.ledger.overlap
        before = book.people()
        if (self.people, before) == (1, 1) and not book.is_untold():
            return []
        shown = self._able(dataset)
        notes = self._change(before) if self.people != before else []
        if book.is_untold() or shown.people != self.people:
            self._tell(shown)
        if again := book.reopened():
            shown.widen(again, self.people)
            book.release(again)
        return notes

    def _able(self, dataset: Dataset) -> Overlapping:
        if isinstance(dataset, Overlapping):
            return dataset
        raise ConfigError(
            f"dataset.people_per_item is {self.people}, but this annotator cannot show an item to several people",
            "set people_per_item = 1 under [dataset]",
        )

    def _change(self, before: int) -> list[str]:
        """Write the number down, before the annotator is told."""
        closed = self.ledger.overlap.share(self.people)
        words = f"dataset.people_per_item is {self.people} now and was {before}: "
        if self.people < before:
            return [f"{words}{closed} question(s) have enough answers, and are closed"] if closed else []
        kept = len(self.ledger.overlap.lacking(self.people))
        if not kept:
            return []
        more = f"{kept} question(s) that have their answers stay closed, and what is open or asked from now on is for"
        return [f"{words}{more} {self.people}; {REOPEN} opens them, too"]

    def _tell(self, dataset: Overlapping) -> None:
        """Show what is open to so many people, and of what is closed nothing to anybody more."""
        book = self.ledger.overlap
        everything = self.people == 1 or not book.keeps()
        waiting = [one.item_id for one in self.ledger.answers.questions(["planned", "asked"])]
        dataset.share(self.people, None if everything else waiting)
        book.told()
