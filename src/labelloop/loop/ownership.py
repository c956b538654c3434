"""Whose a dataset is: the ledger that asks its questions leaves a mark there, and reads it before it believes anything.

The mark names the ledger and counts the times that it asked. So a second ledger, a copy of this one, an older backup of
it and an older backup of the annotator are told apart before anything is asked or believed. A mark is put in place of
the one before in one step, so that of two copies that ask at the same moment one is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from labelloop.errors import OtherOwnerError
from labelloop.ledger.answers import AnswerBook
from labelloop.protocols import Dataset, Marked

OWNER = "dataset_owner"
"""The fact that holds the mark this ledger left, and the one it is about to leave."""

TAKE_OVER = "labelloop tick --take-over"

_TEXT = re.compile(r"labelloop:([0-9a-f]{16}):(\d{1,12}):([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a ledger leaves in its dataset.

    Attributes:
        ledger: The ledger's id, made once.
        turn: How many times it has asked.
        nonce: Tells apart two copies of a ledger that asked as many times.
    """

    ledger: str
    turn: int
    nonce: str

    def __str__(self) -> str:
        return f"labelloop:{self.ledger}:{self.turn}:{self.nonce}"

    def next(self, turn: int = 0) -> Mark:
        """The mark of the next time, or of one after `turn`."""
        return Mark(self.ledger, max(self.turn, turn) + 1, token_hex(4))


def read(text: str) -> Mark | None:
    """The mark in a text; None where there is none."""
    found = _TEXT.search(text)
    return Mark(found[1], int(found[2]), found[3]) if found else None


@dataclass(frozen=True, slots=True)
class Ownership:
    """A ledger's claim to one dataset.

    Args:
        answers: Keeps the marks.
        name: The dataset's, for the words of an error.
    """

    answers: AnswerBook
    name: str

    def refuse_others(self, dataset: Dataset) -> None:
        """Go on only where the dataset is as this ledger left it.

        Raises:
            OtherOwnerError: It is another ledger's, or of another time.
        """
        if isinstance(dataset, Marked):
            mine, following = self._kept()
            theirs = read(dataset.mark())
            if theirs not in (None, mine, following):
                raise self._refusal(mine, theirs)

    def claim(self, dataset: Dataset) -> None:
        """Leave the next mark, before anything is asked. Killed anywhere and repeated, it is still ours.

        Raises:
            OtherOwnerError: Somebody else has left one meanwhile.
        """
        self.refuse_others(dataset)
        if isinstance(dataset, Marked):
            mine, interrupted = self._kept()
            if interrupted is not None:  # it may be there, and a copy of this ledger may be about to leave it, too
                mine = self._follow(dataset, mine, interrupted)
            self._follow(dataset, mine, (mine or Mark(token_hex(8), 0, "")).next())

    def refuse_unmarked(self, dataset: Dataset) -> None:
        """Go on only where no older labelloop, which left no mark, has asked; for a ledger that has asked nothing.

        Raises:
            OtherOwnerError: There are questions that this ledger does not know.
        """
        there = dataset.present() if self._kept() == (None, None) else set()
        if there and not there & self.answers.there():
            raise OtherOwnerError(
                f"dataset {self.name!r} has {len(there)} question(s) of labelloop that this ledger never asked",
                f"go on in the workspace that asked them; if it is lost: {TAKE_OVER} hears what they were answered;"
                " or choose another dataset.name",
            )

    def take_over(self, dataset: Dataset) -> bool:
        """Make the dataset this ledger's, whosever it was; whether it was another's. Everything is heard anew then."""
        try:
            self.refuse_others(dataset)
            self.refuse_unmarked(dataset)
        except OtherOwnerError as other:
            self._force(dataset, other.turn)
            self.answers.rewind()
            return True
        return False

    def _follow(self, dataset: Marked, mine: Mark | None, wanted: Mark) -> Mark:
        """Leave a mark in place of ours; nobody else's has followed on that then."""
        before = str(mine or "")
        self._keep(mine, wanted)
        there = dataset.swap_mark(before, str(wanted))
        if there != str(wanted):
            raise self._refusal(mine or wanted, read(there))
        self._keep(wanted, None)
        return wanted

    def _force(self, dataset: Dataset, turn: int) -> None:
        """Leave our next mark, or the one after that `turn`, whatever is there."""
        if not isinstance(dataset, Marked):
            return
        mine = self._kept()[0]
        wanted = (mine or Mark(token_hex(8), 0, "")).next(turn)
        self._keep(mine, wanted)
        dataset.set_mark(str(wanted))
        there = read(dataset.mark())
        if there != wanted:
            raise self._refusal(wanted, there)
        self._keep(wanted, None)

    def _keep(self, mine: Mark | None, following: Mark | None) -> None:
        self.answers.remember(OWNER, {"mine": str(mine or ""), "next": str(following or "")})

    def _kept(self) -> tuple[Mark | None, Mark | None]:
        kept: Any = self.answers.recall(OWNER) or {}
        return read(kept.get("mine", "")), read(kept.get("next", ""))

    def _refusal(self, mine: Mark | None, theirs: Mark | None) -> OtherOwnerError:
        what, turn = f"dataset {self.name!r}", theirs.turn if theirs else 0
        if mine is None or theirs is None or theirs.ledger != mine.ledger:
            return OtherOwnerError(
                f"{what} is asked by another ledger than this workspace's",
                f"go on in that workspace; if it is lost: {TAKE_OVER}, and the other one stops",
                turn,
            )
        if theirs.turn < mine.turn:
            return OtherOwnerError(
                f"{what} is {mine.turn - theirs.turn} time(s) of asking behind the ledger: the annotator was restored"
                " from an older backup",
                "restore a newer one; or labelloop doctor --repair writes questions and answers back from the ledger;"
                f" or {TAKE_OVER} goes on with what is there",
                turn,
                is_behind=True,
            )
        further = f"{theirs.turn - mine.turn} time(s) of asking further" if theirs.turn > mine.turn else "elsewhere"
        return OtherOwnerError(
            f"{what} has gone on {further}, without this ledger: it is a copy, or was restored from an older backup",
            f"go on in the other workspace; if there is none: {TAKE_OVER} hears what this one has missed",
            turn,
        )
