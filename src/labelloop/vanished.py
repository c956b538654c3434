"""Questions or answers that are gone in bulk: rather an accident than what people meant, and not believed unasked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from labelloop.errors import VanishedError
from labelloop.ledger.answers import AnswerBook
from labelloop.types import Answers

FEWEST = 10
"""So many gone at once are never remarkable if they are fewer."""

SHARE = 0.2
"""The share of what there was above which it is."""

BELIEVE = "labelloop tick --believe-losses"


@dataclass(frozen=True, slots=True)
class Losses:
    """How much may be gone at once.

    Args:
        believed: Whether a person has said that it is meant.
    """

    believed: bool = False

    def refuse_questions(self, answers: AnswerBook, present: Collection[str]) -> None:
        """Go on only if not much is missing from the questions that there are.

        Raises:
            VanishedError: Too many are gone.
        """
        if not self.believed:
            there = answers.there()
            _refuse("questions", len(there - set(present)), len(there))

    def refuse_answers(self, answers: AnswerBook, page: Answers) -> None:
        """Go on only if a page does not take many answers back.

        Raises:
            VanishedError: Too many are gone.
        """
        if not self.believed:
            gone = answers.withdrawn(page)
            if gone >= FEWEST:
                _refuse("answers", gone, sum(map(len, answers.current().values())))


def _refuse(what: str, gone: int, total: int) -> None:
    if gone >= FEWEST and gone > SHARE * total:
        raise VanishedError(
            f"{gone} of {total} {what} are gone from the annotator at once: was it restored from a backup, or emptied?",
            "restore them there, or labelloop doctor --repair writes them back from the ledger;"
            f" if it is meant: {BELIEVE}",
        )
