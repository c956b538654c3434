"""Questions that were closed with fewer people than close one now: which there are, and opening them, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labelloop.loop.loop import Loop


@dataclass(frozen=True, slots=True)
class Reopening:
    """What opening them costs people.

    Attributes:
        people: How many people a question is for now.
        questions: Closed questions with fewer answers.
        answers: How many they lack.
    """

    people: int
    questions: int
    answers: int

    def as_dict(self) -> Mapping[str, Any]:
        """For scripts."""
        return asdict(self)

    def in_words(self) -> str:
        """What would be opened."""
        if not self.questions:
            return "nothing to open: no closed question has fewer people than dataset.people_per_item asks for now"
        return (
            f"{self.questions} closed question(s) have fewer people than the {self.people} that one is for now: people"
            f" are asked for {self.answers} more answer(s), and a round waits for those of its own questions"
        )


def plan(loop: Loop) -> Reopening:
    """What would be opened, from the ledger alone: it knows what the last tick has heard. Changes nothing."""
    lacking = loop.ledger.overlap.lacking(loop.overlap.people)
    return Reopening(loop.overlap.people, len(lacking), sum(lacking.values()))


def reopen(loop: Loop) -> Reopening:
    """Hear, and open them, in the ledger and then in the annotator; what a kill leaves, the next tick completes.

    Raises:
        BusyError: Another process is at it.
    """
    with loop.ledger.lease.held():
        loop.preconditions.refuse_other_labels()
        loop.hear()
        planned = plan(loop)
        if planned.questions:
            loop.ledger.overlap.reopen()
            loop.overlap.carry_out(loop.dataset)
        return planned
