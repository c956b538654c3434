"""What to do next is a pure function of the situation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labelloop.decide import Finish, Policy, Situation, Start, Stop, Wait, decide
from labelloop.ledger.rounds import Round

FIRST = Round(1, "nothing has been asked yet", state="asked", asked=10, items=100)
ASKED = Situation(items=100, last=FIRST, waiting=10, closed=0, asked=10, asking_rounds=1)
LEARNED = replace(FIRST, number=2, asked=0, changes=10, room=0, stopped="the budget of 10 questions is spent")


@pytest.mark.parametrize(
    ("now", "policy", "action"),
    [
        (Situation(items=0), Policy(), Wait("there are no items yet: labelloop add FOLDER_OR_FILE")),
        (Situation(items=100), Policy(), Start(1, None, "nothing has been asked yet")),
        (Situation(items=100), Policy(budget=8), Start(1, 8, "nothing has been asked yet")),
        (
            replace(ASKED, last=replace(FIRST, state="planned")),
            Policy(),
            Finish(1, "round 1 was interrupted before its questions were confirmed"),
        ),
        (ASKED, Policy(), Wait("0 of 10 answers to round 1")),
        (replace(ASKED, closed=9), Policy(), Wait("9 of 10 answers to round 1")),
        (replace(ASKED, closed=9), Policy(enough=0.9), Start(2, None, "round 1 is answered")),
        (replace(ASKED, closed=10), Policy(), Start(2, None, "round 1 is answered")),
        (replace(ASKED, closed=10), Policy(budget=15), Start(2, 5, "round 1 is answered")),
        (replace(ASKED, closed=10), Policy(rounds=1), Start(2, 0, "round 1 is answered")),
        (replace(ASKED, waiting=0), Policy(), Start(2, None, "the questions of round 1 were deleted")),
        (
            replace(ASKED, last=LEARNED, waiting=0, changes=10),
            Policy(budget=10),
            Stop("the budget of 10 questions is spent"),
        ),
        (
            replace(ASKED, last=LEARNED, waiting=0, changes=11),
            Policy(budget=10),
            Start(3, 0, "answers or items have changed"),
        ),
        (
            replace(ASKED, last=LEARNED, waiting=0, changes=10, items=101),
            Policy(budget=10),
            Start(3, 0, "answers or items have changed"),
        ),
        (
            replace(ASKED, last=LEARNED, waiting=0, changes=10),
            Policy(budget=20),
            Start(3, 10, "there is room for more questions"),
        ),
    ],
)
def test_the_next_action_follows_from_the_situation(now: Situation, policy: Policy, action: object) -> None:
    assert decide(now, policy) == action
