"""Questions or answers that are gone in bulk: rather an accident than what people meant, and not believed unasked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from labelloop.errors import VanishedError
from labelloop.ledger.answers import AnswerBook
from labelloop.types import Annotation, Answers

FEWEST = 10
"""So many gone at once are never remarkable if they are fewer."""

FEWEST_NEWEST = 5
"""So many that are just the newest ones are remarkable: an older backup lacks these, and people remove others, too."""

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

    def refuse_answers(self, answers: AnswerBook, everything: Answers) -> None:
        """Go on only if what the annotator has now does not take many answers back.

        Raises:
            VanishedError: Too many are gone.
        """
        list(self.believable(answers, [everything]))

    def believable(self, answers: AnswerBook, pages: Iterable[Answers]) -> Iterator[Answers]:
        """The pages, those that take answers back last: once it is known how many are taken back in all.

        Until then the cursor stays before the first of them, for whoever is killed meanwhile.

        Raises:
            VanishedError: Too many are gone; none of these pages was passed on.
        """
        held: list[Answers] = []
        gone: list[str] = []
        newer: set[str] = set()
        safe, end = answers.cursor(), ""
        for page in pages:
            taken = [] if self.believed else answers.withdrawn(page)
            end = page.cursor
            if taken:
                held.append(page)
                gone += taken
            elif held:
                newer |= {heard.item_id for heard in page.heard}
                yield replace(page, cursor=safe or page.cursor)
            else:
                safe = page.cursor
                yield page
        if gone:
            _refuse_losses(gone, answers.current())
        for number, page in enumerate(held, start=1):
            heard = tuple(one for one in page.heard if one.item_id not in newer)
            yield replace(page, heard=heard, cursor=end if number == len(held) else safe or page.cursor)


def _refuse_losses(gone: Sequence[str], current: Mapping[str, Sequence[Annotation]]) -> None:
    """Go on only if these answers are few, and not just the newest ones that there are."""
    said = sorted((one for some in current.values() for one in some), key=lambda one: one.created_at)
    _refuse("answers", len(gone), len(said))
    newest = {one.id for one in said[-len(gone) :]}
    if len(gone) >= FEWEST_NEWEST and newest == set(gone) and len(said) > len(gone):
        raise _vanished(f"the newest {len(gone)} of {len(said)} answers")


def _refuse(what: str, gone: int, total: int) -> None:
    if gone >= FEWEST and gone > SHARE * total:
        raise _vanished(f"{gone} of {total} {what}")


def _vanished(what: str) -> VanishedError:
    return VanishedError(
        f"{what} are gone from the annotator at once: was it restored from a backup, or emptied?",
        f"restore them there, or labelloop doctor --repair writes them back from the ledger; if it is meant: {BELIEVE}",
    )
